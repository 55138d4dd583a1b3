"""What the search for wrong labels found: the typed content of label_errors.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np
from pydantic import BaseModel, ConfigDict

from halftone import printable, storage
from halftone.label_errors import confident_joint
from halftone.label_errors.class_counts import ClassSums, PairCounts
from halftone.report.words import percent
from halftone.summary import format_table

FINDINGS = "label_errors.json"  # written last; names the files that count
TABLE, PAGE, CORRECTIONS = "label_errors.parquet", "label_errors.html", "corrections.csv"
_MAX_CLASSES = 20  # in the text


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class ClassFindings(_Document):
    """The rows with one label."""

    label: str
    rows: int
    threshold: Optional[float]  # mean probability of the class over its rows; None without rows
    issues: int  # confident issues
    estimated_errors: float  # rows whose true class is another one

    @property
    def estimated_share(self) -> float:
        return self.estimated_errors / max(1, self.rows)


class LabelPair(_Document):
    """Rows by label and another class; with the same class twice, the labels that are right."""

    label: str
    other: str
    confident: int  # cell of the confident joint
    estimated: float  # cell of the joint that is calibrated to the counts of the labels
    issues: int  # confident issues for which `other` is suggested


class Unjudged(_Document):
    """Images without an out-of-fold prediction."""

    test: int  # rows of the test split, on which no fold is validated
    others: int  # rejects and duplicates


class CorrectionsFile(_Document):
    rows: int
    suggestions: int  # rows with a suggested label: issues, and copies of them
    digest: str  # of the file as it was written; a person may have edited it


class LabelFindings(_Document):
    run: str  # names what the findings depend on
    created: str  # UTC
    halftone_version: str
    images: str
    folds: int
    rows: int  # images with an out-of-fold prediction
    issues: int
    estimated_errors: float
    classes: list[ClassFindings]
    pairs: list[LabelPair]  # those that are not empty
    unjudged: Unjudged
    files: list[str]  # below TABLE, in the order of the ranks
    corrections: CorrectionsFile

    @property
    def estimated_share(self) -> float:
        return self.estimated_errors / max(1, self.rows)

    def top_pairs(self, count: int) -> list[LabelPair]:
        """Return the pairs of different classes with the most estimated errors."""
        pairs = [pair for pair in self.pairs if pair.label != pair.other]
        return sorted(pairs, key=lambda pair: (-pair.estimated, pair.label, pair.other))[:count]


def read_findings(output: str) -> Optional[LabelFindings]:
    """Return the findings at `output`; None if there are none, or of another format."""
    try:
        return LabelFindings.model_validate(storage.read_json(storage.join(output, FINDINGS)))
    except (FileNotFoundError, ValueError):
        return None


def list_classes(labels: Sequence[str], sums: ClassSums, pairs: PairCounts) -> list[ClassFindings]:
    thresholds = confident_joint.class_thresholds(*sums)
    joint = confident_joint.calibrate_joint(pairs.confident, sums.num_rows)
    num_issues = pairs.issues.sum(axis=1)
    return [
        ClassFindings(
            label=label,
            rows=int(sums.num_rows[index]),
            threshold=float(thresholds[index]) if sums.num_rows[index] else None,
            issues=int(num_issues[index]),
            estimated_errors=float(joint[index].sum() - joint[index, index]),
        )
        for index, label in enumerate(labels)
    ]


def list_pairs(labels: Sequence[str], sums: ClassSums, pairs: PairCounts) -> list[LabelPair]:
    joint = confident_joint.calibrate_joint(pairs.confident, sums.num_rows)
    rows, columns = np.nonzero((pairs.confident > 0) | (pairs.issues > 0))
    return [
        LabelPair(
            label=labels[row],
            other=labels[column],
            confident=int(pairs.confident[row, column]),
            estimated=float(joint[row, column]),
            issues=int(pairs.issues[row, column]),
        )
        for row, column in zip(rows.tolist(), columns.tolist())
    ]


def format_findings(findings: LabelFindings, output: str) -> str:
    """Format the findings as the last lines of the job."""
    classes = sorted(findings.classes, key=lambda of_class: -of_class.estimated_errors)
    rows = [_format_class(of_class) for of_class in classes[:_MAX_CLASSES]]
    lines = [format_table(["class", "rows", "issues", "estimated wrong", "share"], rows)]
    if len(classes) > _MAX_CLASSES:
        lines.append(f"the {_MAX_CLASSES} of {len(classes):,} classes with the most wrong labels")
    urls = {"list": TABLE, "corrections": CORRECTIONS, "page": PAGE}
    remarks = [
        *_describe(findings),
        *(f"{name}: {storage.join(output, file)}" for name, file in urls.items()),
        f"label errors: {output}",
    ]
    lines += ["", *map(printable.escape_line, remarks)]
    return "\n".join(lines)


def _format_class(of_class: ClassFindings) -> list[str]:
    numbers: list[Any] = [of_class.rows, of_class.issues, round(of_class.estimated_errors)]
    return [
        of_class.label,
        *(f"{number:,}" for number in numbers),
        percent(of_class.estimated_share),
    ]


def _describe(findings: LabelFindings) -> Iterator[str]:
    yield (
        f"about {findings.estimated_errors:,.0f} of {findings.rows:,} labels "
        f"({percent(findings.estimated_share)}) are estimated to be wrong; {findings.issues:,} "
        "images are confident issues"
    )
    yield from describe_unjudged(findings)


def describe_unjudged(findings: LabelFindings) -> Iterator[str]:
    """Yield a sentence on each kind of images that were not judged."""
    test, others = findings.unjudged.test, findings.unjudged.others
    if test:
        yield (
            f"{test:,} images of the test split have no out-of-fold prediction, so their labels "
            "were not judged"
        )
    if others:
        yield f"{others:,} rejects and duplicates were not judged"
