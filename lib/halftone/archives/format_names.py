"""Which files are archives, by their names."""

from __future__ import annotations

import re
from typing import Optional

TAR, ZIP = "tar", "zip"
PARQUET, IDX, CIFAR10, CIFAR100 = "parquet", "idx", "cifar10", "cifar100"
TFRECORD, HDF5 = "tfrecord", "hdf5"

# Regular expressions for whole names; the case of letters does not matter. The first one counts.
_NAMES = {
    TAR: r"[^/]*\.tar",
    ZIP: r"[^/]*\.zip",
    PARQUET: r"[^/]*\.parquet",
    # With shards of TensorFlow Datasets, `a.tfrecord-00000-of-00002`, and of TensorFlow's examples,
    # which have no ending.
    TFRECORD: r"[^/]*\.tfrec(?:ords?)?(?:-\d{5}-of-\d{5})?"
    r"|(?:train|val|validation|test)-\d{5}-of-\d{5}",
    HDF5: r"[^/]*\.(?:h5|hdf5)",
    IDX: r"[^/]*images[-.]idx3-ubyte",
    CIFAR10: r"(?:data_batch_\d+|test_batch)\.bin",
    CIFAR100: r"(?:train|test)\.bin",
}
# Archives that can only be read from their beginning on: each task would have to unpack all of it.
COMPRESSED = re.compile(
    r".*\.(?:tar\.(?:gz|bz2|xz|zst|lz4|Z)|t[gbx]z2?|tfrec(?:ords?)?(?:-\d{5}-of-\d{5})?\.gz"
    r"|(?:h5|hdf5)\.gz)",
    re.I | re.S,
)
_COMPILED = {name: re.compile(pattern, re.I) for name, pattern in _NAMES.items()}


def name_format(path: str) -> Optional[str]:
    """Return the format of an archive, by the last part of its path; None if it is none."""
    name = path.rpartition("/")[2]
    return next((key for key, pattern in _COMPILED.items() if pattern.fullmatch(name)), None)
