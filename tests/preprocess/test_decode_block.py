"""Decoding a block of images, as a worker does it; without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import pyarrow as pa
import pytest

from conftest import DrawImages, stripes
from halftone import images, storage
from halftone.config import Config, PixelSpec
from halftone.preprocess.decode_block import (
    PART,
    DecodeJob,
    decode_images,
    file_digest,
    has_partial_digest,
    select_rejects,
    stage_block,
)
from halftone.preprocess.entries import ENTRIES
from halftone.preprocess.read_ahead import digest_whole_files
from listed_images import list_images
from tables import table

SPEC = PixelSpec(height_px=16, width_px=16, channels=1)


def entries(paths: list[str], size_bytes: int = 100) -> pa.Table:
    rows = [("", path, "label", 0, size_bytes, 1.5, 0, "", "", "") for path in paths]
    return table(ENTRIES, *rows)


def test_every_entry_has_a_row_in_the_same_order(draw_images: DrawImages) -> None:
    root = draw_images(each=3)
    (root / "lying" / "empty.png").write_bytes(b"")
    paths = ["upright/0001.png", "lying/nowhere.png", "lying/empty.png", "lying/0002.png"]
    part = decode_images(str(root), entries(paths), SPEC, read_threads=2)
    assert part.schema == PART
    assert part["key"].to_pylist() == [f"{root}/{path}" for path in paths]
    assert part["status"].to_pylist() == ["ok", "unreadable", "empty", "ok"]
    assert part["detail"].to_pylist() == ["", "No such file or directory", "0 bytes", ""]
    expected = cv2.resize(stripes(1, seed=1001), (16, 16), interpolation=cv2.INTER_AREA)
    assert part["image"][0].as_py() == expected.tobytes()
    assert part["image"].to_pylist()[1:3] == [b"", b""]
    sizes = part["source_bytes"].to_pylist()
    assert sizes[0] == (root / "upright" / "0001.png").stat().st_size
    assert sizes[1:3] == [100, 0]  # the listed size of a file that could not be read
    assert part["source_modified"].to_pylist() == [1.5] * 4


def test_a_path_of_a_table_with_a_nul_is_one_reject(
    draw_images: DrawImages, tmp_path: Path, config: Callable[..., Config]
) -> None:
    root, csv = str(draw_images(each=2)), tmp_path / "list.csv"
    csv.write_text("path,label\nlying/0000.png,a\nlying/00\x0001.png,a\nupright/0001.png,b\n")
    images = list_images(root, config(preprocess={"catalogue": str(csv)}))
    assert images.rejects == []
    part = decode_images(root, pa.Table.from_pylist(images.entries), SPEC, read_threads=2)
    assert part.num_rows == 3
    assert select_rejects(part).select(["path", "reason", "detail"]).to_pylist() == [
        {
            "path": f"{root}/lying/00\x0001.png",
            "reason": "unreadable",
            "detail": "its path contains a NUL character",
        }
    ]


@pytest.mark.parametrize("threads", [1, 3, 16])
def test_the_number_of_threads_does_not_change_the_order(
    draw_images: DrawImages, threads: int
) -> None:
    root = draw_images(each=40)
    paths = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    part = decode_images(str(root), entries(paths, 10**6), SPEC, threads)
    one_by_one = [
        decode_images(str(root), entries([path]), SPEC, 1)["image"][0].as_py() for path in paths
    ]
    assert part["image"].to_pylist() == one_by_one


def test_an_existing_part_is_not_written_again(draw_images: DrawImages, tmp_path: Path) -> None:
    root = draw_images(each=3)
    paths = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    job = DecodeJob(str(root), str(tmp_path / "parts"), SPEC, read_threads=2)
    block = table(
        ENTRIES,
        *(
            ("", path, "label", split, 100, 1.5, 0, "", "", "")
            for path, split in zip(paths, (0, 0, 2, 1, 2, 2))
        ),
    )
    assert stage_block(job, 7, block) == [2, 1, 3]
    for path in root.rglob("*.png"):
        path.unlink()
    assert stage_block(job, 7, block) == [2, 1, 3]
    part = storage.read_table(f"{tmp_path}/parts/part-000007.parquet")
    assert part["status"].to_pylist() == ["ok"] * 6
    assert stage_block(job, 8, block) == [0, 0, 0]


@pytest.mark.parametrize("encoding", ["jpeg", "png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_encoded_images_have_the_hashes_of_their_raw_pixels(
    draw_images: DrawImages, encoding: str, channels: int
) -> None:
    root = draw_images(each=3)
    (root / "lying" / "empty.png").write_bytes(b"")
    paths = ["upright/0001.png", "lying/empty.png", "lying/0002.png"]
    raw = SPEC.model_copy(update={"channels": channels})
    spec = raw.model_copy(update={"encoding": encoding})
    expected = decode_images(str(root), entries(paths), raw, read_threads=2)
    part = decode_images(str(root), entries(paths), spec, read_threads=2)
    others = [name for name in PART.names if name != "image"]
    assert part.select(others).equals(expected.select(others))
    for stored, pixels in zip(part["image"].to_pylist(), expected["image"].to_pylist()):
        array = np.frombuffer(pixels, np.uint8)
        assert stored == (images.encode_pixels(array.reshape(spec.shape), spec) if pixels else b"")


def test_a_digest_covers_the_length_and_both_ends_and_all_of_a_small_file() -> None:
    rng = np.random.default_rng(1)
    small, large = rng.bytes(16384), rng.bytes(16385 * 2)
    for data, position, is_covered in [
        (small, 0, True),
        (small, 8200, True),
        (small, 16383, True),
        (large, 8191, True),
        (large, 8192, False),
        (large, len(large) - 8193, False),
        (large, len(large) - 8192, True),
    ]:
        changed = bytearray(data)
        changed[position] ^= 1
        assert (file_digest(bytes(changed)) != file_digest(data)) == is_covered
    assert file_digest(small) != file_digest(small + b"\x00")
    assert not has_partial_digest(16384)
    assert has_partial_digest(16385)


def test_boxes_of_a_file_are_images_of_their_own(draw_images: DrawImages) -> None:
    root = draw_images(each=1)
    path = "upright/0000.png"  # 40 x 48 px
    boxes = ["", "#xywh=0,0,20,20", "#xywh=8,4,20,20", "#xywh=30,0,20,20"]
    part = decode_images(str(root), entries([path + box for box in boxes]), SPEC, read_threads=2)
    assert part["key"].to_pylist() == [f"{root}/{path}{box}" for box in boxes]
    assert part["status"].to_pylist() == ["ok", "ok", "ok", "box_outside"]
    picture = stripes(1, seed=1000)
    height_px, width_px = picture.shape[:2]
    detail = f"the box ends at 50 x 20 px, the image has {width_px} x {height_px}"
    assert part["detail"].to_pylist() == ["", "", "", detail]
    expected = cv2.resize(picture[4:24, 8:28], (16, 16), interpolation=cv2.INTER_AREA)
    assert part["image"][2].as_py() == expected.tobytes()
    assert len(set(part["source_digest"].to_pylist())) == 4
    data = (root / path).read_bytes()
    assert part["source_digest"][0].as_py() == file_digest(data)
    keys = [f"{root}/{path}{box}" for box in boxes[:3]]
    digests = digest_whole_files(dict.fromkeys(keys, 3))
    whole, box, other = (digests[key] for key in keys)
    assert len({whole, box, other}) == 3
    assert box.startswith(whole)
