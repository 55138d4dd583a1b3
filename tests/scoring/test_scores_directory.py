"""Which files of a scores directory are kept, and which are removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from delta_readers import READERS
from example_card import card
from halftone import storage
from halftone.config import ScoreSettings
from halftone.config.effects import drop_added_defaults
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.metrics.model import ImageScores, SplitScores
from halftone.scoring import scores_directory
from report_pages import old_metrics


def write(root: Path, *names: str) -> None:
    for name in names:
        storage.write_bytes(str(root / name), b"x")


def list_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def image_scores(**changes: Any) -> ImageScores:
    content = {
        **{"run": "r", "images": "/new", "inputs": 2, "scored_now": 2, "rows": 2, "rejects": 0},
        **{"rejects_by_reason": {}, "ignored": {}, "predicted": {"a": 2}, "labelled": 0},
        **{"metrics": None, "model_version": "v", "predictions": [], "rejects_files": []},
        **{"scored_at": "2026-01-02T03:04:05+00:00", "secs": 1.0, **changes},
    }
    return ImageScores.model_validate(content)


def test_files_that_are_not_named_are_removed(tmp_path: Path) -> None:
    write(tmp_path, "predictions/one/a.parquet", "predictions/one/b.parquet")
    write(tmp_path, "predictions/two/a.parquet", "predictions/two/plan.parquet")
    write(tmp_path, "predictions/three/a.parquet", "model/v1/model.json", "model/v2/model.json")
    scores = image_scores(run="two", model_version="v2")
    scores_directory.publish_scores(
        str(tmp_path), scores, ["predictions/one/a.parquet", "predictions/two/a.parquet"]
    )
    assert list_files(tmp_path) == [
        "metrics.json",
        "model/v2/model.json",
        "predictions/one/a.parquet",
        "predictions/two/a.parquet",
    ]
    assert scores_directory.read_previous_scores(str(tmp_path), ImageScores) == scores
    # The scores of a split are another kind of scores.
    assert scores_directory.read_previous_scores(str(tmp_path), SplitScores) is None
    with pytest.raises(ValueError, match="SplitScores"):
        scores_directory.read_split_scores(str(tmp_path))


def test_scores_of_a_split_leave_no_rejects_of_raw_images(tmp_path: Path) -> None:
    rejects = pa.table([["/i/c"], ["empty"], [""], [0], [3.5]], schema=schema.REJECTS)
    storage.write_table(str(tmp_path / "rejects" / "r" / "part-000000.parquet"), rejects)
    scores = image_scores(rejects=1, rejects_files=["rejects/r/part-000000.parquet"])
    scores_directory.publish_scores(str(tmp_path), scores, scores.rejects_files)
    assert READERS["deltalake"](str(tmp_path / "rejects"), "path") == [("/i/c",)]
    of_split = old_metrics([[1, 0], [0, 1]], ["a", "b"], predictions=[])
    scores_directory.publish_scores(str(tmp_path), of_split, [])
    assert READERS["deltalake"](str(tmp_path / "rejects"), "path") == []
    assert list_files(tmp_path) == [
        "metrics.json",
        *(f"rejects/_delta_log/{version:020d}.json" for version in range(3)),
    ]


def test_an_empty_folder_and_one_of_a_killed_run_hold_no_scores(tmp_path: Path) -> None:
    assert scores_directory.read_previous_scores(str(tmp_path / "nowhere"), SplitScores) is None
    write(tmp_path, "predictions/one/a.parquet", "model/v1/model.json")
    assert scores_directory.read_previous_scores(str(tmp_path), SplitScores) is None


def test_a_report_of_a_killed_run_is_its_own(tmp_path: Path) -> None:
    write(tmp_path, "predictions/one/a.parquet", "report.html")
    assert scores_directory.read_previous_scores(str(tmp_path), ImageScores) is None
    write(tmp_path / "other", "report.html")
    with pytest.raises(InputError, match=r"it holds report\.html"):
        scores_directory.read_previous_scores(str(tmp_path / "other"), ImageScores)


def test_something_else_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path, "a.doc", "b.doc", "c.doc", "d.doc", "predictions/one/a.parquet")
    with pytest.raises(InputError) as caught:
        scores_directory.read_previous_scores(str(tmp_path), SplitScores)
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
        ({"heat_maps": False}, True),
        ({"catalogue": "list.csv"}, True),
        ({"threshold": 0.4}, False),
        ({"views": "none"}, True),
        ({"views": "flip"}, False),
        ({"views": "flip_translate"}, False),
        ({"calibrate": True}, False),
        ({"threshold": "best_f1"}, False),
    ],
)
def test_which_settings_a_prediction_depends_on(settings: dict[str, Any], is_same: bool) -> None:
    base = scores_directory.scoring_fingerprint(card(), ScoreSettings(), None)
    assert (
        scores_directory.scoring_fingerprint(card(), ScoreSettings(**settings), None) == base
    ) is is_same


def test_scores_of_versions_without_views_stay_valid() -> None:
    assert [
        scores_directory.scoring_fingerprint(card(), ScoreSettings(), dataset)
        for dataset in (None, "f")
    ] == ["afa7db562630a0ad", "3e4bfd81d0bf4744"]
    settings = ScoreSettings()
    values = drop_added_defaults(settings, settings.model_dump(mode="json"))
    assert scores_directory.hash_parts(values) == "16d00ef446588790"


def test_a_prediction_depends_on_model_and_dataset() -> None:
    base = scores_directory.scoring_fingerprint(card(), ScoreSettings(), None)
    other = card().model_copy(update={"version": "w"})
    assert scores_directory.scoring_fingerprint(other, ScoreSettings(), None) != base
    assert scores_directory.scoring_fingerprint(card(), ScoreSettings(), "f") != base
