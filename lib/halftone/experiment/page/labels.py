"""Place labels beside points so that they overlap neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halftone.report import plots
from halftone.report.plots import Theme

_FONT_SIZE_PT = 8.0
# Estimated width of a character as a fraction of the font size; the font is the browser's choice.
_CHAR_WIDTH_RATIO = 0.56
_MARKER_RADIUS_PT = 4.0  # half the side of a marker, including the margin around it

Box = tuple[float, float, float, float]  # left, bottom, right, top, in points


def place_labels(
    figure: Figure,
    axes: Axes,
    theme: Theme,
    labels: Sequence[tuple[str, float, float]],
    obstacles: Sequence[tuple[float, float]],
) -> None:
    """Write each label beside its point.

    Args:
        figure: The figure of the axes.
        axes: The axes; their limits must be final.
        theme: Colours of the figure.
        labels: Text, x and y of each labelled point, in data coordinates.
        obstacles: x and y of the points without a label, in data coordinates.
    """
    figure.draw_without_rendering()  # computes the position of the axes
    pt_per_px = 72 / figure.dpi
    points_px = axes.transData.transform([(x, y) for _, x, y in labels] + list(obstacles))
    points_pt = points_px * pt_per_px
    frame = axes.get_window_extent()
    left_px, bottom_px, right_px, top_px = frame.extents
    axes_box = (
        left_px * pt_per_px,
        bottom_px * pt_per_px,
        right_px * pt_per_px,
        top_px * pt_per_px,
    )
    radius = _MARKER_RADIUS_PT
    occupied: list[Box] = [(x - radius, y - radius, x + radius, y + radius) for x, y in points_pt]
    for (label, data_x, data_y), (x, y) in zip(labels, points_pt):
        text = plots.printable_label(label)
        width, height = _CHAR_WIDTH_RATIO * _FONT_SIZE_PT * len(text), 1.2 * _FONT_SIZE_PT
        boxes = [
            (x + left, y + bottom, x + left + width, y + bottom + height)
            for left, bottom in _label_offsets(width, height)
        ]
        box = min(boxes, key=lambda candidate: _placement_cost(candidate, occupied, axes_box))
        occupied.append(box)
        axes.annotate(
            text, (data_x, data_y), (box[0] - x, box[1] - y), textcoords="offset points",
            fontsize=_FONT_SIZE_PT, color=theme.ink, va="bottom",
        )  # fmt: skip


def _label_offsets(width: float, height: float) -> list[tuple[float, float]]:
    """Return candidate offsets of the left and bottom edge from the point, best first."""
    gap = _MARKER_RADIUS_PT + 1
    sides = [(gap, -height / 2), (-width - gap, -height / 2)]
    sides += [(-width / 2, gap), (-width / 2, -height - gap)]
    return sides + [
        (left, bottom) for left in (gap, -width - gap) for bottom in (gap, -height - gap)
    ]


def _placement_cost(box: Box, occupied: Sequence[Box], axes_box: Box) -> float:
    """Return the overlapped area plus twice the area outside the axes."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_overlap_area(box, other) for other in occupied) + 2 * (
        area - _overlap_area(box, axes_box)
    )


def _overlap_area(box: Box, other: Box) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height)
