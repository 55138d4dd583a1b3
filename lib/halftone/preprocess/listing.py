"""List the images: all of a folder, or those that a table names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Optional

import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.preprocess.listed_files import Listing, fill_columns
from halftone.preprocess.table import list_table
from halftone.storage import FileInfo


def list_images(root: str, table_url: Optional[str], suffixes: Sequence[str]) -> Listing:
    """List the images of the table at `table_url` or, if it is None, those below `root`.

    Raises:
        InputError: as `list_table` and `list_folder`.
    """
    return (
        list_folder(root, suffixes)
        if table_url is None
        else list_table(storage.normalise_url(table_url))
    )


def list_folder(root: str, suffixes: Sequence[str]) -> Listing:
    """List the files below `root` whose names end in one of `suffixes`.

    Raises:
        InputError: there is no such folder, or there are no images in it.
    """
    try:
        files = storage.list_files(root)
    except FileNotFoundError:
        raise InputError(f"{root}: no such folder; check paths.images or --input") from None
    except NotADirectoryError:
        raise InputError(f"{root}: is a file; paths.images must be a folder of images") from None
    endings = {suffix.lower().lstrip(".") for suffix in suffixes}
    images: list[FileInfo] = []
    non_utf8_images: list[FileInfo] = []
    ignored: Counter[str] = Counter()
    for file in files:
        name = file.path.rpartition("/")[2]
        suffix = name.rpartition(".")[2] if "." in name else ""
        if suffix.lower() not in endings:
            ignored[f".{suffix}" if suffix else "no ending"] += 1
        elif _is_utf8(file.path):
            images.append(file)
        else:
            non_utf8_images.append(file)
    if not images and not non_utf8_images:
        raise InputError(
            f"{root}: no images among {len(files)} files; searched at any depth for names that "
            f"end in {', '.join(sorted(endings))} (preprocess.suffixes)"
        )
    table = pa.table(
        {
            schema.PATH: arrow.chunked_string_array(file.path for file in images),
            schema.SIZE_BYTES: arrow.number_array([file.size_bytes for file in images], pa.int64()),
            schema.MODIFIED: arrow.number_array([file.modified for file in images], pa.float64()),
        }
    )
    return Listing(fill_columns(root, table), False, dict(ignored), non_utf8_images)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
