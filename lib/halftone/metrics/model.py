"""The typed content of metrics.json.

Two jobs write the file: `SplitScores` is the document for a split of a dataset, `ImageScores` the
one for raw images. `Metrics` is the part that both share. The fields are in the order of the keys
in the file. A key that older versions of Halftone did not write is optional, and keys that this
version does not know are kept.
"""

from __future__ import annotations

from typing import Any, Literal, Optional

from pydantic import BaseModel, ConfigDict

Interval = tuple[float, float]  # 95 %
Point = tuple[float, float]


class _Document(BaseModel):
    # Some keys begin with `model_`, which pydantic would warn about.
    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON values, without optional keys that were never set."""
        return self.model_dump(mode="json", exclude_unset=True)


class MeanMetrics(_Document):
    """Means over all classes."""

    precision: float
    recall: float
    f1: float


class ClassMetrics(_Document):
    """Metrics of one class against the rest."""

    precision: float
    recall: float
    f1: float
    support: int  # rows with this label
    predicted: int  # rows with this prediction
    roc_auc: Optional[float] = None  # None if one side has no rows
    pr_auc: Optional[float] = None


class DecisionThreshold(_Document):
    """The probability from which on a row is of the second of two classes."""

    value: float
    rule: str  # how it was chosen: a number, best_f1 or precision


class CalibrationBin(_Document):
    """Rows by the probability of their most probable class."""

    low: float
    high: float
    rows: int
    confidence: Optional[float]  # mean probability; None if the bin is empty
    accuracy: Optional[float]


class ScoreHistogram(_Document):
    """Rows by probability.

    With two classes, the probability of the second class, by true label. With more, the highest
    probability, by "wrong" and "right".
    """

    edges: list[float]
    counts: dict[str, list[int]]


class MetricCurves(_Document):
    roc: dict[str, list[Point]] = {}  # by label: (false positive rate, true positive rate)
    pr: dict[str, list[Point]] = {}  # by label: (recall, precision)
    calibration: list[CalibrationBin] = []
    scores: Optional[ScoreHistogram] = None


class ConfusionMetrics(_Document):
    """Metrics that follow from the confusion matrix alone."""

    rows: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    average: str  # what precision, recall and f1 are of
    labels: list[str]
    confusion: list[list[int]]  # (classes, classes): rows by label, columns by prediction
    per_class: dict[str, ClassMetrics]
    macro: Optional[MeanMetrics] = None  # plain means over the classes that occur
    weighted: Optional[MeanMetrics] = None  # means weighted by the rows of each label

    @property
    def is_binary(self) -> bool:
        return len(self.labels) == 2

    @property
    def num_correct(self) -> int:
        return sum(row[class_id] for class_id, row in enumerate(self.confusion))


class Metrics(ConfusionMetrics):
    """Metrics of predictions whose labels are known, see `summarise`."""

    loss: float  # cross-entropy in nats
    brier: Optional[float] = None
    ece: Optional[float] = None
    roc_auc: Optional[float] = None
    pr_auc: Optional[float] = None
    top_k: Optional[dict[str, float]] = None  # accuracy among the k most probable classes, by k
    intervals: Optional[dict[str, Optional[Interval]]] = None  # by metric
    threshold: Optional[DecisionThreshold] = None  # None for more than two classes
    temperature: Optional[float] = None
    curves: Optional[MetricCurves] = None


class SliceClass(_Document):
    """The class of a slice with the lowest recall."""

    label: str
    recall: float
    rows: int  # of the slice with this label


SliceKind = Literal["value", "empty", "not in the catalogue", "other values"]


class SliceMetrics(_Document):
    """Metrics of the rows of one value of a column."""

    kind: SliceKind
    value: Optional[str]  # None if the kind is not value
    num_values: int = 1  # of other values: how many are counted together
    rows: int
    correct: int
    accuracy: float
    interval: Interval  # of the accuracy, after Wilson
    f1: float  # of the same kind as that of all rows
    worst_class: SliceClass

    @property
    def key(self) -> tuple[str, Optional[str]]:
        """Return what identifies the slice among those of its column."""
        return self.kind, self.value

    @property
    def title(self) -> str:
        """Return what a user sees as the name of the slice."""
        if self.kind == "value":
            return self.value or ""
        if self.kind == "other values":
            return f"({self.num_values:,} other values)"
        return f"({self.kind})"


class ColumnSlices(_Document):
    """The slices of a column, the worst first; their rows add up to all rows with a label."""

    column: str
    num_values: int  # different ones that rows have
    slices: list[SliceMetrics]


class SliceScores(_Document):
    """Metrics by columns of a catalogue, see the setting score.slices."""

    catalogue: str  # URL
    digest: str  # names the columns and the state of the catalogue's files
    rows: int  # of each column
    columns: list[ColumnSlices]


class _ScoringDocument(_Document):
    run: str  # names everything that the scores depend on
    basis: Optional[str] = None  # names what a single prediction depends on besides its image
    views: Optional[str] = None  # of an image, averaged: the setting score.views; None is none
    heat_maps: Optional[bool] = None  # of the report: the setting score.heat_maps; None is false
    images_description: Optional[str] = None  # of drawn images, see halftone.sample


class _SplitDocument(_ScoringDocument):
    split: str


# Pydantic takes fields from the last base to the first: run, ..., split, rows, ..., curves
class SplitScores(Metrics, _SplitDocument):
    """metrics.json of a scored split of a dataset."""

    model_version: str
    fingerprint: str  # of the dataset
    predictions: list[str]  # files below the scores directory, one per shard
    shards: Optional[list[str]] = None  # digests of the shards, in the same order
    scored_at: str  # UTC
    secs: float
    slices: Optional[SliceScores] = None  # absent without score.slices


class ImageScores(_ScoringDocument):
    """metrics.json of scored raw images."""

    images: str  # the folder or URL that was read
    inputs: int  # = rows + rejects
    scored_now: int  # images that this run has read
    rows: int
    rejects: int
    rejects_by_reason: dict[str, int]
    ignored: dict[str, int]  # files that are no images, by their ending or kind
    predicted: dict[str, int]  # rows by prediction
    labelled: int  # rows whose label is known
    metrics: Optional[Metrics]  # of the labelled rows; None if there are none
    model_version: str
    predictions: list[str]  # files below the scores directory
    rejects_files: list[str]
    scored_at: str  # UTC
    secs: float
    slices: Optional[SliceScores] = None  # absent without score.slices
