"""Temperature and threshold of a real scoring are those of its validation split."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from pyspark.sql import SparkSession

from conftest import draw_stripes, small_config
from halftone import model_directory
from halftone.config import Config
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.metrics import calibration, temperature_fit, thresholds
from halftone.metrics.score_counts import count_scores
from halftone.model_directory import ModelInfo
from halftone.preprocess.run import preprocess
from halftone.scoring import fit_thresholds, score_dataset

MakeConfig = Callable[..., Config]


@pytest.fixture(scope="module")
def drawn_dataset(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that tests must not change; they get a copy as `dataset`."""
    root = tmp_path_factory.mktemp("drawn")
    splits = {"validation_fraction": 0.4, "test_fraction": 0.4}
    images = draw_stripes(root / "images", ("lying", "upright"), each=60)
    preprocess(small_config(splits=splits), str(images), str(root / "dataset"), lambda: spark)
    return root / "dataset"


@pytest.fixture
def dataset(drawn_dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn_dataset, tmp_path / "dataset"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, drawn_dataset: Path) -> Path:
    """Save a model that is uncertain about stripes, and calls most of them lying."""
    pixels = tf.keras.Input((16, 16, 1), dtype="uint8")
    grey = tf.keras.layers.Rescaling(1 / 255)(pixels)
    down = tf.reduce_mean(tf.abs(grey[:, 1:] - grey[:, :-1]), axis=[1, 2, 3])
    right = tf.reduce_mean(tf.abs(grey[:, :, 1:] - grey[:, :, :-1]), axis=[1, 2, 3])
    upright = tf.sigmoid(4.0 * (right - down) - 1.0)
    network = tf.keras.Model(pixels, upright[:, tf.newaxis])
    data = manifest.read_manifest(str(drawn_dataset))
    root = tmp_path_factory.mktemp("model")
    folder = root / "model"
    network.save(root / "network.keras")
    card = ModelInfo(
        schema_version=1,
        halftone_version="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        version="v1",
        network="network-v1.keras",
        labels=data.labels,
        pixels=data.pixels,
        fingerprint=data.fingerprint,
        best_epoch=1,
        ranks=1,
        train_secs=1.0,
        origin={},
        config=small_config(),
    )
    model_directory.write_model(str(folder), card, (root / "network.keras").read_bytes())
    history = {"epochs": [{"epoch": 1, "loss": 1.0, "accuracy": 0.5, "secs": 1.0,
                           "images_per_sec": 9.0}]}  # fmt: skip
    (folder / "history.json").write_text(json.dumps(history))
    return folder


Score = Callable[..., tuple[dict[str, Any], np.ndarray, np.ndarray, list[str]]]


@pytest.fixture
def score(
    spark: SparkSession, tmp_path: Path, dataset: Path, model: Path, config: MakeConfig
) -> Score:
    """Score; return metrics, label ids, probabilities of the second class, predictions."""

    def score_(**settings: Any) -> tuple[dict[str, Any], np.ndarray, np.ndarray, list[str]]:
        output = tmp_path / "scores"
        scores = score_dataset.score_dataset(
            config(score=settings), str(dataset), str(model), str(output), lambda: spark
        )
        result = scores.to_json()
        rows = [row for path in result["predictions"]
                for row in pq.read_table(output / path).to_pylist()]  # fmt: skip
        return (
            result,
            np.array([row["label"] == "upright" for row in rows], int),
            np.array([row["probability"] for row in rows], np.float32),
            [row["prediction"] for row in rows],
        )

    return score_


@pytest.mark.slow
def test_the_threshold_and_the_temperature_are_those_of_the_validation_split(
    score: Score, tmp_path: Path
) -> None:
    _, labels, probabilities, _ = score(split="validation")
    counts = count_scores(probabilities[:, 1], labels == 1, max_codes=2 * len(labels))
    best = thresholds.best_f1_threshold([counts], int(labels.sum()))
    assert best != 0.5
    slopes = partial(calibration.cross_entropy_slopes, labels, probabilities)
    temperature = temperature_fit.fit_temperature(slopes, len(labels))
    plain, _, before, _ = score()
    result, _, probabilities, predictions = score(threshold="best_f1")
    assert result["threshold"] == {"value": best, "rule": "best_f1"}
    assert predictions == ["upright" if p >= best else "lying" for p in probabilities[:, 1]]
    assert result["recall"] > plain["recall"]
    assert result["roc_auc"] == plain["roc_auc"]
    assert plain["threshold"] == {"value": 0.5, "rule": "0.5"}
    # The predictions of the validation split were removed.
    names = {path.name for path in (tmp_path / "scores/predictions").iterdir()}
    assert names == {result["run"], "_delta_log"}

    result, _, after, _ = score(calibrate=True)
    assert result["temperature"] == pytest.approx(temperature, rel=1e-9)
    np.testing.assert_allclose(after, calibration.apply_temperature(before, temperature), atol=1e-6)
    assert result["loss"] < plain["loss"]
    assert result["confusion"] == plain["confusion"]


@pytest.mark.slow
def test_temperature_and_threshold_are_fitted_on_the_same_views(
    score: Score, tmp_path: Path
) -> None:
    views = "flip_translate"
    _, labels, probabilities, _ = score(split="validation", views=views)
    slopes = partial(calibration.cross_entropy_slopes, labels, probabilities)
    temperature = temperature_fit.fit_temperature(slopes, len(labels))
    plain, _, unscaled, _ = score(calibrate=True)
    assert plain["temperature"] != pytest.approx(temperature, rel=1e-4)
    assert plain["views"] == "none"
    # Neither the predictions of the test split nor those of the validation split are used again.
    result, _, scaled, _ = score(calibrate=True, threshold="best_f1", views=views, only_new=True)
    assert result["temperature"] == pytest.approx(temperature, rel=1e-9)
    assert np.abs(scaled - unscaled).max() > 1e-4
    assert result["basis"] != plain["basis"]
    assert result["views"] == views
    metadata = pq.read_schema(tmp_path / "scores" / result["predictions"][0]).metadata
    assert metadata == {b"views": views.encode()}
    scaled_scores = calibration.apply_temperature(probabilities, temperature)[:, 1]
    counts = count_scores(scaled_scores, labels == 1, max_codes=2 * len(labels))
    best = thresholds.best_f1_threshold([counts], int(labels.sum()))
    assert result["threshold"]["value"] == pytest.approx(best, rel=1e-6)


def test_a_threshold_that_cannot_be_chosen_is_an_input_error(
    score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> float:
        raise InputError("no such threshold")

    monkeypatch.setattr(thresholds, "precision_threshold", refuse)
    with pytest.raises(InputError, match=r"^no such threshold$"):
        score(threshold="precision", wanted_precision=0.9)


def test_workers_choose_the_same_as_the_driver(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_driver, *_ = score(threshold="best_f1", calibrate=True)
    shutil.rmtree(tmp_path / "scores")
    monkeypatch.setattr(fit_thresholds, "_MAX_DRIVER_VALUES", 0)
    in_workers, *_ = score(threshold="best_f1", calibrate=True)
    assert in_workers["temperature"] == in_driver["temperature"] != 1
    assert in_workers["threshold"] == in_driver["threshold"]


def test_predictions_of_the_validation_split_are_used_again_after_a_kill(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fit_thresholds, "_choose_threshold", killed)
        with pytest.raises(KeyboardInterrupt):
            score(threshold="best_f1")
    files = sorted(tmp_path.glob("scores/predictions/validation-*/*.parquet"))
    stamps = {path: path.stat().st_mtime_ns for path in files}
    assert stamps
    files[0].unlink()
    with monkeypatch.context() as patch:
        patch.setattr("halftone.scoring.scores_directory.publish_scores", killed)
        with pytest.raises(KeyboardInterrupt):
            score(threshold="best_f1")
    changed = [path for path in files if path.stat().st_mtime_ns != stamps[path]]
    assert changed == files[:1]


def test_the_wanted_precision_sets_the_threshold(score: Score) -> None:
    result, *_ = score(threshold="precision", wanted_precision=0.6)
    assert result["threshold"]["rule"] == "precision"
    assert result["threshold"]["value"] > 0


def test_a_missing_validation_split_is_refused_before_spark_starts(
    spark: SparkSession, tmp_path: Path, dataset: Path, model: Path, config: MakeConfig
) -> None:
    written = json.loads((dataset / "manifest.json").read_text())
    written["files"] = [file for file in written["files"] if file["split"] != "validation"]
    (dataset / "manifest.json").write_text(json.dumps(written))

    def no_spark() -> SparkSession:
        raise AssertionError("Spark was started")

    with pytest.raises(InputError) as caught:
        score_dataset.score_dataset(
            config(score={"threshold": "best_f1"}),
            str(dataset),
            str(model),
            str(tmp_path / "scores"),
            no_spark,
        )
    assert str(caught.value) == (
        "score.threshold best_f1 needs a validation split, and the dataset has none; preprocess "
        "with a splits.validation_fraction"
    )
