"""Decide whether a challenger becomes champion, from predictions on the same rows. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from halftone.config import GateSettings
from halftone.metrics.model import SliceScores
from halftone.retrain.gate import paired_tests
from halftone.retrain.gate.paired_counts import PairedCounts
from halftone.retrain.gate.paired_tests import BETTER, WORSE, PairedComparison
from halftone.retrain.gate.slices import slice_drop_reason, slice_floor_reason

PROMOTE, KEEP, REFUSE = "promote", "keep", "refuse"


class GateDecision(NamedTuple):
    """PROMOTE, KEEP (no significant improvement) or REFUSE (the challenger is worse)."""

    action: str
    reason: str
    rows: Optional[PairedComparison] = None  # on all rows
    known_rows: Optional[PairedComparison] = None  # on the rows of the champion's own test


class SlicePair(NamedTuple):
    """The slices of both models on the same rows; None without score.slices."""

    champion: Optional[SliceScores] = None
    challenger: Optional[SliceScores] = None


_NO_SLICES = SlicePair()


def decide_without_comparison(
    value: float, settings: GateSettings, reason: str, slices: Optional[SliceScores] = None
) -> GateDecision:
    """Decide on a challenger without a champion to compare it with: only the floors count.

    Args:
        value: the challenger's measure, see retrain.gate.measure.
        settings: section `retrain.gate`.
        reason: why there is no comparison.
        slices: of the challenger.
    """
    below = _below_floor_reason(value, settings) or slice_floor_reason(slices, settings)
    return GateDecision(REFUSE, below) if below else GateDecision(PROMOTE, reason)


def decide_promotion(
    counts: PairedCounts,
    labels: Sequence[str],
    settings: GateSettings,
    slices: SlicePair = _NO_SLICES,
) -> GateDecision:
    """Decide on a challenger by a paired comparison with the champion.

    The decision is based on all test rows. The rows of the champion's own test are also compared
    separately, to detect wrong labels in new images: a challenger that learned them would look
    better on new rows.
    """
    rows = paired_tests.compare_predictions(counts.rows, len(labels), settings)
    known = (
        paired_tests.compare_predictions(counts.known_rows, len(labels), settings)
        if counts.known_rows
        else None
    )
    action, reason = _choose_action(counts, rows, known, labels, settings, slices)
    return GateDecision(action, reason, rows, known)


def _choose_action(
    counts: PairedCounts,
    rows: PairedComparison,
    known_rows: Optional[PairedComparison],
    labels: Sequence[str],
    settings: GateSettings,
    slices: SlicePair,
) -> tuple[str, str]:
    below = _below_floor_reason(rows.now, settings)
    below = below or slice_floor_reason(slices.challenger, settings)
    if below:
        return REFUSE, below
    if rows.verdict == WORSE:
        return REFUSE, f"worse by more than chance: {_describe_comparison(rows, settings)}"
    if known_rows is not None and known_rows.verdict == WORSE:
        return REFUSE, (
            "worse by more than chance on the rows that the champion's own test had: "
            f"{_describe_comparison(known_rows, settings)}"
        )
    if rows.verdict != BETTER:
        return KEEP, f"not better by more than chance: {_describe_comparison(rows, settings)}"
    drop = _class_drop_reason(counts, labels, settings)
    drop = drop or slice_drop_reason(slices.champion, slices.challenger, settings)
    if drop:
        return REFUSE, drop
    return PROMOTE, f"better by more than chance: {_describe_comparison(rows, settings)}"


def _below_floor_reason(value: float, settings: GateSettings) -> str:
    if value >= settings.floor:
        return ""
    return f"{settings.measure} {value:.4f} is below {settings.floor:g} (retrain.gate.floor)"


def _class_drop_reason(counts: PairedCounts, labels: Sequence[str], settings: GateSettings) -> str:
    """Return which class loses most recall, if it loses too much; else ""."""
    before, now = (paired_tests.recall_by_class(counts.rows, side) for side in (1, 2))
    worst = max(before, key=lambda label: before[label] - now[label])
    # Round off floating-point error: 0.9 - 0.85 must not exceed 0.05.
    if round(before[worst] - now[worst], 9) <= settings.max_class_drop:
        return ""
    return (
        f"the recall of class {labels[worst]} falls from {before[worst]:.4f} to {now[worst]:.4f}, "
        f"by more than {settings.max_class_drop:g} (retrain.gate.max_class_drop)"
    )


def _describe_comparison(comparison: PairedComparison, settings: GateSettings) -> str:
    significance = (
        f"p {comparison.p_value:.2g}"
        if comparison.p_value is not None
        else f"difference {comparison.low:+.4f} to {comparison.high:+.4f}"
    )
    return (
        f"{settings.measure} {comparison.before:.4f} to {comparison.now:.4f} "
        f"on {comparison.rows:,} rows, {significance}"
    )
