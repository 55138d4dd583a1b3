"""The listing of archives: which are read, and what becomes of each member."""

from __future__ import annotations

import json
import os
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from halftone import arrow
from halftone.archives import ArchiveError
from halftone.config import PixelSpec
from halftone.errors import InputError
from halftone.listing import ArchiveSettings, UnitRemarks, add_archives, plan_listing
from halftone.preprocess.decode_block import decode_images
from listed import list_images
from packed_images import write_tar, write_zip

READ, AUTO = ArchiveSettings("read"), ArchiveSettings("auto")


def test_each_image_of_an_archive_is_a_row(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x.txt": b"no", "cat/1.jpg": b"123", "2.JPG": b"", "n": b"1"})
    write_zip(tmp_path / "b.zip", {"dog/3.png": b"12345", "c.tar": b"nested"})
    listed = list_images(str(tmp_path), archives=READ)
    assert listed.values("path", "size_bytes", "label", "reason") == [
        ("a.tar!2.JPG", 0, "", ""),
        ("a.tar!cat/1.jpg", 3, "", ""),
        ("b.zip!dog/3.png", 5, "", ""),
    ]
    assert [row["member_place"][:4] for row in listed.rows.to_pylist()] == ["2 5 ", "1 5 ", "0 5 "]
    modified = (tmp_path / "a.tar").stat().st_mtime
    assert listed.values("modified")[0] == (modified,)
    assert listed.summary.ignored == {".txt": 1, "no ending": 1, "archive in an archive": 1}
    assert listed.summary.notes == (
        f"{tmp_path}: 3 images in 2 archives are read (preprocess.archives)",
    )


def test_archives_beside_images_are_ignored_unless_they_are_to_be_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": b"1"})
    assert list_images(str(tmp_path), archives=AUTO).paths == ["a.tar!1.jpg"]
    with pytest.raises(InputError, match="no images among 1 files"):
        list_images(str(tmp_path))
    (tmp_path / "2.jpg").write_bytes(b"2")
    listed = list_images(str(tmp_path), archives=AUTO)
    assert (listed.paths, listed.summary.ignored) == (["2.jpg"], {".tar": 1})
    assert listed.summary.notes == (
        f"{tmp_path}: 1 archives, such as a.tar, are not read, as there are images beside them; "
        "preprocess.archives: read reads them, ignore says that they are not wanted",
    )
    ignored = list_images(str(tmp_path))
    assert (ignored.paths, ignored.summary.notes) == (["2.jpg"], ())
    assert ignored.summary.ignored == {".tar": 1}
    assert list_images(str(tmp_path), archives=READ).paths == ["2.jpg", "a.tar!1.jpg"]


def test_what_macos_stores_in_archives_is_ignored(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {"1.jpg": b"1", "__MACOSX/._1.jpg": b"x"})
    write_tar(tmp_path / "b.tar", {"c/._2.jpg": b"x", "c/2.jpg": b"2"})
    listed = list_images(str(tmp_path), archives=READ)
    assert listed.paths == ["a.zip!1.jpg", "b.tar!c/2.jpg"]
    assert listed.summary.ignored == {"__MACOSX/": 1, "AppleDouble": 1}


def test_members_that_cannot_be_read_are_rejects(tmp_path: Path) -> None:
    with tarfile.open(
        tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1"
    ) as tar:
        tar.addfile(tarfile.TarInfo("bl\xfc.jpg"))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "1.jpg"
        tar.addfile(link)
        link.name = "no-image"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("1.jpg"))
    listed = list_images(str(tmp_path), archives=READ)
    assert listed.paths == ["a.tar!1.jpg"]
    assert listed.unreadable == [
        ("a.tar!bl\\udcfc.jpg", "its name is not UTF-8 text; rename it"),
        (
            "a.tar!link.jpg",
            "a link to 1.jpg in a tar archive is not read; write it with tar --dereference "
            "--hard-dereference",
        ),
    ]
    assert listed.summary.ignored == {"no ending": 1}


SAMPLES = {"1.jpg": b"1", "1.cls": b"7", "2.jpg": b"2", "2.cls": b"8"}


def test_labels_of_archives_count_for_all_images_or_for_none(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", SAMPLES)
    root = str(tmp_path)
    labels = [("a.tar!1.jpg", "7"), ("a.tar!2.jpg", "8")]
    assert list_images(root, archives=READ).values("path", "label") == labels
    by_path = ArchiveSettings("read", "path")
    assert list_images(root, archives=by_path).values("label") == [("",), ("",)]
    (tmp_path / "3.jpg").write_bytes(b"3")
    message = (
        f"{root}: archives give 2 images a label, such as a.tar!1.jpg, and 1 images none, such as "
        "3.jpg; set preprocess.archive_labels: path to find all labels in the paths, or keep the "
        "two in folders of their own"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        list_images(root, archives=READ)
    assert len(list_images(root, archives=by_path).paths) == 3


def test_an_image_whose_label_is_missing_is_a_reject(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {**SAMPLES, "3.jpg": b"3"})
    listed = list_images(str(tmp_path), archives=READ)
    assert listed.unreadable == [
        ("a.tar!3.jpg", "its archive gives it no label, but labels to others")
    ]
    assert listed.values("reason") == [("",), ("",), ("unlabelled",)]
    write_tar(tmp_path / "a.tar", {"0.jpg": b"0", **SAMPLES})
    message = (
        f"{tmp_path}/a.tar: gives 1.jpg the label '7', but 0.jpg none; add the label that is "
        "missing, or set preprocess.archive_labels: path to find labels in the paths"
    )
    with pytest.raises(ArchiveError, match=f"^{re.escape(message)}$"):
        list_images(str(tmp_path), archives=READ)


def test_names_that_are_twice_in_an_archive_are_an_error(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"cat/1.jpg": b"1"})
    with tarfile.open(tmp_path / "a.tar", "a") as tar:
        tar.addfile(tarfile.TarInfo("cat/1.jpg"))
    message = (
        f"{tmp_path}: 1 images of archives have the same path as another, such as "
        "a.tar!cat/1.jpg; write the archive anew with each name once"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        list_images(str(tmp_path), archives=READ)


def test_a_folder_with_the_name_of_an_archive_and_a_mark_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.tar!b").mkdir()
    (tmp_path / "a.tar!b" / "1.jpg").write_bytes(b"file")
    listed = list_images(str(tmp_path), archives=READ)
    assert listed.values("path", "member_place") == [("a.tar!b/1.jpg", "")]
    write_tar(tmp_path / "a.tar", {"b/1.jpg": b"member"})
    with pytest.raises(InputError, match="or rename the folder that has the name of an archive"):
        list_images(str(tmp_path), archives=READ)


def test_a_compressed_archive_is_an_error_if_it_is_to_be_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("1.jpg"))
    for settings in (READ, AUTO):
        with pytest.raises(ArchiveError, match=f"{tmp_path}/a.tar.gz: a compressed archive"):
            list_images(str(tmp_path), archives=settings)
    (tmp_path / "2.jpg").write_bytes(b"2")
    assert list_images(str(tmp_path), archives=AUTO).summary.ignored == {".gz": 1}


def test_many_archives_are_divided_by_size_among_256_units(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"")
    plan = plan_listing(str(tmp_path), None, ["jpg"], archives=READ)
    remarks = UnitRemarks(archives=[(f"{n}.tar", n, 1.5) for n in range(600)])
    units = add_archives(plan, [remarks]).units.to_pylist()[1:]
    assert [unit["unit"] for unit in units] == list(range(1, 257))
    parts = [json.loads(unit["arguments"])["archives"] for unit in units]
    assert sorted(size for part in parts for _, size, _ in part) == list(range(600))
    assert parts[0] == [["599.tar", 599, 1.5], ["343.tar", 343, 1.5], ["87.tar", 87, 1.5]]


def test_a_table_may_name_members(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    write_tar(root / "a.tar", {"cat/1.jpg": b"one", "2.jpg": b"22"})
    write_zip(root / "b.zip", {"3.jpg": b"three"})
    os.utime(root / "a.tar", (5, 7.5))
    paths = ["b.zip!3.jpg", "a.tar!2.jpg", "a.tar!none.jpg", "x.tar!1.jpg", "4.jpg"]
    lines = [f"{path},cat,-1,0" for path in paths]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["path,label,size_bytes,modified", *lines, "a.tar!cat/1.jpg,,9,3"]))
    listed = list_images(str(root), str(table))
    assert listed.values("path", "size_bytes", "modified") == [
        ("b.zip!3.jpg", 5, (root / "b.zip").stat().st_mtime),
        ("a.tar!2.jpg", 2, 7.5),
        ("a.tar!none.jpg", -1, 0.0),
        ("x.tar!1.jpg", -1, 0.0),
        ("4.jpg", -1, 0.0),
        ("a.tar!cat/1.jpg", 9, 3.0),
    ]
    places = [place for (place,) in listed.values("member_place")]
    assert [str(place)[:4] for place in places] == ["0 5 ", "1 5 ", "", "", "", "0 5 "]
    entries = arrow.concat_tables([listed.rows], listed.rows.schema)
    splits = arrow.number_array([0] * 6, pa.int8())
    entries = entries.set_column(entries.column_names.index("split"), "split", splits)
    part = decode_images(str(root), entries, PixelSpec(height_px=2, width_px=2, channels=1), 2)
    assert part["source_bytes"].to_pylist() == [5, 2, -1, -1, -1, 3]
    assert part["detail"].to_pylist()[2:5] == [
        "the archive has no such member",
        "the archive was listed, but no longer exists",
        "No such file or directory",
    ]
