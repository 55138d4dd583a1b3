from __future__ import annotations

from pathlib import Path

import numpy as np

from halftone import checkpoint
from halftone.checkpoint import Checkpoint


def example(epochs: int) -> Checkpoint:
    return Checkpoint(
        weights=[np.full((2, 3), epochs, np.float32), np.arange(12.0)],
        optimizer=[np.array(7, np.int64)],
        history=[{"epoch": number, "loss": 1 / number} for number in range(1, epochs + 1)],
        origin={"seed": 7},
    )


def test_what_is_written_comes_back_to_the_bit(tmp_path: Path) -> None:
    checkpoint.write(str(tmp_path), example(3))
    read = checkpoint.read(str(tmp_path), 3)
    for got, expected in zip(
        read.weights + read.optimizer, example(3).weights + example(3).optimizer
    ):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert (read.history, read.origin, read.epoch) == (example(3).history, {"seed": 7}, 3)


def test_many_arrays_keep_their_order(tmp_path: Path) -> None:
    many = example(1)._replace(weights=[np.array(n) for n in range(120)])
    checkpoint.write(str(tmp_path), many)
    assert [int(array) for array in checkpoint.read(str(tmp_path), 1).weights] == list(range(120))


def test_the_last_is_the_newest_and_none_where_there_is_none(tmp_path: Path) -> None:
    assert checkpoint.last(str(tmp_path / "nowhere")) is None
    for epochs in (2, 10, 9):
        checkpoint.write(str(tmp_path), example(epochs))
    (tmp_path / ".tmp-1-epoch-0011.npz").write_bytes(b"cut off by a kill")
    assert checkpoint.epochs(str(tmp_path)) == [2, 9, 10]
    last = checkpoint.last(str(tmp_path))
    assert last is not None
    assert last.epoch == 10


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for epochs in range(1, 7):
        checkpoint.write(str(tmp_path), example(epochs))
    checkpoint.keep(str(tmp_path), newest=2, best=3)
    assert checkpoint.epochs(str(tmp_path)) == [3, 5, 6]
    checkpoint.keep(str(tmp_path), newest=2, best=6)
    assert checkpoint.epochs(str(tmp_path)) == [5, 6]
