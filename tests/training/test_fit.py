"""Training for real: one rank in a process of its own, or several under horovodrun."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import yaml

from halftone import model_directory
from halftone.training import checkpoint
from training_jobs import MODEL, Train, finish, history, wait_for, weights


def test_a_model_directory_has_all_that_scoring_needs(start: Train, tmp_path: Path) -> None:
    said = finish(start("model"))
    assert said.splitlines()[-1] == f"model: {tmp_path}/model"
    assert "epoch 4/4: loss " in said
    card = model_directory.read_model_info(str(tmp_path / "model"))
    assert card.labels == ["lying", "upright"]
    assert card.shape() == (16, 16, 1)
    assert (card.config.train.epochs, card.ranks) == (4, 1)
    assert (tmp_path / "model" / card.network).exists()
    epochs = history(tmp_path / "model")
    assert [entry["epoch"] for entry in epochs] == [1, 2, 3, 4]
    assert set(epochs[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert card.best_epoch == model_directory.best_epoch(epochs)
    assert min(entry["loss"] for entry in epochs) < epochs[0]["loss"]


def test_a_finished_training_is_not_repeated(start: Train, tmp_path: Path) -> None:
    finish(start("model"))
    card = (tmp_path / "model" / "model.json").read_bytes()
    said = finish(start("model"))
    assert said.startswith(f"nothing to do: the training at {tmp_path}/model is finished")
    assert (tmp_path / "model" / "model.json").read_bytes() == card


def test_killed_between_its_last_checkpoint_and_its_end_nothing_is_missing(
    start: Train, tmp_path: Path
) -> None:
    finish(start("model"))
    epochs = history(tmp_path / "model")
    version = model_directory.read_model_info(str(tmp_path / "model")).version
    (tmp_path / "model" / "model.json").unlink()
    path = tmp_path / "model" / "history.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "epochs": whole["epochs"][:3]}))
    said = finish(start("model"))
    assert said.splitlines()[-1] == f"model: {tmp_path}/model"
    assert history(tmp_path / "model") == epochs
    assert model_directory.read_model_info(str(tmp_path / "model")).version == version


@pytest.mark.slow
def test_killed_after_an_epoch_it_goes_on_to_the_same_weights(start: Train, tmp_path: Path) -> None:
    finish(start("undisturbed"))
    process = start("killed")
    wait_for(tmp_path / "killed" / "checkpoints" / "epoch-0002.npz", process)
    process.kill()
    finish(process, -signal.SIGKILL)
    assert not (tmp_path / "killed" / "model.json").exists()
    said = finish(start("killed"))
    assert "going on after epoch " in said
    assert history(tmp_path / "killed") == history(tmp_path / "undisturbed")
    for got, expected in zip(weights(tmp_path / "killed"), weights(tmp_path / "undisturbed")):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.slow
def test_more_epochs_go_on_from_a_finished_training(start: Train, tmp_path: Path) -> None:
    finish(start("at_once"))
    finish(start("in_two", epochs=2))
    said = finish(start("in_two"))
    assert "going on after epoch 2" in said
    for got, expected in zip(weights(tmp_path / "in_two"), weights(tmp_path / "at_once")):
        np.testing.assert_array_equal(got, expected)


def test_another_training_is_not_continued(start: Train, tmp_path: Path) -> None:
    finish(start("model", epochs=1))
    said = finish(start("model", epochs=2, learning_rate=0.5), code=2)
    assert said == (
        f"error: {tmp_path}/model: a training with other settings is there, and is not continued: "
        "train.learning_rate: 0.001 there, 0.5 now. Give another --output, or remove it\n"
    )


@pytest.mark.slow
def test_without_shuffling_all_epochs_have_one_order(start: Train, tmp_path: Path) -> None:
    for cache in ("memory", "none"):
        finish(start(cache, cache=cache, shuffle=False))
    # Rows that are kept come as the first epoch reads them, those that are streamed anew.
    for kept, streamed in zip(weights(tmp_path / "memory"), weights(tmp_path / "none")):
        np.testing.assert_array_equal(kept, streamed)
    finish(start("shuffled", cache="none"))
    assert history(tmp_path / "shuffled") != history(tmp_path / "none")


@pytest.mark.slow
def test_a_training_starts_from_the_weights_of_another(start: Train, tmp_path: Path) -> None:
    first, model = str(tmp_path / "first"), {**MODEL, "batch_norm": False}
    finish(start("first", model=model))
    # So small a step changes nothing that a loss would show.
    said = finish(start("second", start_from=first, epochs=1, learning_rate=1e-9, model=model))
    assert f"starting from the weights of {first}\n" in said
    before, after = history(tmp_path / "first"), history(tmp_path / "second")
    best = before[model_directory.read_model_info(first).best_epoch - 1]
    assert after[0]["val_loss"] == pytest.approx(best["val_loss"], abs=1e-6)
    other = {**model, "filters": [4, 8]}
    said = finish(start("third", start_from=first, model=other), code=2)
    assert said == (
        f"error: train.start_from: the network at {first} is another one: filters (4,) there, "
        "(4, 8) here. Give train.model and train.normalise as they are there, or leave "
        "start_from out\n"
    )


def test_two_ranks_agree_and_read_every_row(start: Train, tmp_path: Path) -> None:
    said = finish(start("model", ranks=2))
    assert "2 ranks (horovodrun), batch 16 = 2 x 8" in said
    assert [entry["epoch"] for entry in history(tmp_path / "model")] == [1, 2, 3, 4]
    assert model_directory.read_model_info(str(tmp_path / "model")).ranks == 2


@pytest.mark.slow
def test_validation_is_the_same_on_any_number_of_ranks(start: Train, tmp_path: Path) -> None:
    finish(start("of_1", epochs=1))
    of_1 = history(tmp_path / "of_1")[0]
    # The same weights: no step moves them, as the learning rate is next to nothing.
    still = {"epochs": 1, "learning_rate": 1e-30, "batch_size": 12}
    values = []
    for ranks in (1, 2, 3):
        finish(
            start(
                f"still_{ranks}", ranks=ranks, **{**still, "model": {**MODEL, "batch_norm": False}}
            )
        )
        entry = history(tmp_path / f"still_{ranks}")[0]
        values.append((entry["val_loss"], entry["val_accuracy"]))
    assert values[1] == pytest.approx(values[0], abs=1e-6)
    assert values[2] == pytest.approx(values[0], abs=1e-6)
    assert set(of_1) >= {"val_loss"}


@pytest.mark.slow
def test_more_ranks_than_row_groups(start: Train, tmp_path: Path) -> None:
    finish(start("model", ranks=3, batch_size=12, epochs=1))
    assert history(tmp_path / "model")[0]["epoch"] == 1


def test_a_loss_that_is_not_finite_stops_the_run(start: Train, tmp_path: Path) -> None:
    said = finish(start("model", optimizer="sgd", learning_rate=1e30), code=1)
    assert said.splitlines()[-1] == (
        "failed: epoch 1, step 2: the training loss is not finite; no checkpoint yet. Lower "
        "train.learning_rate (it is 1e+30), or set train.clip_norm"
    )
    assert checkpoint.list_epochs(str(tmp_path / "model" / "checkpoints")) == []


# A rank; the first is asked to stop after three steps. By the clock of another all takes 100 times
# as long: ranks that went by their own would not look for news at the same steps.
RANK = """
import itertools, sys, time, types
from halftone import config
from halftone.dataset import manifest
from halftone.feed import world
from halftone.training import epoch_callback, stop_flag
from halftone.training.fit import fit_rank
path, dataset, output = sys.argv[1:]
loaded, here, asked = config.load_config(path, paths={}), world.detect_world(), itertools.count(1)
stop_flag.StopFlag.is_set = lambda self: here.is_first and next(asked) >= 3
clock = lambda: time.monotonic() * (1 if here.is_first else 100)
epoch_callback.time = types.SimpleNamespace(monotonic=clock)
fit_rank(loaded, manifest.read(dataset), dataset, output, here)
"""


@pytest.fixture
def stop_in_epoch_1(tmp_path: Path, dataset: Path) -> Callable[..., int]:
    """Train as ranks of which the first is asked to stop; return the step at which all do."""

    def stop(output: str, ranks: int, **settings: Any) -> int:
        path = tmp_path / f"{output}.yaml"
        train = {"epochs": 4, "batch_size": 4, "model": MODEL, "ranks": ranks, **settings}
        path.write_text(yaml.safe_dump({"seed": 7, "train": train}))
        launcher = [sys.executable, "-m", "horovod.runner.launch", "--gloo", "-np", str(ranks)]
        command = [sys.executable, "-c", RANK, path, dataset, tmp_path / output]
        ended = subprocess.run(
            [*(launcher if ranks > 1 else []), *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ended.returncode != 0
        said = r"StoppedError: the checkpoint of epoch 1, step (\d+) of 20, is in"
        steps = {int(step) for step in re.findall(said, ended.stdout + ended.stderr)}
        assert len(steps) == 1
        assert steps < {4, 5, 6, 7}
        return steps.pop()

    return stop


AUGMENT = {"flip": "horizontal", "shift_fraction": 0.1}


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_stopped_within_an_epoch_one_rank_goes_on_to_the_same_weights(
    start: Train, stop_in_epoch_1: Callable[..., int], tmp_path: Path, cache: str
) -> None:
    settings = {"cache": cache, "augment": AUGMENT, "normalise": "standard"}
    finish(start("undisturbed", batch_size=4, **settings))
    step = stop_in_epoch_1("stopped", ranks=1, **settings)
    said = finish(start("stopped", batch_size=4, **settings))
    assert f"going on after epoch 0, step {step} of the next, from " in said
    for got, expected in zip(weights(tmp_path / "stopped"), weights(tmp_path / "undisturbed")):
        np.testing.assert_array_equal(got, expected)
    for got, expected in zip(history(tmp_path / "stopped"), history(tmp_path / "undisturbed")):
        assert got == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_stopped_within_an_epoch_two_ranks_go_on_to_the_same_weights(
    start: Train, stop_in_epoch_1: Callable[..., int], tmp_path: Path
) -> None:
    finish(start("undisturbed", batch_size=4, ranks=2))
    step = stop_in_epoch_1("stopped", ranks=2)
    said = finish(start("stopped", batch_size=4, ranks=2))
    assert f"going on after epoch 0, step {step} of the next, from " in said
    for got, expected in zip(weights(tmp_path / "stopped"), weights(tmp_path / "undisturbed")):
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.slow
def test_another_number_of_ranks_begins_the_epoch_again(
    start: Train, stop_in_epoch_1: Callable[..., int], tmp_path: Path
) -> None:
    stop_in_epoch_1("stopped", ranks=1)
    said = finish(start("stopped", batch_size=4, ranks=2))
    assert "going on after" not in said
    assert [entry["epoch"] for entry in history(tmp_path / "stopped")] == [1, 2, 3, 4]


@pytest.mark.slow
def test_all_that_helps_at_scale_at_once_on_two_ranks(start: Train, tmp_path: Path) -> None:
    finish(
        start(
            "model",
            ranks=2,
            epochs=8,
            batch_size=4,
            model={"name": "convnet", "filters": [8], "dense": [16]},
            normalise="standard",
            augment={"brightness_fraction": 0.1},
            scale_learning_rate=True,
            warmup_epochs=1,
            clip_norm=1.0,
            precision="mixed_float16",
            compression="fp16",
            aggregate_steps=2,
        )
    )
    epochs = history(tmp_path / "model")
    assert epochs[-1]["val_accuracy"] >= 0.9
    card = model_directory.read_model_info(str(tmp_path / "model"))
    assert (card.config.train.precision, card.config.train.compression) == ("mixed_float16", "fp16")
