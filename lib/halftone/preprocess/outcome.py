"""What became of every input: a row, a reject or a duplicate. Their sum is checked here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.config import PreprocessSettings
from halftone.dataset import schema
from halftone.dataset.manifest import ShardFile
from halftone.dataset.splits import SPLITS, TRAIN
from halftone.errors import InputError, RunError
from halftone.preprocess import decode_block
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.changes import DUPLICATE
from halftone.preprocess.duplicates import (
    Candidates,
    NearDuplicate,
    Resolution,
    find_near_duplicates,
)
from halftone.preprocess.previous_version import ROW_NUMBER, add_row_numbers
from halftone.preprocess.shards import RowSelection


class PreprocessOutcome(NamedTuple):
    selections: list[RowSelection]  # what stands before what is new
    labels: list[str]  # those of the last version, in its order, and then the new ones
    counts: dict[str, dict[str, int]]  # rows by split and label, zeros included
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES
    near_duplicates: pa.Table  # schema.NEAR_DUPLICATES

    @property
    def rows(self) -> int:
        return sum(sum(of_split.values()) for of_split in self.counts.values())

    @property
    def inputs(self) -> int:
        return self.rows + int(self.rejects.num_rows) + int(self.duplicates.num_rows)

    def rejects_by_reason(self) -> dict[str, int]:
        return dict(Counter(dict(_count_values(self.rejects[schema.REASON]))).most_common())


def resolve_duplicates(
    catalogue: Catalogue,
    candidates: Candidates,
    resolutions: Mapping[str, Resolution],
    num_inputs: int,
    settings: PreprocessSettings,
) -> PreprocessOutcome:
    """Decide which images are rows.

    Exact duplicates (same bytes, same label) are kept once: the one that stands, or the first by
    path. The same bytes under two labels teach nothing: all of them are rejected as a conflict.

    Args:
        fates: of exact duplicates and conflicts, by key.
        num_inputs: how many images there must be in the end.

    Raises:
        InputError: too many rejects, or too few rows left to train on.
        RunError: an input is missing from the outcome, which must never be.
    """
    near: list[NearDuplicate] = []
    if settings.near_duplicates != "off":
        near = find_near_duplicates(candidates, resolutions, settings.near_distance)
    if settings.near_duplicates == "drop":
        resolutions = {
            **resolutions,
            **{copy.key: Resolution(DUPLICATE, copy.near_key) for copy in near},
        }
    outcome = _build_outcome(catalogue, candidates, resolutions, near)
    if outcome.inputs != num_inputs:
        raise RunError(
            f"{catalogue.root}: {num_inputs} inputs, but {outcome.rows} rows + "
            f"{outcome.rejects.num_rows} rejects + {outcome.duplicates.num_rows} duplicates = "
            f"{outcome.inputs}; nothing was published. Remove the dataset's _staging and run again"
        )
    _check_rejects(catalogue.root, outcome, settings.max_reject_fraction)
    _check_classes(catalogue.root, outcome)
    return outcome


def _build_outcome(
    found: Catalogue,
    evidence: Candidates,
    fates: Mapping[str, Resolution],
    near: Sequence[NearDuplicate],
) -> PreprocessOutcome:
    standing, last_labels, parts = evidence
    counted: Counter[tuple[str, str]] = Counter()
    kept: list[RowSelection] = []
    settled = []  # what fates decide of
    for url, split, table, shard in _candidate_rows(evidence):
        has_fate = _is_resolved(table[schema.KEY], fates)
        settled.append(arrow.iter_rows(arrow.filter_rows(table, has_fate), *_ROW_COLUMNS))
        rows = arrow.filter_rows(table, ~has_fate)
        whole = shard if shard and rows.num_rows == shard.rows else None
        kept.append(RowSelection(url, split, arrow.to_numpy(rows[ROW_NUMBER]), whole))
        counted.update({(split, name): count for name, count in _count_values(rows[schema.LABEL])})
    has_fate = _is_resolved(standing.duplicates[schema.PATH], fates)
    settled.append(
        arrow.iter_rows(arrow.filter_rows(standing.duplicates, has_fate), *_DUPLICATE_COLUMNS)
    )
    rejects, duplicates = _resolved_tables(chain.from_iterable(settled), fates)
    of_parts = [decode_block.select_rejects(part) for _, part in parts]
    labels = [*last_labels, *sorted({label for _, label in counted} - set(last_labels))]
    return PreprocessOutcome(
        kept,
        labels,
        {split: {label: counted[split, label] for label in labels} for split in SPLITS},
        _concat_by_path([standing.rejects, _unusable_rejects(found), *of_parts, rejects]),
        _concat_by_path([arrow.filter_rows(standing.duplicates, ~has_fate), duplicates]),
        _concat_by_path([_build_table(near, schema.NEAR_DUPLICATES)]),
    )


def _candidate_rows(
    evidence: Candidates,
) -> Iterator[tuple[str, str, pa.Table, Optional[ShardFile]]]:
    """All that may be rows, by file and split: its URL, the split, the rows, and a shard itself."""
    for url, shard, table in evidence.previous_version.shards:
        yield url, shard.split, table, shard
    for url, part in evidence.parts:
        decoded = decode_block.select_decoded(add_row_numbers(part))
        sides = arrow.to_numpy(decoded["split"])
        for side in np.unique(sides):
            yield url, SPLITS[side], arrow.filter_rows(decoded, sides == side), None


# What is kept of an image that is no row because of others.
_ROW_COLUMNS = (schema.KEY, "source_bytes", "source_modified", schema.LABEL, "source_digest")
_DUPLICATE_COLUMNS = (schema.PATH, schema.SIZE_BYTES, schema.MODIFIED, schema.LABEL, schema.DIGEST)


def _is_resolved(keys: pa.ChunkedArray, fates: Mapping[str, Resolution]) -> npt.NDArray[np.bool_]:
    return np.fromiter((key in fates for key in keys.to_pylist()), bool, len(keys))


def _resolved_tables(
    images: Iterable[tuple[Any, ...]], fates: Mapping[str, Resolution]
) -> tuple[pa.Table, pa.Table]:
    """Return those that are rejected and those that are duplicates because of others."""
    rejects: list[tuple[Any, ...]] = []
    duplicates: list[tuple[Any, ...]] = []
    for key, size, modified, label, digest in images:
        status, detail = fates[key]
        if status == DUPLICATE:
            duplicates.append((key, detail, size, modified, label, digest))
        else:
            rejects.append((key, status, detail, size, modified))
    return _build_table(rejects, schema.REJECTS), _build_table(duplicates, schema.DUPLICATES)


def _unusable_rejects(found: Catalogue) -> pa.Table:
    rows = [(storage.join(found.root, image.path), *image[1:]) for image in found.unusable_images]
    return _build_table(rows, schema.REJECTS)


def _build_table(rows: Sequence[tuple[Any, ...]], table_schema: pa.Schema) -> pa.Table:
    if not rows:
        return arrow.empty_table(table_schema)
    values = zip(table_schema, zip(*rows))
    return pa.table(
        [arrow.make_array(own, field.type) for field, own in values], schema=table_schema
    )


def _concat_by_path(tables: Sequence[pa.Table]) -> pa.Table:
    """Put tables together, by path."""
    table = pa.concat_tables(tables)
    return arrow.take_rows(table, arrow.to_numpy(pc.sort_indices(table[schema.PATH])))


def _count_values(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    """Count each value, in the order in which they first come."""
    return [(one["values"], one["counts"]) for one in pc.value_counts(column).to_pylist()]


def _check_rejects(root: str, outcome: PreprocessOutcome, max_reject_fraction: float) -> None:
    rejects = outcome.rejects.num_rows
    if rejects <= max_reject_fraction * outcome.inputs:
        return
    reasons = ", ".join(f"{count} {why}" for why, count in outcome.rejects_by_reason().items())
    first = outcome.rejects.slice(0, 1).to_pylist()[0]
    raise InputError(
        f"{root}: {rejects} of {outcome.inputs} images are rejected "
        f"({rejects / outcome.inputs:.1%}: {reasons}), preprocess.max_reject_fraction is "
        f"{max_reject_fraction:g}; nothing was published. The first: {first[schema.PATH]}: "
        f"{first[schema.REASON]}, {first[schema.DETAIL]}. Mend the images, or raise the limit"
    )


def _check_classes(root: str, outcome: PreprocessOutcome) -> None:
    in_train = [label for label, rows in outcome.counts[TRAIN].items() if rows]
    if len(in_train) < 2:
        raise InputError(
            f"{root}: {outcome.rows} of {outcome.inputs} images are left, and the train split "
            f"has {len(in_train)} class{'' if len(in_train) == 1 else 'es'} "
            f"({', '.join(in_train) or 'none'}); training needs 2 or more. Add images, or change "
            "the splits' fractions"
        )
