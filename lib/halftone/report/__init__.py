"""A trained and scored model as one HTML page that needs no network, no script and no font.

What a section says is gathered in a module of its own; how it looks is in a template of its own.
A new section is one more of each, named here and in page.html.j2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from halftone.dataset.manifest import Manifest
from halftone.metrics.examples import Example
from halftone.model_directory import ModelInfo
from halftone.report import (
    areas,
    comparison,
    confusions,
    dataset,
    distribution,
    learning,
    measures,
    pictures,
    reliability,
    run,
    templates,
)
from halftone.report.pictures import ReportReject
from halftone.report.words import percent

__all__ = ["ReportReject", "percent", "render_report"]


def render_report(
    card: ModelInfo,
    history: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    metrics: Mapping[str, Any],
    mistakes: Sequence[Example],
    *,
    least_certain: Sequence[Example] = (),
    rejects: Sequence[tuple[str, str, str, Optional[pictures.PicturePixels]]] = (),
    contact_sheet: Optional[bytes] = None,
    baseline: Optional[Mapping[str, Any]] = None,
    machine: Optional[Mapping[str, Any]] = None,
) -> str:
    """Return the page. The same arguments give the same text.

    Args:
        history: an entry an epoch, as in history.json.
        manifest: of the dataset that was scored.
        metrics: as in metrics.json, of this Halftone or of an older one.
        mistakes: the surest first; may be a choice of all that there are.
        least_certain: the least certain first, right or wrong.
        rejects: path, reason, detail, and pixels where there is something to see.
        contact_sheet: of the dataset, a PNG.
        baseline: an earlier metrics.json with its `name`, to compare with.
        machine: where it ran, in this order: `cores`, `memory_bytes`, `versions` by package, and
            others by their own names.
    """
    rejected = [ReportReject(*reject) for reject in rejects]
    seen = [reject.pixels for reject in rejected if reject.pixels is not None]
    kept_px = pictures.choose_max_side_px(
        [each.pixels for each in (*mistakes, *least_certain)] + seen
    )
    return templates.render_page(
        "page.html.j2",
        halftone_version=card.halftone_version,
        card=card,
        history=history,
        manifest=manifest,
        metrics=metrics,
        caution=measures.describe_caution(card, manifest, metrics),
        verdict=measures.summarise_accuracy(metrics),
        measures=measures.list_measures(metrics),
        classes=measures.build_class_table(metrics),
        decision=measures.describe_decision_rule(metrics),
        matrix=confusions.build_confusion_matrix(metrics),
        pairs=confusions.list_top_confusions(metrics),
        areas=areas.draw_curves(metrics),
        reliability=reliability.draw_reliability_diagram(metrics),
        sureness=reliability.describe_confidence(metrics),
        distribution=distribution.draw_score_histograms(metrics),
        comparison=comparison.compare_metrics(metrics, baseline),
        curves=learning.draw_learning_curves(card.best_epoch, history),
        with_validation=learning.has_validation(history),
        images_per_sec=learning.median_images_per_sec(history),
        mistakes=pictures.embed_examples(mistakes, manifest.images, kept_px),
        least_certain=pictures.embed_examples(least_certain, manifest.images, kept_px),
        data=dataset.summarise_counts(manifest),
        rejects=pictures.embed_rejects(rejected, manifest.images, kept_px),
        sheet=pictures.embed_contact_sheet(contact_sheet),
        settings=run.list_changed_settings(card.config),
        machine=run.describe_machine(machine),
    )
