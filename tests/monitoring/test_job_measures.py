"""What the jobs measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from conftest import draw_stripes, small_config
from halftone import measures
from halftone.launch import train
from halftone.preprocess.run import preprocess
from halftone.retrain.state import history
from retrain_outcomes import outcome


def values() -> dict[tuple[str, ...], float]:
    return {
        (value.measure.name.removeprefix("halftone_"), *value.labels): value.value
        for value in measures.collect()
    }


def test_preprocessing(spark: SparkSession, tmp_path: Path) -> None:
    images = draw_stripes(tmp_path / "images", ("lying", "upright"), each=10)
    (images / "upright" / "empty.png").touch()
    (images / "upright" / "copy.png").write_bytes((images / "upright" / "0000.png").read_bytes())
    size_bytes = sum(path.stat().st_size for path in images.rglob("*.png"))
    config = small_config(
        preprocess={"max_reject_fraction": 0.5},
        splits={"validation_fraction": 0, "test_fraction": 0},
    )
    result = preprocess(config, str(images), str(tmp_path / "dataset"), lambda: spark)
    assert values() == {
        ("images_read_total", "decode"): 22,
        ("image_read_bytes_total",): size_bytes,
        ("dataset_rows", "train"): 20,
        ("dataset_rows", "validation"): 0,
        ("dataset_rows", "test"): 0,
        ("dataset_rejects", "empty"): 1,
        ("dataset_duplicates",): 1,
        ("dataset_size_bytes",): result.manifest.size_bytes(),
        ("dataset_version",): 1,
    }


def test_a_training_is_measured_by_the_files_of_rank_0(tmp_path: Path) -> None:
    def write(name: str, content: object) -> None:
        (tmp_path / name).write_text(json.dumps(content))

    with measures.updating(lambda: train._measure(str(tmp_path))):
        assert values() == {("train_restarts_total",): 0}  # no epoch has ended
        write("restarts.json", [{"epoch": 1, "message": "rank 1 was killed by signal 9"}])
        epochs = [
            {"epoch": 1, "loss": 0.9, "accuracy": 0.5, "images_per_sec": 10.0},
            {
                **{"epoch": 2, "loss": 0.5, "accuracy": 0.75, "images_per_sec": 12.5},
                **{"val_loss": 0.6, "val_accuracy": None},
            },
        ]
        write("history.json", {"best_epoch": 2, "epochs": epochs})
    expected = {
        ("train_restarts_total",): 1,
        ("train_epochs",): 2,
        ("train_images_per_second",): 12.5,
        ("train_loss", "train"): 0.5,
        ("train_accuracy", "train"): 0.75,
        ("train_loss", "validation"): 0.6,
    }
    assert values() == expected
    write("history.json", {"epochs": []})  # no longer looked at
    assert values() == expected


# 2026-03-01T02:11:40+00:00, and each night after it.
FIRST_SECS, DAY_SECS = 1772331100, 86400


def test_a_failed_run_of_retraining_keeps_the_last_success() -> None:
    outcomes = [
        outcome(1, history.PROMOTED, "1"),
        outcome(2, history.NOTHING_NEW, "1"),
        outcome(3, history.FAILED, "1"),
        outcome(4, history.PROMOTED, "2", by=history.BY_HAND),
        outcome(5, history.FAILED, "2"),
    ]
    history.measure_outcomes(outcomes)
    assert values() == {
        ("retrain_last_success_timestamp_seconds",): FIRST_SECS + DAY_SECS,
        ("retrain_last_run_timestamp_seconds", "promoted"): FIRST_SECS,
        ("retrain_last_run_timestamp_seconds", "nothing"): FIRST_SECS + DAY_SECS,
        ("retrain_last_run_timestamp_seconds", "failed"): FIRST_SECS + 4 * DAY_SECS,
        ("retrain_champion_version",): 2,
    }


def test_the_history_is_read_only_if_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    monkeypatch.setattr(history, "read_outcomes", lambda root: reads.append(root) or [])
    for is_sent, expected in ((False, []), (True, ["root"] * 2)):
        monkeypatch.setattr(measures, "_is_sent", is_sent)
        with history.measured("root"):
            pass
        assert reads == expected


def test_an_error_of_an_update_is_ignored() -> None:
    def fail() -> None:
        raise OSError("the store is down")

    with measures.updating(fail):
        assert measures.collect() == []
