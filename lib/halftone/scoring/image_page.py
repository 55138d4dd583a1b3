"""The page of scored raw images: chooses what it shows, and gets the pictures from workers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Optional

import numpy as np

from halftone import model_directory, storage
from halftone.dataset import previews
from halftone.metrics.model import ImageScores
from halftone.metrics.samples import SampledRow, Samples
from halftone.report import HeatMaps, ReportReject
from halftone.report.image_page import (
    MAX_SHEETS,
    SHEET_SIDE_PX,
    ImageReportInputs,
    PicturePixels,
    ReportPicture,
    render_image_report,
)
from halftone.report.pictures import MAX_SIDE_PX
from halftone.report.words import sort_by_count
from halftone.scoring.heat_map_task import NO_FEATURE_MAPS
from halftone.scoring.picture_task import PICTURES, WANTED, draw_pictures
from halftone.scoring.scores_tables import PREDICTIONS, REJECTS
from halftone.scoring.scoring_job import ScoringJob
from halftone.scoring.spark_scorer import SparkScorer
from halftone.spark import actions, frames
from halftone.spark.actions import ActionProgress
from halftone.system import machine

_PICTURES_PER_TASK = 16


class _Pictures(NamedTuple):
    """Pixels and heat maps of selected images, by key; those of files that are gone are missing."""

    pixels: dict[str, PicturePixels]
    heat_maps: Optional[HeatMaps]


def render_page(job: ScoringJob, scorer: SparkScorer, scores: ImageScores, samples: Samples) -> str:
    """Return the page of scores as HTML.

    Args:
        samples: of all rows that the scores name.
    """
    sheets = [label for label, count in sort_by_count(scores.predicted) if count][:MAX_SHEETS]
    of_sheets = [row for label in sheets for row in samples.of_class(label)]
    pictures = _draw(job, scorer, (*samples.mistakes, *samples.least_certain), of_sheets)
    predictor = scorer.predictor
    rejects = previews.read_reject_previews(
        [storage.join(job.output, file) for file in scores.rejects_files],
        scores.rejects_by_reason,
        job.model_info.pixels,
    )

    def show(rows: Sequence[SampledRow]) -> list[ReportPicture]:
        return [ReportPicture(*row, pictures.pixels.get(row.key)) for row in rows]

    return render_image_report(
        ImageReportInputs(
            model_info=job.model_info,
            scores=scores,
            threshold=(predictor.threshold, str(job.settings.threshold)),
            temperature=predictor.temperature,
            confidences=samples.confidences,
            sheets={label: show(samples.of_class(label)) for label in sheets},
            mistakes=show(samples.mistakes),
            least_certain=show(samples.least_certain),
            heat_maps=pictures.heat_maps,
            rejects=[ReportReject(*reject) for reject in rejects],
            model=job.model,
            predictions=storage.join(job.output, PREDICTIONS),
            rejects_folder=storage.join(job.output, REJECTS),
            machine=machine.describe_machine(),
        )
    )


def _draw(
    job: ScoringJob,
    scorer: SparkScorer,
    examples: Sequence[SampledRow],
    of_sheets: Sequence[SampledRow],
) -> _Pictures:
    """Read and decode images in workers; explain the examples, unless that is turned off."""
    problem = ""
    is_explained = job.settings.heat_maps and bool(examples)
    if is_explained and not model_directory.has_convolution(job.model, job.model_info):
        is_explained, problem = False, NO_FEATURE_MAPS
    class_ids = {label: number for number, label in enumerate(scorer.predictor.labels)}
    # An image that is in both is shown as an example too.
    wanted = {
        row.key: (row.key, class_ids[row.prediction], False, SHEET_SIDE_PX) for row in of_sheets
    }
    wanted.update(
        {
            row.key: (row.key, class_ids[row.prediction], is_explained, MAX_SIDE_PX)
            for row in examples
        }
    )
    if not wanted:
        return _Pictures({}, None)
    frame = frames.create_frame(
        scorer.spark,
        frames.build_table(list(wanted.values()), WANTED),
        min(scorer.max_tasks(), -(-len(wanted) // _PICTURES_PER_TASK)),
    )
    draw = partial(draw_pictures, scorer.predictor, job.model_info.pixels)
    progress = ActionProgress("report", f"read {len(wanted)} images for the report")
    pixels, maps = {}, {}
    for row in actions.collect_rows(frames.map_tables(frame, draw, PICTURES), progress):
        key, height_px, width_px, data, map_height, map_width, values, row_problem = tuple(row)
        problem = problem or row_problem
        if data:
            shape = (height_px, width_px, job.model_info.pixels.channels)
            pixels[key] = np.frombuffer(data, np.uint8).reshape(shape)
        if values:
            maps[key] = np.frombuffer(values, np.float32).reshape(map_height, map_width)
    return _Pictures(pixels, HeatMaps(maps, problem) if job.settings.heat_maps else None)
