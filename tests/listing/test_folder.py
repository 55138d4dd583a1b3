from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone import listing
from halftone.errors import InputError
from halftone.listing import folder
from halftone.model_directory import CURVES, HISTORY
from listed import list_images


def test_a_folder_is_listed_without_labels(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(b"123")
        os.utime(tmp_path / name, (5, 1.5))
    listed = list_images(str(tmp_path), suffixes=["jpg", ".png"])
    assert listed.values(*listing.LISTED.names) == [
        ("a.PNG", "", "", "", 3, 1.5, "", "", ""),
        ("b.jpg", "", "", "", 3, 1.5, "", "", ""),
    ]
    assert listed.summary == (2, 0, {".txt": 1}, (), (), ())
    assert listed.num_units == 1


def write_files(root: Path, files: dict[str, bytes]) -> str:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return str(root)


APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        "


def test_files_are_told_by_what_they_are_and_not_by_their_first_letter(tmp_path: Path) -> None:
    image_paths = [
        *("_MG_0001.JPG", "_DSC0001.jpg", ".hidden.jpg", ".jpg", "_x/1.jpg", ".x/2.jpg"),
        *(
            "_staging/cat/3.jpg",
            "curves.png",
            "model/curves.png",
            "a/._photo.jpg",
            "a/_SUCCESS.jpg",
        ),
        *("contact_sheets/faces.png", "._dot/4.jpg", "cat/.tmp-x.jpg", "a\nb/5.jpg"),
    ]
    others = {
        "a/.DS_Store": b"",
        "a/Thumbs.db": b"",
        "out/_SUCCESS": b"",
        "out/.part-0.parquet.crc": b"",
        "out/_staging/1/parts/part-000000.parquet": b"",
        "a/._1.jpg": b"whatever",  # beside 1.jpg
        "a/._gone.jpg": APPLE_DOUBLE,
        "__MACOSX/a/._1.jpg": APPLE_DOUBLE,
        "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg": b"",
        ".Trash-1000/files/old.jpg": b"",
        "data/contact_sheets/0123456789abcdef.png": b"",
        "run/curves.png": b"",
        "run/history.json": b"",
        "a/.tmp-0123456789abcdef-1.jpg": b"",
    }
    root = write_files(tmp_path, {**dict.fromkeys([*image_paths, "a/1.jpg"], b"123"), **others})
    listed = list_images(root, suffixes=["jpg", "png"])
    assert listed.paths == sorted([*image_paths, "a/1.jpg"])
    assert listed.summary.ignored == {
        ".DS_Store": 1,
        ".crc": 1,
        ".db": 1,
        ".json": 1,
        ".parquet": 1,
        "job marker": 1,
        "AppleDouble": 2,
        "__MACOSX/": 1,
        "@eaDir/": 1,
        ".Trash-1000/": 1,
        "contact sheet": 1,
        "training curves": 1,
        "half-written file": 1,
    }


def test_marks_of_spark_are_no_images_without_an_ending(tmp_path: Path) -> None:
    marks = ["a/_SUCCESS", "a/_started_123", "a/_committed_123", "a_$folder$"]
    root = write_files(tmp_path, dict.fromkeys(["a/1", "a/_started", *marks], b""))
    listed = list_images(root, suffixes=[""])
    assert listed.paths == ["a/1", "a/_started"]
    assert listed.summary.ignored == {"job marker": 3, "folder marker": 1}


def test_pictures_of_a_dataset_and_of_models_are_no_images(dataset: Path) -> None:
    """A dataset below the images must not grow by its own contact sheet."""
    root = dataset.parent
    write_files(root, {"cat/1.png": b"1", "model/history.json": b"", f"model/{CURVES}": b""})
    (root / "link").symlink_to(dataset)
    listed = list_images(str(root), suffixes=["png"])
    assert listed.paths == ["cat/1.png"]
    assert listed.summary.ignored["contact sheet"] == 2
    assert listed.summary.ignored["training curves"] == 1
    assert HISTORY == "history.json"


NAMES = st.sampled_from(
    [
        *(
            "1.jpg",
            "_MG_1.JPG",
            ".a.jpg",
            "._1.jpg",
            "._a.jpg",
            "b.PNG",
            "notes.txt",
            "x",
            ".DS_Store",
        ),
        *(
            "_SUCCESS",
            "_committed_1",
            "a_$folder$",
            "curves.png",
            "history.json",
            "é😀.jpg",
            "a b#?.jpg",
        ),
        *("0123456789abcdef.png", "LOOP.jpg", "GONE.jpg", "GONE", "PIPE.jpg", "PIPE", "\udcff.jpg"),
    ]
)
FOLDERS = st.sampled_from(
    ["cat", "_x", ".hidden", "__MACOSX", ".Trash-1", "@eaDir", "contact_sheets", "ü?#", "a.jpg"]
)


@settings(max_examples=100)
@given(st.sets(st.tuples(st.lists(FOLDERS, max_size=4), NAMES).map(lambda t: (*t[0], t[1]))))
def test_every_file_of_a_walk_is_an_image_or_unreadable_or_ignored(
    paths: set[tuple[str, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as root:
        for path in paths:
            place = Path(root, *path)
            place.parent.mkdir(parents=True, exist_ok=True)
            kind = place.stem
            if kind in ("LOOP", "GONE"):
                place.symlink_to(place.name if kind == "LOOP" else "nowhere")
            elif kind == "PIPE":
                os.mkfifo(place)
            else:
                place.write_bytes(b"1")
        num_files = sum(len(files) for _, _, files in os.walk(root))
        Path(root, "0.jpg").write_bytes(b"1")  # a folder without any image is an error
        listed = list_images(root, suffixes=["jpg", "png", ""])
        num_images = listed.rows.num_rows
        assert num_images + sum(listed.summary.ignored.values()) == num_files + 1


def test_links_that_lead_nowhere_are_unreadable_whatever_their_ending(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"a/1.jpg": b"1"})
    for name, target in (
        ("a/2.jpg", "nowhere"),
        ("more", "/gone/more"),
        ("b", "b"),
        ("a/up", ".."),
    ):
        (tmp_path / name).symlink_to(target)
    listed = list_images(root, suffixes=["jpg"])
    assert listed.paths == ["a/1.jpg"]
    assert listed.unreadable == [
        ("a/2.jpg", "a dangling link: nowhere does not exist"),
        ("a/up", f"a link loop: {root} contains it"),
        ("b", "a link loop"),
        ("more", "a dangling link: /gone/more does not exist"),
    ]


def test_a_folder_that_may_not_be_read_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files(tmp_path, {"a/1.jpg": b"1", "b/2.jpg": b"1"})

    def scan(path: str) -> object:  # tests may run as root, who may read every folder
        if path.endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(InputError) as caught:
        list_images(root, suffixes=["jpg"])
    assert str(caught.value) == (
        f"{root}/b: may not be read by this user (Permission denied); permit it, or move it out "
        f"of {root}"
    )


def test_a_root_that_is_a_link_loop_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError) as caught:
        list_images(f"{tmp_path}/loop", suffixes=["jpg"])
    assert str(caught.value) == (
        f"{tmp_path}/loop: cannot be listed: Too many levels of symbolic links"
    )


@pytest.mark.parametrize("max_entries", [1, 3, 10, 30, 60])
def test_units_of_a_large_folder_list_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_entries: int
) -> None:
    paths = [f"{n % 5}/{n % 3}/{n}.jpg" for n in range(40)] + [f"{n}.jpg" for n in range(9)]
    root = write_files(tmp_path / "root", dict.fromkeys(paths, b"1"))
    (tmp_path / "root" / "again").symlink_to("0/1")
    monkeypatch.setattr(folder, "_MAX_PLANNED_ENTRIES", max_entries)
    listed = list_images(root)
    again = [f"again/{path[4:]}" for path in paths if path.startswith("0/1/")]
    assert listed.paths == sorted([*paths, *again])
    assert listed.num_units > 5
