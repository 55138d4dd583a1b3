from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone.errors import InputError
from halftone.image_boxes import ImageBox, split_box
from halftone.listing import open_slice_table
from halftone.listing.boxes import round_outward
from listed import list_images

ROOT = "/data/images"


def write(folder: Path, kind: str) -> str:
    rows: list[dict[str, Any]] = [
        {"path": "a.jpg", "label": "x", "X": 0, "y": 1, "width": 20, "height": 30},
        {"path": "/data/images/a.jpg", "label": "y", "X": 5, "y": 1, "width": 20, "height": 30},
        {"path": "b.jpg", "label": "y", "X": None, "y": None, "width": None, "height": None},
    ]
    url = folder / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), url)
    elif kind == "jsonl":
        url.write_text("\n".join(map(json.dumps, rows)))
    else:
        lines = [",".join("" if cell is None else str(cell) for cell in r.values()) for r in rows]
        url.write_text("\n".join([",".join(rows[0]), *lines]))
    return str(url)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_with_boxes_are_parts_of_their_images(tmp_path: Path, kind: str) -> None:
    listed = list_images(ROOT, write(tmp_path, kind))
    assert listed.values("path", "label") == [
        ("a.jpg#xywh=0,1,20,30", "x"),
        ("a.jpg#xywh=5,1,20,30", "y"),
        ("b.jpg", "y"),
    ]
    assert listed.summary.unknown_columns == ()


def test_width_and_height_alone_are_no_box(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,width,height\na.jpg,640,480\n")
    listed = list_images(ROOT, f"{tmp_path}/t.csv")
    assert (listed.paths, listed.summary.unknown_columns) == (["a.jpg"], ("width", "height"))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("1,2,3,", "x 1, y 2, width 3, height missing, which is none (could not convert string to "
         "float: '')"),
        ("1,2,0,4", "x 1, y 2, width 0, height 4, which is none (width and height must be greater "
         "than 0)"),
        ("-1,2,3,4", "x -1, y 2, width 3, height 4, which is none (x and y must not be negative)"),
        ("1,2,nan,4", "x 1, y 2, width nan, height 4, which is none (a number is too large)"),
        ("1,2,3,1e10", "x 1, y 2, width 3, height 1e10, which is none (a number is too large)"),
    ],
)  # fmt: skip
def test_what_is_no_box_is_an_error(tmp_path: Path, cells: str, message: str) -> None:
    url = tmp_path / "t.csv"
    url.write_text(f"path,x,y,width,height\na.jpg,{cells}\n")
    with pytest.raises(InputError) as caught:
        list_images(ROOT, str(url))
    assert str(caught.value) == (
        f"{url}: a.jpg has the box {message}; give numbers of px, or leave all four empty for the "
        "whole image"
    )


def test_a_box_twice_is_an_error(tmp_path: Path) -> None:
    url = tmp_path / "t.csv"
    url.write_text("path,x,y,width,height\na.jpg,1,2,3,4\na.jpg,1.0,2,3,4\na.jpg,1,2,3,5\n")
    with pytest.raises(InputError) as caught:
        list_images(ROOT, str(url))
    assert str(caught.value) == (f"{url}: names 1 paths more than once, such as a.jpg#xywh=1,2,3,4")


def test_boxes_are_rounded_outward() -> None:
    assert round_outward(73.36, 0.0, 10.64, 20.5) == ImageBox(73, 0, 11, 21)
    assert round_outward(0.1 + 0.2, 7.0000001, 2.7, 3.9999999) == ImageBox(0, 7, 3, 4)
    assert round_outward(9.9999999, 0, 1, 1) == ImageBox(10, 0, 1, 1)


def test_a_key_is_a_file_and_a_box() -> None:
    assert split_box("s3://b/a#1.jpg#xywh=1,2,30,4") == ("s3://b/a#1.jpg", ImageBox(1, 2, 30, 4))
    assert ImageBox(1, 2, 30, 4).fragment() == "#xywh=1,2,30,4"
    for key in ("a.jpg", "a.jpg#xywh=1,2,3", "a#xywh=1,2,3,4.jpg", "a.jpg#xywh=1,2,-3,4"):
        assert split_box(key) == (key, None)


def test_slices_of_a_table_with_boxes_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,x,y,width,height,site\n")
    with pytest.raises(InputError, match=r"has the columns of boxes height, width, x, y, and slic"):
        open_slice_table(f"{tmp_path}/t.csv", ROOT, ["site"])
