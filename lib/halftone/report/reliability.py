"""Whether probabilities can be believed: the reliability diagram, after Guo et al. 2017."""

from __future__ import annotations

from typing import Any, Optional

from matplotlib.figure import Figure

from halftone.report import plots
from halftone.report.measures import Metrics
from halftone.report.plots import Drawn, Theme
from halftone.report.words import images, ratio


def figure(metrics: Metrics) -> Optional[Drawn]:
    """Accuracy by confidence, with how many images there are; None where an older one scored."""
    bins = _bins(metrics)
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
        plots.dress(upper, theme, "Reliability")
        upper.set(ylabel="accuracy", ylim=(-0.03, 1.03), xlim=(-0.02, 1.02))
        lower.bar(
            lows, [each["rows"] for each in bins], widths, align="edge",
            color=theme.lines[0], edgecolor=theme.rule, linewidth=0.6,
        )  # fmt: skip
        plots.dress(lower, theme)
        lower.set(xlabel="probability of the most probable class", ylabel="images")
        plots.legend(figure, upper, columns=2)

    return plots.both((4.6, 4.2), draw, _said(filled, metrics["rows"]))


def sureness(metrics: Metrics) -> Optional[str]:
    """Whether the model is too sure on the whole."""
    filled = [each for each in _bins(metrics) if each["rows"]]
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


def _bins(metrics: Metrics) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = metrics.get("curves", {}).get("calibration", [])
    return found


def _said(filled: list[dict[str, Any]], rows: int) -> str:
    fullest = max(filled, key=lambda each: each["rows"])
    worst = max(filled, key=lambda each: each["rows"] * abs(each["confidence"] - each["accuracy"]))
    return (
        f"Reliability diagram of {images(rows)} in {len(filled)} bins by the probability of the "
        f"most probable class. The fullest bin is {_bin(fullest)}. What adds most to the "
        f"calibration error is {_bin(worst)}."
    )


def _bin(each: dict[str, Any]) -> str:
    return (
        f"{ratio(each['low'])} to {ratio(each['high'])} with {images(each['rows'])}, mean "
        f"probability {ratio(each['confidence'])} and accuracy {ratio(each['accuracy'])}"
    )
