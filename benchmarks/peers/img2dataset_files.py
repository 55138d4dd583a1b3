"""img2dataset on a list of file:// URLs, which it opens as it opens any other URL.

.bench/bin/python benchmarks/peers/img2dataset_files.py IMAGES OUTPUT COUNT [SIZE_PX]

It keeps the colours of its source and stores JPEGs again: it has no grey, and no raw pixels. The
quality of those, SHA-256 and EXIF of each file are as by default. Two processes, shards small
enough that both have work, and few threads are not: 256 are meant for far-away servers, and get
into each other's way on local files.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# At import, albumentations asks a server whether there is a newer version of it.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from img2dataset import download

_PROCESSES = 2
_SHARDS_EACH = 2
_THREADS = 8


def main(images: str, output: str, count: str, size_px: str = "64") -> None:
    urls = sorted(
        Path(place, name).absolute().as_uri()
        for place, _, names in os.walk(images, followlinks=True)
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


if __name__ == "__main__":  # its processes are spawned
    main(*sys.argv[1:])
