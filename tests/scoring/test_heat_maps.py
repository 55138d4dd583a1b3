"""Which examples are explained; the report with heat maps, from real Spark."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from pyspark.sql import SparkSession

import saved_model
from halftone.config import Config
from halftone.metrics.examples import Example, Examples
from halftone.scoring import heat_maps, predict, score_dataset
from halftone.scoring.fit_thresholds import fit_scorer
from report_pages import Page

MakeConfig = Callable[..., Config]
LABELS = ["lying", "upright"]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path, dataset: Path, config: MakeConfig) -> Run:
    def run_(**score: Any) -> dict[str, Any]:
        """Score with the model; return the content of metrics.json."""
        scores = score_dataset.score_dataset(
            config(score=score),
            str(dataset),
            str(tmp_path / "model"),
            str(tmp_path / "scores"),
            lambda: spark,
        )
        return scores.to_json()

    return run_


def page(tmp_path: Path) -> Page:
    return Page((tmp_path / "scores" / "report.html").read_text())


def test_the_report_shows_where_the_network_looks(
    run: Run, tmp_path: Path, config: MakeConfig
) -> None:
    saved_model.save(
        tmp_path / "model", config(), LABELS, bias=0.5, build=saved_model.one_place_network
    )
    first = run()
    assert first["heat_maps"] is True
    shown = page(tmp_path)
    alts = [alt for alt in shown.alts() if alt.startswith("What speaks for ")]
    # For the first class, nothing speaks.
    captions = shown.words().count("no place speaks for the prediction")
    num_pictures = len(shown.all("figure")) - len(
        [
            each
            for each in shown.all("picture")
            if each.get("class") in ("reliability", "distribution")
        ]
    )
    assert alts
    assert captions
    right_answers = sum(row[place] for place, row in enumerate(first["confusion"]))
    assert 0 < right_answers <= 12  # they are shown too, without heat maps
    assert len(alts) + captions == num_pictures - right_answers
    assert {re.sub(" is .*", "", alt) for alt in alts} == {"What speaks for upright"}
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "scores").rglob("*.parquet")}

    assert run(heat_maps=False) == {
        **first,
        "heat_maps": False,
        **{name: json.loads((tmp_path / "scores" / "metrics.json").read_text())[name]
           for name in ("scored_at", "secs")},
    }  # fmt: skip
    assert "Grad-CAM" not in page(tmp_path).words()
    report = tmp_path / "scores" / "report.html"
    stamp = report.stat().st_mtime_ns
    run(heat_maps=False)
    assert report.stat().st_mtime_ns == stamp
    run()
    assert page(tmp_path).alts() == shown.alts()
    assert files == {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.slow
def test_another_report_needs_neither_predictions_nor_a_fit(
    run: Run, tmp_path: Path, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_model.save(tmp_path / "model", config(), LABELS)
    first = run(calibrate=True, threshold="best_f1")
    sentence = "There are no heat maps: the network has no convolution"
    assert sentence in page(tmp_path).words()

    def refuse(*_: object) -> None:
        raise AssertionError("the validation split is predicted again")

    monkeypatch.setattr("halftone.scoring.fit_thresholds.fit_scorer", refuse)
    second = run(calibrate=True, threshold="best_f1", heat_maps=False)
    assert fit_scorer is not refuse
    for name in ("heat_maps", "scored_at", "secs"):
        assert first.pop(name) is not None
        assert second.pop(name) is not None
    assert first == second
    assert sentence not in page(tmp_path).words()


def example(key: str) -> Example:
    return Example(key, "cat", "dog", 0.9, 0.4, np.zeros((2, 2, 1), np.uint8))


def test_an_example_of_both_kinds_is_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = Examples(tuple(map(example, "abc")), tuple(map(example, "xb")))

    def keys() -> str:
        return "".join(each.key for each in heat_maps.select_explained(examples, 4))

    assert keys() == "axbc"
    monkeypatch.setattr(heat_maps, "_MAX_PIXEL_BYTES", 11)
    assert keys() == "ax"
    monkeypatch.setattr(heat_maps, "_MAX_PIXEL_BYTES", 1)
    assert keys() == "a"


def test_the_network_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from halftone.models import saved_model as loader

    loaded: list[str] = []

    def load(url: str) -> Any:
        loaded.append(url)
        return saved_model.one_place_network((4, 4, 1), 2)

    monkeypatch.setattr(loader, "load_network", load)
    monkeypatch.setattr("tensorflow.config.threading.set_intra_op_parallelism_threads", print)
    monkeypatch.setattr("tensorflow.config.threading.set_inter_op_parallelism_threads", print)
    predictor = predict.PredictorSettings("a-net", "v", ("a", "b"), (4, 4, 1), 2, 1)
    images = np.full((3, 4, 4, 1), 255, np.uint8)
    from halftone.scoring.heat_map_task import explain_images

    assert predict.predict_probabilities(predictor, images).shape == (3, 2)
    assert len(explain_images(predictor, images, [1, 1, 1]).maps) == 3
    assert loaded == ["a-net"]
