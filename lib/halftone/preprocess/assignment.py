"""Give listed images their labels, splits and positions: pure functions of a path and the config.

Whether the data bring a validation split of their own is only known when all images are listed. So
an image gets both splits at first: the predefined one, if any, and the one that would be drawn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.archives import MemberPlace
from halftone.config import Config, SplitSettings
from halftone.dataset import schema, splits
from halftone.image_boxes import split_box
from halftone.listing import GROUP, MEMBER_PLACE
from halftone.preprocess.entries import NO_SPLIT, POSITION, UNLABELLED
from halftone.preprocess.row_hashes import HASH_RANGE, sum_hashes

TRAIN, VALIDATION, TEST = map(splits.SPLITS.index, (splits.TRAIN, splits.VALIDATION, splits.TEST))
PREDEFINED, DRAWN = "predefined", "drawn"

ASSIGNED = pa.schema(
    [
        pa.field(schema.PATH, pa.string()),  # below the folder of images
        pa.field(schema.LABEL, pa.string()),
        pa.field(PREDEFINED, pa.int8()),  # index in splits.SPLITS, or NO_SPLIT
        pa.field(DRAWN, pa.int8()),  # index in splits.SPLITS
        pa.field(schema.SIZE_BYTES, pa.int64()),  # or -1, if it is not known
        pa.field(schema.MODIFIED, pa.float64()),
        pa.field(POSITION, pa.int64()),  # a hash of the path; rows of a split are sorted by it
        pa.field(schema.REASON, pa.string()),  # of a rejection; empty for an image to read
        pa.field(schema.DETAIL, pa.string()),
        pa.field(MEMBER_PLACE, pa.string()),  # of a member of an archive, or ""
    ]
)
# What is digested of an image: all but where a member lies in its archive.
_DIGESTED = tuple(name for name in ASSIGNED.names if name != MEMBER_PLACE)


class AssignmentRules(NamedTuple):
    """The settings that decide about labels and splits."""

    label_from: str
    has_labels: bool  # whether the source of the images has a column of labels
    splits: SplitSettings
    seed: int

    @classmethod
    def from_config(cls, config: Config, has_labels: bool) -> AssignmentRules:
        return cls(config.preprocess.label_from, has_labels, config.splits, config.seed)


@dataclass
class AssignmentSummary:
    """What is known of a number of images; `add` adds that of others."""

    num_images: int = 0  # with a label, and readable as far as the listing shows
    num_unusable: int = 0
    num_bytes: int = 0  # of the images whose size is listed
    labels: Counter[str] = field(default_factory=Counter)
    # Of these, by label, those that are drawn for validation and for test.
    drawn_validation: Counter[str] = field(default_factory=Counter)
    drawn_test: Counter[str] = field(default_factory=Counter)
    num_split_cells: int = 0  # images whose split a table of images names
    num_group_cells: int = 0
    num_validation: int = 0  # images that are predefined for validation
    num_ungrouped: int = 0  # images without a group whose split may be drawn
    first_ungrouped: str = ""  # the least path
    num_without_split: int = 0  # images for which a table or a pattern gives no split
    first_without_split: str = ""
    first_wrong_split: str = ""  # what it names instead
    digest: int = 0  # sum of the digests of all images, whatever their order

    def add(self, other: AssignmentSummary) -> None:
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self.digest = (self.digest + other.digest) % HASH_RANGE
        if other.first_ungrouped:
            paths = filter(None, (self.first_ungrouped, other.first_ungrouped))
            self.first_ungrouped = min(paths)
        if other.first_without_split and (
            not self.first_without_split or other.first_without_split < self.first_without_split
        ):
            self.first_without_split = other.first_without_split
            self.first_wrong_split = other.first_wrong_split

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "digest": f"{self.digest:x}"}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> AssignmentSummary:
        counters = {name: Counter(value[name]) for name in _COUNTERS}
        return cls(**{**value, **counters, "digest": int(value["digest"], 16)})


_COUNTERS = ("labels", "drawn_validation", "drawn_test")
_COUNTS = (
    *("num_images", "num_unusable", "num_bytes", "num_split_cells", "num_group_cells"),
    *("num_validation", "num_ungrouped", "num_without_split"),
)


def assign_images(listed: pa.Table, rules: AssignmentRules) -> tuple[pa.Table, AssignmentSummary]:
    """Return ASSIGNED, in the order of the listing, and its summary.

    Args:
        listed: LISTED.
    """
    images = arrow.filter_rows(listed, _is_empty(listed[schema.REASON]))
    unreadable = arrow.filter_rows(listed, ~_is_empty(listed[schema.REASON]))
    labels = find_labels(images, rules.label_from, rules.has_labels)
    is_labelled = np.fromiter((bool(label.strip()) for label in labels), bool, len(labels))
    summary = AssignmentSummary()
    assigned = pa.concat_tables(
        [
            _assign(
                arrow.filter_rows(images, is_labelled),
                [label for label, is_kept in zip(labels, is_labelled) if is_kept],
                rules,
                summary,
            ),
            _reject_unlabelled(arrow.filter_rows(images, ~is_labelled), rules),
            _reject(unreadable, unreadable[schema.REASON], unreadable[schema.DETAIL]),
        ]
    )
    summary.num_unusable = assigned.num_rows - summary.num_images
    summary.digest = sum_hashes(arrow.iter_rows(assigned, *_DIGESTED))
    return assigned, summary


def _is_empty(text: arrow.Column) -> npt.NDArray[np.bool_]:
    return np.asarray(arrow.to_numpy(pc.binary_length(text)) == 0)


def find_labels(images: pa.Table, label_from: str, has_labels: bool) -> list[str]:
    """Return the label of each image: the listed one, or from the path; empty if there is none.

    Args:
        images: LISTED.
        label_from: regular expression whose one group captures the label.
        has_labels: whether the labels are listed.
    """
    if has_labels:
        return list(images[schema.LABEL].to_pylist())
    pattern = re.compile(label_from)
    stored = images[schema.LABEL].to_pylist()  # by an archive
    return [
        label or splits.capture_from_path(pattern, path) or ""
        for label, path in zip(stored, _searched_paths(images))
    ]


def _searched_paths(images: pa.Table) -> list[str]:
    """Return the paths in which labels, groups and splits are searched.

    An archive counts as a folder that has its name without the ending.
    """
    paths: list[str] = images[schema.PATH].to_pylist()
    places = images[MEMBER_PLACE].to_pylist()
    return [
        MemberPlace.parse(place).path_in_folder(path) if place else path
        for path, place in zip(paths, places)
    ]


def _assign(
    images: pa.Table, labels: list[str], rules: AssignmentRules, summary: AssignmentSummary
) -> pa.Table:
    paths = images[schema.PATH].to_pylist()
    predefined = _predefined_splits(images, rules, summary)
    drawn = _drawn_splits(images, predefined, rules, summary)
    positions = compute_positions(paths, rules.seed)
    summary.num_images += len(paths)
    summary.labels.update(labels)
    for counter, split_id in (
        (summary.drawn_validation, VALIDATION),
        (summary.drawn_test, TEST),
    ):
        counter.update(label for label, drawn_id in zip(labels, drawn) if drawn_id == split_id)
    summary.num_validation += predefined.count(VALIDATION)
    sizes = arrow.to_numpy(images[schema.SIZE_BYTES])
    summary.num_bytes += int(sizes.clip(min=0).sum())
    empty = arrow.repeat_value(arrow.string_array([""]), len(paths))
    columns = [
        *(images[schema.PATH], arrow.string_array(labels)),
        *(arrow.number_array(ids, pa.int8()) for ids in (predefined, drawn)),
        *(images[schema.SIZE_BYTES], images[schema.MODIFIED]),
        *(positions, empty, empty, images[MEMBER_PLACE]),
    ]
    return pa.table(columns, schema=ASSIGNED)


def _reject_unlabelled(images: pa.Table, rules: AssignmentRules) -> pa.Table:
    detail = f"preprocess.label_from {rules.label_from!r} finds no label in the path"
    if rules.has_labels:
        detail = "preprocess.catalogue gives it no label"
    reason, details = (
        arrow.repeat_value(arrow.string_array([text]), images.num_rows)
        for text in (UNLABELLED, detail)
    )
    return _reject(images, reason, details)


def _reject(images: pa.Table, reasons: arrow.Column, details: arrow.Column) -> pa.Table:
    empty = arrow.repeat_value(arrow.string_array([""]), images.num_rows)
    split = arrow.number_array(np.full(images.num_rows, NO_SPLIT), pa.int8())
    position = arrow.number_array(np.zeros(images.num_rows), pa.int64())
    columns = [images[schema.PATH], empty, split, split]
    columns += [images[schema.SIZE_BYTES], images[schema.MODIFIED], position, reasons, details]
    columns.append(images[MEMBER_PLACE])
    return pa.table(columns, schema=ASSIGNED)


def _predefined_splits(
    images: pa.Table, rules: AssignmentRules, summary: AssignmentSummary
) -> list[int]:
    """Return the split of each image from a table of images or its path, else NO_SPLIT."""
    names = images[schema.SPLIT].to_pylist()
    summary.num_split_cells += sum(map(bool, names))
    paths = images[schema.PATH].to_pylist()
    if not any(names):
        if rules.splits.from_path is None:
            summary.num_without_split += len(names)
            _note_without_split(summary, paths, names, [NO_SPLIT] * len(names))
            return [NO_SPLIT] * len(names)
        pattern = re.compile(rules.splits.from_path)
        searched = _searched_paths(images)
        names = [splits.capture_from_path(pattern, path) or "" for path in searched]
    split_ids = [_parse_split(name) for name in names]
    summary.num_without_split += split_ids.count(NO_SPLIT)
    _note_without_split(summary, paths, names, split_ids)
    return split_ids


def _parse_split(name: str) -> int:
    split = splits.parse_split_name(name) if name else None
    return NO_SPLIT if split is None else splits.SPLITS.index(split)


def _note_without_split(
    summary: AssignmentSummary, paths: list[str], names: list[str], split_ids: list[int]
) -> None:
    wrong = ((path, name) for path, name, n in zip(paths, names, split_ids) if n == NO_SPLIT)
    path, name = min(wrong, default=("", ""))
    if path and (not summary.first_without_split or path < summary.first_without_split):
        summary.first_without_split, summary.first_wrong_split = path, name


def _drawn_splits(
    images: pa.Table, predefined: list[int], rules: AssignmentRules, summary: AssignmentSummary
) -> list[int]:
    """Return the split of each image if no validation split is predefined."""
    # A validation split is then drawn from the train split.
    test_fraction = {NO_SPLIT: rules.splits.test_fraction, TRAIN: 0.0}
    pattern = re.compile(rules.splits.group_by) if rules.splits.group_by else None
    paths, cells = images[schema.PATH].to_pylist(), images[GROUP].to_pylist()
    summary.num_group_cells += sum(bool(cell.strip()) for cell in cells)
    alone = []
    drawn = []
    for path, searched, cell, split_id in zip(paths, _searched_paths(images), cells, predefined):
        if split_id not in test_fraction:
            drawn.append(split_id)
            continue
        group = cell.strip()
        if not group and pattern:
            group = splits.capture_from_path(pattern, searched) or ""
        if not group:
            alone.append(path)
        # Boxes of an image stay together, as they may overlap.
        group = group or split_box(path)[0]
        drawn.append(_choose_split(group, rules.splits, rules.seed, test_fraction[split_id]))
    summary.num_ungrouped += len(alone)
    if alone:
        paths = [*filter(None, [summary.first_ungrouped]), min(alone)]
        summary.first_ungrouped = min(paths)
    return drawn


def _choose_split(group: str, settings: SplitSettings, seed: int, test_fraction: float) -> int:
    if settings.folds is None:
        name = splits.split_by_hash(group, seed, settings.validation_fraction, test_fraction)
    elif splits.split_by_hash(group, seed, 0.0, test_fraction) == splits.TEST:
        name = splits.TEST
    else:
        name = splits.split_by_fold(group, seed, settings.fold, settings.folds)
    return splits.SPLITS.index(name)


def compute_positions(paths: Sequence[str], seed: int) -> pa.Array:
    """Return an int64 hash of each path, by which the rows of a split are sorted."""
    positions = [splits.hash_to_uint64(path, seed, "order") - 2**63 for path in paths]
    return arrow.number_array(np.array(positions, np.int64), pa.int64())


class FinalSplits(NamedTuple):
    """What decides about splits and is known when all images are listed."""

    has_validation: bool = False  # whether any image is predefined for validation
    salts: Mapping[str, int] = {}  # by label, of the classes that are stratified
    # For these classes:
    seed: int = 0
    validation_fraction: float = 0.0
    test_fraction: float = 0.0

    def of(self, assigned: pa.Table) -> npt.NDArray[np.int8]:
        """Return the split of each row of ASSIGNED."""
        predefined = arrow.to_numpy(assigned[PREDEFINED])
        if self.has_validation:
            is_rejected = ~_is_empty(assigned[schema.REASON])
            return np.where((predefined == NO_SPLIT) & ~is_rejected, np.int8(TRAIN), predefined)
        drawn = arrow.to_numpy(assigned[DRAWN])
        if not self.salts:
            return drawn
        # A rejected image has no label.
        is_salted = arrow.is_in(assigned[schema.LABEL], arrow.string_array(sorted(self.salts)))
        stratified = drawn.copy()
        stratified[is_salted] = [
            self._of_image(path, self.salts[label])
            for path, label in arrow.iter_rows(
                arrow.filter_rows(assigned, is_salted), schema.PATH, schema.LABEL
            )
        ]
        return stratified

    def _of_image(self, path: str, salt: int) -> int:
        fractions = self.validation_fraction, self.test_fraction
        return splits.SPLITS.index(splits.split_by_salt(path, self.seed, salt, *fractions))
