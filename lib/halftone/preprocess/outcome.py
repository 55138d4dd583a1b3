"""Decide for every input whether it becomes a row, a reject or a duplicate; check their sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.config import PreprocessSettings
from halftone.dataset import remarks, schema
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS, TRAIN
from halftone.errors import InputError, RunError
from halftone.preprocess import decode_block
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.changes import CONFLICT, DUPLICATE
from halftone.preprocess.duplicates import (
    Candidates,
    NearDuplicate,
    NearDuplicates,
    Resolution,
    find_near_duplicates,
)
from halftone.preprocess.listed_files import reject_table
from halftone.preprocess.previous_version import ROW_NUMBER, add_row_numbers


class RowSelection(NamedTuple):
    """The rows of a staged part or of an existing shard that the new version contains."""

    url: str
    split: str
    row_numbers: npt.NDArray[np.int64]
    unchanged_shard: Optional[ShardFile] = None  # the existing shard, if all its rows are kept


class PreprocessOutcome(NamedTuple):
    """The contents of the new version."""

    selections: list[RowSelection]  # of existing shards, then of staged parts
    labels: list[str]  # the labels of the previous version in its order, then the new ones
    counts: dict[str, dict[str, int]]  # rows by split and label, zeros included
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES
    near_duplicates: pa.Table  # schema.NEAR_DUPLICATES
    possible_label_errors: int  # near duplicates of an image with another label
    chance_near_fraction: Optional[float]  # see near_duplicates.measure_chance

    @property
    def rows(self) -> int:
        return sum(sum(by_label.values()) for by_label in self.counts.values())

    @property
    def inputs(self) -> int:
        return self.rows + int(self.rejects.num_rows) + int(self.duplicates.num_rows)

    def conflict_keys(self) -> pa.ChunkedArray:
        """Return the keys of the images that are rejected as conflicts."""
        is_conflict = arrow.is_in(self.rejects[schema.REASON], arrow.string_array([CONFLICT]))
        return arrow.filter_rows(self.rejects, is_conflict)[schema.PATH]

    def rejects_by_reason(self) -> dict[str, int]:
        return dict(Counter(dict(_count_values(self.rejects[schema.REASON]))).most_common())


def resolve_duplicates(
    catalogue: Catalogue,
    candidates: Candidates,
    resolutions: Mapping[str, Resolution],
    num_inputs: int,
    settings: PreprocessSettings,
    *,
    drop_empty_labels: bool = False,
) -> PreprocessOutcome:
    """Decide which images become rows.

    Of exact duplicates (same bytes, same label) one is kept: the row of the previous version, or
    the first by path. Images with the same bytes and different labels are all rejected as a
    conflict. A near duplicate with another label than the image that it looks like is always kept,
    as one of the two may be a label error.

    Args:
        resolutions: of exact duplicates and conflicts, by key.
        num_inputs: the number of rows, rejects and duplicates that must result.
        drop_empty_labels: leave out labels of the previous version that have no rows any more.

    Raises:
        InputError: too many rejects, too many near duplicates to drop, or too few classes left to
            train on.
        RunError: an input is missing from the outcome, which is a bug.
    """
    near: Optional[NearDuplicates] = None
    if settings.near_duplicates != "off":
        near = find_near_duplicates(candidates, resolutions, settings.near_distance)
    dropped = near.with_same_label() if near and settings.near_duplicates == "drop" else []
    resolutions = {
        **resolutions,
        **{image.key: Resolution(DUPLICATE, image.near_key) for image in dropped},
    }
    outcome = _build_outcome(catalogue, candidates, resolutions, near)
    if outcome.inputs != num_inputs:
        raise RunError(
            f"{catalogue.root}: {num_inputs} inputs, but {outcome.rows} rows + "
            f"{outcome.rejects.num_rows} rejects + {outcome.duplicates.num_rows} duplicates = "
            f"{outcome.inputs}; nothing was published. Remove the dataset's _staging folder and "
            "run again"
        )
    if drop_empty_labels:
        outcome = _drop_empty_labels(outcome)
    _check_rejects(catalogue.root, outcome, settings.max_reject_fraction)
    _check_dropped(catalogue.root, outcome, dropped, settings)
    _check_classes(catalogue.root, outcome)
    return outcome


def _build_outcome(
    catalogue: Catalogue,
    candidates: Candidates,
    resolutions: Mapping[str, Resolution],
    near: Optional[NearDuplicates],
) -> PreprocessOutcome:
    previous_version, previous_labels = candidates.previous_version, candidates.previous_labels
    counts: Counter[tuple[str, str]] = Counter()  # rows by split and label
    selections: list[RowSelection] = []
    resolved_images = []  # an iterator of _ROW_COLUMNS or _DUPLICATE_COLUMNS for each table
    for url, split, table, shard in _candidate_rows(candidates):
        is_resolved = _is_resolved(table[schema.KEY], resolutions)
        resolved_images.append(
            arrow.iter_rows(arrow.filter_rows(table, is_resolved), *_ROW_COLUMNS)
        )
        rows = arrow.filter_rows(table, ~is_resolved)
        unchanged_shard = shard if shard and rows.num_rows == shard.rows else None
        selections.append(
            RowSelection(url, split, arrow.to_numpy(rows[ROW_NUMBER]), unchanged_shard)
        )
        counts.update({(split, label): n for label, n in _count_values(rows[schema.LABEL])})
    is_resolved = _is_resolved(previous_version.duplicates[schema.PATH], resolutions)
    resolved_images.append(
        arrow.iter_rows(
            arrow.filter_rows(previous_version.duplicates, is_resolved), *_DUPLICATE_COLUMNS
        )
    )
    old_duplicates = arrow.filter_rows(previous_version.duplicates, ~is_resolved)
    rejects, duplicates = _resolved_tables(chain.from_iterable(resolved_images), resolutions)
    part_rejects = [decode_block.select_rejects(part) for _, part in candidates.parts]
    labels = [*previous_labels, *sorted({label for _, label in counts} - set(previous_labels))]
    return PreprocessOutcome(
        selections,
        labels,
        {split: {label: counts[split, label] for label in labels} for split in SPLITS},
        _concat_by_path(
            [
                previous_version.rejects,
                reject_table(catalogue.root, catalogue.unusable_images),
                *part_rejects,
                rejects,
            ]
        ),
        _concat_by_path([old_duplicates, duplicates]),
        _concat_by_path([_build_table(near.images if near else [], schema.NEAR_DUPLICATES)]),
        len(near.images) - len(near.with_same_label()) if near else 0,
        near.chance_fraction if near else None,
    )


def _drop_empty_labels(outcome: PreprocessOutcome) -> PreprocessOutcome:
    """Leave out labels without rows. Shards are written again if their label_ids change."""
    by_split = outcome.counts.values()
    labels = [label for label in outcome.labels if any(counts[label] for counts in by_split)]
    selections = outcome.selections
    if labels != outcome.labels[: len(labels)]:
        selections = [selection._replace(unchanged_shard=None) for selection in selections]
    counts = {
        split: {label: by_label[label] for label in labels}
        for split, by_label in outcome.counts.items()
    }
    return outcome._replace(labels=labels, selections=selections, counts=counts)


def _candidate_rows(
    candidates: Candidates,
) -> Iterator[tuple[str, str, pa.Table, Optional[ShardFile]]]:
    """Yield the possible rows by file and split: URL, split, rows, and the shard if it is one."""
    for url, shard, table in candidates.previous_version.shards:
        yield url, shard.split, table, shard
    for url, part in candidates.all_parts:
        decoded = decode_block.select_decoded(add_row_numbers(part))
        split_ids = arrow.to_numpy(decoded[schema.SPLIT])
        for split_id in np.unique(split_ids):
            yield url, SPLITS[split_id], arrow.filter_rows(decoded, split_ids == split_id), None


# The columns of resolved images, in the same order for rows and for duplicates.
_ROW_COLUMNS = (
    schema.KEY,
    schema.SOURCE_BYTES,
    schema.SOURCE_MODIFIED,
    schema.LABEL,
    schema.SOURCE_DIGEST,
)
_DUPLICATE_COLUMNS = (schema.PATH, schema.SIZE_BYTES, schema.MODIFIED, schema.LABEL, schema.DIGEST)


def _is_resolved(
    keys: pa.ChunkedArray, resolutions: Mapping[str, Resolution]
) -> npt.NDArray[np.bool_]:
    return np.fromiter((key in resolutions for key in keys.to_pylist()), bool, len(keys))


def _resolved_tables(
    images: Iterable[tuple[Any, ...]], resolutions: Mapping[str, Resolution]
) -> tuple[pa.Table, pa.Table]:
    """Return the rejects and the duplicates among the resolved images.

    Args:
        images: _ROW_COLUMNS or _DUPLICATE_COLUMNS of each.
    """
    rejects: list[tuple[Any, ...]] = []
    duplicates: list[tuple[Any, ...]] = []
    for key, size_bytes, modified, label, digest in images:
        status, detail = resolutions[key]
        if status == DUPLICATE:
            duplicates.append((key, detail, size_bytes, modified, label, digest))
        else:
            rejects.append((key, status, detail, size_bytes, modified))
    return _build_table(rejects, schema.REJECTS), _build_table(duplicates, schema.DUPLICATES)


def _build_table(rows: Sequence[tuple[Any, ...]], table_schema: pa.Schema) -> pa.Table:
    if not rows:
        return arrow.empty_table(table_schema)
    columns = [
        arrow.make_array(values, field.type) for field, values in zip(table_schema, zip(*rows))
    ]
    return pa.table(columns, schema=table_schema)


def _concat_by_path(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables and sort the rows by path."""
    table = pa.concat_tables(tables)
    return arrow.take_rows(table, arrow.to_numpy(pc.sort_indices(table[schema.PATH])))


def _count_values(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    """Return each value and its count, in the order of first occurrence."""
    return [(count["values"], count["counts"]) for count in pc.value_counts(column).to_pylist()]


def _check_rejects(root: str, outcome: PreprocessOutcome, max_reject_fraction: float) -> None:
    num_rejects = outcome.rejects.num_rows
    if num_rejects <= max_reject_fraction * outcome.inputs:
        return
    by_reason = outcome.rejects_by_reason()
    reasons = ", ".join(f"{count} {reason}" for reason, count in by_reason.items())
    first = outcome.rejects.slice(0, 1).to_pylist()[0]
    raise InputError(
        f"{root}: {num_rejects} of {outcome.inputs} images are rejected "
        f"({num_rejects / outcome.inputs:.1%}: {reasons}), preprocess.max_reject_fraction is "
        f"{max_reject_fraction:g}; nothing was published. The first: {first[schema.PATH]}: "
        f"{first[schema.REASON]}, {first[schema.DETAIL]}. {_reject_cures(list(by_reason))}. Or "
        "raise preprocess.max_reject_fraction"
    )


_COPY_AGAIN = "copy the files again from their source"
_REJECT_CURES = {
    "empty": _COPY_AGAIN,
    "truncated": _COPY_AGAIN,
    "damaged": _COPY_AGAIN,
    "not_an_image": "remove these files, or leave their ending out of preprocess.suffixes",
    "unsupported": "save the images in another format, such as PNG",
    "too_large": "raise pixels.max_pixels or pixels.max_scans",
    "too_small": "lower pixels.min_side_px",
    "unreadable": "check that the files exist and may be read",
    "unlabelled": "correct preprocess.label_from or the labels in the table",
    "conflict": "keep each image under one label",
}


def _reject_cures(reasons: Sequence[str]) -> str:
    """Name each cure once, with its reasons."""
    by_cure: dict[str, list[str]] = {}
    for reason in reasons:
        by_cure.setdefault(_REJECT_CURES.get(reason, "repair the images"), []).append(reason)
    return "; ".join(f"{', '.join(names)}: {cure}" for cure, names in by_cure.items())


def _check_dropped(
    root: str,
    outcome: PreprocessOutcome,
    dropped: Sequence[NearDuplicate],
    settings: PreprocessSettings,
) -> None:
    for split, num_dropped in Counter(image.split for image in dropped).items():
        num_rows = sum(outcome.counts[split].values()) + num_dropped
        limit = settings.max_near_duplicate_fraction
        if num_dropped <= limit * num_rows:
            continue
        chance = outcome.chance_near_fraction or 0.0
        cause = "Look at them with preprocess.near_duplicates: report. If they show one scene"
        cure = "keep it in one split with splits.group_by"
        if chance > remarks.MAX_CHANCE_FRACTION:
            description = remarks.describe_chance(chance, settings.near_distance)
            cause = f"{description[0].upper()}{description[1:]}. So"
            cure = "set preprocess.near_duplicates: report, or a smaller preprocess.near_distance"
        raise InputError(
            f"{root}: preprocess.near_duplicates: drop would remove {num_dropped} of {num_rows} "
            f"{split} rows ({num_dropped / num_rows:.1%}), "
            f"preprocess.max_near_duplicate_fraction is {limit:g}; nothing was published. "
            f"{cause}, {cure}. Or raise the limit"
        )


def _check_classes(root: str, outcome: PreprocessOutcome) -> None:
    train_labels = [label for label, num_rows in outcome.counts[TRAIN].items() if num_rows]
    if len(train_labels) < 2:
        raise InputError(
            f"{root}: {outcome.rows} of {outcome.inputs} images are left, and the train split "
            f"has {len(train_labels)} class{'' if len(train_labels) == 1 else 'es'} "
            f"({', '.join(train_labels) or 'none'}); training needs 2 or more. Add images, or "
            "change the fractions of the splits"
        )
