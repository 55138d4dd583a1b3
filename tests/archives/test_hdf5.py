"""HDF5 files, written by h5py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from halftone import storage
from halftone.archives import ArchiveError, ArchiveFile, Member, list_members, read_members
from halftone.config import PixelSpec
from halftone.images import decode
from halftone.storage import held_blocks

RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 255, (40, 5, 7, 3), dtype=np.uint8)  # RGB
FILES = [cv2.imencode(".png", image[:, :, ::-1])[1] for image in PIXELS]
VARYING = h5py.vlen_dtype(np.uint8)


def write(path: Path, options: dict[str, Any] = {}, **datasets: Any) -> Path:  # noqa: B006
    """Write arrays; lists of arrays are written with varying length."""
    with h5py.File(path, "w", **options) as file:
        for name, values in datasets.items():
            values, settings = values if isinstance(values, tuple) else (values, {})
            if isinstance(values, list) and isinstance(values[0], np.ndarray):
                dataset = file.create_dataset(name, len(values), VARYING, **settings)
                for row, value in enumerate(values):
                    dataset[row] = value
            else:
                file.create_dataset(name, data=values, **settings)
    return path


def members(path: Path) -> list[Member]:
    return list(list_members(ArchiveFile(str(path), path.stat().st_size)))


def contents(path: Path) -> list[object]:
    found = members(path)
    read = read_members(str(path), [member.place for member in found])
    for member, data in zip(found, read):
        # A listed image is compared with a known one by this.
        assert isinstance(data, OSError) or member.size_bytes == len(data)
    return [str(data) if isinstance(data, OSError) else data for data in read]


def pixels(path: Path, channels: int) -> np.ndarray:
    spec = PixelSpec(height_px=5, width_px=7, channels=1 if channels == 1 else 3)
    found = []
    for data in contents(path):
        assert isinstance(data, bytes)
        found.append(decode(data, spec).pixels)
    return np.stack(found)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (7, 2, 3), "compression": "lzf"},
    ],
)
@pytest.mark.parametrize(("channels", "libver"), [(0, "latest"), (1, None), (3, "latest")])
def test_pixels_are_exact(
    tmp_path: Path, settings: dict[str, Any], channels: int, libver: Any
) -> None:
    images = PIXELS[..., 0] if channels == 0 else PIXELS[..., :channels]
    if "chunks" in settings and channels:
        settings = {**settings, "chunks": (7, 2, 3, 1)}
    data = {"x": (images, settings), "y": np.arange(40).reshape(40, 1, 1, 1)}
    path = write(tmp_path / "a.h5", {"userblock_size": 512, "libver": libver}, **data)
    expected = images[..., None] if channels == 0 else images
    np.testing.assert_array_equal(pixels(path, max(channels, 1)), expected)
    found = members(path)
    assert [member.name for member in found[:2]] == ["x[0]", "x[1]"]
    assert [member.label for member in found] == list(map(str, range(40)))


@pytest.mark.parametrize("settings", [{}, {"chunks": (9,), "compression": "gzip"}])
def test_image_files_of_varying_and_of_equal_length(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    files = [file.tobytes() for file in FILES]
    names = [f"Löwe {n}" for n in range(40)]
    path = write(tmp_path / "a.hdf5", images=(FILES, settings), labels=names)
    assert contents(path) == files
    assert [member.label for member in members(path)] == names
    size = max(map(len, files))
    padded = np.array(files, dtype=f"S{size}")
    for kind in (padded, padded.view(f"V{size}")):
        write(path, images=(kind, settings), label=padded.astype("S4"))
        assert contents(path) == [file.ljust(size, b"\0") for file in files]
        assert np.array_equal(pixels(path, 3), PIXELS)


def test_datasets_of_splits_and_names_of_classes(tmp_path: Path) -> None:
    names = np.array([b"no cat", b"cat"])
    path = write(
        tmp_path / "a.h5",
        train_set_x=PIXELS[:2],
        train_set_y=[1, 0],
        test_set_x=PIXELS[2:3],
        test_set_y=[1],
        list_classes=names,
        masks=PIXELS[:2],
    )
    assert [(m.name, m.label, m.split) for m in members(path)] == [
        ("test_set_x[0]", "cat", "test"),
        ("train_set_x[0]", "cat", "train"),
        ("train_set_x[1]", "no cat", "train"),
    ]
    path = write(tmp_path / "a.h5", **{"val/images": PIXELS[:1], "val/labels": ["b"]})
    assert [(m.name, m.label, m.split) for m in members(path)] == [("val/images[0]", "b", "val")]


def test_labels_in_a_file_beside_the_images(tmp_path: Path) -> None:
    path = write(tmp_path / "valid_x.h5", x=PIXELS[:3])
    assert [member.label for member in members(path)] == ["", "", ""]
    labels = write(tmp_path / "valid_y.h5", y=np.uint8([1, 0, 1]).reshape(3, 1, 1, 1))
    assert [member.label for member in members(path)] == ["1", "0", "1"]
    assert members(labels) == []
    write(labels, y=[1, 0])
    with pytest.raises(ArchiveError, match=r"valid_y.h5: y \(2,\) of whole numbers has not one"):
        members(path)


def test_a_dataset_for_each_image(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.h5",
        **{
            "cat/1": FILES[0],
            "cat/2": np.void(FILES[1].tobytes()),
            "dog/1": PIXELS[2],
            "dog/2": (PIXELS[3], {"compression": "gzip"}),
            "dog/3": (FILES[4], {"chunks": (64,)}),
        },
    )
    assert [member.name for member in members(path)] == [
        "cat/1",
        "cat/2",
        "dog/1",
        "dog/2",
        "dog/3",
    ]
    np.testing.assert_array_equal(pixels(path, 3), PIXELS[:5])


@pytest.mark.parametrize(
    ("datasets", "text"),
    [
        ({}, "no dataset has images (nothing); images are uint8 of (n, height, width) or"),
        ({"a/kernel": np.ones((3, 3))}, "has images (a/kernel (3, 3) of floating-point numbers);"),
        ({"x": PIXELS / 255}, "x (40, 5, 7, 3) of floating-point numbers cannot be read as images"),
        (
            {"x": PIXELS.transpose(0, 3, 1, 2)},
            "x (40, 3, 5, 7) of uint8 has 7 channels, and",
        ),
        ({"x": PIXELS[0]}, "x (5, 7, 3) of uint8 may be one image, or 5 without channels;"),
        (
            {"a": PIXELS, "b": PIXELS / 2},
            "has several datasets that may be the images (a (40, 5, 7, 3) of uint8, b (40, 5, 7, "
            "3) of floating-point numbers); name one of them images (h5py: file.move), or set",
        ),
        ({"l/x": PIXELS, "r/x": PIXELS}, "has several datasets that may be the images"),
        (
            {"x": PIXELS, "y": [1, 2]},
            "y (2,) of whole numbers has not one label for each of the 40 images in x;",
        ),
        (
            {"x": PIXELS, "y": np.eye(40, dtype=int)},
            "y (40, 40) of whole numbers has 40 values",
        ),
        (
            {"x": PIXELS, "y": np.ones(40)},
            "y (40,) of floating-point numbers must be whole",
        ),
        (
            {"x": PIXELS, "y": np.arange(40), "class_names": [b"a", b"b"]},
            "y[2] is 2, and class_names has the names of 2 classes",
        ),
    ],
)
def test_files_without_one_dataset_of_images_and_labels_are_errors(
    tmp_path: Path, datasets: dict[str, Any], text: str
) -> None:
    path = write(tmp_path / "a.h5", **datasets)
    with pytest.raises(ArchiveError, match=f"^{re.escape(str(path))}: .*{re.escape(text)}"):
        members(path)


def test_data_in_other_files_are_not_read(tmp_path: Path) -> None:
    """A file from elsewhere could have pixels of any file of this machine."""
    other = write(tmp_path / "b.h5", x=PIXELS)
    layout = h5py.VirtualLayout((40, 5, 7, 3), np.uint8)
    layout[:] = h5py.VirtualSource(str(other), "x", (40, 5, 7, 3))
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)
    with pytest.raises(ArchiveError, match="x has its data in other files"):
        members(path)
    with h5py.File(path, "w") as file:
        outside = [(str(other), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("x", (40, 5, 7, 3), np.uint8, external=outside)
    with pytest.raises(ArchiveError, match="x has its data in other files"):
        members(path)
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink(str(other), "x")
    with pytest.raises(ArchiveError, match=f"x is a link to another file, {other}"):
        members(path)


def test_values_that_were_never_written_or_cannot_be_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        chunked = file.create_dataset("x", (6, 5, 7, 3), np.uint8, chunks=(2, 5, 7, 3))
        chunked[:3] = PIXELS[:3]
        file["self"], file["soft"] = file["/"], h5py.SoftLink("/x")
    text = "the dataset has a row for it, whose values were never written"
    assert [member.problem for member in members(path)] == [*[""] * 4, text, text]
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (6, 5, 7, 3), np.uint8)
    with pytest.raises(ArchiveError, match="x has a shape, but its values were never written"):
        members(path)
    with h5py.File(path, "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((2, 5, 7, 3))
        settings.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())  # Zstandard
        space = h5py.h5s.create_simple((6, 5, 7, 3))
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT8, space, settings)
    with pytest.raises(ArchiveError, match=r"x is compressed with the filter 32015 \(.*\), which"):
        members(path)


def test_damage_and_changes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", x=(PIXELS, {"chunks": (4, 5, 7, 3), "compression": "gzip"}))
    places = [member.place for member in members(path)]
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(ArchiveError, match=r"is no complete HDF5 file, or cannot be read: .*trunc"):
        members(path)
    (data, *_) = read_members(str(path), places)
    assert str(data).startswith("cannot be read from the HDF5 file: ")
    path.write_bytes(b"something else")
    with pytest.raises(ArchiveError, match="is no complete HDF5 file"):
        members(path)
    path.unlink()
    assert {str(data) for data in read_members(str(path), places[:2])} != {""}
    packed = tmp_path / "a.h5.gz"
    packed.write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"unpack it to a \.h5 file, such as with gzip -d"):
        members(packed)


@pytest.mark.parametrize(("is_varying", "listing", "reading"), [(False, 19, 3), (True, 7, 6)])
def test_many_chunks_and_files_take_few_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_varying: bool, listing: int, reading: int
) -> None:
    images = RNG.integers(0, 255, (1000, 64, 64, 1), dtype=np.uint8)
    values: Any = (images, {"chunks": (1, 64, 64, 1), "compression": "gzip"})
    if is_varying:
        values = list(images.reshape(1000, -1))
    path = write(tmp_path / "a.h5", x=values)
    ranges: list[storage.Piece] = []
    read_ranges = held_blocks.read_ranges

    def count(url: str, some: list[storage.Piece]) -> Any:
        ranges.extend(some)
        return read_ranges(url, some)

    monkeypatch.setattr(held_blocks, "read_ranges", count)
    monkeypatch.setattr(held_blocks, "_BLOCK_BYTES", 2**12)
    found = members(path)
    num_listing = len(ranges)
    ranges.clear()
    data = read_members(str(path), [member.place for member in found[300:600]])
    assert all(isinstance(each, bytes) for each in data)
    assert (num_listing, len(ranges)) == (listing, reading)
    assert sum(piece.num_bytes for piece in ranges) < path.stat().st_size / 2
