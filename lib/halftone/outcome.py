"""What became of every input: a row, a reject or a duplicate. Their sum is checked here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import ingest, schema, storage
from halftone.catalogue import Catalogue
from halftone.errors import InputError, RunError
from halftone.ingest import OK
from halftone.splits import SPLITS, TRAIN

CONFLICT = "conflict"
DUPLICATE = "duplicate"


class Outcome(NamedTuple):
    kept: list[tuple[str, str, npt.NDArray[np.int64]]]  # (part's URL, split, its rows to keep)
    counts: dict[str, dict[str, int]]  # rows by split and label, zeros included
    rejects: pa.Table  # schema.REJECTS
    duplicates: pa.Table  # schema.DUPLICATES

    @property
    def labels(self) -> list[str]:
        return sorted(self.counts[TRAIN])

    @property
    def rows(self) -> int:
        return sum(sum(of_split.values()) for of_split in self.counts.values())

    def rejects_by_reason(self) -> dict[str, int]:
        return dict(Counter(self.rejects[schema.REASON].to_pylist()).most_common())


def look_alikes(parts: Sequence[pa.Table]) -> list[list[str]]:
    """Groups of keys whose digests are the same but leave bytes out: to be compared whole."""
    by_digest: dict[bytes, list[str]] = {}
    for part in parts:
        columns = [part[name].to_pylist() for name in ("key", "status", "source_bytes")]
        for key, status, size, digest in zip(*columns, part["source_digest"].to_pylist()):
            if status == OK and ingest.is_sampled(size):
                by_digest.setdefault(digest, []).append(key)
    return [sorted(keys) for keys in by_digest.values() if len(keys) > 1]


def judge(
    found: Catalogue,
    parts: Sequence[tuple[str, pa.Table]],
    full_digests: Mapping[str, str],
    max_reject_fraction: float,
) -> Outcome:
    """Decide which images become rows.

    Exact duplicates (same bytes, same label) are kept once, the first by path. The same bytes
    under two labels teach nothing: all of them are rejected as a conflict.

    Args:
        parts: the URL of each staged part and all its columns but the pixels, in order.
        full_digests: of the `look_alikes`, by key.

    Raises:
        InputError: too many rejects, or too few rows left to train on.
        RunError: an input is missing from the parts, which must never be.
    """
    outcome = _sorted_out(found, parts, _fates([part for _, part in parts], full_digests))
    accounted = outcome.rows + outcome.rejects.num_rows + outcome.duplicates.num_rows
    if accounted != found.inputs:
        raise RunError(
            f"{found.root}: {found.inputs} inputs, but {outcome.rows} rows + "
            f"{outcome.rejects.num_rows} rejects + {outcome.duplicates.num_rows} duplicates = "
            f"{accounted}; nothing was published. Remove the dataset's _staging and run again"
        )
    _check_rejects(found, outcome, max_reject_fraction)
    _check_classes(found, outcome)
    return outcome


class _Fate(NamedTuple):
    status: str  # OK, DUPLICATE or a reason for rejection
    detail: str  # of a duplicate: the key that is kept


def _fates(parts: Sequence[pa.Table], full_digests: Mapping[str, str]) -> dict[str, _Fate]:
    """Say what becomes of each key, once every image is known to all others by its bytes."""
    fates: dict[str, _Fate] = {}
    by_bytes: dict[Union[bytes, str], list[tuple[str, str]]] = {}
    for part in parts:
        columns = [part[name].to_pylist() for name in ("key", "label", "status", "detail")]
        for key, label, status, detail, digest in zip(*columns, part["source_digest"].to_pylist()):
            fates[key] = _Fate(status, detail)
            if status == OK:
                by_bytes.setdefault(full_digests.get(key, digest), []).append((key, label))
    for same in by_bytes.values():
        if len(same) > 1:
            fates.update(_fates_of_copies(sorted(same)))
    return fates


def _fates_of_copies(copies: Sequence[tuple[str, str]]) -> dict[str, _Fate]:
    first, label = copies[0]
    if all(other == label for _, other in copies):
        return {key: _Fate(DUPLICATE, first) for key, _ in copies[1:]}
    fates = {}
    for key, label in copies:
        other_key, other = next(copy for copy in copies if copy[1] != label)
        detail = f"label {label!r}, but {other_key} has the same bytes and label {other!r}"
        fates[key] = _Fate(CONFLICT, detail)
    return fates


def _sorted_out(
    found: Catalogue, parts: Sequence[tuple[str, pa.Table]], fates: Mapping[str, _Fate]
) -> Outcome:
    labels = sorted({label for _, part in parts for label in part["label"].to_pylist()})
    counts = {split: dict.fromkeys(labels, 0) for split in SPLITS}
    kept: list[tuple[str, str, npt.NDArray[np.int64]]] = []
    rejects: list[Any] = [
        (storage.join(found.root, path), reason, detail, size)
        for path, reason, detail, size in found.unusable
    ]
    duplicates: list[Any] = []
    for url, part in parts:
        rows: dict[str, list[int]] = {}
        columns = [part[name].to_pylist() for name in ("key", "label", "split", "source_bytes")]
        for number, (key, label, split, size) in enumerate(zip(*columns)):
            status, detail = fates[key]
            if status == OK:
                rows.setdefault(SPLITS[split], []).append(number)
                counts[SPLITS[split]][label] += 1
            elif status == DUPLICATE:
                duplicates.append((key, detail, size))
            else:
                rejects.append((key, status, detail, size))
        kept += [(url, split, np.array(numbers)) for split, numbers in rows.items()]
    seen = [label for label in labels if any(counts[split][label] for split in SPLITS)]
    counts = {split: {label: counts[split][label] for label in seen} for split in SPLITS}
    return Outcome(
        kept, counts, _table(rejects, schema.REJECTS), _table(duplicates, schema.DUPLICATES)
    )


def _table(rows: list[Any], table_schema: pa.Schema) -> pa.Table:
    names = table_schema.names
    ordered = [dict(zip(names, row)) for row in sorted(rows)]
    return pa.Table.from_pylist(ordered, schema=table_schema)


def _check_rejects(found: Catalogue, outcome: Outcome, max_reject_fraction: float) -> None:
    rejects = outcome.rejects.num_rows
    if rejects <= max_reject_fraction * found.inputs:
        return
    reasons = ", ".join(f"{count} {why}" for why, count in outcome.rejects_by_reason().items())
    first = outcome.rejects.slice(0, 1).to_pylist()[0]
    raise InputError(
        f"{found.root}: {rejects} of {found.inputs} images are rejected "
        f"({rejects / found.inputs:.1%}: {reasons}), preprocess.max_reject_fraction is "
        f"{max_reject_fraction:g}; nothing was published. The first: {first[schema.PATH]}: "
        f"{first[schema.REASON]}, {first[schema.DETAIL]}. Mend the images, or raise the limit"
    )


def _check_classes(found: Catalogue, outcome: Outcome) -> None:
    in_train = [label for label, rows in outcome.counts[TRAIN].items() if rows]
    if len(in_train) < 2:
        raise InputError(
            f"{found.root}: {outcome.rows} of {found.inputs} images are left, and the train split "
            f"has {len(in_train)} class{'' if len(in_train) == 1 else 'es'} "
            f"({', '.join(in_train) or 'none'}); training needs 2 or more. Add images, or change "
            "the splits' fractions"
        )
