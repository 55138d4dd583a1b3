"""Find the duplicates whose kept row has changed, in Spark's workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.preprocess.change_files import CHANGES, read_changes, write_changes
from halftone.preprocess.comparison import (
    CHANGE,
    GONE_DUPLICATE,
    KEPT_ROW_CHANGES,
    READ_AGAIN,
    RELABELLED,
    REMOVED,
    RETAINED_DUPLICATE,
    UNDECIDED_DUPLICATES,
)
from halftone.preprocess.entries import KEPT_KEY

# CHANGES and the key of the row that a duplicate depends on. Of a changed row, it is its own key.
ROW_KEY = "row_key"
DEPENDENT = pa.schema([*CHANGES, pa.field(ROW_KEY, pa.string())])


def find_dependent(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield DEPENDENT: duplicates and images that have changed.

    Args:
        tables: URLS of files of CHANGES.
    """
    changes = (*UNDECIDED_DUPLICATES, *KEPT_ROW_CHANGES)
    for images in read_changes(changes, CHANGES.names, tables):
        is_duplicate = _has_change(images, *UNDECIDED_DUPLICATES)
        duplicates = arrow.filter_rows(images, is_duplicate)
        yield duplicates.append_column(ROW_KEY, duplicates[KEPT_KEY])
        changed = arrow.filter_rows(images, ~is_duplicate)
        yield changed.append_column(ROW_KEY, changed[schema.KEY])


def write_decided(folder: str, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Write CHANGES of the duplicates of a partition as a file in `folder`; yield TOTALS.

    Args:
        tables: DEPENDENT, with all images of each row key.
    """
    yield from write_changes(folder, decide_duplicates(tables))


def decide_duplicates(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield CHANGES of the duplicates that are no longer listed or whose kept row has changed.

    Args:
        tables: as in `write_decided`.
    """
    images = pa.concat_tables([arrow.empty_table(DEPENDENT), *tables])
    is_duplicate = _has_change(images, *UNDECIDED_DUPLICATES)
    duplicates = arrow.filter_rows(images, is_duplicate)
    changed = arrow.filter_rows(images, ~is_duplicate)
    relabelled = arrow.filter_rows(changed, _has_change(changed, RELABELLED))
    is_gone = _has_change(duplicates, GONE_DUPLICATE)
    depends = arrow.is_in(duplicates[KEPT_KEY], changed[schema.KEY])
    # A duplicate that is no longer listed stays with a row that only gets another label. After
    # other changes no image has its bytes any more, and it cannot be read again.
    is_retained = ~depends | arrow.is_in(duplicates[KEPT_KEY], relabelled[schema.KEY])
    for change, mask in (
        (RETAINED_DUPLICATE, is_gone & is_retained),
        (REMOVED, is_gone & ~is_retained),
        (READ_AGAIN, ~is_gone & depends),
    ):
        decided = arrow.filter_rows(duplicates, mask)
        columns = {
            **{name: decided[name] for name in CHANGES.names},
            CHANGE: arrow.repeat_value(arrow.string_array([change]), decided.num_rows),
        }
        yield pa.table([columns[name] for name in CHANGES.names], schema=CHANGES)


def _has_change(images: pa.Table, *changes: str) -> npt.NDArray[np.bool_]:
    return arrow.is_in(images[CHANGE], arrow.string_array(changes))
