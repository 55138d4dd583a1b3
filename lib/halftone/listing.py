"""Which images there are: all of a folder, or those that a table names."""

from __future__ import annotations

import io
from collections import Counter
from collections import Counter as CounterOf
from collections.abc import Sequence
from typing import NamedTuple, Optional

import pyarrow as pa
from pyarrow import csv

from halftone import storage
from halftone.errors import InputError
from halftone.storage import FileInfo

# A table need not say how large a file is; then a change of the file is not seen.
UNKNOWN_BYTES = -1

_TEXT_COLUMNS = ("path", "label", "group", "split")
_COLUMNS = (*_TEXT_COLUMNS, "size_bytes", "modified")


class Listing(NamedTuple):
    """Images, and of each what the listing itself says; None where it says nothing of any."""

    files: list[FileInfo]
    ignored: dict[str, int]  # number of files by an ending that is not an image's
    labels: Optional[list[Optional[str]]] = None
    groups: Optional[list[Optional[str]]] = None
    splits: Optional[list[Optional[str]]] = None


def of_folder(root: str, suffixes: Sequence[str]) -> Listing:
    """List the images below `root` by the endings of their names.

    Raises:
        InputError: there is no such folder, or there are no images in it.
    """
    try:
        files = storage.list_files(root)
    except FileNotFoundError:
        raise InputError(f"{root}: no such folder; check paths.images or --input") from None
    except NotADirectoryError:
        raise InputError(f"{root}: is a file; paths.images must be a folder of images") from None
    wanted = {suffix.lower().lstrip(".") for suffix in suffixes}
    images: list[FileInfo] = []
    ignored: CounterOf[str] = Counter()
    for file in files:
        name = file.path.rpartition("/")[2]
        suffix = name.rpartition(".")[2] if "." in name else ""
        if suffix.lower() in wanted:
            images.append(file)
        else:
            ignored[f".{suffix}" if suffix else "no ending"] += 1
    if not images:
        raise InputError(
            f"{root}: no images among {len(files)} files; looked, at any depth, for files that "
            f"end in {', '.join(sorted(wanted))} (preprocess.suffixes)"
        )
    return Listing(images, dict(ignored))


def of_table(url: str) -> Listing:
    """Read a Parquet or CSV file with a column `path`, and others if they are known.

    `path` is below the images' folder. `label`, `group` and `split` are taken instead of what the
    config's patterns would find; `size_bytes` and `modified` (seconds since 1970) let a later run
    see a change.

    Raises:
        InputError: no such file, not such a table, no rows, or a path twice.
    """
    table = _read(url)
    if "path" not in table.column_names:
        raise InputError(
            f"{url}: has no column path; it has {', '.join(table.column_names)}, and may have "
            f"{', '.join(_COLUMNS)}"
        )
    columns = {name: table[name].to_pylist() for name in _COLUMNS if name in table.column_names}
    paths = columns["path"]
    _check_paths(url, paths)
    sizes = columns.get("size_bytes") or [UNKNOWN_BYTES] * len(paths)
    modified = columns.get("modified") or [0.0] * len(paths)
    files = [
        FileInfo(path, UNKNOWN_BYTES if size is None else int(size), float(stamp or 0))
        for path, size, stamp in zip(paths, sizes, modified)
    ]
    brought = (columns.get(name) for name in ("label", "group", "split"))
    return Listing(files, {}, *brought)


def _read(url: str) -> pa.Table:
    try:
        if url.lower().endswith(".parquet"):
            return storage.read_table(url)
        as_text = {name: pa.string() for name in _TEXT_COLUMNS}
        options = csv.ConvertOptions(column_types=as_text, strings_can_be_null=True)
        return csv.read_csv(io.BytesIO(storage.read_bytes(url)), convert_options=options)
    except FileNotFoundError:
        raise InputError(f"{url}: no such file; check preprocess.catalogue") from None
    except pa.ArrowException as error:
        raise InputError(f"{url}: neither Parquet nor CSV: {error}") from None


def _check_paths(url: str, paths: Sequence[Optional[str]]) -> None:
    if not paths:
        raise InputError(f"{url}: names no images")
    if None in paths:
        raise InputError(f"{url}: row {paths.index(None) + 1} has no path")
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise InputError(f"{url}: names {len(twice)} paths more than once, such as {twice[0]}")
