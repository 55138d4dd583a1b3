"""Write CIFAR-10 as PNG files, which have exactly its pixels.

    python benchmarks/cifar10_pictures.py --archive cifar-10-binary.tar.gz --output DIR

The archive is the binary version at https://www.cs.toronto.edu/~kriz/cifar.html (162 MB). DIR then
has train/<class>/0000.png and test/<class>/0000.png: 50,000 and 10,000 images. Copies of CIFAR-10
as JPEGs have lost details, and networks that are trained on them are less accurate.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
from collections import Counter
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

_CLASSES_FILE = "batches.meta.txt"
_SPLITS = {
    **{f"data_batch_{number}.bin": "train" for number in range(1, 6)},
    "test_batch.bin": "test",
}
_SIDE_PX = 32
_RECORD_BYTES = 1 + 3 * _SIDE_PX * _SIDE_PX  # the label, then the planes of red, green and blue


def main() -> int:
    """Read the archive, and write one file per image."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archive", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    try:
        counts = write_pictures(arguments.archive, arguments.output)
    except (OSError, ValueError) as error:
        print(f"{arguments.archive}: {error}", file=sys.stderr)
        return 2
    parts = [f"{count:,} in {split}" for split, count in counts.items()]
    print(f"{arguments.output}: {' and '.join(parts)}")
    return 0


def write_pictures(archive: Path, output: Path) -> Counter[str]:
    """Return the number of images by split.

    Raises:
        ValueError: the archive is not that of CIFAR-10.
    """
    contents = _read_members(archive)
    missing = [name for name in (_CLASSES_FILE, *_SPLITS) if name not in contents]
    if missing:
        raise ValueError(f"has no {missing[0]}; it must be the binary version of CIFAR-10")
    classes = contents[_CLASSES_FILE].decode().split()
    by_split: Counter[str] = Counter()
    by_class: Counter[tuple[str, str]] = Counter()
    for name, split in _SPLITS.items():
        if len(contents[name]) % _RECORD_BYTES:
            raise ValueError(
                f"{name} has {len(contents[name]):,} bytes, which is no multiple of "
                f"{_RECORD_BYTES:,}; download the archive again"
            )
        for record in np.frombuffer(contents[name], np.uint8).reshape(-1, _RECORD_BYTES):
            label = classes[record[0]]
            folder = output / split / label
            folder.mkdir(parents=True, exist_ok=True)
            planes = record[1:].reshape(3, _SIDE_PX, _SIDE_PX)
            bgr = np.ascontiguousarray(planes[::-1].transpose(1, 2, 0))
            cv2.imwrite(str(folder / f"{by_class[split, label]:04d}.png"), bgr)
            by_class[split, label] += 1
            by_split[split] += 1
    return by_split


def _read_members(archive: Path) -> dict[str, bytes]:
    contents = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    contents[PurePosixPath(member.name).name] = file.read()
    except tarfile.ReadError:
        raise ValueError("is not an archive; it must be the binary version of CIFAR-10") from None
    return contents


if __name__ == "__main__":
    sys.exit(main())
