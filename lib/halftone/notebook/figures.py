"""Figures for notebook cells: of a dataset, of a training, and of scores."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
from IPython.display import HTML, Image
from matplotlib.figure import Figure

from halftone import printable, storage
from halftone.dataset import previews, schema
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.stored_images import StoredImages
from halftone.errors import InputError
from halftone.metrics.examples import Example, Examples
from halftone.metrics.model import ConfusionMetrics, Metrics, ScoreHistogram, SplitScores
from halftone.notebook.parameters import redirect_native_stderr
from halftone.report import confusions, pictures, plots
from halftone.report.measures import decision_threshold
from halftone.report.pictures import EmbeddedPicture, ReportReject
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import percent
from halftone.scoring import predictions, scores_directory
from halftone.scoring.predict import PredictorSettings

_GALLERY_SIDE_PX = 128  # the longer side of a picture in a gallery


def contact_sheet(dataset: str, data: Manifest) -> Image:
    """Return the contact sheet: images of each class of the train split, and rejects."""
    return Image(storage.read_bytes(storage.join(dataset, data.contact_sheet)))  # type: ignore[no-untyped-call]


def sample_sheet(dataset: str, data: Manifest, split: str) -> Image:
    """Draw the first images of each class of a split."""
    urls = [storage.join(dataset, shard.path) for shard in read_shards(dataset, data, split)]
    png = previews.draw_dataset_sheet(urls, data.counts[split], [], {}, data.pixels, split)
    return Image(png)  # type: ignore[no-untyped-call]


def report_figures(drawings: Iterable[Optional[ThemedFigure]]) -> HTML:
    """Lay out figures of the report side by side, on white whatever the theme of the page."""
    return _flex_row(
        f'<img src="{drawing.light}" alt="{printable.escape_html(drawing.alt)}" '
        'style="background: white">'
        for drawing in drawings
        if drawing is not None
    )


def confusion_matrix(metrics: ConfusionMetrics) -> HTML:
    """Return the confusion matrix: rows are true classes, columns are predicted classes."""
    matrix, shades = confusions.build_confusion_matrix(metrics), confusions.heat_ramps()["light"]
    if matrix["figure"] is not None:
        return report_figures([matrix["figure"]])

    def cell_html(count: int, shade: int) -> str:
        background, ink = shades[shade]
        return f'<td style="background: {background}; color: {ink}">{count:,}</td>'

    def head_html(label: str) -> str:
        return f"<th>{printable.escape_html(label)}</th>"

    head = "".join(map(head_html, metrics.labels))
    rows = "".join(
        f"<tr>{head_html(label)}{''.join(cell_html(*cell) for cell in cells)}</tr>"
        for label, cells in matrix["table"]
    )
    return HTML(f"<table><tr><th>true ↓ predicted →</th>{head}</tr>{rows}</table>")  # type: ignore[no-untyped-call]


def threshold_curve(metrics: Metrics) -> Optional[ThemedFigure]:
    """Draw precision, recall and F1 of the second of two classes by threshold.

    None for more classes, or for scores of an older version of Halftone.
    """
    histogram = metrics.curves.scores if metrics.curves else None
    if not metrics.is_binary or histogram is None:
        return None
    label, threshold = metrics.labels[1], decision_threshold(metrics)
    lines = metrics_by_threshold(histogram, metrics.labels)

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        for (name, heights), colour, stroke in zip(lines.items(), theme.lines, plots.STROKES):
            axes.plot(histogram.edges[:-1], heights, stroke, color=colour, label=name)
        axes.axvline(threshold, color=theme.ink, linestyle=":", label=f"threshold {threshold:.4g}")
        plots.style_axes(axes, theme, "By threshold")
        axes.set(xlabel=f"threshold on the probability of {plots.printable_label(label)}")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        plots.add_legend(figure, axes, columns=2)

    alt = (
        f"Precision, recall and F1 of class {label} by threshold. The threshold in use is "
        f"{threshold:.4g}."
    )
    return plots.draw_themed((4.6, 4.2), draw, alt)


def metrics_by_threshold(
    histogram: ScoreHistogram, labels: Sequence[str]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return precision, recall and F1 of the second of two classes at each edge but the last.

    A ratio is NaN if its denominator is 0.
    """
    negatives, positives = (
        np.cumsum(histogram.counts[label][::-1])[::-1] for label in labels
    )  # rows at or above each edge
    return {
        "precision": _ratio(positives, positives + negatives),
        "recall": _ratio(positives, positives[:1]),
        "F1": _ratio(2 * positives, positives[:1] + positives + negatives),
    }


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def load_examples(dataset: str, data: Manifest, output: str, scores: SplitScores) -> Examples:
    """Select the most confident mistakes and the least certain rows of the scores at `output`.

    They are those of the report. All predictions and pixels of the split are read.

    Raises:
        InputError: the dataset no longer holds the rows that were scored.
    """
    shards = {shard.digest: shard.path for shard in read_shards(dataset, data, scores.split)}
    predictor = PredictorSettings(
        network="",  # nothing is predicted
        version=scores.model_version,
        labels=tuple(scores.labels),
        shape=data.shape(),
        batch_size=0,
        threads=0,
        threshold=decision_threshold(scores),
    )
    selected = Examples()
    for digest, file in zip(scores.shards or [], scores.predictions):
        if digest not in shards:
            raise InputError(
                f"{output}: these are scores of another version of {dataset}; score again"
            )
        table = storage.read_table(storage.join(output, file))
        url = storage.join(dataset, shards[digest])
        images = storage.read_table(url, [schema.IMAGE])[schema.IMAGE]
        pixels = StoredImages(images, data.pixels, url).pixels()
        selected += predictions.summarise_predictions(predictor, table, pixels=pixels).examples
    return selected


def example_gallery(selected: Sequence[Example], folder: str) -> HTML:
    """Show scored images, each with its class, prediction, probability and path."""
    return _flex_row(
        _captioned_figure(
            picture["shown"],
            f"{picture['label']} → {picture['prediction']}",
            percent(picture["probability"]),
            picture["path"],
        )
        for picture in pictures.embed_examples(selected, folder, _GALLERY_SIDE_PX)
    )


def reject_gallery(dataset: str, data: Manifest, max_per_reason: int = 8) -> HTML:
    """Show rejected images with their reasons; images that cannot be decoded have no picture."""
    urls = [storage.join(dataset, file) for file in data.rejects_files]
    with redirect_native_stderr():  # libjpeg warns about damaged images
        rejects = previews.read_reject_previews(
            urls, data.rejects_by_reason, data.pixels, max_per_reason
        )
    return _flex_row(
        _captioned_figure(picture["shown"], picture["reason"], picture["detail"], picture["path"])
        for picture in pictures.embed_rejects(
            [ReportReject(*reject) for reject in rejects], data.images, _GALLERY_SIDE_PX
        )
    )


def report_frame(output: str) -> HTML:
    """Show the report of the scores at `output` in an iframe."""
    page = storage.read_bytes(storage.join(output, scores_directory.REPORT)).decode()
    return HTML(  # type: ignore[no-untyped-call]
        f'<div><iframe srcdoc="{html.escape(page)}" style="width: 100%; height: 50rem; border: 0">'
        "</iframe></div>"
    )


def _captioned_figure(shown: Optional[EmbeddedPicture], title: str, *lines: str) -> str:
    caption = "<br>".join(printable.escape_html(line) for line in lines if line)
    picture = (
        f'<img src="{shown.uri}" width="{shown.width_px}" height="{shown.height_px}" alt="">'
        if shown
        else ""
    )
    return (
        '<figure style="margin: 0; width: 9rem; overflow-wrap: anywhere; font-size: small">'
        f"{picture}<figcaption><b>{printable.escape_html(title)}</b><br>{caption}</figcaption></figure>"
    )


def _flex_row(parts: Iterable[str]) -> HTML:
    inside = "".join(parts)
    return HTML(  # type: ignore[no-untyped-call]
        f'<div style="display: flex; flex-wrap: wrap; gap: 1rem">{inside}</div>'
    )
