"""ROC and precision-recall curves: of the second of two classes, or of the weakest of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halftone.metrics.model import Metrics, Point
from halftone.report import plots
from halftone.report.measures import decision_threshold
from halftone.report.plots import STROKES, Theme, ThemedFigure
from halftone.report.words import percent, ratio

_GRID = np.linspace(0, 1, 201)
_NUM_LABELLED = 3  # classes with a line of their own

CurvePoints = Sequence[Point]


class _CurveKind(NamedTuple):
    area_key: str  # field of Metrics and ClassMetrics
    title: str
    x_label: str
    y_label: str


_ROC = _CurveKind("roc_auc", "ROC", "false positive rate", "true positive rate")
_PR = _CurveKind("pr_auc", "Precision-recall", "recall", "precision")


def draw_curves(metrics: Metrics) -> list[ThemedFigure]:
    """Draw both figures; none if no class has rows on both sides, or for an old metrics.json."""
    if metrics.curves is None:
        return []
    draw = _draw_binary if metrics.is_binary else _draw_multiclass
    return [
        draw(kind, metrics, curves)
        for kind, curves in ((_ROC, metrics.curves.roc), (_PR, metrics.curves.pr))
        if curves
    ]


def _draw_binary(
    kind: _CurveKind, metrics: Metrics, curves: Mapping[str, CurvePoints]
) -> ThemedFigure:
    (label, points), *_ = curves.items()
    other = metrics.labels[0]
    (true_negatives, alarms), (misses, hits) = metrics.confusion
    fpr, recall = alarms / (true_negatives + alarms), hits / (misses + hits)
    precision = hits / (hits + alarms) if hits + alarms else None
    x_mark, y_mark = (fpr, recall) if kind is _ROC else (recall, precision)
    threshold_text = f"threshold {decision_threshold(metrics):.4g}"
    area = ratio(getattr(metrics, kind.area_key))

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        x, y = np.transpose(points)
        axes.plot(x, y, color=theme.lines[0], label=f"area {area}")
        if y_mark is not None:
            axes.plot(x_mark, y_mark, "s", color=theme.lines[1], markersize=6, label=threshold_text)
        _label_axes(axes, theme, kind, plots.printable_label(label))
        plots.add_legend(figure, axes, columns=3)

    operating_point = (
        f"{percent(recall)} of {label} are found, and {percent(fpr)} of {other} are taken for it"
        if kind is _ROC
        else f"the recall is {ratio(recall)} and the precision {ratio(precision)}"
    )
    alt = (
        f"{kind.title} curve of class {label}, area {area}. At {threshold_text}, {operating_point}."
    )
    return plots.draw_themed((4.6, 3.8), draw, alt)


def _draw_multiclass(
    kind: _CurveKind, metrics: Metrics, curves: Mapping[str, CurvePoints]
) -> ThemedFigure:
    areas = {label: getattr(metrics.per_class[label], kind.area_key) for label in curves}
    mean_area = ratio(getattr(metrics, kind.area_key))
    weakest = sorted(curves, key=lambda label: areas[label])[:_NUM_LABELLED]
    heights = np.stack(
        [_interpolate_heights(points) for points in curves.values()]
    )  # (classes, grid)

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        axes.fill_between(
            _GRID, heights.min(axis=0), heights.max(axis=0), color=theme.band, linewidth=0,
            label="range of all classes",
        )  # fmt: skip
        axes.plot(
            _GRID, heights.mean(axis=0), color=theme.ink, linewidth=1.8,
            label=f"{mean_area} mean of all",
        )  # fmt: skip
        for label, colour, stroke in zip(weakest, theme.lines, STROKES):
            axes.plot(
                *np.transpose(curves[label]), stroke, color=colour, linewidth=1.2,
                label=f"{ratio(areas[label])} {plots.printable_label(label)}",
            )  # fmt: skip
        _label_axes(axes, theme, kind, "each class against the rest")
        plots.add_legend(figure, axes, columns=2)

    smallest = ", ".join(f"{label} {ratio(areas[label])}" for label in weakest)
    return plots.draw_themed(
        (4.6, 4.2),
        draw,
        f"{kind.title} curves of {len(curves)} classes, each against the rest: mean area "
        f"{mean_area}; smallest areas: {smallest}.",
    )


def _interpolate_heights(points: CurvePoints) -> npt.NDArray[np.float64]:
    x, y = np.transpose(points)
    return np.interp(_GRID, x, y)


def _label_axes(axes: Axes, theme: Theme, kind: _CurveKind, subject: str) -> None:
    if kind is _ROC:
        axes.plot([0, 1], [0, 1], ":", color=theme.ink, linewidth=0.9, label="by chance")
    plots.style_axes(axes, theme, f"{kind.title}: {subject}")
    axes.set(xlabel=kind.x_label, ylabel=kind.y_label, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
