"""TFRecord files, written by TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf

from halftone import storage
from halftone.archives import ArchiveError, ArchiveFile, Member, list_members, read_members
from halftone.archives.format_names import name_format
from halftone.config import PixelSpec
from halftone.images import decode
from packed_images import write_tfrecord

RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 255, (5, 7, 3), dtype=np.uint8)  # RGB
PNG = cv2.imencode(".png", PIXELS[:, :, ::-1])[1].tobytes()
JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()
SHAPE = {"height": [5], "width": [7]}


def members(path: Path) -> list[Member]:
    return list(list_members(ArchiveFile(str(path), path.stat().st_size)))


def contents(path: Path) -> list[object]:
    found = [member for member in members(path) if not member.problem]
    read = read_members(str(path), [member.place for member in found])
    for member, data in zip(found, read):
        # A listed image is compared with a known one by this.
        assert isinstance(data, OSError) or member.size_bytes == len(data)
    return [str(data) if isinstance(data, OSError) else data for data in read]


@pytest.mark.parametrize(
    ("name", "is_tfrecord"),
    [
        ("a.tfrecord", True),
        ("a.TFRecords", True),
        ("a.tfrec", True),
        ("mnist-train.tfrecord-00000-of-00002", True),
        ("train-00000-of-01024", True),
        ("validation-00127-of-00128", True),
        ("part-00000-of-00002", False),
        ("train-0-of-2", False),
        ("train-00000-of-00002.txt", False),
    ],
)
def test_names_of_tfrecord_files(name: str, is_tfrecord: bool) -> None:
    assert (name_format(f"x/{name}") == "tfrecord") is is_tfrecord


def test_the_features_of_tensorflow_give_files_and_labels(tmp_path: Path) -> None:
    records: list[dict[str, list[Any]]] = [
        {"image/encoded": [PNG], "image/class/label": [1], "image/class/text": [b"cat "], **SHAPE},
        {"image/encoded": [JPEG], "image/class/label": [2], "image/class/text": ["Löwe".encode()]},
        {"image/encoded": [b""], "image/class/label": [3]},
        {"image/encoded": [b"no image"], "image/class/text": [b"cat"]},
    ]
    path = write_tfrecord(tmp_path / "a.tfrecord", records)
    assert [(member.name, member.label, member.problem) for member in members(path)] == [
        ("00000000", "cat", ""),
        ("00000001", "Löwe", ""),
        ("00000002", "", ""),  # not the number: the first record has a text
        ("00000003", "cat", ""),
    ]
    assert contents(path) == [PNG, JPEG, b"", b"no image"]


@pytest.mark.parametrize("image", ["image", "image_raw", "picture"])
@pytest.mark.parametrize(("label", "text"), [([-7], "-7"), ([b"dog"], "dog"), ([], "")])
def test_other_names_of_features(tmp_path: Path, image: str, label: list[Any], text: str) -> None:
    path = write_tfrecord(
        tmp_path / "a.tfrecords", [{image: [PNG], "label": label, "text": [b"x"], "depth": [3]}]
    )
    assert [member.label for member in members(path)] == [text]
    assert contents(path) == [PNG]


@pytest.mark.parametrize(
    "names", [("height", "width", "depth"), ("image/height", "image/width", "channels")]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_with_a_shape_are_exact(
    tmp_path: Path, names: tuple[str, ...], channels: int
) -> None:
    pixels = PIXELS[..., :channels]
    shape = {name: [side] for name, side in zip(names, pixels.shape)}
    first: dict[str, list[Any]] = {"image": [pixels.tobytes()], **shape}
    # JPEG's first bytes are pixels too.
    second: dict[str, list[Any]] = {"image": [b"\xff\xd8\xff" + pixels.tobytes()[3:]], **shape}
    third: dict[str, list[Any]] = {"image": [pixels.tobytes()[1:]], **shape}
    path = write_tfrecord(tmp_path / "a.tfrecord", [first, second, third, {"image": [b"1"]}])
    data, other = contents(path)
    assert isinstance(data, bytes)
    spec = PixelSpec(height_px=5, width_px=7, channels=1 if channels == 1 else 3)
    np.testing.assert_array_equal(decode(data, spec).pixels, pixels)
    assert isinstance(other, bytes)
    assert decode(other, spec).pixels.tobytes()[:3] == b"\xff\xd8\xff"
    assert [member.problem for member in members(path)] == [
        *("", ""),
        f"{35 * channels - 1} bytes of pixels do not fit to 5 x 7 x {channels}",
        "1 bytes of pixels do not fit to an unknown shape",
    ]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({}, r"the first record has no feature with an image \(features: none\)"),
        ({"a": [PNG], "b": [PNG]}, r"has several features with an image \(features: a, b\)"),
        ({"image": [PIXELS.tobytes()]}, "the feature image of the first record is no image file;"),
        ({"image": [PIXELS.tobytes()], **SHAPE, "depth": [4]}, "is no image file"),
        (
            {"image": [PNG[:8] + bytes(97)], **SHAPE, "depth": [3]},
            "may be pixels as well as an image file",
        ),
        ({"image": [PNG, PNG]}, "is no image file"),
        ({"image": [PNG], "label": [1.0]}, "the feature label of record 0 must be one text or one"),
        ({"image": [PNG], "label": [1, 2]}, "the feature label of record 0 must be one text"),
        ({"image": [PNG], "label": [bytes(5000)]}, "the feature label of record 0 must be one"),
    ],
)
def test_files_without_one_image_and_one_label_are_errors(
    tmp_path: Path, record: dict[str, list[Any]], text: str
) -> None:
    path = write_tfrecord(tmp_path / "a.tfrecord", [record])
    with pytest.raises(ArchiveError, match=f"{path}: .*{text}"):
        members(path)


def test_later_records_without_an_image_have_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        write_tfrecord(tmp_path / "b.tfrecord", [{"image": [PNG]}])
        example = (tmp_path / "b.tfrecord").read_bytes()[12:-4]
        two = write_tfrecord(tmp_path / "b.tfrecord", [{"image": [PNG, PNG]}])
        for record in (example, two.read_bytes()[12:-4], b"", b"\x0a\x7fx"):
            writer.write(record)
    assert [member.problem for member in members(path)] == [
        "",
        "the feature image has 2 images, 1 is read",
        "the feature image has 0 images, 1 is read",
        "the record is no tf.train.Example: a field does not fit into its message",
    ]


def test_large_records_are_skipped_by_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = PNG + bytes(3_000_000)
    records: list[dict[str, list[Any]]] = [
        {"image": [large], "label": [n], "zzz": [b"behind it"]} for n in range(4)
    ]
    path = write_tfrecord(tmp_path / "a.tfrecord", records)
    num_bytes: list[int] = []
    read_ranges = storage.ranges.read_ranges

    def count(url: str, ranges: list[storage.Piece]) -> Any:
        num_bytes.extend(piece.num_bytes for piece in ranges)
        return read_ranges(url, ranges)

    monkeypatch.setattr(storage.ranges, "read_ranges", count)
    assert [member.label for member in members(path)] == ["0", "1", "2", "3"]
    assert sum(num_bytes) < path.stat().st_size / 4
    assert contents(path) == [large] * 4


def test_a_file_without_records_has_no_members(tmp_path: Path) -> None:
    assert members(write_tfrecord(tmp_path / "a.tfrecord", [])) == []


def test_damage_and_other_files_are_errors(tmp_path: Path) -> None:
    path = write_tfrecord(tmp_path / "a.tfrecord", [{"image": [PNG]}] * 3)
    whole = path.read_bytes()
    size = len(whole) // 3
    for cut in (size + 5, size + 12, 3 * size - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ArchiveError, match=f"{path}: the TFRecord file is incomplete: record"):
            members(path)
    path.write_bytes(whole[:size] + b"\1" + whole[size + 1 :])
    text = f"checksum of the length at byte {size} of {3 * size} is wrong, after 1 records"
    with pytest.raises(ArchiveError, match=text):
        members(path)
    path.write_bytes(b"something else")
    with pytest.raises(ArchiveError, match="is no TFRecord file: the checksum of the first length"):
        members(path)
    path.write_bytes(whole[: size + 40] + b"!" + whole[size + 41 :])
    assert contents(path) == [
        PNG,
        "damaged in the TFRecord file: the checksum of the record is wrong",
        PNG,
    ]


def test_a_file_that_has_changed_since_it_was_listed(tmp_path: Path) -> None:
    path = write_tfrecord(tmp_path / "a.tfrecord", [{"image": [PNG]}])
    (place,) = [member.place for member in members(path)]
    write_tfrecord(path, [{"image": [PNG + b"longer"]}])
    (error,) = read_members(str(path), [place])
    assert isinstance(error, OSError)
    assert str(error).startswith("the archive has changed since it was listed")


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_files_are_refused_with_the_cure(tmp_path: Path, compression: str) -> None:
    path = write_tfrecord(tmp_path / "a.tfrecord", [{"image": [PNG]}], compression)
    with pytest.raises(ArchiveError, match=re.escape("unpack it to another file (gzip -dc)")):
        members(path)
    renamed = path.rename(tmp_path / "a.tfrecord.gz")
    with pytest.raises(ArchiveError, match=r"unpack it to a \.tfrecord file, such as"):
        members(renamed)
