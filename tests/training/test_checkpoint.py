from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from halftone.errors import RunError
from halftone.training import checkpoint
from halftone.training.checkpoint import Checkpoint, PartialEpoch


def example_checkpoint(epochs: int) -> Checkpoint:
    return Checkpoint(
        weights=[np.full((2, 3), epochs, np.float32), np.arange(12.0)],
        optimizer=[np.array(7, np.int64)],
        history=[{"epoch": number, "loss": 1 / number} for number in range(1, epochs + 1)],
        fingerprint={"seed": 7},
    )


def test_checkpoint_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(str(tmp_path), example_checkpoint(3))
    read = checkpoint.read_checkpoint(str(tmp_path), 3)
    for actual, expected in zip(
        read.weights + read.optimizer,
        example_checkpoint(3).weights + example_checkpoint(3).optimizer,
    ):
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)
    assert (read.history, read.fingerprint, read.epoch) == (
        example_checkpoint(3).history,
        {"seed": 7},
        3,
    )


def test_metrics_that_are_not_finite_are_read_as_none(tmp_path: Path) -> None:
    history = [{"epoch": 1, "loss": 0.5, "val_loss": float("nan")}]  # as older versions wrote it
    checkpoint.write_checkpoint(str(tmp_path), example_checkpoint(1)._replace(history=history))
    read = checkpoint.read_checkpoint(str(tmp_path), 1)
    assert read.history == [{"epoch": 1, "loss": 0.5, "val_loss": None}]


def test_many_arrays_keep_their_order(tmp_path: Path) -> None:
    written = example_checkpoint(1)._replace(weights=[np.array(n) for n in range(120)])
    checkpoint.write_checkpoint(str(tmp_path), written)
    assert [int(array) for array in checkpoint.read_checkpoint(str(tmp_path), 1).weights] == list(
        range(120)
    )


def test_last_checkpoint_is_that_of_the_latest_epoch(tmp_path: Path) -> None:
    assert checkpoint.read_last_checkpoint(str(tmp_path / "nowhere")) is None
    for epochs in (2, 10, 9):
        checkpoint.write_checkpoint(str(tmp_path), example_checkpoint(epochs))
    (tmp_path / ".tmp-1-epoch-0011.npz").write_bytes(b"cut off by a kill")
    assert checkpoint.list_epochs(str(tmp_path)) == [2, 9, 10]
    last = checkpoint.read_last_checkpoint(str(tmp_path))
    assert last is not None
    assert last.epoch == 10


def test_prune_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for epochs in range(1, 7):
        checkpoint.write_checkpoint(str(tmp_path), example_checkpoint(epochs))
    checkpoint.prune_checkpoints(str(tmp_path), num_newest=2, best_epoch=3)
    assert checkpoint.list_epochs(str(tmp_path)) == [3, 5, 6]
    checkpoint.prune_checkpoints(str(tmp_path), num_newest=2, best_epoch=6)
    assert checkpoint.list_epochs(str(tmp_path)) == [5, 6]


def partial_epoch(step: int, ranks: int = 1) -> PartialEpoch:
    return PartialEpoch(step, ranks, sums=[[1.5, 16.0]], generators=[[[1, 2, 3]]] * ranks)


def test_checkpoint_of_a_partial_epoch_is_read_back(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(
        str(tmp_path), example_checkpoint(2)._replace(partial_epoch=partial_epoch(40))
    )
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0002-step-000040.npz"]
    read = checkpoint.read_last_checkpoint(str(tmp_path))
    assert read is not None
    assert read.partial_epoch == partial_epoch(40)
    assert read.position == (2, 40)
    assert checkpoint.list_epochs(str(tmp_path)) == []


def test_partial_epoch_is_only_resumed_by_as_many_ranks(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(
        str(tmp_path), example_checkpoint(2)._replace(partial_epoch=partial_epoch(40, ranks=2))
    )
    assert checkpoint.read_last_checkpoint(str(tmp_path), num_ranks=1) is None
    checkpoint.write_checkpoint(str(tmp_path), example_checkpoint(2))
    for num_ranks, position in ((1, (2, 0)), (2, (2, 40))):
        last = checkpoint.read_last_checkpoint(str(tmp_path), num_ranks)
        assert last is not None
        assert last.position == position
    checkpoint.write_checkpoint(str(tmp_path), example_checkpoint(3))
    checkpoint.prune_checkpoints(str(tmp_path), num_newest=2, best_epoch=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0002.npz", "epoch-0003.npz"]


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_RETRY_AFTER_SECS", (0.2, 0.2, 0.2))


@pytest.mark.usefixtures("quick_retries")
def test_failed_write_is_retried(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.write_text("not a folder")
    timer = threading.Timer(0.3, folder.unlink)
    timer.start()
    checkpoint.write_checkpoint(str(folder), example_checkpoint(1))
    timer.join()
    assert checkpoint.list_epochs(str(folder)) == [1]


@pytest.mark.usefixtures("quick_retries")
def test_write_that_keeps_failing_is_an_error_and_older_checkpoints_are_intact(
    tmp_path: Path,
) -> None:
    checkpoint.write_checkpoint(str(tmp_path), example_checkpoint(1))
    (tmp_path / "epoch-0002.npz").mkdir()
    with pytest.raises(RunError) as caught:
        checkpoint.write_checkpoint(str(tmp_path), example_checkpoint(2))
    assert str(caught.value).startswith(
        f"{tmp_path}/epoch-0002.npz: the checkpoint could not be written in 4 tries: "
    )
    assert str(caught.value).endswith(
        "; older checkpoints are intact, run the same command again to go on"
    )
    assert checkpoint.read_checkpoint(str(tmp_path), 1).epoch == 1
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []
