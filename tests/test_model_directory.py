from __future__ import annotations

import json
from pathlib import Path

import pytest

from halftone import model_directory
from halftone.errors import InputError
from halftone.model_directory import Restart


def test_restarts_are_added_to_those_before(tmp_path: Path) -> None:
    root = str(tmp_path / "model")
    assert model_directory.restarts(root) == []
    made = [Restart(epoch=0, message="rank 1 was lost"), Restart(epoch=3, message="rank 0 too")]
    for restart in made:
        model_directory.add_restart(root, restart)
    assert model_directory.restarts(root) == made
    assert json.loads((tmp_path / "model" / "restarts.json").read_text()) == [
        {"epoch": 0, "message": "rank 1 was lost"},
        {"epoch": 3, "message": "rank 0 too"},
    ]


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["logs", "mlflow.json", "restarts.json", "stop"],  # of a training without a checkpoint
        ["checkpoints", "thesis.doc"],
        ["model.json", "thesis.doc"],
    ],
)
def test_a_place_for_a_training(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    model_directory.check_place(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (["thesis.doc"], "thesis.doc"),
        (["logs", "thesis.doc"], "thesis.doc"),
        (["a", "b", "c", "d"], "a, b, c, ..."),
    ],
)
def test_a_place_that_is_something_else(tmp_path: Path, names: list[str], held: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        model_directory.check_place(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: exists and is not a model (it holds {held}); give another --output"
    )
