from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.notebook import figures
from halftone.scoring.score_dataset import score_dataset
from report_pages import FACES, HOSTILE, HUNDRED, TEN, full_metrics, old_metrics, spread
from saved_model import save


def metrics_of(counts: dict[str, list[int]]) -> dict[str, Any]:
    return {"labels": list(counts), "curves": {"scores": {"counts": counts}}}


def test_what_each_threshold_would_give() -> None:
    found = figures.metrics_by_threshold(metrics_of({"a": [2, 0, 1, 0], "b": [0, 1, 3, 0]}))
    assert found["precision"].tolist()[:3] == [4 / 7, 4 / 5, 3 / 4]
    assert np.isnan(found["precision"][3])
    assert found["recall"].tolist() == [1, 1, 3 / 4, 0]
    assert found["F1"].tolist() == [8 / 11, 8 / 9, 6 / 8, 0]


def test_a_threshold_is_between_two_classes() -> None:
    drawn = figures.threshold_curve(full_metrics(FACES, threshold=("best_f1", 0.4)))
    assert drawn is not None
    assert drawn.alt == "Precision, recall and F1 of class faces by threshold, which is at 0.4."
    assert figures.threshold_curve(full_metrics(TEN)) is None


def test_the_confusion_matrix_is_a_table_or_a_picture() -> None:
    few = figures.confusion_matrix(old_metrics([[8, 2], [0, 1]], HOSTILE)).data
    assert few.count("<td") == 4
    assert ">8</td>" in few
    assert "<script>" not in few
    many = figures.confusion_matrix(old_metrics(spread(100), HUNDRED)).data
    assert many.count("<img") == 1


@pytest.fixture
def scored(
    spark: SparkSession, dataset: Path, tmp_path: Path, config: Callable[..., Config]
) -> dict[str, Any]:
    """Scores of a model that mistakes some."""
    save(tmp_path / "model", config(), ["lying", "upright"])
    places = (str(dataset), str(tmp_path / "model"), str(tmp_path / "scores"))
    return score_dataset(config(), *places, lambda: spark)


@pytest.mark.slow
def test_examples_are_those_of_the_report(
    scored: dict[str, Any], dataset: Path, tmp_path: Path
) -> None:
    data, output = manifest.read_manifest(str(dataset)), str(tmp_path / "scores")
    found = figures.load_examples(str(dataset), data, output, scored)
    (_, alarms), (missed, _) = scored["confusion"]
    assert len(found.mistakes) == alarms + missed > 0
    assert len(found.least_certain) == scored["rows"]
    page = figures.example_gallery(found.mistakes, data.images).data
    assert page.count("<img") == len(found.mistakes)
    report = storage.read_bytes(str(tmp_path / "scores" / "report.html")).decode()
    shown = [each.key[len(data.images) + 1 :] for each in found.mistakes]
    assert [page.index(path) for path in shown] == sorted(page.index(path) for path in shown)
    broken = [path.replace("/", "/<wbr>") for path in shown]
    assert [report.index(path) for path in broken] == sorted(map(report.index, broken))
    other = data.model_copy(update={"files": []})
    with pytest.raises(InputError) as caught:
        figures.load_examples(str(dataset), other, output, scored)
    assert str(caught.value) == (
        f"{output}: these are scores of another version of {dataset}; score again"
    )
