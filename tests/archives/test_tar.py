"""Tar archives, written by tarfile, and what may be wrong with them."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from halftone.archives import ArchiveError, ArchiveFile, Member, list_members, read_members
from packed_images import write_tar


def members(path: Path) -> list[Member]:
    return list(list_members(ArchiveFile(str(path), path.stat().st_size)))


def contents(path: Path) -> dict[str, object]:
    found = members(path)
    return dict(
        zip(
            [member.name for member in found],
            read_members(str(path), [member.place for member in found]),
        )
    )


LONG = f"{'folder/' * 30}{'x' * 120}.jpg"


@pytest.mark.parametrize("options", [{}, {"format": tarfile.GNU_FORMAT}, {"format": 2}])
def test_members_have_their_bytes(tmp_path: Path, options: dict[str, int]) -> None:
    files = {"cat/1.jpg": b"one", "empty.jpg": b"", "dög/2.jpg": bytes(1000), LONG: b"long"}
    path = write_tar(tmp_path / "a.tar", files, **options)
    assert contents(path) == files
    assert [member.size_bytes for member in members(path)] == [3, 0, 1000, 4]


def test_members_larger_than_a_window_are_skipped(tmp_path: Path) -> None:
    files = {f"{number}.jpg": bytes([number]) * (300_000 * number) for number in range(5)}
    assert contents(write_tar(tmp_path / "a.tar", files)) == files


def test_the_samples_of_webdataset_have_labels(tmp_path: Path) -> None:
    files = {
        "00.cls": b"7\n",
        "00.jpg": b"0",
        "01.jpg": b"1",
        "01.json": b'{"label": "cat", "x": 1}',
        "02.left.png": b"2",
        "02.right.png": b"3",
        "02.json": b'{"label": 3}',
        "03.jpg": b"4",
        "03.json": b'{"label": true}',
        "04.jpg": b"5",
        "04.json": b"no json",
        "a/05.jpg": b"6",
        "b/05.cls": b"another sample",
    }
    labels = {m.name: m.label for m in members(write_tar(tmp_path / "a.tar", files))}
    assert {name: label for name, label in labels.items() if name.endswith(("jpg", "png"))} == {
        **{"00.jpg": "7", "01.jpg": "cat", "02.left.png": "3", "02.right.png": "3"},
        **{"03.jpg": "", "04.jpg": "", "a/05.jpg": ""},
    }


def test_links_and_pipes_are_named_and_folders_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        kinds = {"d": tarfile.DIRTYPE, "soft.jpg": tarfile.SYMTYPE, "hard.jpg": tarfile.LNKTYPE}
        for name, kind in {**kinds, "pipe.jpg": tarfile.FIFOTYPE}.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "1.jpg"
            tar.addfile(info)
    assert [(member.name, member.problem) for member in members(path)] == [
        *(
            (
                name,
                "a link to 1.jpg in a tar archive is not read; write it with tar --dereference "
                "--hard-dereference",
            )
            for name in ("soft.jpg", "hard.jpg")
        ),
        ("pipe.jpg", "a member of a tar archive that is no file"),
    ]


def test_names_are_texts_and_no_paths(tmp_path: Path) -> None:
    names = ["/etc/1.jpg", "../2.jpg", "./cat/3.jpg", "a!b.jpg"]
    path = write_tar(tmp_path / "a.tar", dict.fromkeys(names, b"x"))
    assert [m.name for m in members(path)] == ["/etc/1.jpg", "../2.jpg", "cat/3.jpg", "a!b.jpg"]


@pytest.mark.parametrize(
    ("cut", "text"),
    [
        (0, "is no tar archive: empty file"),
        (1000, "unexpected end of data, at byte 1,536 of 1,000, after 1 members"),
        (1536, "the end marker is missing, at byte 1,536 of 1,536, after 1 members"),
        (1700, "a header is damaged, at byte 1,536 of 1,700, after 1 members"),
    ],
)
def test_an_incomplete_archive_is_an_error(tmp_path: Path, cut: int, text: str) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.jpg": bytes(900), "2.jpg": bytes(900)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ArchiveError, match=re.escape(f"{path}: ")) as caught:
        members(path)
    assert text in str(caught.value)


def test_a_damaged_header_and_joined_archives_are_errors(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.jpg": b"1", "2.jpg": b"2", "3.jpg": b"3"})
    whole = path.read_bytes()
    path.write_bytes(whole[:1030] + b"!" + whole[1031:])
    with pytest.raises(ArchiveError, match=r"a header is damaged, at byte 1,024 .* 1 members"):
        members(path)
    path.write_bytes(whole + whole)
    with pytest.raises(ArchiveError, match="more data follow the end marker"):
        members(path)


def test_a_compressed_archive_is_refused_with_the_cure(tmp_path: Path) -> None:
    for name in ("a.tar.gz", "a.tgz", "a.TAR.bz2", "a.txz", "a.tar.zst"):
        with pytest.raises(ArchiveError, match=r"unpack it to a \.tar file, such as with gzip -d"):
            list(list_members(ArchiveFile(f"{tmp_path}/{name}", 10)))


def test_a_missing_archive_is_an_error_and_one_that_shrank_a_reject(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.jpg": b"one"})
    (member,) = members(path)
    path.write_bytes(path.read_bytes()[:514])
    (shrunk,) = read_members(str(path), [member.place])
    assert "has changed since it was listed" in str(shrunk)
    path.unlink()
    with pytest.raises(ArchiveError, match="was listed, but no longer exists"):
        list(list_members(ArchiveFile(str(path), 10)))
