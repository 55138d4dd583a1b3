"""The splits of a dataset as inputs of an MLflow run."""

from __future__ import annotations

import json
from typing import Any

from mlflow.data.dataset_source_registry import get_dataset_source_from_json
from mlflow.types import Schema

from example_manifest import example
from halftone.tracking.dataset_inputs import describe_inputs


def one_input(dataset: str = "/data", **changes: Any) -> dict[str, str]:
    (train,) = describe_inputs("faces", example().model_copy(update=changes), dataset)
    return train


def test_a_split_with_rows_is_an_input() -> None:
    train = one_input()
    assert {key: train[key] for key in ("name", "digest", "source_type", "source", "context")} == {
        "name": "faces-train",
        "digest": "f",
        "source_type": "local",
        "source": '{"uri": "/data"}',
        "context": "training",
    }
    assert json.loads(train["profile"]) == {
        "num_rows": 2,
        "num_shards": 1,
        "size_bytes": 9,
        "image_shape": [8, 4, 3],
        "dataset_version": 1,
        "rows_by_class": {"cat": 1, "dog": 1},
    }


def test_mlflow_reads_the_schema() -> None:
    columns = json.loads(one_input()["schema"])["mlflow_colspec"]
    names = Schema.from_json(json.dumps(columns)).input_names()
    assert names[:4] == ["key", "label", "label_id", "image"]


def test_mlflow_reads_the_source() -> None:
    for dataset, kind in (("/data", "local"), ("s3://bucket/faces", "s3"), ("gs://b/f", "gs")):
        found = one_input(dataset)
        assert found["source_type"] == kind
        source = get_dataset_source_from_json(found["source"], found["source_type"])
        assert source.to_dict() == {"uri": dataset}


def test_a_long_fingerprint_and_many_classes_fit_mlflow() -> None:
    labels = [f"class {number:0200d}" for number in range(5000)]
    counts = {"train": dict.fromkeys(labels, 1)}
    train = one_input(fingerprint="0123456789" * 5, counts=counts, labels=labels)
    assert train["digest"] == "012345678901234567890123456789012345"
    assert "rows_by_class" not in json.loads(train["profile"])
