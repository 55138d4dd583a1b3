"""Parquet files as Hugging Face and Spark write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone.archives import ArchiveError, ArchiveFile, Member, list_members, read_members
from halftone.config import PixelSpec
from halftone.images import decode

RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 255, (5, 7, 3), dtype=np.uint8)  # RGB
PNG = cv2.imencode(".png", PIXELS[:, :, ::-1])[1].tobytes()


def members(path: Path) -> list[Member]:
    return list(list_members(ArchiveFile(str(path), path.stat().st_size)))


def contents(path: Path) -> list[object]:
    read = read_members(str(path), [member.place for member in members(path)])
    for member, data in zip(members(path), read):
        # A listed image is compared with a known one by this.
        assert isinstance(data, OSError) or member.size_bytes == len(data)
    return [str(data) if isinstance(data, OSError) else data for data in read]


def write(path: Path, columns: dict[str, Any], metadata: Any = None) -> Path:
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=2)
    return path


def test_the_images_of_hugging_face_have_bytes_and_names_of_classes(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
    images = [{"bytes": b"one", "path": "1.jpg"}, {"bytes": b"two", "path": None}]
    images += [{"bytes": None, "path": "/data/3.jpg"}]
    columns = {"image": images, "label": [1, 0, 1]}
    path = write(tmp_path / "a.parquet", columns, {"huggingface": json.dumps(features)})
    assert [(m.name, m.label) for m in members(path)] == [
        ("00000000", "dog"),
        ("00000001", "cat"),
        ("00000002", "dog"),
    ]
    assert contents(path) == [
        b"one",
        b"two",
        "the row has no bytes, only the path /data/3.jpg; embed the images",
    ]


def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"img": [b"0", b"1", b"2", b"3", b"4"]})
    places = [member.place for member in members(path)]
    numbers = [4, 0, 3, 1]
    assert read_members(str(path), [places[n] for n in numbers]) == [b"4", b"0", b"3", b"1"]
    assert {member.label for member in members(path)} == {""}


def test_the_schemas_of_spark_give_files_and_exact_pixels(tmp_path: Path) -> None:
    binary = {"path": ["/i/1.png"], "content": [PNG], "length": [len(PNG)]}
    assert contents(write(tmp_path / "b.parquet", binary)) == [PNG]
    row = {"origin": "o", "height": 5, "width": 7, "nChannels": 3, "mode": 16}
    rows = [
        {**row, "data": PIXELS[:, :, ::-1].tobytes()},
        {**row, "data": b"123"},
        {**row, "mode": 24, "nChannels": 4, "data": b"1234"},
    ]
    path = write(tmp_path / "s.parquet", {"image": rows, "label": ["a", " b ", None]})
    data, *problems = contents(path)
    assert isinstance(data, bytes)
    decoded = decode(data, PixelSpec(height_px=5, width_px=7, channels=3)).pixels
    np.testing.assert_array_equal(decoded, PIXELS)
    assert problems == [
        "3 bytes of pixels, 5 x 7 x 3 need 105",
        "pixels of mode 24 with 4 channels are not read",
    ]
    assert [member.label for member in members(path)] == ["a", "b", ""]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"x": [1]}, "has no column with images"),
        ({"a": [b""], "b": [b""]}, r"has several columns with images \(a, b\); name one of image"),
        ({"image": [b""], "label": [1.5]}, "column label must be texts or whole numbers"),
        ({"image": [b""], "label_id": [1], "source_digest": [b""]}, "is a shard of a dataset"),
    ],
)
def test_a_table_without_one_column_of_images_is_an_error(
    tmp_path: Path, columns: dict[str, Any], text: str
) -> None:
    path = write(tmp_path / "a.parquet", columns)
    with pytest.raises(ArchiveError, match=f"{path}: {text}"):
        members(path)


def test_a_file_that_is_cut_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"image": [b"1"]})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ArchiveError, match="is no complete Parquet file"):
        members(path)


@pytest.mark.parametrize("part", ["", "day=1/label=cat"])
def test_a_delta_table_is_refused(tmp_path: Path, part: str) -> None:
    (tmp_path / "table" / "_delta_log").mkdir(parents=True)
    (tmp_path / "table" / part).mkdir(parents=True, exist_ok=True)
    path = write(tmp_path / "table" / part / "a.parquet", {"image": [b"1"]})
    assert [member.name for member in members(path)] == ["00000000"]
    (tmp_path / "table" / "_delta_log" / "00000000000000000000.json").write_text("{}")
    with pytest.raises(ArchiveError, match=f"{tmp_path}/table: is a Delta table"):
        members(path)
