"""The formats of archives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from halftone.archives import fixed_records, hdf5, parquet_rows, tar, tfrecord, zip_file
from halftone.archives.format_names import (
    CIFAR10,
    CIFAR100,
    COMPRESSED,
    HDF5,
    IDX,
    PARQUET,
    TAR,
    TFRECORD,
    ZIP,
    name_format,
)
from halftone.archives.member import ArchiveError, ArchiveFile, ArchiveFormat, Member

FORMATS: dict[str, ArchiveFormat] = {
    TAR: tar,
    ZIP: zip_file,
    PARQUET: parquet_rows,
    TFRECORD: tfrecord,
    HDF5: hdf5,
    **dict.fromkeys((IDX, CIFAR10, CIFAR100), fixed_records),
}


def find_format(path: str) -> Optional[ArchiveFormat]:
    """Return how to read the archive at a path; None if it is no archive, by its name."""
    name = name_format(path)
    return FORMATS[name] if name else None


def is_archive_name(path: str) -> bool:
    """Return whether a file is an archive by its name, also one that cannot be read."""
    return name_format(path) is not None or COMPRESSED.fullmatch(path) is not None


def list_members(archive: ArchiveFile) -> Iterator[Member]:
    """Yield the members of an archive in its order.

    Raises:
        ArchiveError: the archive is damaged or incomplete, or is of a kind that is not read.
    """
    format_ = find_format(archive.url)
    if format_ is None:
        name = archive.url.rpartition("/")[2].lower()
        ending = ".tfrecord" if ".tfrec" in name else ".tar"
        ending = ".h5" if name.endswith((".h5.gz", ".hdf5.gz")) else ending
        raise ArchiveError(
            f"{archive.url}: a compressed archive can only be read from its beginning on, and not "
            f"by several tasks; unpack it to a {ending} file, such as with gzip -d"
        )
    try:
        yield from format_.list_members(archive)
    except FileNotFoundError:
        raise ArchiveError(f"{archive.url}: the archive was listed, but no longer exists") from None
    except OSError as error:
        detail = error.strerror or str(error)
        raise ArchiveError(f"{archive.url}: the archive cannot be read: {detail}") from error
