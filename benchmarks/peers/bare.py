"""The limit: two processes of OpenCV, no Spark, no checks, no labels.

python benchmarks/peers/bare.py IMAGES OUTPUT COUNT [SIZE_PX]
"""

from __future__ import annotations

import multiprocessing
import os
import struct
import sys

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_PROCESSES = 2
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)
# Start of frame, for every kind of JPEG; C4, C8 and CC have other meanings.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def jpeg_sides_px(data: bytes) -> tuple[int, int]:
    """Return height and width from the header of a JPEG; (0, 0) for other files."""
    offset = 2
    if data[:2] != b"\xff\xd8":
        return 0, 0
    while offset + 9 <= len(data) and data[offset] == 0xFF:
        if data[offset + 1] in _FRAMES:
            return struct.unpack(">HH", data[offset + 5 : offset + 9])
        offset += 2 + struct.unpack(">H", data[offset + 2 : offset + 4])[0]
    return 0, 0


def choose_flag(data: bytes, size_px: int) -> int:
    """Return the flag of the strongest reduction that is not smaller than the target."""
    shorter = min(jpeg_sides_px(data))
    for scale, flag in _REDUCED:
        if shorter // scale >= size_px:
            return flag
    return cv2.IMREAD_GRAYSCALE


def resize_share(paths: list[str], output: str, size_px: int) -> None:
    """Decode and resize `paths` into one Parquet file."""
    cv2.setNumThreads(1)
    rows = []
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), choose_flag(data, size_px))
        rows.append(cv2.resize(pixels, (size_px, size_px), interpolation=cv2.INTER_AREA).tobytes())
    table = pa.table({"path": paths, "image": pa.array(rows, pa.binary())})
    pq.write_table(table, output, compression="NONE")


def main(images: str, output: str, count: str, size_px: str = "64") -> None:
    paths = sorted(
        os.path.join(parent, name)
        for parent, _, names in os.walk(images, followlinks=True)
        for name in names
    )[: int(count)]
    os.makedirs(output)
    # Fork instead of spawn: the interpreter starts only once.
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(
            target=resize_share,
            args=(paths[n::_PROCESSES], f"{output}/{n}.parquet", int(size_px)),
        )
        for n in range(_PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(max(abs(worker.exitcode or 0) for worker in workers))


if __name__ == "__main__":
    main(*sys.argv[1:])
