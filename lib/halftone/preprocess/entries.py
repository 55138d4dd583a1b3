"""The columns of the images of a folder, and of those that a dataset or scores hold already.

Columns that no file of a dataset has are named here.
"""

from __future__ import annotations

import pyarrow as pa

from halftone.dataset import schema
from halftone.listing import MEMBER_PLACE, listed_rows
from halftone.preprocess.row_notes import ROW_NUMBER

POSITION, STATUS, KEPT_KEY, FILE = "position", "status", "kept_key", "file"

# An image that is in the folder now.
ENTRIES = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),  # its path or URL
        pa.field(schema.PATH, pa.string()),  # below the folder of images
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.SPLIT, pa.int8()),  # index in splits.SPLITS
        pa.field(schema.SIZE_BYTES, pa.int64()),  # negative if the listing has no size
        pa.field(schema.MODIFIED, pa.float64()),  # seconds since 1970; 0 if the store has no time
        pa.field(POSITION, pa.int64()),  # in the order of the dataset
        pa.field(schema.REASON, pa.string()),  # why it is rejected without being read, or ""
        pa.field(schema.DETAIL, pa.string()),
        pa.field(MEMBER_PLACE, pa.string()),  # of a member of an archive, see MemberPlace, or ""
    ]
)
# An image that a file of the previous version holds. A reject has no label and no split, a
# duplicate no split.
KNOWN = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.SIZE_BYTES, pa.int64()),
        pa.field(schema.MODIFIED, pa.float64()),
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.SPLIT, pa.int8()),  # index in splits.SPLITS, or NO_SPLIT
        pa.field(STATUS, pa.string()),  # ROW, DUPLICATE, or the reason of the rejection
        pa.field(KEPT_KEY, pa.string()),  # of a duplicate: the row with the same bytes
        pa.field(FILE, pa.int32()),  # index of the file, see previous_version.list_files
        pa.field(ROW_NUMBER, pa.int64()),  # in the file
    ]
)
ROW, DUPLICATE, CONFLICT = "row", "duplicate", "conflict"
UNLABELLED = listed_rows.UNLABELLED
NO_SPLIT = -1
