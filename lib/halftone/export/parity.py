"""Compare the predictions of an export with those of Keras."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Optional

import numpy as np

from halftone.errors import RunError
from halftone.export.dataset_rows import DatasetRows, LabelledImages
from halftone.export.exported_network import Predict
from halftone.metrics.thresholds import predict_classes

# Of probabilities. Other kernels add up the same float32 numbers in another order.
MAX_DIFFERENCE = 1e-5
_MAX_BATCH_SIZE, _BATCH_BYTES = 32, 1 << 26
_RANDOM_IMAGES = 64
_SEED = 0
_NO_LABEL = -1


class Parity(NamedTuple):
    """How far the probabilities of an export are from those of Keras."""

    images: str  # which images: rows of a split, or random pixels
    rows: int
    max_difference: float  # of a probability
    mean_difference: float
    changed_predictions: int  # rows whose most probable class is another one
    # Fractions of rows; None for random pixels, which have no labels.
    keras_accuracy: Optional[float] = None
    accuracy: Optional[float] = None


def compare_predictions(
    keras: Predict, export: Predict, shape: tuple[int, int, int], rows: Optional[DatasetRows]
) -> Parity:
    """Predict `rows`, or without them random pixels of `shape`, in both ways.

    Raises:
        RunError: a probability of the export is not finite; or an image is damaged.
    """
    totals = _Totals()
    batch_size = max(1, min(_MAX_BATCH_SIZE, _BATCH_BYTES // math.prod(shape)))
    batches = _random_batches(shape, batch_size) if rows is None else rows.batches(batch_size)
    for batch in batches:
        totals.add(keras, export, batch)
    count, has_labels = totals.rows, rows is not None
    return Parity(
        images="random pixels" if rows is None else str(rows),
        rows=count,
        max_difference=totals.max_difference,
        mean_difference=totals.sum_difference / count,
        changed_predictions=totals.changed,
        keras_accuracy=totals.keras_correct / count if has_labels else None,
        accuracy=totals.correct / count if has_labels else None,
    )


def check_parity(parity: Parity) -> None:
    """Raise RunError if the export does not predict what Keras predicts."""
    if not parity.max_difference <= MAX_DIFFERENCE:
        raise RunError(
            f"the export predicts other probabilities than Keras: on {parity.rows} images of "
            f"{parity.images} they differ by up to {parity.max_difference:.2g}, and at most "
            f"{MAX_DIFFERENCE:g} is allowed. Nothing was published. The format does not "
            "support a layer of this network; try another --format"
        )


class _Totals:
    """Sums over batches."""

    def __init__(self) -> None:
        self.rows = self.changed = self.keras_correct = self.correct = 0
        self.max_difference = self.sum_difference = 0.0

    def add(self, keras: Predict, export: Predict, batch: LabelledImages) -> None:
        expected, actual = keras(batch.pixels), export(batch.pixels)
        if actual.shape != expected.shape or not np.isfinite(actual).all():
            raise RunError(
                f"the export predicts values of shape {actual.shape}, {expected.shape} are "
                "expected, or NaN or infinity. Nothing was published; try another --format"
            )
        differences = np.abs(actual.astype(np.float64) - expected)
        classes, keras_classes = predict_classes(actual), predict_classes(expected)
        self.rows += len(expected)
        self.max_difference = max(self.max_difference, float(differences.max()))
        self.sum_difference += float(differences.mean(axis=1).sum())
        self.changed += int((classes != keras_classes).sum())
        self.correct += int((classes == batch.label_ids).sum())
        self.keras_correct += int((keras_classes == batch.label_ids).sum())


def _random_batches(shape: tuple[int, int, int], batch_size: int) -> Iterator[LabelledImages]:
    rng = np.random.default_rng(_SEED)
    for start in range(0, _RANDOM_IMAGES, batch_size):
        count = min(batch_size, _RANDOM_IMAGES - start)
        pixels = rng.integers(0, 256, (count, *shape), np.uint8)
        yield LabelledImages(pixels, np.full(count, _NO_LABEL, np.int64))
