"""The report's figures and pictures as data: URIs, and a training's curves as a file.

The same input gives the same bytes. Drawn with matplotlib's objects: pyplot would keep global state
and look for a screen. A figure of the report comes for light and for dark pages, in colours of
Okabe and Ito (2008) that colour-blind people tell apart, and lines differ in stroke and marker too.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from halftone.model_directory import best_epoch

_SHOWN_PX = 128  # the longer side of a picture on the page, in CSS pixels
_KEPT_PX = 192  # a larger picture is reduced to this: sharp enough on a dense screen
_MARKERS_UP_TO = 30  # epochs; more of them run into each other


class Theme(NamedTuple):
    """Colours of a figure, those of the page it is on."""

    ink: str
    rule: str
    train: str
    validation: str
    heat: tuple[str, ...]  # from the page's own colour to what stands out most


LIGHT = Theme("#1c1f23", "#d5d9de", "#0072b2", "#d55e00", ("#f7fbff", "#6baed6", "#084a91"))
DARK = Theme("#e6e8ea", "#41464d", "#56b4e9", "#e69f00", ("#1c2025", "#1f6391", "#a5dcff"))


class Drawn(NamedTuple):
    """One figure, twice, as data: URIs of SVG."""

    light: str
    dark: str


class Shown(NamedTuple):
    """A picture and the size in CSS pixels at which its own pixels stay square and whole."""

    uri: str
    width_px: int
    height_px: int
    enlarged: bool


def curve(
    what: str,
    epochs: Sequence[int],
    train: Sequence[Optional[float]],
    validation: Sequence[Optional[float]],
    chosen: Optional[int],
) -> Drawn:
    """Draw a metric over the epochs; a value that is None leaves a gap."""

    def draw(axes: Axes, theme: Theme) -> None:
        _draw_curve(axes, theme, what, epochs, train, validation, chosen)
        # Below the axes, where it covers no line.
        _figure(axes).legend(loc="outside lower center", ncols=3, frameon=False)

    return _both((4.6, 3.0), draw)


def learning_curves(history: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw loss and accuracy over the epochs of a training's history, side by side, as a PNG.

    Args:
        history: an entry an epoch with `epoch`, `loss`, `accuracy` and, where rows were held out,
            `val_loss` and `val_accuracy`; at least one.
    """
    with _settings(LIGHT):
        figure = Figure(figsize=(9.2, 3.6), layout="constrained", dpi=120, facecolor="white")
        for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
            _draw_curve(
                axes,
                LIGHT,
                name.capitalize(),
                [entry["epoch"] for entry in history],
                [entry.get(name) for entry in history],
                [entry.get(f"val_{name}") for entry in history],
                best_epoch(history),
            )
        # Both axes have the same lines.
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        data = io.BytesIO()
        figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _draw_curve(
    axes: Axes,
    theme: Theme,
    what: str,
    epochs: Sequence[int],
    train: Sequence[Optional[float]],
    validation: Sequence[Optional[float]],
    chosen: Optional[int],
) -> None:
    marked = len(epochs) <= _MARKERS_UP_TO
    for name, values, colour, stroke, marker in (
        ("train", train, theme.train, "-", "o"),
        ("validation", validation, theme.validation, "--", "s"),
    ):
        heights = [np.nan if value is None else value for value in values]
        if np.isfinite(heights).any():
            axes.plot(
                epochs, heights, stroke, color=colour, label=name,
                marker=marker if marked else "", markersize=4,
            )  # fmt: skip
    if chosen is not None:
        # Behind the points, which it would darken.
        axes.axvline(
            chosen, color=theme.ink, linestyle=":", label=f"chosen: epoch {chosen}", zorder=1.9
        )
    axes.set_xlabel("epoch")
    axes.set_title(what, loc="left", fontsize=10, fontweight="bold")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    # One epoch alone would get an axis of fractions around it.
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.grid(True, color=theme.rule, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def heat_map(fractions: Sequence[Sequence[float]]) -> Drawn:
    """Draw a square matrix of values from 0 to 1, too large for numbers in its cells."""

    def draw(axes: Axes, theme: Theme) -> None:
        image = axes.imshow(
            fractions, cmap=_colours(theme), vmin=0, vmax=1, interpolation="nearest"
        )
        axes.set_xlabel("number of the predicted class")
        axes.set_ylabel("number of the true class")
        _figure(axes).colorbar(image, ax=axes, label="share of the true class", shrink=0.8)

    return _both((5.6, 4.6), draw)


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return figure


def picture(pixels: npt.NDArray[np.uint8]) -> Shown:
    """Make a PNG of (H, W, 1 or 3) uint8 pixels, at a whole multiple of their size if small."""
    height, width = pixels.shape[:2]
    scale = _SHOWN_PX / max(height, width)
    scale = int(scale) if scale >= 1 else scale
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(height, width) > _KEPT_PX:
        image.thumbnail((_KEPT_PX, _KEPT_PX))
    data = io.BytesIO()
    image.save(data, "PNG")
    return Shown(
        _data_uri("image/png", data.getvalue()),
        max(1, round(width * scale)),
        max(1, round(height * scale)),
        scale > 1,
    )


def ramp(theme: Theme, steps: int) -> list[tuple[str, str]]:
    """Return (background, readable text colour) for `steps` levels, from none to all."""
    backgrounds = [_colours(theme)(level)[:3] for level in np.linspace(0, 1, steps)]
    return [(to_hex(rgb), "#000" if _luminance(rgb) > 0.18 else "#fff") for rgb in backgrounds]


def _colours(theme: Theme) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("heat", theme.heat)


def _luminance(rgb: Sequence[float]) -> float:
    """Relative luminance as in WCAG 2; black and white text contrast equally at 0.18."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def _both(size_in: tuple[float, float], draw: Callable[[Axes, Theme], None]) -> Drawn:
    return Drawn(*(_svg(size_in, draw, theme) for theme in (LIGHT, DARK)))


def _svg(size_in: tuple[float, float], draw: Callable[[Axes, Theme], None], theme: Theme) -> str:
    with _settings(theme):
        figure = Figure(figsize=size_in, layout="constrained")
        draw(figure.add_subplot(), theme)
        data = io.BytesIO()
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    return _data_uri("image/svg+xml", data.getvalue())


@contextmanager
def _settings(theme: Theme) -> Iterator[None]:
    """Settings of our own, whatever the user's matplotlibrc says."""
    inked = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    own = {
        **dict.fromkeys(inked, theme.ink),
        "axes.edgecolor": theme.rule,
        "font.size": 9,
        "svg.fonttype": "none",  # text stays text: small, sharp, searchable
        "svg.hashsalt": "halftone",  # ids in the file are random otherwise
    }
    with matplotlib.style.context(["default", own]):
        yield


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
