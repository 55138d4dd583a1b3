"""Whether a challenger becomes champion: pure, from what both say of the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from halftone.config import Gate
from halftone.retrain.gate import paired_tests
from halftone.retrain.gate.paired_counts import Pairs
from halftone.retrain.gate.paired_tests import BETTER, WORSE, Comparison

PROMOTE, KEEP, REFUSE = "promote", "keep", "refuse"


class Decision(NamedTuple):
    """PROMOTE; KEEP the champion, as nothing speaks for a change; or REFUSE a bad challenger."""

    action: str
    reason: str
    rows: Optional[Comparison] = None  # on all rows
    known: Optional[Comparison] = None  # on those that the champion's own test had


def alone(metrics: Mapping[str, Any], settings: Gate, why: str) -> Decision:
    """Decide on a challenger that cannot be compared, because of `why`.

    Args:
        metrics: its metrics.json.
    """
    value = float(metrics[settings.measure])
    below = _below_floor(value, settings)
    return Decision(REFUSE, below) if below else Decision(PROMOTE, why)


def decide(pairs: Pairs, labels: Sequence[str], settings: Gate) -> Decision:
    """Decide on a challenger by what the champion and it say of the same rows.

    All test rows decide. Those that the champion's own test had guard against new images that are
    wrong: had they wrong labels, a challenger that learned these would look better on new rows.
    """
    rows = paired_tests.compare(pairs.rows, len(labels), settings)
    known = paired_tests.compare(pairs.known, len(labels), settings) if pairs.known else None
    action, reason = _judged(pairs, rows, known, labels, settings)
    return Decision(action, reason, rows, known)


def _judged(
    pairs: Pairs,
    rows: Comparison,
    known: Optional[Comparison],
    labels: Sequence[str],
    settings: Gate,
) -> tuple[str, str]:
    below = _below_floor(rows.now, settings)
    if below:
        return REFUSE, below
    if rows.verdict == WORSE:
        return REFUSE, f"worse by more than chance: {_described(rows, settings)}"
    if known is not None and known.verdict == WORSE:
        return REFUSE, (
            "worse by more than chance on the rows that the champion's own test had: "
            f"{_described(known, settings)}"
        )
    if rows.verdict != BETTER:
        return KEEP, f"not better by more than chance: {_described(rows, settings)}"
    fallen = _fallen(pairs, labels, settings)
    if fallen:
        return REFUSE, fallen
    return PROMOTE, f"better by more than chance: {_described(rows, settings)}"


def _below_floor(value: float, settings: Gate) -> str:
    if value >= settings.floor:
        return ""
    return (
        f"{settings.measure} {value:.4f} is below {settings.floor:g}, which is retrain.gate.floor"
    )


def _fallen(pairs: Pairs, labels: Sequence[str], settings: Gate) -> str:
    """Say which class falls most, where that is too much."""
    before, now = (paired_tests.recalls(pairs.rows, side) for side in (1, 2))
    worst = max(before, key=lambda label: before[label] - now[label])
    # As many digits as a share of rows can need: 0.85 from 0.9 is a fall by 0.05, and no more.
    if round(before[worst] - now[worst], 9) <= settings.max_class_drop:
        return ""
    return (
        f"the recall of class {labels[worst]} falls from {before[worst]:.4f} to {now[worst]:.4f}, "
        f"by more than {settings.max_class_drop:g}, which is retrain.gate.max_class_drop"
    )


def _described(one: Comparison, settings: Gate) -> str:
    chance = (
        f"p {one.p_value:.2g}"
        if one.p_value is not None
        else f"difference {one.low:+.4f} to {one.high:+.4f}"
    )
    return f"{settings.measure} {one.before:.4f} to {one.now:.4f} on {one.rows:,} rows, {chance}"
