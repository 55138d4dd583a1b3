from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import pytest

from example_manifest import example
from halftone import model_directory
from halftone.config import Config
from halftone.errors import InputError
from halftone.model_directory import Restart


def test_restarts_are_added_to_those_before(tmp_path: Path) -> None:
    root = str(tmp_path / "model")
    assert model_directory.read_restarts(root) == []
    made = [Restart(epoch=0, message="rank 1 was lost"), Restart(epoch=3, message="rank 0 too")]
    for restart in made:
        model_directory.add_restart(root, restart)
    assert model_directory.read_restarts(root) == made
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
    model_directory.check_model_root(str(tmp_path))


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
        model_directory.check_model_root(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: exists and is not a model (it holds {held}); give another --output"
    )


def test_a_training_from_before_there_was_a_setting_goes_on(config: Callable[..., Config]) -> None:
    before = model_directory.training_fingerprint(config(), example())
    del before["train"]["decay"]
    model_directory.check_training_fingerprint(
        "out/model", before, model_directory.training_fingerprint(config(), example())
    )
    falling = model_directory.training_fingerprint(
        config(train={"decay": "cosine", "epochs": 3}), example()
    )
    with pytest.raises(InputError) as caught:
        model_directory.check_training_fingerprint("out/model", before, falling)
    assert str(caught.value) == (
        "out/model: a training with other settings is there, and is not continued: "
        "train.decay: 'none' there, 'cosine' now; train.epochs: None there, 3 now. "
        "Give another --output, or remove it"
    )


def test_how_many_epochs_counts_where_the_learning_rate_falls_with_them(
    config: Callable[..., Config],
) -> None:
    few, many = (
        [
            model_directory.training_fingerprint(
                config(train={"decay": decay, "epochs": epochs}), example()
            )
            for decay in ("none", "cosine")
        ]
        for epochs in (3, 4)
    )
    assert [one == other for one, other in zip(few, many)] == [True, False]
