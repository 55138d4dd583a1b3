"""The content of the sections on metrics, which the pages of a split and of raw images share."""

from __future__ import annotations

from typing import Any, Optional

from halftone.metrics.model import Metrics, SliceScores
from halftone.report import areas, confusions, distribution, measures, reliability, slices


def describe_metrics(metrics: Metrics, slice_scores: Optional[SliceScores]) -> dict[str, Any]:
    """Return the variables of test.html.j2 and slices.html.j2 that are made of metrics."""
    return {
        "verdict": measures.summarise_accuracy(metrics),
        "measures": measures.list_measures(metrics),
        "classes": measures.build_class_table(metrics),
        "matrix": confusions.build_confusion_matrix(metrics),
        "pairs": confusions.list_top_confusions(metrics),
        "areas": areas.draw_curves(metrics),
        "reliability": reliability.draw_reliability_diagram(metrics),
        "sureness": reliability.describe_confidence(metrics),
        "distribution": distribution.draw_score_histograms(metrics),
        "slices": slices.list_slices(slice_scores),
    }
