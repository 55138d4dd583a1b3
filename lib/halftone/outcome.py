"""What became of every input: a row, a reject or a duplicate. Their sum is checked here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from halftone import columns, schema, storage
from halftone.catalogue import Catalogue
from halftone.config import Preprocess
from halftone.copies import Evidence, Fate, Near, exact_fates, near_copies
from halftone.errors import InputError, RunError
from halftone.incremental import DUPLICATE
from halftone.ingest import OK
from halftone.shards import Kept
from halftone.splits import SPLITS, TRAIN


class Outcome(NamedTuple):
    kept: list[Kept]  # what stands before what is new
    labels: list[str]  # those of the last version, in its order, and then the new ones
    counts: dict[str, dict[str, int]]  # rows by split and label, zeros included
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES
    near: pa.Table  # schema.NEAR_DUPLICATES

    @property
    def rows(self) -> int:
        return sum(sum(of_split.values()) for of_split in self.counts.values())

    @property
    def inputs(self) -> int:
        return self.rows + int(self.rejects.num_rows) + int(self.duplicates.num_rows)

    def rejects_by_reason(self) -> dict[str, int]:
        return dict(Counter(self.rejects[schema.REASON].to_pylist()).most_common())


def judge(
    found: Catalogue,
    evidence: Evidence,
    full_digests: Mapping[str, str],
    num_inputs: int,
    settings: Preprocess,
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
    fates = exact_fates(evidence, full_digests)
    near: list[Near] = []
    if settings.near_duplicates != "off":
        near = near_copies(evidence, fates, settings.near_distance)
    if settings.near_duplicates == "drop":
        fates.update({copy.key: Fate(DUPLICATE, copy.near_key) for copy in near})
    outcome = _sorted_out(found, evidence, fates, near)
    if outcome.inputs != num_inputs:
        raise RunError(
            f"{found.root}: {num_inputs} inputs, but {outcome.rows} rows + "
            f"{outcome.rejects.num_rows} rejects + {outcome.duplicates.num_rows} duplicates = "
            f"{outcome.inputs}; nothing was published. Remove the dataset's _staging and run again"
        )
    _check_rejects(found.root, outcome, settings.max_reject_fraction)
    _check_classes(found.root, outcome)
    return outcome


def _sorted_out(
    found: Catalogue, evidence: Evidence, fates: Mapping[str, Fate], near: Sequence[Near]
) -> Outcome:
    standing, last_labels, delta, parts = evidence
    counted: Counter[tuple[str, str]] = Counter()
    rejects: dict[str, Any] = {}
    duplicates: dict[str, Any] = {}
    kept: list[Kept] = []

    def settle(row: dict[str, Any], fate: Fate) -> None:
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
            settle(row, fates.get(row["key"], Fate(DUPLICATE, row["kept_path"])))
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
            own = None if row["status"] == OK else Fate(row["status"], row["detail"])
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
        _table({copy.key: copy for copy in near}, schema.NEAR_DUPLICATES),
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
    if not rows:
        return columns.nothing(table_schema)
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
