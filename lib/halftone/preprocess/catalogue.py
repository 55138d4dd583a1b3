"""List the raw images and assign each a label, a split and a position.

Spark's workers list a large folder of images in pieces and write what they find to Parquet files in
the staging folder, which the next steps read. The driver only gets sums.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Callable, NamedTuple, Optional, overload

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
from halftone.config import Config, SplitSettings
from halftone.dataset import schema
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.listing import (
    UNITS,
    ListingPlan,
    UnitRemarks,
    list_unit,
    summarise_listing,
)
from halftone.preprocess.assignment import (
    ASSIGNED,
    AssignmentRules,
    AssignmentSummary,
    FinalSplits,
    assign_images,
)
from halftone.preprocess.entries import ENTRIES
from halftone.preprocess.label_variants import describe_label_variants
from halftone.preprocess.listing_parts import PartWriter, check_unique_paths, list_units
from halftone.preprocess.stratify import find_salts
from halftone.spark.frames import Frame, create_frame, create_url_frame, expand_rows

FOLDER = "catalogue"  # below the staging folder
UNIT_RESULTS = pa.schema(
    [
        pa.field("unit", pa.int64()),
        pa.field("parts", pa.list_(pa.string())),  # URLs of files of ASSIGNED
        pa.field("summary", pa.string()),  # JSON
        pa.field("remarks", pa.string()),  # JSON
        pa.field("error", pa.string()),  # message of an InputError, or empty
    ]
)


class Catalogue(NamedTuple):
    """All images below a folder."""

    root: str  # the folder
    parts: tuple[str, ...]  # URLs of files of ASSIGNED
    summary: AssignmentSummary
    ignored: dict[str, int]  # number of files that are no images, by their ending or kind
    # Of a table that lists the images: which of its columns label, group and split decide, and
    # the names of its columns that have no meaning.
    used_columns: tuple[str, ...]
    unknown_columns: tuple[str, ...]
    num_ungrouped: int  # images without a group, if images are grouped
    # What the user should know before the work begins; those of the plan are the first.
    notes: tuple[str, ...]
    final_splits: FinalSplits = FinalSplits()
    units: pa.Table = arrow.empty_table(UNITS)  # of the plan, with those of archives
    num_archived: int = 0  # images in archives

    @property
    def inputs(self) -> int:
        return self.summary.num_images + self.summary.num_unusable

    @property
    def digest(self) -> str:
        """Digest of all that is known of the images, in any order, and of the classes' salts."""
        digest = f"{self.summary.digest:032x}"
        salts = self.final_splits.salts
        if not salts:
            return digest
        text = json.dumps([digest, sorted(salts.items())])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @overload
    def read_entries(self, session: SparkSession) -> DataFrame: ...
    @overload
    def read_entries(self, session: Optional[SparkSession]) -> Frame: ...

    def read_entries(self, session: Optional[SparkSession]) -> Frame:
        """Return ENTRIES of all images; see `create_frame` for `session`."""
        read = partial(read_part, self.root, self.final_splits)
        return expand_rows(create_url_frame(session, self.parts), read, ENTRIES)


def build_catalogue(
    session: Callable[[], SparkSession],
    plan: ListingPlan,
    config: Config,
    folder: Optional[str],
    previous: Optional[Manifest] = None,
) -> Catalogue:
    """List the images of a plan and assign each a label, a split and a position.

    A plan of one unit is listed in this process.

    Args:
        session: returns the SparkSession.
        folder: URL of a folder for the files of the catalogue, whose old content is removed. If it
            is None, no files are written, no class is stratified, and `read_entries` returns
            nothing.
        previous: manifest of the dataset to update. It may be updated from a folder with one class.

    Raises:
        InputError: no images, fewer than two classes of a new dataset, `splits.from_path` or
            `splits.group_by` is set and does not match a path, or `splits.stratify` is always and
            images have groups or splits.
    """
    if folder is not None:
        storage.remove(folder)
    rules = AssignmentRules.from_config(config, plan.has_labels)
    write = partial(write_unit, plan.without_units(), rules, folder)
    plan, results = list_units(session, plan, write, UNIT_RESULTS, folder)
    catalogue = combine_units(plan, config, results, require_classes=previous is None)
    check_unique_paths(session, plan, catalogue.read_entries, catalogue.inputs)
    return catalogue if folder is None else stratify_classes(session, catalogue, config, previous)


def stratify_classes(
    session: Callable[[], SparkSession],
    catalogue: Catalogue,
    config: Config,
    previous: Optional[Manifest],
) -> Catalogue:
    """Return the catalogue with a salt for each class that is stratified.

    Raises:
        InputError: as `stratify.find_classes`.
    """
    salts = find_salts(
        session, catalogue.root, catalogue.parts, catalogue.summary, config, previous
    )
    return catalogue._replace(final_splits=catalogue.final_splits._replace(salts=salts))


def combine_units(
    plan: ListingPlan, config: Config, results: Sequence[Any], *, require_classes: bool = True
) -> Catalogue:
    """Return the catalogue of all units; no class is stratified yet.

    Args:
        results: what `write_unit` returns of each unit, as rows with the fields of UNIT_RESULTS.

    Raises:
        InputError: as `build_catalogue`.
    """
    summary, remarks = AssignmentSummary(), UnitRemarks()
    for row in sorted(results, key=lambda row: row.unit):
        if row.error:
            raise InputError(row.error)
        summary.add(AssignmentSummary.from_json(json.loads(row.summary)))
        remarks.merge(UnitRemarks.from_json(row.remarks))
    listed = summarise_listing(plan, remarks)
    catalogue = Catalogue(
        root=plan.root,
        parts=tuple(sorted(url for row in results for url in row.parts)),
        summary=summary,
        ignored=listed.ignored,
        used_columns=listed.used_columns,
        unknown_columns=listed.unknown_columns,
        num_ungrouped=_check_splits(plan.root, summary, config.splits),
        notes=(*listed.notes, *describe_label_variants(summary.labels)),
        final_splits=FinalSplits(
            has_validation=summary.num_validation > 0,
            seed=config.seed,
            validation_fraction=config.splits.validation_fraction,
            test_fraction=config.splits.test_fraction,
        ),
        units=plan.units,
        num_archived=remarks.num_members,
    )
    if require_classes:
        _check_classes(catalogue)
    return catalogue


def list_entries(session: SparkSession, plan: ListingPlan, config: Config) -> DataFrame:
    """Return ENTRIES of the images of a plan without writing files; the splits are provisional."""
    rules = AssignmentRules.from_config(config, plan.has_labels)
    frame = create_frame(session, plan.units, plan.units.num_rows)
    return expand_rows(frame, partial(_list_entries, plan.without_units(), rules), ENTRIES)


def _list_entries(
    plan: ListingPlan, rules: AssignmentRules, unit: int, arguments: str
) -> Iterator[pa.Table]:
    for listed in list_unit(plan, UnitRemarks(), unit, arguments):
        yield _to_entries(plan.root, FinalSplits(), assign_images(listed, rules)[0])


def write_unit(
    plan: ListingPlan, rules: AssignmentRules, folder: Optional[str], unit: int, arguments: str
) -> Iterator[tuple[Any, ...]]:
    """List a unit and write its images to files; runs in a worker."""
    summary, remarks = AssignmentSummary(), UnitRemarks()
    parts = PartWriter(str(folder), unit)
    try:
        for listed in list_unit(plan, remarks, unit, arguments):
            assigned, of_table = assign_images(listed, rules)
            summary.add(of_table)
            if folder is not None:
                parts.add(assigned)
    except InputError as error:
        yield unit, [], "", "", str(error)
        return
    parts.flush()
    yield unit, parts.urls, json.dumps(summary.to_json()), remarks.to_json(), ""


def read_part(root: str, final_splits: FinalSplits, url: str) -> Iterator[pa.Table]:
    """Yield ENTRIES of a file of ASSIGNED; runs in a worker."""
    for assigned in arrow.iter_slices(arrow.conform(storage.read_table(url), ASSIGNED)):
        yield _to_entries(root, final_splits, assigned)


def _to_entries(root: str, final_splits: FinalSplits, assigned: pa.Table) -> pa.Table:
    paths = assigned[schema.PATH].to_pylist()
    columns = {
        **{name: assigned[name] for name in ENTRIES.names if name in ASSIGNED.names},
        schema.KEY: arrow.string_array([storage.join(root, path) for path in paths]),
        schema.SPLIT: arrow.number_array(final_splits.of(assigned), pa.int8()),
    }
    return pa.table([columns[name] for name in ENTRIES.names], schema=ENTRIES)


def _check_splits(root: str, summary: AssignmentSummary, settings: SplitSettings) -> int:
    """Check that images have the splits and groups that the settings ask for.

    Returns:
        The number of images without a group, if images are grouped: they are drawn alone.

    Raises:
        InputError: an image has no split or no group.
    """
    has_cells, has_pattern = summary.num_split_cells > 0, settings.from_path is not None
    if (has_cells or has_pattern) and summary.num_without_split:
        source = "its split"
        if not has_cells:
            source = f"the split that splits.from_path {settings.from_path!r} finds"
        name = summary.first_wrong_split
        raise InputError(
            f"{summary.first_without_split}: {source} is {repr(name) if name else 'missing'}; it "
            "must be train, validation or test (or val, valid, dev, training, testing)"
        )
    if summary.num_validation or not (settings.group_by or summary.num_group_cells):
        return 0
    if settings.group_by and not settings.allow_ungrouped and summary.num_ungrouped:
        raise InputError(
            f"{root}: splits.group_by {settings.group_by!r} finds no group in "
            f"{summary.num_ungrouped:,} of {summary.num_images:,} paths, such as "
            f"{summary.first_ungrouped}; images of one group could get into two splits. Correct "
            "the pattern (case matters, unless it begins with (?i)), or set "
            "splits.allow_ungrouped to true if these images belong to no group"
        )
    return summary.num_ungrouped


def _check_classes(catalogue: Catalogue) -> None:
    classes = sorted(catalogue.summary.labels)
    if len(classes) >= 2:
        return
    labels_found = f"all have the label {classes[0]!r}" if classes else "none has a label"
    raise InputError(
        f"{catalogue.root}: {catalogue.inputs} images, {labels_found}; a classifier needs 2 "
        "classes or more. Put each class into its own folder, or set preprocess.label_from to find "
        "the label in the path"
    )
