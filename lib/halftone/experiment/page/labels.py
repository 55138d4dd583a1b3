"""Names beside points, where they cover neither one another nor a point."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halftone.report import plots
from halftone.report.plots import Theme

_FONT_SIZE_PT = 8.0
_CHAR_WIDTH_RATIO = 0.56  # a letter's width, of its size: of a page's font no more is known here
_MARKER_RADIUS_PT = 4.0  # half a point's side, and the room around it

Box = tuple[float, float, float, float]  # left, bottom, right, top, in points


def place_labels(
    figure: Figure,
    axes: Axes,
    theme: Theme,
    labels: Sequence[tuple[str, float, float]],
    obstacles: Sequence[tuple[float, float]],
) -> None:
    """Write each text beside its point.

    Args:
        texts: with x and y of the point, in the axes' data.
        others: points that have no text, and are not to be covered either.
    """
    figure.draw_without_rendering()  # only then it is known where the axes are
    to_pt = 72 / figure.dpi
    where = axes.transData.transform([(x, y) for _, x, y in labels] + list(obstacles)) * to_pt
    frame = axes.get_window_extent()
    inside = (frame.x0 * to_pt, frame.y0 * to_pt, frame.x1 * to_pt, frame.y1 * to_pt)
    taken: list[Box] = [
        (x - _MARKER_RADIUS_PT, y - _MARKER_RADIUS_PT, x + _MARKER_RADIUS_PT, y + _MARKER_RADIUS_PT)
        for x, y in where
    ]
    for (text, at_x, at_y), (x, y) in zip(labels, where):
        shown = plots.printable_label(text)
        width, height = _CHAR_WIDTH_RATIO * _FONT_SIZE_PT * len(shown), 1.2 * _FONT_SIZE_PT
        boxes = [
            (x + left, y + low, x + left + width, y + low + height)
            for left, low in _label_offsets(width, height)
        ]
        box = min(boxes, key=lambda one: _placement_cost(one, taken, inside))
        taken.append(box)
        axes.annotate(
            shown, (at_x, at_y), (box[0] - x, box[1] - y), textcoords="offset points",
            fontsize=_FONT_SIZE_PT, color=theme.ink, va="bottom",
        )  # fmt: skip


def _label_offsets(width: float, height: float) -> list[tuple[float, float]]:
    """Left and lower edge of the text against the point, the best place first."""
    gap = _MARKER_RADIUS_PT + 1
    sides = [(gap, -height / 2), (-width - gap, -height / 2)]
    sides += [(-width / 2, gap), (-width / 2, -height - gap)]
    return sides + [(left, low) for left in (gap, -width - gap) for low in (gap, -height - gap)]


def _placement_cost(box: Box, occupied: Sequence[Box], axes_box: Box) -> float:
    """The area that would be covered or is outside; of equal places the first is taken."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_overlap_area(box, other) for other in occupied) + 2 * (
        area - _overlap_area(box, axes_box)
    )


def _overlap_area(box: Box, other: Box) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height)
