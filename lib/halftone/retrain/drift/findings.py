"""Decide from counts whether new images differ from those of the last training. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from halftone.config import DriftSettings
from halftone.retrain.drift import psi
from halftone.retrain.drift.statistics import ImageStatistics

LEVELS = OK, WARN, STOP = "ok", "warn", "stop"


class RejectCounts(NamedTuple):
    """Counts of the images that existed before a run, or that are new in it."""

    images: int
    rejects: int


class DriftFinding(NamedTuple):
    """The drift of one distribution."""

    what: str  # name of the distribution
    psi: float
    by_chance: float  # PSI stays below this with the given confidence if nothing has changed
    level: str  # OK, WARN or STOP


def find_drift(
    before: ImageStatistics,
    new: ImageStatistics,
    rejects_before: RejectCounts,
    rejects_now: RejectCounts,
    settings: DriftSettings,
) -> list[DriftFinding]:
    """Compare the distributions of new rows, and the share of rejects, with those before.

    Args:
        before: statistics of the rows of the last training. If empty, rows are not compared.
        new: statistics of new rows. If empty, rows are not compared.
        rejects_before: counts of images before this run. If 0, rejects are not compared.
        rejects_now: counts of images that are new in this run.
        settings: section `retrain.drift`.
    """
    findings = []
    if sum(before.classes.values()) and sum(new.classes.values()):
        labels = sorted({*before.classes, *new.classes})
        counts_before, counts_now = (
            [rows.classes.get(label, 0) for label in labels] for rows in (before, new)
        )
        findings.append(_compare_counts("class shares", counts_before, counts_now, settings))
        findings += [
            _compare_counts(name, *psi.merge_bins(counts, new.histograms[name]), settings)
            for name, counts in before.histograms.items()
        ]
    if rejects_before.images:
        counts_before, counts_now = (
            [rejects.images - rejects.rejects, rejects.rejects]
            for rejects in (rejects_before, rejects_now)
        )
        findings.append(_compare_counts("share of rejects", counts_before, counts_now, settings))
    return findings


def find_new_classes(before: ImageStatistics, new: ImageStatistics) -> list[str]:
    """Return classes that no row had before; none if there were no rows before."""
    return sorted(set(new.classes) - set(before.classes)) if before.classes else []


def worst_level(findings: Sequence[DriftFinding]) -> str:
    """Return the highest level of all findings."""
    return max((finding.level for finding in findings), key=LEVELS.index, default=OK)


def describe_findings(findings: Sequence[DriftFinding], level: str) -> str:
    """List the findings of a level, such as: pixel mean (PSI 3.41), class shares (PSI 0.52)."""
    of_level = (finding for finding in findings if finding.level == level)
    by_psi = sorted(of_level, key=lambda finding: -finding.psi)
    return ", ".join(f"{finding.what} (PSI {finding.psi:.2f})" for finding in by_psi)


def _compare_counts(
    name: str, before: Sequence[int], now: Sequence[int], settings: DriftSettings
) -> DriftFinding:
    value, chance = psi.psi(before, now), psi.psi_quantile(before, now, settings.confidence)
    level = OK
    if value > chance:
        level = STOP if value >= settings.stop else WARN if value >= settings.warn else OK
    return DriftFinding(name, value, chance, level)
