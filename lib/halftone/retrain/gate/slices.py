"""What the slices of a challenger say against its promotion. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from halftone.config import GateSettings
from halftone.metrics.model import SliceMetrics, SliceScores
from halftone.metrics.slices import OTHERS

_SliceKey = tuple[str, tuple[str, Optional[str]]]  # its column, and its key in it


def slice_floor_reason(challenger: Optional[SliceScores], settings: GateSettings) -> str:
    """Return which slice of the challenger is lowest, if it is below gate.slice_floor; else "".

    The rows that the catalogue does not have, or has no value for, are a slice too. Other values,
    which are counted together, are none.
    """
    slices = _large_slices(challenger, settings)
    if not settings.slice_floor or not slices:
        return ""
    key, lowest = min(slices.items(), key=lambda item: _measure(item[1], settings))
    value = _measure(lowest, settings)
    if value >= settings.slice_floor:
        return ""
    return (
        f"{settings.measure} {value:.4f} on the {lowest.rows:,} rows of {_name(key, lowest)} is "
        f"below {settings.slice_floor:g} (retrain.gate.slice_floor)"
    )


def slice_drop_reason(
    champion: Optional[SliceScores], challenger: Optional[SliceScores], settings: GateSettings
) -> str:
    """Return which slice loses most against the champion, if it loses too much; else ""."""
    before, now = (_large_slices(scores, settings) for scores in (champion, challenger))
    drops = {
        key: _measure(before[key], settings) - _measure(now[key], settings)
        for key in now
        if key in before
    }
    worst = max(drops, key=drops.__getitem__, default=None)
    # Round off floating-point error: 0.9 - 0.85 must not exceed 0.05.
    if worst is None or round(drops[worst], 9) <= settings.max_slice_drop:
        return ""
    return (
        f"{settings.measure} on the {now[worst].rows:,} rows of {_name(worst, now[worst])} falls "
        f"from {_measure(before[worst], settings):.4f} to {_measure(now[worst], settings):.4f}, by "
        f"more than {settings.max_slice_drop:g} (retrain.gate.max_slice_drop)"
    )


def _large_slices(
    scores: Optional[SliceScores], settings: GateSettings
) -> dict[_SliceKey, SliceMetrics]:
    return {key: each for key, each in _iter_slices(scores) if each.rows >= settings.slice_min_rows}


def _iter_slices(scores: Optional[SliceScores]) -> Iterator[tuple[_SliceKey, SliceMetrics]]:
    for column in scores.columns if scores else ():
        for each in column.slices:
            if each.kind != OTHERS:
                yield (column.column, each.key), each


def _measure(each: SliceMetrics, settings: GateSettings) -> float:
    return each.accuracy if settings.measure == "accuracy" else each.f1


def _name(key: _SliceKey, each: SliceMetrics) -> str:
    return f"{key[0]} {each.title}"
