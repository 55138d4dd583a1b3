from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from halftone.errors import RunError
from halftone.training import checkpoint
from halftone.training.checkpoint import Checkpoint, PartialEpoch


def example(epochs: int) -> Checkpoint:
    return Checkpoint(
        weights=[np.full((2, 3), epochs, np.float32), np.arange(12.0)],
        optimizer=[np.array(7, np.int64)],
        history=[{"epoch": number, "loss": 1 / number} for number in range(1, epochs + 1)],
        fingerprint={"seed": 7},
    )


def test_what_is_written_comes_back_to_the_bit(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(str(tmp_path), example(3))
    read = checkpoint.read_checkpoint(str(tmp_path), 3)
    for got, expected in zip(
        read.weights + read.optimizer, example(3).weights + example(3).optimizer
    ):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert (read.history, read.fingerprint, read.epoch) == (example(3).history, {"seed": 7}, 3)


def test_many_arrays_keep_their_order(tmp_path: Path) -> None:
    many = example(1)._replace(weights=[np.array(n) for n in range(120)])
    checkpoint.write_checkpoint(str(tmp_path), many)
    assert [int(array) for array in checkpoint.read_checkpoint(str(tmp_path), 1).weights] == list(
        range(120)
    )


def test_the_last_is_the_newest_and_none_where_there_is_none(tmp_path: Path) -> None:
    assert checkpoint.read_last_checkpoint(str(tmp_path / "nowhere")) is None
    for epochs in (2, 10, 9):
        checkpoint.write_checkpoint(str(tmp_path), example(epochs))
    (tmp_path / ".tmp-1-epoch-0011.npz").write_bytes(b"cut off by a kill")
    assert checkpoint.list_epochs(str(tmp_path)) == [2, 9, 10]
    last = checkpoint.read_last_checkpoint(str(tmp_path))
    assert last is not None
    assert last.epoch == 10


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for epochs in range(1, 7):
        checkpoint.write_checkpoint(str(tmp_path), example(epochs))
    checkpoint.prune_checkpoints(str(tmp_path), num_newest=2, best_epoch=3)
    assert checkpoint.list_epochs(str(tmp_path)) == [3, 5, 6]
    checkpoint.prune_checkpoints(str(tmp_path), num_newest=2, best_epoch=6)
    assert checkpoint.list_epochs(str(tmp_path)) == [5, 6]


def middle(step: int, ranks: int = 1) -> PartialEpoch:
    return PartialEpoch(step, ranks, sums=[[1.5, 16.0]], generators=[[[1, 2, 3]]] * ranks)


def test_one_in_the_middle_of_an_epoch_comes_back_whole(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(str(tmp_path), example(2)._replace(partial_epoch=middle(40)))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0002-step-000040.npz"]
    read = checkpoint.read_last_checkpoint(str(tmp_path))
    assert read is not None
    assert read.partial_epoch == middle(40)
    assert read.position == (2, 40)
    assert checkpoint.list_epochs(str(tmp_path)) == []


def test_the_middle_of_an_epoch_serves_as_many_ranks_as_wrote_it(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(
        str(tmp_path), example(2)._replace(partial_epoch=middle(40, ranks=2))
    )
    assert checkpoint.read_last_checkpoint(str(tmp_path), num_ranks=1) is None
    checkpoint.write_checkpoint(str(tmp_path), example(2))
    of_one, of_two = (checkpoint.read_last_checkpoint(str(tmp_path), ranks) for ranks in (1, 2))
    assert of_one is not None
    assert of_two is not None
    assert (of_one.position, of_two.position) == ((2, 0), (2, 40))
    checkpoint.write_checkpoint(str(tmp_path), example(3))
    checkpoint.prune_checkpoints(str(tmp_path), num_newest=2, best_epoch=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0002.npz", "epoch-0003.npz"]


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_RETRY_AFTER_SECS", (0.2, 0.2, 0.2))


@pytest.mark.usefixtures("quick_retries")
def test_a_store_that_is_away_for_a_moment_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.write_text("in the way")
    back = threading.Timer(0.3, folder.unlink)
    back.start()
    checkpoint.write_checkpoint(str(folder), example(1))
    back.join()
    assert checkpoint.list_epochs(str(folder)) == [1]


@pytest.mark.usefixtures("quick_retries")
def test_a_store_that_stays_away_is_told_and_older_checkpoints_stand(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(str(tmp_path), example(1))
    (tmp_path / "epoch-0002.npz").mkdir()
    with pytest.raises(RunError) as caught:
        checkpoint.write_checkpoint(str(tmp_path), example(2))
    assert str(caught.value).startswith(
        f"{tmp_path}/epoch-0002.npz: the checkpoint could not be written in 4 tries: "
    )
    assert str(caught.value).endswith("; the older ones stand, run the same command again to go on")
    assert checkpoint.read_checkpoint(str(tmp_path), 1).epoch == 1
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []
