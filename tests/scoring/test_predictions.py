"""Tables of predictions and their summaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from halftone import arrow
from halftone.dataset import schema
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings

PREDICTOR = PredictorSettings("n.keras", "v1", ("a", "b"), (1, 1, 1), 8, 1)
PROBABILITIES = np.array([[0.75, 0.25], [0.125, 0.875], [0.5, 0.5]], np.float32)


def table(
    labels: list[object], fingerprint: object = None, predictor: PredictorSettings = PREDICTOR
) -> pa.Table:
    keys = arrow.string_array(["k0", "k1", "k2"])
    return predictions.prediction_table(
        predictor, keys, pa.array(labels, pa.string()), PROBABILITIES, fingerprint
    )


def test_rows_with_a_label_and_without() -> None:
    rows = table(["a", None, "a"])
    assert rows.schema == schema.PREDICTIONS
    assert rows.to_pylist() == [
        {
            "key": "k0",
            "label": "a",
            "prediction": "a",
            "probability": [0.75, 0.25],
            "loss": pytest.approx(0.28768207),
            "model_version": "v1",
            "fingerprint": None,
        },
        {
            "key": "k1",
            "label": None,
            "prediction": "b",
            "probability": [0.125, 0.875],
            "loss": None,
            "model_version": "v1",
            "fingerprint": None,
        },
        {
            "key": "k2",
            "label": "a",
            "prediction": "b",
            "probability": [0.5, 0.5],
            "loss": pytest.approx(0.69314718),
            "model_version": "v1",
            "fingerprint": None,
        },
    ]


def test_rows_of_a_dataset_hold_its_fingerprint() -> None:
    assert table(["a", "b", "a"], "f00")["fingerprint"].to_pylist() == ["f00"] * 3


def test_the_threshold_changes_predictions() -> None:
    rows = table(["a", "b", "a"], predictor=PREDICTOR._replace(threshold=0.6))
    assert rows["prediction"].to_pylist() == ["a", "b", "a"]


def test_a_summary_counts_known_labels() -> None:
    pixels = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    summary = predictions.summarise_predictions(
        PREDICTOR, table(["a", None, "a"]), ["empty", "damaged", "empty"], pixels
    )
    assert (summary.num_rows, summary.counts_by_class) == (3, Counter(a=1, b=2))
    assert summary.counts_by_reason == Counter(empty=2, damaged=1)
    assert summary.accumulator.confusion.tolist() == [[1, 1], [0, 0]]
    assert [
        (example.key, int(example.pixels[0, 0, 0])) for example in summary.examples.mistakes
    ] == [("k2", 2)]
    assert [example.key for example in summary.examples.least_certain] == ["k2", "k0"]


def test_without_pixels_there_are_no_examples_and_without_labels_no_confusion() -> None:
    summary = predictions.summarise_predictions(PREDICTOR, table([None, None, None]))
    assert summary.accumulator.confusion.tolist() == [[0, 0], [0, 0]]
    assert (summary.num_rows, summary.examples.mistakes, summary.examples.least_certain) == (
        3,
        (),
        (),
    )


def test_no_rows() -> None:
    none = np.empty((0, 2), np.float32)
    rows = predictions.prediction_table(
        PREDICTOR, arrow.string_array([]), arrow.string_array([]), none, None
    )
    assert (rows.num_rows, rows.schema) == (0, schema.PREDICTIONS)
    summary = predictions.summarise_predictions(PREDICTOR, rows, ["empty"])
    assert (summary.num_rows, summary.counts_by_class, summary.counts_by_reason) == (
        0,
        Counter(),
        Counter(empty=1),
    )


def test_summaries_are_merged() -> None:
    first, second = (
        predictions.summarise_predictions(PREDICTOR, table(["a", "b", None])),
        predictions.summarise_predictions(PREDICTOR, table(["b"] * 3), ["empty"]),
    )
    summary = predictions.merge_summaries([first, second])
    assert (summary.num_rows, summary.counts_by_class, summary.counts_by_reason) == (
        6,
        Counter(a=2, b=4),
        Counter(empty=1),
    )
    assert summary.accumulator.confusion.tolist() == [[1, 0], [1, 3]]
