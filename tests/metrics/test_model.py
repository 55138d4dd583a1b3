"""metrics.json and its typed model: the same keys, order and numbers in both directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from halftone import storage
from halftone.metrics.model import ImageScores, Metrics, SplitScores
from report_pages import FACES, TEN, drawn_metrics, old_metrics, some_slices, spread

METRICS_KEYS = [
    *("rows", "accuracy", "precision", "recall", "f1", "average", "labels", "confusion"),
    *("per_class", "macro", "weighted", "loss", "brier", "ece", "roc_auc", "pr_auc", "top_k"),
    *("intervals", "threshold", "temperature", "curves"),
]


def split_scores(labels: list[str]) -> dict[str, Any]:
    """Return the content of metrics.json of a scored split."""
    return {
        **{"run": "0123456789abcdef", "basis": "fedcba9876543210", "views": "flip"},
        **{"split": "test"},
        **drawn_metrics(labels, 500, ("best_f1", 0.4), 1.25).to_json(),
        **{"model_version": "v1", "fingerprint": "d47f2ba86d75"},
        **{"predictions": ["predictions/r/a.parquet"], "shards": ["d1"]},
        **{"scored_at": "2026-01-02T03:04:05+00:00", "secs": 12.345},
    }


def image_scores(metrics: Any) -> dict[str, Any]:
    """Return the content of metrics.json of scored raw images."""
    return {
        **{"run": "0123456789abcdef", "basis": "fedcba9876543210", "views": "none"},
        **{"images": "/new"},
        **{"inputs": 502, "scored_now": 502, "rows": 500, "rejects": 2},
        **{"rejects_by_reason": {"empty": 2}, "ignored": {".txt": 1}, "predicted": {"a": 500}},
        **{"labelled": 500, "metrics": metrics, "model_version": "v1"},
        **{"predictions": ["predictions/r/part-0.parquet"], "rejects_files": []},
        **{"scored_at": "2026-01-02T03:04:05+00:00", "secs": 12.345},
    }


@pytest.mark.parametrize("labels", [FACES, TEN])
def test_metrics_json_of_a_split_is_the_same_after_reading_and_writing(
    labels: list[str], tmp_path: Path
) -> None:
    before, after = str(tmp_path / "before.json"), str(tmp_path / "after.json")
    storage.write_json(before, split_scores(labels))
    scores = SplitScores.model_validate(storage.read_json(before))
    storage.write_json(after, scores.to_json())
    assert storage.read_bytes(after) == storage.read_bytes(before)
    assert list(scores.to_json()) == [
        *("run", "basis", "views", "split"),
        *METRICS_KEYS,
        *("model_version", "fingerprint", "predictions", "shards", "scored_at", "secs"),
    ]


def test_metrics_json_of_images_is_the_same_after_reading_and_writing(tmp_path: Path) -> None:
    before, after = str(tmp_path / "before.json"), str(tmp_path / "after.json")
    metrics = drawn_metrics(TEN, 500, ("0.5", 0.5), 1.0).to_json()
    for content in (image_scores(metrics), image_scores(None)):
        storage.write_json(before, content)
        scores = ImageScores.model_validate(storage.read_json(before))
        storage.write_json(after, scores.to_json())
        assert storage.read_bytes(after) == storage.read_bytes(before)


def test_scores_that_are_built_have_the_keys_in_the_order_of_the_file() -> None:
    content = split_scores(FACES)
    built = SplitScores(**dict(reversed(list(content.items()))))
    assert list(built.to_json()) == list(content)
    images = image_scores(None)
    assert list(ImageScores(**dict(reversed(list(images.items())))).to_json()) == list(images)


def test_a_file_of_an_older_version_lacks_keys_and_is_not_changed(tmp_path: Path) -> None:
    url = str(tmp_path / "metrics.json")
    content = old_metrics(spread(2), FACES).to_json()
    assert not {"basis", "brier", "macro", "intervals", "threshold", "curves"} & content.keys()
    storage.write_json(url, content)
    scores = SplitScores.model_validate(storage.read_json(url))
    assert scores.basis is scores.brier is scores.macro is scores.intervals is None
    assert scores.threshold is scores.temperature is scores.curves is scores.shards is None
    assert scores.per_class["faces"].roc_auc is None
    assert scores.to_json() == content


def test_keys_of_a_newer_version_are_kept() -> None:
    content = {**split_scores(FACES), "new": {"a": [1, None]}}
    content["per_class"]["faces"]["kappa"] = 0.5
    assert SplitScores.model_validate(content).to_json() == content


@pytest.mark.parametrize("key", ["confusion", "labels", "split", "model_version", "loss"])
def test_scores_without_a_key_that_every_version_writes_are_refused(key: str) -> None:
    content = split_scores(FACES)
    del content[key]
    with pytest.raises(ValidationError, match=key):
        SplitScores.model_validate(content)


def test_metrics_cannot_be_changed() -> None:
    metrics = Metrics.model_validate(split_scores(FACES))
    with pytest.raises(ValidationError, match="frozen"):
        metrics.loss = 0.0  # type: ignore[misc]


def test_slices_are_the_same_after_reading_and_writing() -> None:
    before = {**split_scores(FACES), "slices": some_slices(FACES).to_json()}
    scores = SplitScores.model_validate(before)
    assert scores.to_json() == before
    assert list(before["slices"]) == ["catalogue", "digest", "rows", "columns"]
    assert before["slices"]["columns"][0]["slices"][0] == {
        **{"kind": "value", "value": "v0", "num_values": 1, "rows": 100, "correct": 10},
        **{"accuracy": 0.1, "interval": list(some_slices(FACES).columns[0].slices[0].interval)},
        **{"f1": 0.25, "worst_class": {"label": FACES[0], "recall": 0.125, "rows": 40}},
    }
    assert SplitScores.model_validate(split_scores(FACES)).slices is None
