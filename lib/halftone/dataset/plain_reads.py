"""Let a plain read of a folder of Parquet files fail while the folder holds more than the dataset.

The files of the previous version are kept, and a running job writes those of the next one, so a
read of all files of a folder may give rows that the manifest does not name. A file that is named
like a Parquet file, and is none, lies there for that time: readers of the whole folder stop, and
their error has its name. It is the first of the folder by name, from which they take the schema.
Readers of the files that the manifest or the log of the Delta table names do not see it.
"""

from __future__ import annotations

from collections.abc import Iterable

from halftone import storage

# Shards and tables begin with hexadecimal digits, behind which `-` does not sort.
GUARD = "0-holds-other-versions-too-read-it-as-a-delta-table.parquet"
_TEXT = """\
This folder does not hold one version of the dataset only: it has files of the previous version, or
of a job that is running or was killed. A read of all its files would give rows that are not in the
dataset. Read the folder as a Delta table, or the files that manifest.json of the dataset names.

This text is no Parquet file, so that such a read fails. The next run of jobs/preprocess.py writes
and removes it as needed.
"""


def refuse_plain_reads(root: str, folders: Iterable[str]) -> None:
    """Put the guard into folders of the dataset at `root`, before other files are written there."""
    for folder in folders:
        storage.write_bytes(storage.join(root, folder, GUARD), _TEXT.encode())


def allow_plain_reads(root: str, folder: str) -> None:
    """Remove the guard from a folder that holds the files of the newest version only."""
    storage.remove(storage.join(root, folder, GUARD))
