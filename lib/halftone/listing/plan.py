"""List images in units: plan them in the driver, list each in a worker, and sum up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Optional, Union

import pyarrow as pa

from halftone import arrow, storage
from halftone.config.dataset import READ_BY_SPARK
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.images.decoder_packages import missing_decoder
from halftone.listing.archive_remarks import (
    ArchiveSettings,
    check_stored_labels,
    count_unread_archives,
    describe_archives,
)
from halftone.listing.archive_rows import (
    ArchiveRules,
    holds_archives,
    list_archives,
    plan_archive_units,
)
from halftone.listing.bucket import RangedFolder, StoreFolder
from halftone.listing.changed_folder import ChangedFolder, KnownFile
from halftone.listing.delta_table import table_url
from halftone.listing.file_rows import clean_endings
from halftone.listing.folder import LocalFolder, NoFolderError
from halftone.listing.inventory import MANIFEST_NAME, Inventory, open_inventory
from halftone.listing.listed_rows import GROUP, TABLE_COLUMNS
from halftone.listing.located_members import locate_members
from halftone.listing.parquet_table import ParquetTable
from halftone.listing.remarks import UnitRemarks
from halftone.listing.table_columns import ColumnTitles, KnownColumns
from halftone.listing.table_formats import TableSource, open_table
from halftone.storage.urls import ALL_HOSTS

UNITS = pa.schema(
    [
        pa.field("unit", pa.int64()),  # their order, from 0
        pa.field("arguments", pa.string()),  # JSON
    ]
)
FolderSource = Union[LocalFolder, RangedFolder, StoreFolder, Inventory, ChangedFolder]
_FOLDER_SOURCES = (LocalFolder, RangedFolder, StoreFolder, Inventory, ChangedFolder)


class ListingKeys(NamedTuple):
    """The settings and the flag that name what is listed, for messages."""

    images: str
    catalogue: str
    requires_label: bool = True  # whether a catalogue must have preprocess.label_column


_PREPROCESS_KEYS = ListingKeys("paths.images or --input", "preprocess.catalogue")
_NO_ARCHIVES = ArchiveSettings()


class ListingPlan(NamedTuple):
    """What to list. It can be pickled."""

    root: str  # the folder of images
    source: Union[FolderSource, TableSource]
    table_url: Optional[str]  # of the table that names the images; None: all in the folder
    units: pa.Table  # UNITS, one row for each task
    has_labels: bool = False  # whether the source has a column of labels
    unknown_columns: tuple[str, ...] = ()  # names of columns that have no meaning
    notes: tuple[str, ...] = ()  # what the user should know before the work begins
    keys: ListingKeys = _PREPROCESS_KEYS
    archives: ArchiveSettings = _NO_ARCHIVES

    @property
    def lists_archives(self) -> bool:
        """Whether units list archives, see `add_archives`."""
        last = self.units.slice(self.units.num_rows - 1)["arguments"].to_pylist()
        return bool(last) and holds_archives(json.loads(last[0]))

    def without_units(self) -> ListingPlan:
        """Return what `list_unit` needs of the plan."""
        source = self.source
        if isinstance(source, (Inventory, ParquetTable)):
            source = source._replace(files=[])
        elif isinstance(source, ChangedFolder):
            source = source._replace(known=[])
        return self._replace(source=source, units=arrow.empty_table(UNITS))


class ListingSummary(NamedTuple):
    """What all units together have listed."""

    num_images: int
    num_unreadable: int
    ignored: dict[str, int]  # number of files that are no images, by their ending or kind
    used_columns: tuple[str, ...]  # which of the columns label, group and split decide
    unknown_columns: tuple[str, ...]
    notes: tuple[str, ...]


def plan_listing(
    root: str,
    catalogue_url: Optional[str],
    suffixes: Sequence[str],
    keys: ListingKeys = _PREPROCESS_KEYS,
    label_column: Optional[str] = None,
    boxes: bool = False,
    archives: ArchiveSettings = _NO_ARCHIVES,
) -> ListingPlan:
    """Plan to list the images of a table or, if `catalogue_url` is None, those below `root`.

    Args:
        root: the folder of images.
        suffixes: the endings of images in a folder; case and a leading dot do not matter.
        label_column: the name of the table's column of labels; None: `label`, if there is one.
        boxes: whether each box of a file of COCO is an image of its own.
        archives: those in a folder; a table names the members to read.

    Raises:
        InputError: there is no such folder or table, or it is not readable as one.
    """
    endings = clean_endings(suffixes)
    if catalogue_url is None:
        source = _open_folder(root, endings)
        try:
            units = _build_units(source.plan_units())
        except NoFolderError as error:
            raise InputError(f"{error}; check {keys.images}") from None
        return ListingPlan(root, source, None, units, keys=keys, archives=archives)
    if catalogue_url.startswith(READ_BY_SPARK):
        raise InputError(
            f"{catalogue_url}: is read by Spark, which only preprocess does, without --estimate; "
            f"write the rows to Parquet files, and give their folder as {keys.catalogue}"
        )
    url = table_url(catalogue_url)
    try:
        if url.rpartition("/")[2] == MANIFEST_NAME:
            plan = _plan_inventory(url, open_inventory(url, root, endings))
        else:
            titles = ColumnTitles(
                label=label_column, requires_label=keys.requires_label, boxes=boxes
            )
            plan = _plan_table(root, url, titles)
    except FileNotFoundError:
        raise InputError(f"{url}: no such file; check {keys.catalogue}") from None
    return plan._replace(keys=keys, archives=archives)


def plan_changed(
    root: str, suffixes: Sequence[str], known: Sequence[KnownFile], named: Sequence[str]
) -> ListingPlan:
    """Plan to list the files below `root` that are known, but for those that are named.

    Args:
        root: the folder of images.
        suffixes: as in `plan_listing`.
        known, named: see ChangedFolder.
    """
    source = ChangedFolder(root, clean_endings(suffixes), known, named)
    return ListingPlan(root, source, None, _build_units(source.plan_units()))


def _open_folder(
    root: str, endings: frozenset[str]
) -> Union[LocalFolder, RangedFolder, StoreFolder]:
    if root in ALL_HOSTS:
        raise InputError(
            f"{root}: the web cannot be listed; give a table of URLs as preprocess.catalogue"
        )
    if storage.is_local(root):
        return LocalFolder(root, endings)
    return (RangedFolder if storage.lists_from_key(root) else StoreFolder)(root, endings)


def _plan_inventory(url: str, source: Inventory) -> ListingPlan:
    note = f"{url}: has the images of {source.creation_time}; later ones are not read"
    return ListingPlan(source.root, source, url, _build_units(source.plan_units()), notes=(note,))


def _plan_table(root: str, url: str, titles: ColumnTitles) -> ListingPlan:
    source, known = open_table(url, root, titles)
    notes = tuple(_header_notes(url, known, titles))
    has_labels = schema.LABEL in known.names
    units = _build_units(source.plan_units())
    return ListingPlan(root, source, url, units, has_labels, tuple(known.unknown), notes)


def _header_notes(url: str, known: KnownColumns, titles: ColumnTitles) -> Iterator[str]:
    if known.unknown:
        names = ", ".join(map(repr, known.unknown))
        known_names = ", ".join(TABLE_COLUMNS.names)
        yield f"{url}: columns that are not used: {names}; known are {known_names}"
    if schema.LABEL not in known.names:
        yield (
            f"{url}: has no column {titles.label or schema.LABEL}; the labels come from the paths, "
            "by preprocess.label_from"
        )


def _build_units(units: Sequence[Any], first: int = 0) -> pa.Table:
    numbers = arrow.number_array(range(first, first + len(units)), pa.int64())
    return pa.table([numbers, arrow.string_array(list(map(json.dumps, units)))], schema=UNITS)


def list_unit(
    plan: ListingPlan, remarks: UnitRemarks, unit: int, arguments: str
) -> Iterator[pa.Table]:
    """Yield the images of a unit as tables of LISTED, of up to 65,536 rows, in no order.

    Args:
        remarks: gets what to report of the unit, and is complete after the last table.
        unit, arguments: a row of `plan.units`.

    Raises:
        InputError: the unit cannot be listed; the message has the file and the cure.
    """
    values = json.loads(arguments)
    if holds_archives(values):
        assert isinstance(plan.source, _FOLDER_SOURCES)
        has_labels = plan.archives.labels == "stored"
        return list_archives(
            ArchiveRules(plan.root, plan.source.endings, has_labels), remarks, values
        )
    remarks.wants_archives = plan.archives.use != "ignore"
    tables = plan.source.list_unit(remarks, values)
    if not isinstance(plan.source, _FOLDER_SOURCES):
        return (locate_members(plan.root, table) for table in tables)
    return tables


def add_archives(plan: ListingPlan, remarks: Iterable[UnitRemarks]) -> ListingPlan:
    """Return the plan with more units, behind the others, which list the images in archives.

    Args:
        remarks: those of all units of the plan.
    """
    found, num_images = [], 0
    for of_unit in remarks:
        found += of_unit.archives
        num_images += of_unit.num_images
    if not plan.archives.are_read(len(found), num_images):
        return plan
    first = plan.units.num_rows
    units = _build_units(plan_archive_units(found), first)
    return plan._replace(units=pa.concat_tables([plan.units, units]).combine_chunks())


def summarise_listing(plan: ListingPlan, remarks: UnitRemarks) -> ListingSummary:
    """Check what all units together have listed.

    Args:
        remarks: those of all units, merged in their order.

    Raises:
        InputError: there are no images, or paths are not below the folder of images.
    """
    notes = [
        *plan.notes,
        *describe_archives(plan.root, remarks),
        *_decoder_notes(plan.root, remarks),
    ]
    ignored = remarks.ignored + count_unread_archives(remarks)
    used_columns = []
    if plan.table_url is None or isinstance(plan.source, Inventory):
        _check_folder(plan, remarks)
        check_stored_labels(plan.root, remarks)
    else:
        _check_table(plan.table_url, plan.root, plan.keys, remarks)
        used_columns += [schema.LABEL] * plan.has_labels
        used_columns += [GROUP] * (remarks.num_with_group > 0)
        used_columns += [schema.SPLIT] * (remarks.num_with_split > 0)
        if remarks.num_backslashes:
            notes.append(
                f"{plan.table_url}: {remarks.num_backslashes:,} paths contain a back-slash, such "
                f"as {remarks.backslash_example}; it is taken as part of the name"
            )
    return ListingSummary(
        remarks.num_images,
        remarks.num_unreadable,
        dict(ignored),
        tuple(used_columns),
        plan.unknown_columns,
        tuple(notes),
    )


def _decoder_notes(root: str, remarks: UnitRemarks) -> Iterator[str]:
    """Name the packages that images need and that are not there, before the work begins."""
    for kind, count in sorted(remarks.by_format.items()):
        missing = missing_decoder(kind)
        if missing:
            yield (
                f"{root}: {count:,} images would be rejected as unsupported: {missing} on each "
                "machine that decodes images. Or leave their ending out of preprocess.suffixes"
            )


def _check_folder(plan: ListingPlan, remarks: UnitRemarks) -> None:
    assert isinstance(plan.source, _FOLDER_SOURCES)
    if not remarks.num_images and not remarks.num_unreadable:
        source = f"{plan.table_url}: {plan.root}" if plan.table_url else plan.root
        archives_text = ""
        if remarks.num_archives:
            archives_text = f" and members of {remarks.num_archives} archives"
        raise InputError(
            f"{source}: no images among {remarks.num_files} files{archives_text}; searched at any "
            f"depth for names that end in {', '.join(sorted(plan.source.endings))} "
            "(preprocess.suffixes)"
        )


def _check_table(url: str, root: str, keys: ListingKeys, remarks: UnitRemarks) -> None:
    if not remarks.num_images and not remarks.num_outside:
        raise InputError(f"{url}: names no images")
    if remarks.num_backslashes and not remarks.num_with_slash:
        raise InputError(
            f"{url}: {remarks.num_backslashes:,} paths are written with back-slashes, such as "
            f"{remarks.backslash_example}; replace them by forward slashes"
        )
    if remarks.num_outside:
        raise InputError(
            f"{url}: {remarks.num_outside:,} paths are not below {root}, such as "
            f"{remarks.outside_example}; check {keys.images}, or write paths relative to that "
            "folder"
        )


def repeated_paths_error(plan: ListingPlan, num_repeated: int, example: str) -> InputError:
    """Return the error of a table that names paths more than once.

    Args:
        num_repeated: how many different paths.
    """
    if plan.table_url is None:
        return InputError(
            f"{plan.root}: {num_repeated} images of archives have the same path as another, such "
            f"as {example}; write the archive anew with each name once, or rename the folder that "
            "has the name of an archive"
        )
    return InputError(
        f"{plan.table_url}: names {num_repeated} paths more than once, such as {example}"
    )
