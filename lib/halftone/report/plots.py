"""Figures: common parts of those in the report, and the learning curves of a training.

Equal input gives equal bytes. Figures are drawn with matplotlib's object API: pyplot would keep
global state and look for a display. A figure of the report exists for light and dark pages. Its
colours, by Okabe and Ito (2008), can be told apart by colour-blind people; lines also differ in
stroke and marker.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from halftone import printable

STROKES = ("-", "--", "-.")  # one for each colour in Theme.lines
_MAX_EPOCHS_WITH_MARKERS = 30  # more markers would overlap
_MAX_LABEL_CHARS = 28


class Theme(NamedTuple):
    """Colours of a figure, which match those of the page."""

    ink: str
    rule: str
    band: str  # area behind lines
    lines: tuple[str, str, str]
    heat: tuple[str, ...]  # from the background of the page to the strongest contrast


LIGHT = Theme(
    "#1c1f23", "#d5d9de", "#dfe3e8", ("#0072b2", "#d55e00", "#009e73"),
    ("#f7fbff", "#6baed6", "#084a91"),
)  # fmt: skip
DARK = Theme(
    "#e6e8ea", "#41464d", "#2b3036", ("#56b4e9", "#e69f00", "#00b98a"),
    ("#1c2025", "#1f6391", "#a5dcff"),
)  # fmt: skip

DrawFunction = Callable[[Figure, Theme], None]


class ThemedFigure(NamedTuple):
    """A figure as two data: URIs of SVG, and its alternative text."""

    light: str
    dark: str
    alt: str


def draw_themed(size_in: tuple[float, float], draw_figure: DrawFunction, alt: str) -> ThemedFigure:
    """Draw a figure for light and for dark pages."""
    return ThemedFigure(
        _render_svg(size_in, draw_figure, LIGHT), _render_svg(size_in, draw_figure, DARK), alt
    )


def style_axes(axes: Axes, theme: Theme, title: str = "") -> None:
    """Set title, grid and spines as in all figures."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.grid(True, color=theme.rule, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def set_log_x(axes: Axes, low: float, high: float) -> None:
    """Make the x axis logarithmic, for values from `low` to `high`."""
    axes.set_xscale("log")
    # Matplotlib's default labels are formulas, which _matplotlib_settings turns off.
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high / low < 1000 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def add_legend(figure: Figure, axes: Axes, columns: int) -> None:
    """Add the legend of `axes` below all axes, where it covers no line."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def printable_label(label: str) -> str:
    """Return the name of a class on one line, shortened, with escapes for control characters."""
    clean = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for char in printable.escape(label)
    )
    return clean if len(clean) <= _MAX_LABEL_CHARS else clean[: _MAX_LABEL_CHARS - 1].rstrip() + "…"


def draw_metric_curve(
    title: str,
    epochs: Sequence[int],
    train: Sequence[Optional[float]],
    validation: Sequence[Optional[float]],
    chosen_epoch: Optional[int],
    alt: str,
) -> ThemedFigure:
    """Draw a metric over the epochs; a value that is None leaves a gap."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        plot_metric_curve(axes, theme, title, epochs, train, validation, chosen_epoch)
        add_legend(figure, axes, columns=3)

    return draw_themed((4.6, 3.0), draw, alt)


def draw_learning_curves_png(
    history: Sequence[Mapping[str, Any]], chosen_epoch: Optional[int]
) -> bytes:
    """Draw loss and accuracy over the epochs of a training's history, side by side, as a PNG.

    Args:
        history: at least one entry, one per epoch, with `epoch`, `loss`, `accuracy` and, if there
            is a validation split, `val_loss` and `val_accuracy`.
        chosen_epoch: whose model is kept; None if there is none.
    """
    with _matplotlib_settings(LIGHT):
        figure = Figure(figsize=(9.2, 3.6), layout="constrained", dpi=120, facecolor="white")
        for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
            plot_metric_curve(
                axes,
                LIGHT,
                name.capitalize(),
                [entry["epoch"] for entry in history],
                [entry.get(name) for entry in history],
                [entry.get(f"val_{name}") for entry in history],
                chosen_epoch,
            )
        add_legend(figure, axes, columns=3)  # both axes have the same lines
        data = io.BytesIO()
        figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def plot_metric_curve(
    axes: Axes,
    theme: Theme,
    title: str,
    epochs: Sequence[int],
    train: Sequence[Optional[float]],
    validation: Sequence[Optional[float]],
    chosen_epoch: Optional[int],
) -> None:
    """Draw a metric of train and validation over the epochs; None leaves a gap."""
    with_markers = len(epochs) <= _MAX_EPOCHS_WITH_MARKERS
    for name, values, colour, stroke, marker in zip(
        ("train", "validation"), (train, validation), theme.lines, STROKES, "os"
    ):
        heights = [np.nan if value is None else value for value in values]
        if np.isfinite(heights).any():
            axes.plot(
                epochs, heights, stroke, color=colour, label=name,
                marker=marker if with_markers else "", markersize=4,
            )  # fmt: skip
    if chosen_epoch is not None:
        # Behind the points.
        axes.axvline(
            chosen_epoch,
            color=theme.ink,
            linestyle=":",
            label=f"chosen: epoch {chosen_epoch}",
            zorder=1.9,
        )
    style_axes(axes, theme, title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    # Without limits, the axis of a single epoch would show fractions.
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)


def heat_ramp(theme: Theme, steps: int) -> list[tuple[str, str]]:
    """Return (background, text colour with enough contrast) for `steps` levels, from 0 to 1."""
    backgrounds = [heat_colours(theme)(level)[:3] for level in np.linspace(0, 1, steps)]
    return [(to_hex(rgb), "#000" if luminance(rgb) > 0.18 else "#fff") for rgb in backgrounds]


def heat_colours(theme: Theme) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("heat", theme.heat)


def luminance(rgb: Sequence[float]) -> float:
    """Return the relative luminance of WCAG 2; at 0.18 black and white have equal contrast."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _render_svg(size_in: tuple[float, float], draw_figure: DrawFunction, theme: Theme) -> str:
    with _matplotlib_settings(theme), warnings.catch_warnings():
        # The browser draws text with its own fonts; the font here only measures it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=size_in, layout="constrained")
        draw_figure(figure, theme)
        data = io.BytesIO()
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    return data_uri("image/svg+xml", data.getvalue())


@contextmanager
def _matplotlib_settings(theme: Theme) -> Iterator[None]:
    """Use fixed settings instead of the user's matplotlibrc."""
    ink_settings = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    settings = {
        **dict.fromkeys(ink_settings, theme.ink),
        "axes.edgecolor": theme.rule,
        "font.size": 9,
        "svg.fonttype": "none",  # keep text as text: small, sharp, searchable
        "svg.hashsalt": "halftone",  # ids in the file are random otherwise
        "text.parse_math": False,  # names of classes may contain $
    }
    with matplotlib.style.context(["default", settings]):
        yield
