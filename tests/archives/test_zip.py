"""Zip archives, written by zipfile, and what may be wrong with them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from halftone.archives import ArchiveError, ArchiveFile, Member, list_members, read_members
from packed_images import write_zip

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def members(path: Path) -> list[Member]:
    return list(list_members(ArchiveFile(str(path), path.stat().st_size)))


def contents(path: Path) -> dict[str, object]:
    found = members(path)
    read = read_members(str(path), [member.place for member in found])
    return {
        m.name: str(data) if isinstance(data, OSError) else data for m, data in zip(found, read)
    }


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_members_have_their_bytes(tmp_path: Path, method: int) -> None:
    files = {"cat/1.jpg": b"one" * 1000, "empty.jpg": b"", "dög/2.jpg": bytes(range(256))}
    path = write_zip(tmp_path / "a.zip", {**files, "folder/": b""}, method)
    assert contents(path) == files
    assert [(m.size_bytes, m.label) for m in members(path)] == [(3000, ""), (0, ""), (256, "")]


def test_an_archive_behind_other_data_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.jpg": b"one", "2.jpg": b"two"})
    path.write_bytes(b"a program that unpacks itself" + path.read_bytes())
    assert contents(path) == {"1.jpg": b"one", "2.jpg": b"two"}


def patch(path: Path, old: bytes, new: bytes, count: int = -1) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, count))


def test_encrypted_members_and_other_methods_are_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.jpg": b"one"})
    patch(path, b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    assert [m.problem for m in members(path)] == [
        "it is encrypted; write the zip archive without a password"
    ]
    path = write_zip(tmp_path / "b.zip", {"1.jpg": b"one"}, zipfile.ZIP_LZMA)
    assert [m.problem for m in members(path)] == [
        "compression method 14 of zip archives is not read; write it with deflate, or not "
        "compressed"
    ]


def test_damaged_members_are_rejects_and_the_others_are_read(tmp_path: Path) -> None:
    files = {"1.jpg": b"first content", "2.jpg": b"other content"}
    path = write_zip(tmp_path / "a.zip", files, STORED)
    patch(path, b"first content", b"First content")
    assert contents(path) == {
        "1.jpg": "damaged in the zip archive: the CRC is wrong",
        "2.jpg": b"other content",
    }
    patch(path, b"PK\x03\x04", b"PK\x03\x05", 1)
    assert contents(path)["1.jpg"] == (
        "damaged in the zip archive: its header does not fit to the directory"
    )


def test_a_member_that_unpacks_to_more_than_the_directory_says_is_a_reject(
    tmp_path: Path,
) -> None:
    bomb = bytes(10_000_000)
    path = write_zip(tmp_path / "a.zip", {"1.jpg": bomb})
    patch(path, len(bomb).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert contents(path)["1.jpg"] == (
        "damaged in the zip archive: it unpacks to another size than 1,000 bytes, which the "
        "directory has"
    )


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_an_incomplete_archive_is_an_error(tmp_path: Path, cut: int) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.jpg": b"one"})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ArchiveError, match="is no complete zip archive: File is not a zip file"):
        members(path)
