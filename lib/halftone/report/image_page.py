"""Scored raw images as one HTML page: counts, predictions, pictures, rejects and metrics.

The sections are those of the page of a model, as far as they apply. The number of pictures is
bounded, whatever the number of images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional

from halftone.metrics.model import ImageScores
from halftone.model_directory import ModelInfo
from halftone.report import (
    distribution,
    measures,
    metric_sections,
    pictures,
    run,
    templates,
)
from halftone.report.heat_maps import HeatMaps
from halftone.report.pictures import PicturePixels, ReportPicture, ReportReject
from halftone.report.words import sort_by_count

__all__ = [
    "MAX_SHEETS",
    "SHEET_SIDE_PX",
    "ImageReportInputs",
    "PicturePixels",
    "ReportPicture",
    "render_image_report",
]

MAX_SHEETS = 16  # classes whose images are shown, those with the most predictions
SHEET_SIDE_PX = pictures.THUMBNAIL_SIDE_PX  # the longer side of their pictures


@dataclass(frozen=True)
class ImageReportInputs:
    """Everything that the page shows."""

    model_info: ModelInfo
    scores: ImageScores
    threshold: tuple[float, str]  # between two classes, and the setting score.threshold
    temperature: float  # by which the probabilities were scaled
    confidences: Sequence[int]  # rows by their highest probability, in equal bins from 0 to 1
    sheets: Mapping[str, Sequence[ReportPicture]]  # some rows of each class, by prediction
    mistakes: Sequence[ReportPicture]
    least_certain: Sequence[ReportPicture]
    heat_maps: Optional[HeatMaps]  # of mistakes and least certain rows; None if turned off
    rejects: Sequence[ReportReject]
    model: str  # URL
    predictions: str  # URL of the folder
    rejects_folder: str  # URL
    machine: Optional[Mapping[str, Any]] = None  # as in ReportInputs


def render_image_report(inputs: ImageReportInputs) -> str:
    """Return the page as HTML. Equal inputs give equal text."""
    scores, metrics = inputs.scores, inputs.scores.metrics
    shown = [each.pixels for each in (*inputs.mistakes, *inputs.least_certain)]
    shown += [reject.pixels for reject in inputs.rejects]
    max_side_px = pictures.choose_max_side_px([each for each in shown if each is not None])
    maps = {} if inputs.heat_maps is None else inputs.heat_maps.maps
    embed = partial(
        pictures.embed_examples, folder=scores.images, max_side_px=max_side_px, maps=maps
    )
    num_shown = sum(scores.predicted[label] for label in inputs.sheets)
    values: dict[str, Any] = {
        "halftone_version": inputs.model_info.halftone_version,
        "card": inputs.model_info,
        "scores": scores,
        "metrics": metrics,
        "model": inputs.model,
        "predictions": inputs.predictions,
        "rejects_folder": inputs.rejects_folder,
        "predicted": sort_by_count(scores.predicted),
        "ignored": sort_by_count(scores.ignored),
        "rejects_by_reason": sort_by_count(scores.rejects_by_reason),
        "decision": [
            *measures.describe_rule(inputs.model_info.labels, inputs.threshold, inputs.temperature),
            *measures.describe_views(scores),
        ],
        "confidence": distribution.draw_confidence_histogram(inputs.confidences),
        "sheets": [
            (label, scores.predicted[label], pictures.embed_sheet(rows, scores.images))
            for label, rows in inputs.sheets.items()
        ],
        "classes_not_shown": sum(map(bool, scores.predicted.values())) - len(inputs.sheets),
        "images_not_shown": scores.rows - num_shown,
        "is_binary": len(inputs.model_info.labels) == 2,
        "mistakes": embed(inputs.mistakes),
        "least_certain": embed(inputs.least_certain),
        "heat_maps": inputs.heat_maps,
        "rejects": pictures.embed_rejects(inputs.rejects, scores.images, max_side_px),
        "num_rejects": scores.rejects,
        "settings": run.list_changed_settings(inputs.model_info.config),
        "machine": run.describe_machine(inputs.machine),
        "trained_on": inputs.model_info.fingerprint,
    }
    if metrics is not None:
        values.update(
            subject="whose label is known",
            test_title="Images with a known label",
            **metric_sections.describe_metrics(metrics, scores.slices),
        )
    return templates.render_page("image_page.html.j2", **values)
