"""The reliability diagram, after Guo et al. 2017: do probabilities agree with accuracy?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from matplotlib.figure import Figure

from halftone.metrics.model import CalibrationBin, Metrics
from halftone.report import plots
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import image_count, ratio


class _FilledBin(NamedTuple):
    """A bin that holds images."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def draw_reliability_diagram(metrics: Metrics) -> Optional[ThemedFigure]:
    """Draw accuracy by confidence above a histogram; None for an old metrics.json."""
    bins = _calibration_bins(metrics)
    if not bins:
        return None
    filled = _filled_bins(bins)
    lows = [each.low for each in bins]
    widths = [each.high - each.low for each in bins]
    confidences = [each.confidence for each in filled]
    accuracies = [each.accuracy for each in filled]

    def draw(figure: Figure, theme: Theme) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], ":", color=theme.ink, label="as sure as right")
        upper.vlines(confidences, accuracies, confidences, color=theme.lines[1], linewidth=1.2)
        upper.plot(
            confidences, accuracies, "o", color=theme.lines[0], markersize=5,
            label="images of a bin",
        )  # fmt: skip
        plots.style_axes(upper, theme, "Reliability")
        upper.set(ylabel="accuracy", ylim=(-0.03, 1.03), xlim=(-0.02, 1.02))
        lower.bar(
            lows, [each.rows for each in bins], widths, align="edge",
            color=theme.lines[0], edgecolor=theme.rule, linewidth=0.6,
        )  # fmt: skip
        plots.style_axes(lower, theme)
        lower.set(xlabel="probability of the most probable class", ylabel="images")
        plots.add_legend(figure, upper, columns=2)

    return plots.draw_themed((4.6, 4.2), draw, _describe_diagram(filled, metrics.rows))


def describe_confidence(metrics: Metrics) -> Optional[str]:
    """Describe whether the model is overconfident on the whole; None without calibration bins."""
    filled = _filled_bins(_calibration_bins(metrics))
    if not filled:
        return None
    confidence = sum(each.confidence * each.rows for each in filled) / metrics.rows
    accuracy = sum(each.accuracy * each.rows for each in filled) / metrics.rows
    means = (
        f"the most probable class has {ratio(confidence)} on average, and is right for "
        f"{ratio(accuracy)} of images"
    )
    if abs(confidence - accuracy) < 0.005:
        return f"On the whole the model is well calibrated: {means}."
    tendency = "overconfident" if confidence > accuracy else "underconfident"
    return f"On the whole the model is {tendency}: {means}."


def _calibration_bins(metrics: Metrics) -> list[CalibrationBin]:
    return [] if metrics.curves is None else metrics.curves.calibration


def _filled_bins(bins: Sequence[CalibrationBin]) -> list[_FilledBin]:
    return [
        _FilledBin(each.low, each.high, each.rows, each.confidence, each.accuracy)
        for each in bins
        if each.confidence is not None and each.accuracy is not None
    ]


def _describe_diagram(filled: Sequence[_FilledBin], rows: int) -> str:
    fullest = max(filled, key=lambda each: each.rows)
    worst = max(filled, key=lambda each: each.rows * abs(each.confidence - each.accuracy))
    return (
        f"Reliability diagram of {image_count(rows)} in {len(filled)} bins by the probability of "
        f"the most probable class. The fullest bin is {_describe_bin(fullest)}. The largest part "
        f"of the calibration error is from {_describe_bin(worst)}."
    )


def _describe_bin(calibration_bin: _FilledBin) -> str:
    low, high = ratio(calibration_bin.low), ratio(calibration_bin.high)
    return (
        f"{low} to {high} with {image_count(calibration_bin.rows)}, mean probability "
        f"{ratio(calibration_bin.confidence)} and accuracy {ratio(calibration_bin.accuracy)}"
    )
