"""Daft, whose engine reads and decodes in Rust, on two CPUs.

.bench/bin/python benchmarks/peers/daft_images.py IMAGES OUTPUT COUNT [SIZE_PX]

COUNT is ignored; it exists for a common command line of the peers. All images are read.
"""

from __future__ import annotations

import sys

import daft
from daft import col
from daft.functions import decode_image, download, resize


def main(images: str, output: str, count: str, size_px: str = "64") -> None:
    side_px = int(size_px)
    files = daft.from_glob_path(f"{images}/**/*.jpg")
    pixels = resize(decode_image(download(col("path")), mode="L"), side_px, side_px)
    rows = files.with_column("image", pixels).select("path", "image")
    rows.write_parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
