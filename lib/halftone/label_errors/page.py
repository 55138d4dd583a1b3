"""Render the findings as one HTML page without network access, scripts or fonts."""

from __future__ import annotations

from collections.abc import Sequence

from halftone.label_errors import findings
from halftone.label_errors.findings import CORRECTIONS, LabelFindings
from halftone.label_errors.pictures import SuspiciousImage
from halftone.report import templates
from halftone.report.words import relative_path

MAX_PICTURES = 100
_MAX_PAIRS = 20
_PACKAGE = __name__.rpartition(".")[0]


def render_findings(name: str, found: LabelFindings, images: Sequence[SuspiciousImage]) -> str:
    """Return the page as HTML.

    Args:
        name: of the run.
        found: the findings.
        images: the most suspicious ones, the worst first.
    """
    return templates.render_page(
        "label_errors.html.j2",
        _PACKAGE,
        name=name,
        found=found,
        classes=sorted(found.classes, key=lambda of_class: -of_class.estimated_errors),
        pairs=[pair for pair in found.top_pairs(_MAX_PAIRS) if pair.estimated > 0 or pair.issues],
        pictures=[
            {**image._asdict(), "path": relative_path(image.key, found.images)} for image in images
        ],
        unjudged=list(findings.describe_unjudged(found)),
        corrections=CORRECTIONS,
    )
