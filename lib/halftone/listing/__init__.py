"""List the images of a folder or a table in units that workers list at the same time."""

from halftone.listing.archive_remarks import ArchiveSettings
from halftone.listing.configured import plan_configured
from halftone.listing.corrections import ACCEPT, SUGGESTED_LABEL
from halftone.listing.listed_rows import (
    DETAIL,
    GROUP,
    LISTED,
    MEMBER_PLACE,
    REASON,
    TABLE_COLUMNS,
    UNKNOWN_BYTES,
    UNREADABLE,
)
from halftone.listing.plan import (
    UNITS,
    ListingKeys,
    ListingPlan,
    ListingSummary,
    add_archives,
    list_unit,
    plan_changed,
    plan_listing,
    repeated_paths_error,
    summarise_listing,
)
from halftone.listing.remarks import UnitRemarks
from halftone.listing.slice_table import VALUE_ROWS, SliceTable, open_slice_table
from halftone.listing.table_columns import ColumnTitles, find_columns

__all__ = [
    "ACCEPT",
    "DETAIL",
    "GROUP",
    "LISTED",
    "MEMBER_PLACE",
    "REASON",
    "SUGGESTED_LABEL",
    "TABLE_COLUMNS",
    "UNITS",
    "UNKNOWN_BYTES",
    "UNREADABLE",
    "VALUE_ROWS",
    "ArchiveSettings",
    "ColumnTitles",
    "ListingKeys",
    "ListingPlan",
    "ListingSummary",
    "SliceTable",
    "UnitRemarks",
    "add_archives",
    "find_columns",
    "list_unit",
    "open_slice_table",
    "plan_changed",
    "plan_configured",
    "plan_listing",
    "repeated_paths_error",
    "summarise_listing",
]
