"""Ray Data's read_images, which decodes with Pillow, on two CPUs.

.bench/bin/python benchmarks/peers/ray_data.py IMAGES OUTPUT COUNT [SIZE_PX]

COUNT is ignored; it exists for a common command line of the peers. All images are read.
"""

from __future__ import annotations

import sys

import ray


def main(images: str, output: str, count: str, size_px: str = "64") -> None:
    side_px = int(size_px)
    ray.init(num_cpus=2, include_dashboard=False)
    rows = ray.data.read_images(images, size=(side_px, side_px), mode="L", include_paths=True)
    rows.write_parquet(output)
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
