"""What became of every input: a row, a reject or a duplicate. Their sum is checked here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

import numpy as np
import pyarrow as pa

from halftone import ingest, schema, storage
from halftone.catalogue import Catalogue
from halftone.errors import InputError, RunError
from halftone.incremental import CONFLICT, DUPLICATE, Delta
from halftone.ingest import OK
from halftone.shards import Kept
from halftone.splits import SPLITS, TRAIN
from halftone.standing import Standing


class Outcome(NamedTuple):
    kept: list[Kept]  # what stands before what is new
    labels: list[str]  # those of the last version, in its order, and then the new ones
    counts: dict[str, dict[str, int]]  # rows by split and label, zeros included
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES

    @property
    def rows(self) -> int:
        return sum(sum(of_split.values()) for of_split in self.counts.values())

    @property
    def inputs(self) -> int:
        return self.rows + int(self.rejects.num_rows) + int(self.duplicates.num_rows)

    def rejects_by_reason(self) -> dict[str, int]:
        return dict(Counter(self.rejects[schema.REASON].to_pylist()).most_common())


class Evidence(NamedTuple):
    """All that is known of the images when the decoding is done."""

    standing: Standing  # the last version
    last_labels: list[str]  # its labels
    delta: Delta
    parts: list[tuple[str, pa.Table]]  # URL of a staged part and its columns but the pixels


class _Copy(NamedTuple):
    """An image that decoded well, and may have the same bytes as others."""

    age: int  # 0: a row that stands, 1: a duplicate that stands, 2: new
    key: str
    label: str
    source_bytes: int


class _Fate(NamedTuple):
    status: str  # DUPLICATE or a reason for rejection
    detail: str  # of a duplicate: the key that is kept


def look_alikes(evidence: Evidence) -> list[list[str]]:
    """Groups of keys whose digests are the same but leave bytes out: to be compared whole."""
    return [
        sorted(copy.key for copy in copies)
        for copies in _groups(evidence)
        if ingest.is_sampled(copies[0].source_bytes)
    ]


def judge(
    found: Catalogue,
    evidence: Evidence,
    full_digests: Mapping[str, str],
    num_inputs: int,
    max_reject_fraction: float,
) -> Outcome:
    """Decide which images are rows.

    Exact duplicates (same bytes, same label) are kept once: the one that stands, or the first by
    path. The same bytes under two labels teach nothing: all of them are rejected as a conflict.

    Args:
        full_digests: of the `look_alikes`, by key.
        num_inputs: how many images there must be in the end.

    Raises:
        InputError: too many rejects, or too few rows left to train on.
        RunError: an input is missing from the outcome, which must never be.
    """
    outcome = _sorted_out(found, evidence, _fates(evidence, full_digests))
    if outcome.inputs != num_inputs:
        raise RunError(
            f"{found.root}: {num_inputs} inputs, but {outcome.rows} rows + "
            f"{outcome.rejects.num_rows} rejects + {outcome.duplicates.num_rows} duplicates = "
            f"{outcome.inputs}; nothing was published. Remove the dataset's _staging and run again"
        )
    _check_rejects(found.root, outcome, max_reject_fraction)
    _check_classes(found.root, outcome)
    return outcome


def _groups(evidence: Evidence) -> list[list[_Copy]]:
    """Images that share a digest, where a new one is among them."""
    by_digest: dict[bytes, list[_Copy]] = {}
    for digest, copy in _copies(evidence):
        by_digest.setdefault(digest, []).append(copy)
    return [
        copies
        for copies in by_digest.values()
        if len(copies) > 1 and any(copy.age == 2 for copy in copies)
    ]


def _copies(evidence: Evidence) -> Iterator[tuple[bytes, _Copy]]:
    forget = evidence.delta.forget
    for *_, table in evidence.standing.shards:
        names = ("source_digest", schema.KEY, schema.LABEL, "source_bytes")
        for digest, key, label, size in zip(*(table[name].to_pylist() for name in names)):
            if key not in forget:
                yield digest, _Copy(0, key, label, size)
    for row in evidence.standing.duplicates.to_pylist():
        if row[schema.PATH] not in forget:
            copy = _Copy(1, row[schema.PATH], row[schema.LABEL], row[schema.SIZE_BYTES])
            yield row[schema.DIGEST], copy
    for _, table in evidence.parts:
        of_part = ("source_digest", "key", "label", "source_bytes", "status")
        for digest, key, label, size, status in zip(*(table[name].to_pylist() for name in of_part)):
            if status == OK:
                yield digest, _Copy(2, key, label, size)


def _fates(evidence: Evidence, full_digests: Mapping[str, str]) -> dict[str, _Fate]:
    """Say which keys are no rows, now that every image is known to all others by its bytes."""
    fates: dict[str, _Fate] = {}
    for copies in _groups(evidence):
        same: dict[Union[str, None], list[_Copy]] = {}
        for copy in copies:
            same.setdefault(full_digests.get(copy.key), []).append(copy)
        for group in same.values():
            if len(group) > 1 and any(copy.age == 2 for copy in group):
                fates.update(_fates_of_copies(sorted(group)))
    return fates


def _fates_of_copies(copies: Sequence[_Copy]) -> dict[str, _Fate]:
    first = copies[0]
    if all(copy.label == first.label for copy in copies):
        return {copy.key: _Fate(DUPLICATE, first.key) for copy in copies[1:]}
    fates = {}
    for copy in copies:
        other = next(other for other in copies if other.label != copy.label)
        detail = (
            f"label {copy.label!r}, but {other.key} has the same bytes and label {other.label!r}"
        )
        fates[copy.key] = _Fate(CONFLICT, detail)
    return fates


def _sorted_out(found: Catalogue, evidence: Evidence, fates: Mapping[str, _Fate]) -> Outcome:
    standing, last_labels, delta, parts = evidence
    counted: Counter[tuple[str, str]] = Counter()
    rejects: dict[str, Any] = {}
    duplicates: dict[str, Any] = {}
    kept: list[Kept] = []

    def settle(row: dict[str, Any], fate: _Fate) -> None:
        """Put an image that is no row where it belongs."""
        key, size, modified = row["key"], row["source_bytes"], row["source_modified"]
        if fate.status == DUPLICATE:
            of_row = (row["label"], row["source_digest"])
            duplicates[key] = (key, fate.detail, size, modified, *of_row)
        else:
            rejects[key] = (key, *fate, size, modified)

    for of_reject in standing.rejects.to_pylist():
        if of_reject[schema.PATH] not in delta.forget:
            rejects[of_reject[schema.PATH]] = tuple(of_reject.values())
    for image in found.unusable:
        key = storage.join(found.root, image.path)
        rejects[key] = (key, *image[1:])
    for row in map(_as_staged, standing.duplicates.to_pylist()):
        if row["key"] not in delta.forget:
            settle(row, fates.get(row["key"], _Fate(DUPLICATE, row["kept_path"])))
    for url, shard, table in standing.shards:
        rows = []
        for number, row in enumerate(table.to_pylist()):
            if row["key"] in fates:
                settle(row, fates[row["key"]])
            elif row["key"] not in delta.forget:
                rows.append(number)
                counted[shard.split, row["label"]] += 1
        whole = shard if len(rows) == table.num_rows else None
        kept.append(Kept(url, shard.split, np.array(rows, np.int64), whole))
    for url, table in parts:
        numbers: dict[str, list[int]] = {}
        for number, row in enumerate(table.to_pylist()):
            own = None if row["status"] == OK else _Fate(row["status"], row["detail"])
            fate = fates.get(row["key"], own)
            if fate is not None:
                settle(row, fate)
            else:
                split = SPLITS[row["split"]]
                numbers.setdefault(split, []).append(number)
                counted[split, row["label"]] += 1
        kept += [Kept(url, split, np.array(own, np.int64)) for split, own in numbers.items()]
    labels = [*last_labels, *sorted({label for _, label in counted} - set(last_labels))]
    return Outcome(
        kept,
        labels,
        {split: {label: counted[split, label] for label in labels} for split in SPLITS},
        _table(rejects, schema.REJECTS),
        _table(duplicates, schema.DUPLICATES),
    )


def _as_staged(duplicate: dict[str, Any]) -> dict[str, Any]:
    """Name a duplicate's values as a staged image's are named."""
    return {
        "key": duplicate[schema.PATH],
        "label": duplicate[schema.LABEL],
        "kept_path": duplicate[schema.KEPT_PATH],
        "source_bytes": duplicate[schema.SIZE_BYTES],
        "source_modified": duplicate[schema.MODIFIED],
        "source_digest": duplicate[schema.DIGEST],
    }


def _table(rows: Mapping[str, Any], table_schema: pa.Schema) -> pa.Table:
    ordered = [dict(zip(table_schema.names, rows[key])) for key in sorted(rows)]
    return pa.Table.from_pylist(ordered, schema=table_schema)


def _check_rejects(root: str, outcome: Outcome, max_reject_fraction: float) -> None:
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


def _check_classes(root: str, outcome: Outcome) -> None:
    in_train = [label for label, rows in outcome.counts[TRAIN].items() if rows]
    if len(in_train) < 2:
        raise InputError(
            f"{root}: {outcome.rows} of {outcome.inputs} images are left, and the train split "
            f"has {len(in_train)} class{'' if len(in_train) == 1 else 'es'} "
            f"({', '.join(in_train) or 'none'}); training needs 2 or more. Add images, or change "
            "the splits' fractions"
        )
