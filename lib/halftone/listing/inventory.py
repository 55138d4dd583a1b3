"""A report of S3 Inventory: what a bucket holds, as the store writes it once a day or a week.

Its manifest.json names the files of the report, which are CSV without a header or Parquet.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import pyarrow as pa

from halftone import arrow, storage
from halftone.arrow.columns import SLICE_ROWS
from halftone.errors import InputError
from halftone.listing.file_rows import build_rows
from halftone.listing.listed_rows import UNKNOWN_BYTES
from halftone.listing.parquet_table import ParquetPart, parquet_errors, part_of_groups, plan_parts
from halftone.listing.remarks import UnitRemarks
from halftone.storage import FileInfo

MANIFEST_NAME = "manifest.json"
_ARN_PREFIX = re.compile(r"^arn:[^:]*:s3:::")
_FORMATS = ("CSV", "Parquet")
# The columns of a CSV file and of a Parquet file.
_BUCKET, _KEY, _SIZE, _MODIFIED = "bucket", "key", "size", "lastmodifieddate"
_IS_LATEST, _IS_DELETE_MARKER = "islatest", "isdeletemarker"
_USED = (_BUCKET, _KEY, _SIZE, _MODIFIED, _IS_LATEST, _IS_DELETE_MARKER)


class Inventory(NamedTuple):
    root: str  # the folder of images, in the bucket of the report
    endings: frozenset[str]
    manifest_url: str
    file_format: str
    columns: Sequence[str]  # of a CSV file: their names, cleaned
    files: list[tuple[str, int]]  # the URLs, and the sizes in bytes
    creation_time: str

    def plan_units(self) -> list[list[ParquetPart]]:
        """Return the units: several small files, or parts of a large Parquet file."""
        if self.file_format == "Parquet":
            return plan_parts(self.files)
        return [[ParquetPart(url, 0, 1)] for url, _ in self.files]

    def list_unit(
        self, remarks: UnitRemarks, unit: Sequence[tuple[str, int, int]]
    ) -> Iterator[pa.Table]:
        """Yield LISTED of one of `plan_units`: the current objects below the folder of images.

        Raises:
            InputError: a file of the report is missing or damaged.
        """
        return build_rows(self.root, self.endings, self._iter_files(unit), remarks)

    def _iter_files(self, unit: Sequence[tuple[str, int, int]]) -> Iterator[FileInfo]:
        bucket, _, folder = self.root.removeprefix("s3://").partition("/")
        prefix = f"{folder}/" if folder else ""
        for values in unit:
            part = ParquetPart(*values)
            records = self._read_csv(part.url)
            if self.file_format == "Parquet":
                records = _read_parquet(part)
            for record in records:
                key = record[_KEY]
                if key.startswith(prefix) and record[_BUCKET] == bucket and _is_current(record):
                    yield FileInfo(
                        key[len(prefix) :],
                        _to_bytes(record.get(_SIZE)),
                        _to_seconds(record.get(_MODIFIED)),
                    )

    def _read_csv(self, url: str) -> Iterator[dict[str, Any]]:
        try:
            with storage.open_file(url) as file, gzip.open(file) as unpacked:
                text = io.TextIOWrapper(unpacked, "utf-8", newline="")
                for cells in csv.reader(text, strict=True):
                    if len(cells) != len(self.columns):
                        raise InputError(
                            f"{url}: a row has {len(cells)} cells, fileSchema of "
                            f"{self.manifest_url} has {len(self.columns)} columns"
                        )
                    record: dict[str, Any] = dict(zip(self.columns, cells))
                    record[_KEY] = unquote_plus(record[_KEY])
                    yield record
        except FileNotFoundError:
            raise _missing_file_error(url, self.manifest_url) from None
        except (EOFError, OSError, csv.Error, UnicodeDecodeError, zlib.error) as error:
            raise InputError(f"{url}: is no CSV file packed with gzip: {error}") from None


def _missing_file_error(url: str, manifest_url: str) -> InputError:
    return InputError(
        f"{url}: no such file; {manifest_url} names it. Give the manifest of a newer report"
    )


def _is_current(record: Mapping[str, Any]) -> bool:
    """Return whether this is the latest version of an object that exists."""
    is_latest, is_marker = record.get(_IS_LATEST), record.get(_IS_DELETE_MARKER)
    return str(is_latest).lower() != "false" and str(is_marker).lower() != "true"


def _to_bytes(size: Any) -> int:
    return UNKNOWN_BYTES if size in (None, "") else int(size)


def _to_seconds(modified: Any) -> float:
    if not modified:
        return 0.0
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified.replace("Z", "+00:00"))
    if modified.tzinfo is None:
        modified = modified.replace(tzinfo=timezone.utc)
    return float(modified.timestamp())


def _read_parquet(part: ParquetPart) -> Iterator[dict[str, Any]]:
    with parquet_errors(part.url), storage.open_parquet(part.url) as file:
        names = {name: _clean_name(name) for name in file.schema_arrow.names}
        used = {name: clean for name, clean in names.items() if clean in _USED}
        _check_columns(part.url, list(used.values()))
        groups = list(range(*part_of_groups(file.num_row_groups, part)))
        for batch in file.iter_batches(SLICE_ROWS, groups, list(used)):
            table = pa.Table.from_batches([batch])
            for row in arrow.iter_rows(table, *used):
                yield dict(zip(used.values(), row))


def _clean_name(name: str) -> str:
    """Return the name that a column has in both formats: LastModifiedDate, last_modified_date."""
    return name.strip().replace("_", "").lower()


def _check_columns(url: str, names: Sequence[str]) -> None:
    if _BUCKET not in names or _KEY not in names:
        raise InputError(
            f"{url}: a report of S3 Inventory must have the columns Bucket and Key; it has "
            f"{', '.join(names)}"
        )


def open_inventory(url: str, root: str, endings: frozenset[str]) -> Inventory:
    """Read the manifest of a report of S3 Inventory.

    Args:
        root: the folder of images.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no such manifest, the report is ORC, or of another bucket than `root`.
    """
    try:
        manifest = json.loads(storage.read_bytes(url))
        file_format, bucket = str(manifest["fileFormat"]), str(manifest["sourceBucket"])
        store = f"s3://{_ARN_PREFIX.sub('', manifest['destinationBucket'])}"
        files = [(f"{store}/{file['key']}", int(file["size"])) for file in manifest["files"]]
        columns = [_clean_name(name) for name in str(manifest["fileSchema"]).split(",")]
        created = _describe_time(manifest.get("creationTimestamp"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{url}: is no manifest of S3 Inventory ({type(error).__name__}: {error})"
        ) from None
    if file_format not in _FORMATS:
        raise InputError(
            f"{url}: the report is written as {file_format}; set the format of the inventory to "
            "Parquet or CSV, and give the manifest of its next report"
        )
    if not root.startswith("s3://") or root.split("/")[2] != bucket:
        raise InputError(
            f"{url}: is a report of the bucket {bucket}; the folder of images is {root}, "
            "which is not in it"
        )
    if file_format == "CSV":
        _check_columns(url, columns)
    return Inventory(root, endings, url, file_format, columns, files, created)


def _describe_time(milliseconds: Any) -> str:
    if not milliseconds:
        return "an unknown time"
    time = datetime.fromtimestamp(int(milliseconds) / 1000, timezone.utc)
    return f"{time:%Y-%m-%d %H:%M} UTC"
