"""Parquet files with an image in each row.

The image is in a column `image` (or the only one of these kinds): a struct of Hugging Face (bytes,
path), a struct of Spark's image source (height, width, nChannels, mode, data), or bytes; or in the
column `content` of Spark's source binaryFile. The label is in a column `label`; numbers of Hugging
Face get the names of their classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from halftone import storage
from halftone.archives.member import ArchiveError, ArchiveFile, Member, MemberData
from halftone.archives.raw_pixels import image_file_bytes, to_image_file

HAS_FILES = False
_COLUMNS = ("image", "img", "content")
_LABELS = ("label", "labels", "fine_label")
_SPARK_FIELDS = ("height", "width", "nChannels", "mode", "data")
# OpenCV's types of uint8 pixels with 1 and 3 channels.
_MODES = {0: 1, 16: 3}
_SHARD_COLUMNS = {"image", "label_id", "source_digest"}


def list_members(archive: ArchiveFile) -> Iterator[Member]:
    _check_no_delta_table(archive.url)
    try:
        with storage.open_parquet(archive.url) as file:
            yield from _iter_rows(archive, file)
    except pa.ArrowInvalid as error:
        raise ArchiveError(f"{archive.url}: is no complete Parquet file: {error}") from None


def _check_no_delta_table(url: str) -> None:
    """Check that the file is not one of a Delta table, whose log says which files count."""
    folder = url.rpartition("/")[0]
    while "=" in folder.rpartition("/")[2]:  # of a partition
        folder = folder.rpartition("/")[0]
    if storage.list_names(storage.join(folder, "_delta_log")):
        raise ArchiveError(
            f"{folder}: is a Delta table, whose files also hold rows that were removed; "
            "write its rows to a folder of Parquet files, and give that folder"
        )


def _iter_rows(archive: ArchiveFile, file: pq.ParquetFile) -> Iterator[Member]:
    if _SHARD_COLUMNS.issubset(file.schema_arrow.names):
        raise ArchiveError(
            f"{archive.url}: is a shard of a dataset of Halftone, which holds pixels and no images "
            "to preprocess; train with it, or give the folder of images"
        )
    column = _find_column(archive.url, file.schema_arrow)
    label = next((name for name in _LABELS if name in file.schema_arrow.names), None)
    names = _class_names(file.schema_arrow, label) if label else None
    number = 0
    for group in range(file.num_row_groups):
        labels = [""] * file.metadata.row_group(group).num_rows
        if label:
            values = file.read_row_group(group, columns=[label])[label].to_pylist()
            labels = [_label_text(archive.url, label, value, names) for value in values]
        sizes = _list_sizes(file, group, column)
        for row, (text, size_bytes) in enumerate(zip(labels, sizes)):
            yield Member(f"{number:08d}", size_bytes, f"{group} {row} {column}", text)
            number += 1


def _find_column(url: str, schema: pa.Schema) -> str:
    found = [name for name in schema.names if _is_image(schema.field(name).type)]
    named = [name for name in _COLUMNS if name in found]
    if named or len(found) == 1:
        return str([*named, *found][0])
    raise ArchiveError(
        f"{url}: has {'several columns' if found else 'no column'} with images"
        f"{' (' + ', '.join(found) + ')' if found else ''}; name one of {', '.join(_COLUMNS)}, or "
        "set preprocess.archives: ignore"
    )


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        fields = {kind[index].name for index in range(kind.num_fields)}
        return "bytes" in fields or fields.issuperset(_SPARK_FIELDS)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _class_names(schema: pa.Schema, label: str) -> Optional[list[str]]:
    """Return the names of classes that Hugging Face writes into the schema."""
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])
        return list(map(str, info["info"]["features"][label]["names"]))
    except (KeyError, TypeError, ValueError):
        return None


def _label_text(url: str, label: str, value: Any, names: Optional[list[str]]) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, (int, str)):
        raise ArchiveError(f"{url}: column {label} must be texts or whole numbers")
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else ""
    return str(value).strip()


def _list_sizes(file: pq.ParquetFile, group: int, column: str) -> list[int]:
    """Return the size of the image file of each row. Bytes are read for it, pixels are not."""
    kind = file.schema_arrow.field(column).type
    if not pa.types.is_struct(kind):
        images = file.read_row_group(group, columns=[column])[column]
    elif kind.get_field_index("bytes") >= 0:
        names = [f"{column}.bytes"]
        images = pc.struct_field(file.read_row_group(group, columns=names)[column], [0])
    else:
        names = [f"{column}.{name}" for name in ("height", "width", "nChannels")]
        rows = file.read_row_group(group, columns=names)[column].to_pylist()
        return [image_file_bytes(r["height"], r["width"], r["nChannels"]) if r else 0 for r in rows]
    return [size or 0 for size in pc.binary_length(images).to_pylist()]


def read_members(url: str, places: Sequence[str]) -> list[MemberData]:
    parsed = [place.split(" ", 2) for place in places]
    results: list[MemberData] = []
    try:
        with storage.open_parquet(url) as file:
            for (group, column), of_group in groupby(
                parsed, key=lambda place: (place[0], place[2])
            ):
                rows = [int(row) for _, row, _ in of_group]
                images = file.read_row_group(int(group), columns=[column])[column]
                results += [_to_file(images[row].as_py()) for row in rows]
    except (pa.ArrowInvalid, IndexError) as error:
        results += [OSError(f"the Parquet file has changed since it was listed: {error}")]
        results += results[-1:] * (len(places) - len(results))
    except FileNotFoundError:
        return [FileNotFoundError("the archive was listed, but no longer exists")] * len(places)
    return results


def _to_file(value: Any) -> MemberData:
    if isinstance(value, dict) and "data" in value:
        return _spark_pixels(*(value[name] for name in _SPARK_FIELDS))
    if isinstance(value, dict):
        path = value.get("path")
        value = value["bytes"]
        if value is None and path:
            return OSError(f"the row has no bytes, only the path {path}; embed the images")
    return b"" if value is None else bytes(value)


def _spark_pixels(height: int, width: int, num_channels: int, mode: int, data: bytes) -> MemberData:
    channels = _MODES.get(mode)
    if channels != num_channels:
        return OSError(f"pixels of mode {mode} with {num_channels} channels are not read")
    if len(data) != height * width * channels:
        return OSError(
            f"{len(data):,} bytes of pixels, {height} x {width} x {channels} need "
            f"{height * width * channels:,}"
        )
    pixels = np.frombuffer(data, np.uint8).reshape(height, width, channels)
    return to_image_file(pixels[:, :, ::-1])  # Spark's order is BGR
