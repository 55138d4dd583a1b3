"""Predictions as rows, and what they come to."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from halftone import arrow
from halftone.dataset import schema
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings

WORK = PredictorSettings("n.keras", "v1", ("a", "b"), (1, 1, 1), 8, 1)
PROBABILITIES = np.array([[0.75, 0.25], [0.125, 0.875], [0.5, 0.5]], np.float32)


def table(
    labels: list[object], fingerprint: object = None, work: PredictorSettings = WORK
) -> pa.Table:
    keys = arrow.string_array(["k0", "k1", "k2"])
    return predictions.prediction_table(
        work, keys, pa.array(labels, pa.string()), PROBABILITIES, fingerprint
    )


def test_rows_with_a_label_and_without() -> None:
    made = table(["a", None, "a"])
    assert made.schema == schema.PREDICTIONS
    assert made.to_pylist() == [
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


def test_rows_of_a_dataset_name_it() -> None:
    assert table(["a", "b", "a"], "f00")["fingerprint"].to_pylist() == ["f00"] * 3


def test_the_threshold_decides() -> None:
    made = table(["a", "b", "a"], work=WORK._replace(threshold=0.6))
    assert made["prediction"].to_pylist() == ["a", "b", "a"]


def test_what_they_come_to_counts_labels_where_there_are_some() -> None:
    pixels = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    found = predictions.summarise_predictions(
        WORK, table(["a", None, "a"]), ["empty", "damaged", "empty"], pixels
    )
    assert (found.num_rows, found.counts_by_class) == (3, Counter(a=1, b=2))
    assert found.counts_by_reason == Counter(empty=2, damaged=1)
    assert found.accumulator.confusion.tolist() == [[1, 1], [0, 0]]
    assert [(one.key, int(one.pixels[0, 0, 0])) for one in found.examples.mistakes] == [("k2", 2)]
    assert [one.key for one in found.examples.least_certain] == ["k2", "k0"]


def test_without_pixels_nothing_is_shown_and_without_labels_nothing_is_judged() -> None:
    found = predictions.summarise_predictions(WORK, table([None, None, None]))
    assert found.accumulator.confusion.tolist() == [[0, 0], [0, 0]]
    assert (found.num_rows, found.examples.mistakes, found.examples.least_certain) == (3, (), ())


def test_no_rows() -> None:
    none = np.empty((0, 2), np.float32)
    made = predictions.prediction_table(
        WORK, arrow.string_array([]), arrow.string_array([]), none, None
    )
    assert (made.num_rows, made.schema) == (0, schema.PREDICTIONS)
    found = predictions.summarise_predictions(WORK, made, ["empty"])
    assert (found.num_rows, found.counts_by_class, found.counts_by_reason) == (
        0,
        Counter(),
        Counter(empty=1),
    )


def test_a_total() -> None:
    one, other = (
        predictions.summarise_predictions(WORK, table(["a", "b", None])),
        predictions.summarise_predictions(WORK, table(["b"] * 3), ["empty"]),
    )
    found = predictions.merge_summaries([one, other])
    assert (found.num_rows, found.counts_by_class, found.counts_by_reason) == (
        6,
        Counter(a=2, b=4),
        Counter(empty=1),
    )
    assert found.accumulator.confusion.tolist() == [[1, 0], [1, 3]]
