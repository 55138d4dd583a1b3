"""List the raw images to score into files that the next steps read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Optional, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
from halftone.config import Config
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing import (
    MEMBER_PLACE,
    ListingPlan,
    UnitRemarks,
    list_unit,
    summarise_listing,
)
from halftone.preprocess.assignment import compute_positions, find_labels
from halftone.preprocess.entries import ENTRIES, POSITION
from halftone.preprocess.listing_parts import PartWriter, check_unique_paths, list_units
from halftone.preprocess.row_hashes import HASH_RANGE, sum_hashes
from halftone.scoring.scoring_job import SessionFactory
from halftone.spark.frames import Frame, create_url_frame, expand_rows

_UNIT_RESULTS = pa.schema(
    [
        pa.field("unit", pa.int64()),
        pa.field("parts", pa.list_(pa.string())),  # URLs of files of ENTRIES
        pa.field("num_usable", pa.int64()),
        pa.field("num_unusable", pa.int64()),
        pa.field("first_unusable", pa.string()),  # the least "path: detail", or ""
        pa.field("unknown_label", pa.string()),  # the least label that is no class, or ""
        pa.field("digest", pa.string()),  # hexadecimal, of all images
        pa.field("remarks", pa.string()),  # JSON
        pa.field("error", pa.string()),  # message of an InputError, or ""
    ]
)
# What is digested of an image: all but where a member lies in its archive.
_DIGESTED = tuple(name for name in ENTRIES.names if name != MEMBER_PLACE)


class ImageListing(NamedTuple):
    """The images below a folder."""

    root: str
    parts: tuple[str, ...]  # URLs of files of ENTRIES
    num_usable: int
    num_unusable: int  # images that the listing shows to be unreadable
    digest: str  # of all images
    ignored: dict[str, int]  # files that are no images, by their ending or kind
    notes: tuple[str, ...]  # what the user should know; those of the plan are the first

    @property
    def num_images(self) -> int:
        return self.num_usable + self.num_unusable

    @overload
    def read_entries(self, session: SparkSession) -> DataFrame: ...
    @overload
    def read_entries(self, session: Optional[SparkSession]) -> Frame: ...

    def read_entries(self, session: Optional[SparkSession]) -> Frame:
        """Return ENTRIES of all images; the label is empty if it is not known.

        See `create_frame` for `session`.
        """
        return expand_rows(create_url_frame(session, self.parts), _read_part, ENTRIES)


class LabelRules(NamedTuple):
    """What decides about labels and positions."""

    classes: tuple[str, ...]  # other labels count as unknown
    label_from: str  # regular expression whose one group captures the label
    seed: int


def list_images(
    session: SessionFactory, plan: ListingPlan, config: Config, classes: Sequence[str], folder: str
) -> ImageListing:
    """List the images of a plan; a plan of one unit in this process.

    Args:
        session: returns the SparkSession.
        classes: of the model. The name of a folder need not be a class; a label in a table must.
        folder: URL of a folder for the files of the listing, whose old content is removed.

    Raises:
        InputError: there are no images, none can be read, or a table names an image twice or with
            a label that is no class.
    """
    storage.remove(folder)
    rules = LabelRules(tuple(classes), config.preprocess.label_from, config.seed)
    write = partial(write_unit, plan.without_units(), rules, folder)
    plan, results = list_units(session, plan, write, _UNIT_RESULTS, folder)
    listing = combine_units(plan, classes, results)
    check_unique_paths(session, plan, listing.read_entries, listing.num_images)
    return listing


def combine_units(
    plan: ListingPlan, classes: Sequence[str], results: Sequence[Any]
) -> ImageListing:
    """Return the listing of all units.

    Args:
        results: what `write_unit` returns of each unit, as rows with the fields of _UNIT_RESULTS.
    """
    remarks = UnitRemarks()
    for row in sorted(results, key=lambda row: row.unit):
        if row.error:
            raise InputError(row.error)
        remarks.merge(UnitRemarks.from_json(row.remarks))
    listed = summarise_listing(plan, remarks)
    num_usable, num_unusable = (
        sum(getattr(row, name) for row in results) for name in ("num_usable", "num_unusable")
    )
    if not num_usable:
        first = min(row.first_unusable for row in results if row.first_unusable)
        raise InputError(
            f"{plan.root}: none of the {num_unusable} images can be read, such as {first}"
        )
    unknown = [row.unknown_label for row in results if row.unknown_label]
    if plan.has_labels and unknown:
        raise InputError(
            f"{plan.table_url}: the label {min(unknown)!r} is not a class of the model, which has "
            f"{', '.join(classes)}; correct it, or leave it empty if it is not known"
        )
    return ImageListing(
        root=plan.root,
        parts=tuple(sorted(url for row in results for url in row.parts)),
        num_usable=num_usable,
        num_unusable=num_unusable,
        digest=f"{sum(int(row.digest, 16) for row in results) % HASH_RANGE:032x}",
        ignored=listed.ignored,
        notes=listed.notes,
    )


def write_unit(
    plan: ListingPlan, rules: LabelRules, folder: str, unit: int, arguments: str
) -> Iterator[tuple[Any, ...]]:
    """List a unit and write its images to files; runs in a worker."""
    remarks, parts = UnitRemarks(), PartWriter(folder, unit)
    totals, digest = [0, 0], 0
    first_unusable: list[str] = []
    unknown_labels: list[str] = []

    try:
        for listed in list_unit(plan, remarks, unit, arguments):
            entries, unknown_label = build_entries(plan, rules, listed)
            parts.add(entries)
            num_usable = entries[schema.REASON].to_pylist().count("")
            totals = [totals[0] + num_usable, totals[1] + entries.num_rows - num_usable]
            digest += sum_hashes(arrow.iter_rows(entries, *_DIGESTED))
            first_unusable += _first_unusable(entries)
            unknown_labels += [unknown_label] if unknown_label else []
    except InputError as error:
        yield unit, [], 0, 0, "", "", "0", "", str(error)
        return
    parts.flush()
    firsts = (min(texts, default="") for texts in (first_unusable, unknown_labels))
    yield unit, parts.urls, *totals, *firsts, f"{digest % HASH_RANGE:x}", remarks.to_json(), ""


def build_entries(plan: ListingPlan, rules: LabelRules, listed: pa.Table) -> tuple[pa.Table, str]:
    """Return ENTRIES of listed images, and the least label that is no class, or "".

    Args:
        listed: LISTED.
    """
    labels = find_labels(listed, rules.label_from, plan.has_labels)
    unknown = set(labels) - {*rules.classes, ""}
    paths = listed[schema.PATH].to_pylist()
    columns = {
        schema.KEY: arrow.string_array([storage.join(plan.root, path) for path in paths]),
        schema.LABEL: arrow.string_array(["" if name in unknown else name for name in labels]),
        # There are no splits.
        schema.SPLIT: arrow.number_array(np.zeros(len(paths)), pa.int8()),
        POSITION: compute_positions(paths, rules.seed),
    }
    arrays = [columns[n] if n in columns else listed[n] for n in ENTRIES.names]
    return pa.table(arrays, schema=ENTRIES), min(unknown, default="")


def _first_unusable(entries: pa.Table) -> list[str]:
    """Return the least path of an unusable image, with what is wrong; empty if there is none."""
    is_unusable = arrow.to_numpy(pc.binary_length(entries[schema.REASON])) > 0
    unusable = arrow.filter_rows(entries, is_unusable)
    firsts = sorted(arrow.iter_rows(unusable, schema.PATH, schema.DETAIL))[:1]
    return [f"{path}: {detail}" for path, detail in firsts]


def _read_part(url: str) -> Iterator[pa.Table]:
    yield from arrow.iter_slices(arrow.conform(storage.read_table(url), ENTRIES))
