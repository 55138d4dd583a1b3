"""A trained and scored model as one HTML page without network access, scripts or fonts.

Each section has a module that collects its content and a template that lays it out. To add a
section, add both and name them here and in page.html.j2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional

from halftone.dataset.manifest import Manifest
from halftone.metrics.examples import Examples
from halftone.metrics.model import SplitScores
from halftone.model_directory import ModelInfo
from halftone.report import (
    comparison,
    dataset,
    learning,
    measures,
    metric_sections,
    pictures,
    run,
    templates,
)
from halftone.report.comparison import Baseline
from halftone.report.heat_maps import HeatMaps
from halftone.report.pictures import ReportReject
from halftone.report.words import percent

__all__ = ["Baseline", "HeatMaps", "ReportInputs", "ReportReject", "percent", "render_report"]


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the page shows."""

    model_info: ModelInfo
    history: Sequence[Mapping[str, Any]]  # an entry per epoch, as in history.json
    manifest: Manifest  # of the dataset that was scored
    scores: SplitScores  # of this version of Halftone or an older one
    examples: Examples  # may be a selection of all mistakes and uncertain images
    heat_maps: Optional[HeatMaps] = None  # of the examples; None if they are turned off
    rejects: Sequence[ReportReject] = ()
    contact_sheet: Optional[bytes] = None  # of the dataset, a PNG
    baseline: Optional[Baseline] = None
    # Where the job ran, in this order: `cores`, `memory_bytes`, `versions` by package, and other
    # facts under their own names.
    machine: Optional[Mapping[str, Any]] = None


def render_report(inputs: ReportInputs) -> str:
    """Return the page as HTML. Equal inputs give equal text."""
    model_info, manifest, scores = inputs.model_info, inputs.manifest, inputs.scores
    history, examples = inputs.history, inputs.examples
    example_pixels = [
        each.pixels for each in (*examples.mistakes, *examples.least_certain, *examples.right)
    ]
    reject_pixels = [each.pixels for each in inputs.rejects if each.pixels is not None]
    maps = {} if inputs.heat_maps is None else inputs.heat_maps.maps
    max_side_px = pictures.choose_max_side_px(example_pixels + reject_pixels)
    embed = partial(
        pictures.embed_examples, folder=manifest.images, max_side_px=max_side_px, maps=maps
    )
    return templates.render_page(
        "page.html.j2",
        halftone_version=model_info.halftone_version,
        card=model_info,
        history=history,
        manifest=manifest,
        metrics=scores,
        scores=scores,
        subject=f"of the {scores.split} split",
        is_binary=scores.is_binary,
        num_rejects=manifest.rejects,
        trained_on="" if scores.fingerprint == model_info.fingerprint else model_info.fingerprint,
        caution=measures.describe_caution(model_info, manifest, scores),
        decision=[
            *measures.describe_decision_rule(scores),
            *measures.describe_views(scores),
        ],
        comparison=comparison.compare_metrics(scores, inputs.baseline),
        curves=learning.draw_learning_curves(model_info.best_epoch, history),
        with_validation=learning.has_validation(history),
        images_per_sec=learning.median_images_per_sec(history),
        mistakes=embed(examples.mistakes),
        least_certain=embed(examples.least_certain),
        right=embed(examples.right, maps={}),  # some of them are among the least certain
        layers=model_info.layers,
        heat_maps=inputs.heat_maps,
        data=dataset.summarise_counts(manifest),
        rejects=pictures.embed_rejects(inputs.rejects, manifest.images, max_side_px),
        sheet=pictures.embed_contact_sheet(inputs.contact_sheet),
        settings=run.list_changed_settings(model_info.config),
        machine=run.describe_machine(inputs.machine),
        **metric_sections.describe_metrics(scores, scores.slices),
    )
