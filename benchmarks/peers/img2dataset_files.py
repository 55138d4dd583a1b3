"""img2dataset on a list of file:// URLs, which it opens like any other URL.

.bench/bin/python benchmarks/peers/img2dataset_files.py IMAGES OUTPUT COUNT [SIZE_PX]

It keeps colours and encodes the images as JPEG again: it supports neither grey nor raw pixels.
JPEG quality, SHA-256 and EXIF are defaults. Not defaults are two processes, shards small enough for
both to have work, and fewer threads: the default of 256 is meant for distant servers and is slower
on local files.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# Otherwise albumentations checks a server for a newer version when it is imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from img2dataset import download

_PROCESSES = 2
_SHARDS_EACH = 2
_THREADS = 8


def main(images: str, output: str, count: str, size_px: str = "64") -> None:
    urls = sorted(
        Path(parent, name).absolute().as_uri()
        for parent, _, names in os.walk(images, followlinks=True)
        for name in names
    )[: int(count)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write("\n".join(urls) + "\n")
        listing.flush()
        download(
            url_list=listing.name,
            output_folder=output,
            output_format="parquet",
            image_size=int(size_px),
            resize_mode="keep_ratio",
            processes_count=_PROCESSES,
            thread_count=_THREADS,
            number_sample_per_shard=min(10_000, -(-len(urls) // (_PROCESSES * _SHARDS_EACH))),
        )


if __name__ == "__main__":  # required because its processes are spawned
    main(*sys.argv[1:])
