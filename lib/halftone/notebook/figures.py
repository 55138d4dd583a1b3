"""Pictures for a notebook's cells: of a dataset, of a training, and of scores."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
from IPython.display import HTML, Image
from matplotlib.figure import Figure

from halftone import arrow, storage
from halftone.dataset import previews, schema
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.metrics.examples import Example, Examples
from halftone.notebook.parameters import redirect_native_stderr
from halftone.report import confusions, pictures, plots
from halftone.report.measures import Metrics, is_binary, threshold
from halftone.report.pictures import EmbeddedPicture, ReportReject
from halftone.report.plots import Theme, ThemedFigure
from halftone.report.words import percent
from halftone.scoring import predictions, scores_directory
from halftone.scoring.predict import PredictorSettings

_GALLERY_SIDE_PX = 128  # the longer side of a picture in a gallery


def contact_sheet(dataset: str, data: Manifest) -> Image:
    """What preprocess drew: images of each class of the train split, and of the rejects."""
    return Image(storage.read_bytes(storage.join(dataset, data.contact_sheet)))  # type: ignore[no-untyped-call]


def sample_sheet(dataset: str, data: Manifest, split: str) -> Image:
    """The first images of each class of a split."""
    urls = [storage.join(dataset, shard.path) for shard in data.shards(split)]
    spec = data.pixels
    none = arrow.empty_table(schema.REJECTS)
    return Image(previews.draw_dataset_sheet(urls, data.counts[split], none, spec, split))  # type: ignore[no-untyped-call]


def report_figures(drawings: Iterable[Optional[ThemedFigure]]) -> HTML:
    """Figures of the report side by side, on white whatever the page is."""
    return _flex_row(
        f'<img src="{one.light}" alt="{html.escape(one.alt)}" style="background: white">'
        for one in drawings
        if one is not None
    )


def confusion_matrix(metrics: Metrics) -> HTML:
    """The confusion matrix: rows are the true classes, columns what the model said."""
    matrix, shades = confusions.build_confusion_matrix(metrics), confusions.heat_ramps()["light"]
    if matrix["figure"] is not None:
        return report_figures([matrix["figure"]])

    def cell(count: int, level: int) -> str:
        background, ink = shades[level]
        return f'<td style="background: {background}; color: {ink}">{count:,}</td>'

    head = "".join(f"<th>{html.escape(label)}</th>" for label in metrics["labels"])
    rows = "".join(
        f"<tr><th>{html.escape(label)}</th>{''.join(cell(*each) for each in cells)}</tr>"
        for label, cells in matrix["table"]
    )
    return HTML(f"<table><tr><th>true ↓ predicted →</th>{head}</tr>{rows}</table>")  # type: ignore[no-untyped-call]


def threshold_curve(metrics: Metrics) -> Optional[ThemedFigure]:
    """Precision, recall and F1 of the second of two classes, by threshold; None for more."""
    if not is_binary(metrics):
        return None
    label, at = metrics["labels"][1], threshold(metrics)
    edges, lines = metrics["curves"]["scores"]["edges"][:-1], metrics_by_threshold(metrics)

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        for (name, heights), colour, stroke in zip(lines.items(), theme.lines, plots.STROKES):
            axes.plot(edges, heights, stroke, color=colour, label=name)
        axes.axvline(at, color=theme.ink, linestyle=":", label=f"threshold {at:.4g}")
        plots.style_axes(axes, theme, "By threshold")
        axes.set(xlabel=f"threshold on the probability of {plots.printable_label(label)}")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        plots.add_legend(figure, axes, columns=2)

    alt = f"Precision, recall and F1 of class {label} by threshold, which is at {at:.4g}."
    return plots.draw_themed((4.6, 4.2), draw, alt)


def metrics_by_threshold(metrics: Metrics) -> dict[str, npt.NDArray[np.float64]]:
    """Precision, recall and F1 of the second of two classes at each edge but the last; NaN where
    no row is predicted to be of it, or none is."""
    counts = metrics["curves"]["scores"]["counts"]
    others, hits = (np.cumsum(counts[label][::-1])[::-1] for label in metrics["labels"])
    return {
        "precision": _ratio(hits, hits + others),
        "recall": _ratio(hits, hits[:1]),
        "F1": _ratio(2 * hits, hits[:1] + hits + others),
    }


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def load_examples(
    dataset: str, data: Manifest, output: str, metrics: Mapping[str, Any]
) -> Examples:
    """Choose the surest mistakes and the least sure rows of the scores at `output`.

    They are those of the report. All predictions and pixels of the split are read.

    Raises:
        InputError: the dataset does not hold any more what was scored.
    """
    shards = {shard.digest: shard.path for shard in data.shards(metrics["split"])}
    work = PredictorSettings(
        *("", metrics["model_version"], tuple(metrics["labels"]), data.shape(), 0, 0),
        threshold=threshold(metrics),
    )
    found = Examples()
    for digest, file in zip(metrics["shards"], metrics["predictions"]):
        if digest not in shards:
            raise InputError(
                f"{output}: these are scores of another version of {dataset}; score again"
            )
        made = storage.read_table(storage.join(output, file))
        rows = storage.read_table(storage.join(dataset, shards[digest]), [schema.IMAGE])
        pixels = arrow.view_images(rows[schema.IMAGE], data.shape())
        found += predictions.summarise_predictions(work, made, pixels=pixels).examples
    return found


def example_gallery(selected: Sequence[Example], folder: str) -> HTML:
    """Scored images, each with its class, what it was taken for, how surely, and its path."""
    return _flex_row(
        _captioned_figure(
            each["shown"],
            f"{each['label']} → {each['prediction']}",
            percent(each["probability"]),
            each["path"],
        )
        for each in pictures.embed_examples(selected, folder, _GALLERY_SIDE_PX)
    )


def reject_gallery(dataset: str, data: Manifest, max_per_reason: int = 8) -> HTML:
    """Rejected images, at most so many of each reason; those that can be shown with a picture."""
    urls = [storage.join(dataset, file) for file in data.rejects_files]
    with redirect_native_stderr():  # libjpeg's, on what is damaged
        found = previews.read_reject_previews(urls, data.pixels, max_per_reason)
    return _flex_row(
        _captioned_figure(each["shown"], each["reason"], each["detail"], each["path"])
        for each in pictures.embed_rejects(
            [ReportReject(*one) for one in found], data.images, _GALLERY_SIDE_PX
        )
    )


def report_frame(output: str) -> HTML:
    """The report of the scores at `output`, in a frame of its own."""
    page = storage.read_bytes(storage.join(output, scores_directory.REPORT)).decode()
    return HTML(  # type: ignore[no-untyped-call]
        f'<div><iframe srcdoc="{html.escape(page)}" style="width: 100%; height: 50rem; border: 0">'
        "</iframe></div>"
    )


def _captioned_figure(shown: Optional[EmbeddedPicture], title: str, *lines: str) -> str:
    said = "<br>".join(html.escape(line) for line in lines if line)
    picture = (
        f'<img src="{shown.uri}" width="{shown.width_px}" height="{shown.height_px}" alt="">'
        if shown
        else ""
    )
    return (
        '<figure style="margin: 0; width: 9rem; overflow-wrap: anywhere; font-size: small">'
        f"{picture}<figcaption><b>{html.escape(title)}</b><br>{said}</figcaption></figure>"
    )


def _flex_row(parts: Iterable[str]) -> HTML:
    inside = "".join(parts)
    return HTML(  # type: ignore[no-untyped-call]
        f'<div style="display: flex; flex-wrap: wrap; gap: 1rem">{inside}</div>'
    )
