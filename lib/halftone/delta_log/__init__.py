"""The transaction log of Delta Lake: what makes a folder of Parquet files a Delta table.

A table is a folder with a folder `_delta_log`. Version N of the table is the sum of the files
`00000000000000000000.json` to N, each a line of JSON for an action: `protocol` and `metaData` (the
schema), `add` and `remove` of a Parquet file. A checkpoint is a Parquet file with the sum up to its
version. See PROTOCOL.md of Delta Lake.

The tables that Halftone writes need reader version 1 and writer version 2: all readers know them.
deltalake (delta-rs) is not used for that: it removes files only with a new list of all files, it
opens a store with credentials and options of its own, in place of those of `storage`, and it would
be a requirement of every job.
"""

from halftone.delta_log.actions import TableFile
from halftone.delta_log.publish import TableContent, publish_next_version, publish_version
from halftone.delta_log.snapshot import (
    LOG_FOLDER,
    Snapshot,
    UnreadableLogError,
    has_log,
    read_snapshot,
)

__all__ = [
    "LOG_FOLDER",
    "Snapshot",
    "TableContent",
    "TableFile",
    "UnreadableLogError",
    "has_log",
    "publish_next_version",
    "publish_version",
    "read_snapshot",
]
