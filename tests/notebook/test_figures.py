from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.metrics.model import ScoreHistogram, SplitScores
from halftone.notebook import figures
from halftone.scoring.score_dataset import score_dataset
from report_pages import FACES, HOSTILE, HUNDRED, TEN, full_metrics, old_metrics, spread
from saved_model import save


def test_metrics_by_threshold() -> None:
    counts = {"a": [2, 0, 1, 0], "b": [0, 1, 3, 0]}
    histogram = ScoreHistogram(edges=[0, 0.25, 0.5, 0.75, 1], counts=counts)
    lines = figures.metrics_by_threshold(histogram, ["a", "b"])
    assert lines["precision"].tolist()[:3] == [4 / 7, 4 / 5, 3 / 4]
    assert np.isnan(lines["precision"][3])
    assert lines["recall"].tolist() == [1, 1, 3 / 4, 0]
    assert lines["F1"].tolist() == [8 / 11, 8 / 9, 6 / 8, 0]


def test_only_two_classes_have_a_threshold_curve() -> None:
    drawn = figures.threshold_curve(full_metrics(FACES, threshold=("best_f1", 0.4)))
    assert drawn is not None
    assert drawn.alt == (
        "Precision, recall and F1 of class faces by threshold. The threshold in use is 0.4."
    )
    assert figures.threshold_curve(full_metrics(TEN)) is None
    assert figures.threshold_curve(old_metrics(spread(2), FACES)) is None


def test_the_confusion_matrix_is_a_table_or_a_figure() -> None:
    few = figures.confusion_matrix(old_metrics([[8, 2], [0, 1]], HOSTILE)).data
    assert few.count("<td") == 4
    assert ">8</td>" in few
    assert "<script>" not in few
    unprintable = figures.confusion_matrix(old_metrics([[8, 2], [0, 1]], ["a\x1b\n\u202e", "b"]))
    assert unprintable.data.count(r"<th>a\x1b\n\u202e</th>") == 2
    many = figures.confusion_matrix(old_metrics(spread(100), HUNDRED)).data
    assert many.count("<img") == 1


@pytest.fixture
def scored(
    spark: SparkSession, dataset: Path, tmp_path: Path, config: Callable[..., Config]
) -> SplitScores:
    """Score a model that makes some mistakes."""
    save(tmp_path / "model", config(), ["lying", "upright"])
    places = (str(dataset), str(tmp_path / "model"), str(tmp_path / "scores"))
    return score_dataset(config(), *places, lambda: spark)


@pytest.mark.slow
def test_examples_are_those_of_the_report(
    scored: SplitScores, dataset: Path, tmp_path: Path
) -> None:
    data, output = manifest.read_manifest(str(dataset)), str(tmp_path / "scores")
    selected = figures.load_examples(str(dataset), data, output, scored)
    (_, alarms), (missed, _) = scored.confusion
    assert len(selected.mistakes) == alarms + missed > 0
    assert len(selected.least_certain) == scored.rows
    page = figures.example_gallery(selected.mistakes, data.images).data
    assert page.count("<img") == len(selected.mistakes)
    report = storage.read_bytes(str(tmp_path / "scores" / "report.html")).decode()
    shown = [each.key[len(data.images) + 1 :] for each in selected.mistakes]
    assert [page.index(path) for path in shown] == sorted(page.index(path) for path in shown)
    broken = [path.replace("/", "/<wbr>") for path in shown]
    assert [report.index(path) for path in broken] == sorted(map(report.index, broken))
    other = data.model_copy(update={"files": []})
    with pytest.raises(InputError) as caught:
        figures.load_examples(str(dataset), other, output, scored)
    assert str(caught.value) == (
        f"{output}: these are scores of another version of {dataset}; score again"
    )
