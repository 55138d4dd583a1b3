"""Find the columns of a table of images by the names in its header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Optional

from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing.boxes import BOX_COLUMNS
from halftone.listing.corrections import CORRECTION_COLUMNS
from halftone.listing.listed_rows import TABLE_COLUMNS

_BYTE_ORDER_MARKS = "\ufeff\u200b"  # the latter has no width either


class ColumnTitles(NamedTuple):
    """How a table calls the columns that have other names elsewhere."""

    path: str = schema.PATH
    label: Optional[str] = None  # None: `label`, which may be missing
    requires_label: bool = True  # whether a column of another name must be there
    boxes: bool = False  # whether each box of a file of COCO is an image of its own

    def known(self) -> dict[str, str]:
        """Return the columns of TABLE_COLUMNS by their cleaned names in the table."""
        titles = {schema.PATH: self.path, schema.LABEL: self.label or schema.LABEL}
        names = {clean_name(titles.get(name, name)): name for name in TABLE_COLUMNS.names}
        # A title that is also the name of another column stands for what the title says.
        return {**names, **{clean_name(title): name for name, title in titles.items()}}


PLAIN_TITLES = ColumnTitles()


class KnownColumns(NamedTuple):
    """The columns of a table that have a meaning."""

    by_index: dict[int, str]  # names in TABLE_COLUMNS, and those of corrections
    unknown: list[str]  # the names of the others, as they are written

    @property
    def names(self) -> set[str]:
        return set(self.by_index.values())


def find_columns(
    url: str, header: Sequence[str], titles: ColumnTitles = PLAIN_TITLES
) -> KnownColumns:
    """Find the columns of TABLE_COLUMNS, and those of corrections, by the names in a header.

    Spaces (also those that do not break), byte order marks and case do not matter.

    Raises:
        InputError: two columns have the same name, or there is no column of paths, or no column of
            labels with the title that `titles` gives it.
    """
    names = [clean_name(name) for name in header]
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    if repeated:
        same = [repr(raw) for raw, name in zip(header, names) if name == repeated[0]]
        raise InputError(
            f"{url}: {len(same)} columns have the name {repeated[0]}: {', '.join(same)} (spaces "
            "and case do not matter); remove or rename all but one"
        )
    known = titles.known()
    if clean_name(titles.path) not in names:
        raise InputError(
            f"{url}: has no column {titles.path}; it has {', '.join(map(repr, header))}, and may "
            f"have {', '.join(known)}"
        )
    if titles.label is not None and titles.requires_label and clean_name(titles.label) not in names:
        raise InputError(
            f"{url}: has no column {titles.label}; it has {', '.join(map(repr, header))}. Correct "
            "preprocess.label_column"
        )
    if titles.label is None and {*names} >= CORRECTION_COLUMNS:
        known.update((name, name) for name in CORRECTION_COLUMNS)
    if {*names} >= BOX_COLUMNS:
        known.update((name, name) for name in BOX_COLUMNS)
    by_index = {index: known[name] for index, name in enumerate(names) if name in known}
    return KnownColumns(
        by_index, [raw for index, raw in enumerate(header) if index not in by_index]
    )


def find_value_columns(
    url: str, header: Sequence[str], wanted: Sequence[str], path_title: str = schema.PATH
) -> dict[int, str]:
    """Find the column of paths and those of any other names, as in `find_columns`.

    Args:
        wanted: the names of columns.
        path_title: the name of the column of paths.

    Returns:
        By index: `path`, and the number in `wanted` as a text.

    Raises:
        InputError: a column is missing, or as `find_columns`.
    """
    find_columns(url, header, ColumnTitles(path_title))
    names = [clean_name(name) for name in header]
    if {*names} >= BOX_COLUMNS:
        raise InputError(
            f"{url}: has the columns of boxes {', '.join(sorted(BOX_COLUMNS))}, and slices are of "
            "whole images; give a table with paths that end in #xywh=X,Y,WIDTH,HEIGHT as "
            "score.slice_catalogue"
        )
    missing = [name for name in wanted if clean_name(name) not in names]
    if missing:
        raise InputError(
            f"{url}: has no column {', '.join(missing)}; it has {', '.join(map(repr, header))}. "
            "Correct score.slices, or give another score.slice_catalogue"
        )
    indices = {names.index(clean_name(name)): str(number) for number, name in enumerate(wanted)}
    return {names.index(clean_name(path_title)): schema.PATH, **indices}


def clean_name(name: str) -> str:
    """Return a name of a column without what does not matter in it."""
    return name.strip(_BYTE_ORDER_MARKS).strip().strip(_BYTE_ORDER_MARKS).strip().casefold()
