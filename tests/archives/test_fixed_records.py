"""IDX files and the binary archives of CIFAR, written byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from halftone.archives import ArchiveError, ArchiveFile, Member, list_members, read_members
from halftone.config import PixelSpec
from halftone.images import decode
from packed_images import write_idx

RNG = np.random.default_rng(1)


def members(path: Path) -> list[Member]:
    return list(list_members(ArchiveFile(str(path), path.stat().st_size)))


def pixels(path: Path, channels: int) -> list[np.ndarray]:
    files = read_members(str(path), [member.place for member in members(path)])
    found = []
    for member, data in zip(members(path), files):
        assert isinstance(data, bytes)
        assert member.size_bytes == len(data)  # a listed image is compared with a known one by it
        height, width = map(int, reversed(data.split(b" ", 3)[1:3]))
        spec = PixelSpec(height_px=height, width_px=width, channels=1 if channels == 1 else 3)
        found.append(decode(data, spec).pixels)
    return found


@pytest.mark.parametrize(("name", "split"), [("train", "train"), ("t10k", "test")])
def test_idx_files_have_exact_pixels_labels_and_a_split(
    tmp_path: Path, name: str, split: str
) -> None:
    images = RNG.integers(0, 255, (3, 4, 6), dtype=np.uint8)
    path = write_idx(tmp_path, images, [7, 0, 9], name)
    assert [(m.name, m.label, m.split, m.size_bytes) for m in members(path)] == [
        ("00000000", "7", split, 35),
        ("00000001", "0", split, 35),
        ("00000002", "9", split, 35),
    ]
    np.testing.assert_array_equal(np.stack(pixels(path, 1))[..., 0], images)


def test_incomplete_idx_files_are_errors(tmp_path: Path) -> None:
    images = RNG.integers(0, 255, (3, 4, 6), dtype=np.uint8)
    path = write_idx(tmp_path, images, [7, 0])
    with pytest.raises(ArchiveError, match=r"labels-idx1-ubyte: is no complete .* has 2 labels"):
        members(path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert {member.label for member in members(path)} == {""}
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArchiveError, match="has 87 bytes, 3 images of 4 x 6 px need 88"):
        members(path)


@pytest.mark.parametrize(
    ("name", "head", "names", "labels", "split"),
    [
        ("data_batch_2.bin", 1, "", ["3", "5"], "train"),
        ("test_batch.bin", 1, "a b c d e f", ["d", "f"], "test"),
        ("train.bin", 2, "a b c d e f", ["d", "f"], "train"),
        ("test.bin", 2, "", ["3", "5"], "test"),
    ],
)
def test_the_binary_archives_of_cifar(
    tmp_path: Path, name: str, head: int, names: str, labels: list[str], split: str
) -> None:
    images = RNG.integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    records = [
        bytes([0] * (head - 1) + [label]) + image.transpose(2, 0, 1).tobytes()
        for label, image in zip((3, 5), images)
    ]
    path = tmp_path / name
    path.write_bytes(b"".join(records))
    if names:
        file = "batches.meta.txt" if head == 1 else "fine_label_names.txt"
        (tmp_path / file).write_text("\n".join(names.split()) + "\n")
    assert [(m.label, m.split) for m in members(path)] == [(label, split) for label in labels]
    np.testing.assert_array_equal(np.stack(pixels(path, 3)), images)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArchiveError, match="is no complete binary archive of CIFAR"):
        members(path)
