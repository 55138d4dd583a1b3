"""Whether new images are like those that were trained on before: pure, from counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from halftone.config import DriftSettings
from halftone.retrain.drift import psi
from halftone.retrain.drift.statistics import ImageStatistics

OK, WARN, STOP = "ok", "warn", "stop"


class RejectCounts(NamedTuple):
    """Of the images that were there before this night, or that came with it."""

    images: int
    rejects: int


class DriftFinding(NamedTuple):
    """How far one thing has drifted."""

    what: str
    psi: float
    by_chance: float  # what it would stay below if nothing had changed
    level: str  # OK, WARN or STOP


def find_drift(
    before: ImageStatistics,
    new: ImageStatistics,
    rejects_before: RejectCounts,
    rejects_now: RejectCounts,
    settings: DriftSettings,
) -> list[DriftFinding]:
    """Compare new rows with those before, and the new images' share of rejects with that before.

    Args:
        before: of the rows that the last training had; without any there is nothing to compare.
        rejects_now: of the images that came this night.
    """
    found = []
    if sum(before.classes.values()) and sum(new.classes.values()):
        labels = sorted({*before.classes, *new.classes})
        shares = [[own.classes.get(label, 0) for label in labels] for own in (before, new)]
        found.append(_compare_counts("class shares", shares[0], shares[1], settings))
        found += [
            _compare_counts(name, *psi.merge_bins(counts, new.histograms[name]), settings)
            for name, counts in before.histograms.items()
        ]
    if rejects_before.images:
        one, other = (
            [own.images - own.rejects, own.rejects] for own in (rejects_before, rejects_now)
        )
        found.append(_compare_counts("share of rejects", one, other, settings))
    return found


def find_new_classes(before: ImageStatistics, new: ImageStatistics) -> list[str]:
    """Classes that no row had before, where there were rows."""
    return sorted(set(new.classes) - set(before.classes)) if before.classes else []


def worst_level(findings: Sequence[DriftFinding]) -> str:
    """The level of what has drifted most."""
    return max((one.level for one in findings), key=[OK, WARN, STOP].index, default=OK)


def describe_findings(findings: Sequence[DriftFinding], level: str) -> str:
    """Say what is of this level, such as: pixel mean (PSI 3.41), class shares (PSI 0.52)."""
    own = sorted((one for one in findings if one.level == level), key=lambda one: -one.psi)
    return ", ".join(f"{one.what} (PSI {one.psi:.2f})" for one in own)


def _compare_counts(
    name: str, before: Sequence[int], now: Sequence[int], settings: DriftSettings
) -> DriftFinding:
    value, chance = psi.psi(before, now), psi.psi_quantile(before, now, settings.confidence)
    level = OK
    if value > chance:
        level = STOP if value >= settings.stop else WARN if value >= settings.warn else OK
    return DriftFinding(name, value, chance, level)
