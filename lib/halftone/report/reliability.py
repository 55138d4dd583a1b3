"""Whether probabilities can be believed: the reliability diagram, after Guo et al. 2017."""

from __future__ import annotations

from typing import Any, Optional

from matplotlib.figure import Figure

from halftone.report import plots
from halftone.report.measures import Metrics
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import image_count, ratio


def draw_reliability_diagram(metrics: Metrics) -> Optional[ThemedFigure]:
    """Accuracy by confidence, with how many images there are; None where an older one scored."""
    bins = _calibration_bins(metrics)
    if not bins:
        return None
    filled = [each for each in bins if each["rows"]]
    lows = [each["low"] for each in bins]
    widths = [each["high"] - each["low"] for each in bins]
    confidences = [each["confidence"] for each in filled]
    accuracies = [each["accuracy"] for each in filled]

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
            lows, [each["rows"] for each in bins], widths, align="edge",
            color=theme.lines[0], edgecolor=theme.rule, linewidth=0.6,
        )  # fmt: skip
        plots.style_axes(lower, theme)
        lower.set(xlabel="probability of the most probable class", ylabel="images")
        plots.add_legend(figure, upper, columns=2)

    return plots.draw_themed((4.6, 4.2), draw, _describe_diagram(filled, metrics["rows"]))


def describe_confidence(metrics: Metrics) -> Optional[str]:
    """Whether the model is too sure on the whole."""
    filled = [each for each in _calibration_bins(metrics) if each["rows"]]
    if not filled:
        return None
    confidence, accuracy = (
        sum(each[name] * each["rows"] for each in filled) / metrics["rows"]
        for name in ("confidence", "accuracy")
    )
    means = (
        f"the most probable class has {ratio(confidence)} on average, and is right for "
        f"{ratio(accuracy)} of images"
    )
    if abs(confidence - accuracy) < 0.005:
        return f"On the whole the model is as sure as it is right: {means}."
    sure = "too sure" if confidence > accuracy else "not sure enough"
    return f"On the whole the model is {sure}: {means}."


def _calibration_bins(metrics: Metrics) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = metrics.get("curves", {}).get("calibration", [])
    return found


def _describe_diagram(filled_bins: list[dict[str, Any]], rows: int) -> str:
    fullest = max(filled_bins, key=lambda each: each["rows"])
    worst = max(
        filled_bins, key=lambda each: each["rows"] * abs(each["confidence"] - each["accuracy"])
    )
    return (
        f"Reliability diagram of {image_count(rows)} in {len(filled_bins)} bins by the probability of the "
        f"most probable class. The fullest bin is {_describe_bin(fullest)}. What adds most to the "
        f"calibration error is {_describe_bin(worst)}."
    )


def _describe_bin(calibration_bin: dict[str, Any]) -> str:
    return (
        f"{ratio(calibration_bin['low'])} to {ratio(calibration_bin['high'])} with {image_count(calibration_bin['rows'])}, mean "
        f"probability {ratio(calibration_bin['confidence'])} and accuracy {ratio(calibration_bin['accuracy'])}"
    )
