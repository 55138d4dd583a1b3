"""What stands in a folder of scores, and what goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from example_card import card
from halftone import storage
from halftone.config import ScoreSettings
from halftone.errors import InputError
from halftone.scoring import scores_directory


def write(root: Path, *names: str) -> None:
    for name in names:
        storage.write_bytes(str(root / name), b"x")


def left(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_what_is_not_named_goes(tmp_path: Path) -> None:
    write(tmp_path, "predictions/one/a.parquet", "predictions/one/b.parquet")
    write(tmp_path, "predictions/two/a.parquet", "predictions/two/plan.parquet")
    write(tmp_path, "predictions/three/a.parquet", "model/v1/model.json", "model/v2/model.json")
    result = {"run": "two", "model_version": "v2"}
    scores_directory.publish_scores(
        str(tmp_path), result, ["predictions/one/a.parquet", "predictions/two/a.parquet"]
    )
    assert left(tmp_path) == [
        "metrics.json",
        "model/v2/model.json",
        "predictions/one/a.parquet",
        "predictions/two/a.parquet",
    ]
    assert scores_directory.read_previous_metrics(str(tmp_path)) == result


def test_nothing_stands_in_an_empty_folder_or_in_one_of_a_killed_run(tmp_path: Path) -> None:
    assert scores_directory.read_previous_metrics(str(tmp_path / "nowhere")) == {}
    write(tmp_path, "predictions/one/a.parquet", "model/v1/model.json")
    assert scores_directory.read_previous_metrics(str(tmp_path)) == {}


def test_something_else_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path, "a.doc", "b.doc", "c.doc", "d.doc", "predictions/one/a.parquet")
    with pytest.raises(InputError) as caught:
        scores_directory.read_previous_metrics(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: exists and holds no scores (it holds a.doc, b.doc, c.doc, ...); give another "
        "--output"
    )


@pytest.mark.parametrize(
    ("settings", "is_same"),
    [
        ({"split": "train"}, True),
        ({"batch_size": 7}, True),
        ({"top_ks": (3,)}, True),
        ({"only_new": True}, True),
        ({"catalogue": "list.csv"}, True),
        ({"threshold": 0.4}, False),
        ({"calibrate": True}, False),
        ({"threshold": "best_f1"}, False),
    ],
)
def test_which_settings_decide_a_prediction(settings: dict[str, Any], is_same: bool) -> None:
    base = scores_directory.scoring_fingerprint(card(), ScoreSettings(), None)
    assert (
        scores_directory.scoring_fingerprint(card(), ScoreSettings(**settings), None) == base
    ) is is_same


def test_model_and_dataset_decide_it_too() -> None:
    base = scores_directory.scoring_fingerprint(card(), ScoreSettings(), None)
    other = card().model_copy(update={"version": "w"})
    assert scores_directory.scoring_fingerprint(other, ScoreSettings(), None) != base
    assert scores_directory.scoring_fingerprint(card(), ScoreSettings(), "f") != base
