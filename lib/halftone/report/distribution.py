"""Histograms of the probability of the second of two classes, or of the most probable of many."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Optional

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from halftone.metrics.model import Metrics
from halftone.report import plots
from halftone.report.measures import decision_threshold
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import image_count, ratio


def draw_score_histograms(metrics: Metrics) -> Optional[ThemedFigure]:
    """Draw two histograms above each other; None for a metrics.json of an older version."""
    if metrics.curves is None or metrics.curves.scores is None:
        return None
    edges, groups = metrics.curves.scores.edges, metrics.curves.scores.counts
    widths = [high - low for low, high in zip(edges, edges[1:])]
    binary = metrics.is_binary
    label = metrics.labels[1] if binary else "the most probable class"
    threshold = decision_threshold(metrics) if binary else None

    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(len(groups), 1, sharex=True, sharey=True)
        for axes, (name, counts), colour in zip(panels, groups.items(), theme.lines):
            axes.bar(edges[:-1], counts, widths, align="edge", color=colour)
            plots.style_axes(axes, theme, plots.printable_label(name))
            _set_log_y(axes)
            if threshold is not None:
                axes.axvline(
                    threshold, color=theme.ink, linestyle=":", label=f"threshold {threshold:.4g}"
                )
        panels[0].set(ylim=(0, None), xlim=(-0.02, 1.02))
        panels[-1].set_xlabel(f"probability of {plots.printable_label(label)}")
        if threshold is not None:
            plots.add_legend(figure, panels[0], columns=1)

    by = "by true class" if binary else "of right and wrong answers"
    medians = "; ".join(
        f"{name}: {_describe_median(counts, edges)}" for name, counts in groups.items()
    )
    return plots.draw_themed(
        (4.6, 4.2), draw, f"Histograms of the probability of {label}, {by}. {medians}."
    )


def draw_confidence_histogram(counts: Sequence[int]) -> ThemedFigure:
    """Draw the number of images by their highest probability.

    Args:
        counts: in bins of equal width from 0 to 1.
    """
    edges = [number / len(counts) for number in range(len(counts) + 1)]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        widths = [1 / len(counts)] * len(counts)
        axes.bar(edges[:-1], counts, widths, align="edge", color=theme.lines[0])
        plots.style_axes(axes, theme, "All images")
        _set_log_y(axes)
        axes.set(ylim=(0, None), xlim=(-0.02, 1.02))
        axes.set_xlabel("probability of the most probable class")

    alt = f"Histogram of the highest probability. {_describe_median(counts, edges)}."
    return plots.draw_themed((4.6, 3.0), draw, alt)


def _set_log_y(axes: Axes) -> None:
    """Count images on a logarithmic scale: a single one must be visible beside thousands."""
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("images (log)")


def _describe_median(counts: Sequence[int], edges: Sequence[float]) -> str:
    """Return the number of images and the bin of the median."""
    total = sum(counts)
    if not total:
        return "no image"
    place = next(i for i, so_far in enumerate(accumulate(counts)) if 2 * so_far >= total)
    low, high = ratio(edges[place]), ratio(edges[place + 1])
    return f"{image_count(total)}, the middle one at {low} to {high}"
