from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import pytest

from halftone.errors import RunError
from halftone.training import checkpoint
from halftone.training.checkpoint import Checkpoint, PartialEpoch
from halftone.training.checkpoint_writer import CheckpointWriter


def checkpoint_after(losses: Sequence[Optional[float]]) -> Checkpoint:
    history = [{"epoch": epoch, "loss": loss} for epoch, loss in enumerate(losses, start=1)]
    return Checkpoint([np.zeros(3)], [], history, fingerprint={"seed": 7})


def test_best_and_newest_checkpoints_and_the_history_are_written(tmp_path: Path) -> None:
    writer = CheckpointWriter(str(tmp_path), num_kept=1)
    losses = [0.4, 0.2, 0.5, 0.3]
    for epochs in range(1, 5):
        writer.write_in_background(checkpoint_after(losses[:epochs]))
        writer.wait()
    writer.close()
    assert checkpoint.list_epochs(str(tmp_path / "checkpoints")) == [2, 4]
    assert json.loads((tmp_path / "history.json").read_text()) == {
        "best_epoch": 2,
        "epochs": checkpoint_after(losses).history,
    }


def test_best_checkpoint_by_a_metric_is_kept(tmp_path: Path) -> None:
    writer = CheckpointWriter(str(tmp_path), num_kept=1, best_by="val_f1")
    entries = [
        {"epoch": number, "loss": 1.0, "val_loss": loss, "val_f1": f1}
        for number, loss, f1 in ((1, 0.2, 0.5), (2, 0.4, 0.9), (3, 0.1, 0.8))
    ]
    for epochs in range(1, 4):
        last = checkpoint_after([0.4])._replace(history=entries[:epochs])
        writer.write_in_background(last)
        writer.wait()
    writer.close()
    assert checkpoint.list_epochs(str(tmp_path / "checkpoints")) == [2, 3]
    assert json.loads((tmp_path / "history.json").read_text())["best_epoch"] == 2


def test_epochs_without_a_finite_loss_are_not_kept_as_the_best(tmp_path: Path) -> None:
    writer = CheckpointWriter(str(tmp_path), num_kept=1)
    losses = [None, None, 0.5, None]
    for epochs, best, kept in ((1, None, [1]), (2, None, [2]), (3, 3, [3]), (4, 3, [3, 4])):
        writer.write_in_background(checkpoint_after(losses[:epochs]))
        writer.wait()
        history = json.loads((tmp_path / "history.json").read_text())
        assert (history["best_epoch"], len(history["epochs"])) == (best, epochs)
        assert checkpoint.list_epochs(str(tmp_path / "checkpoints")) == kept
    writer.close()


def test_partial_epoch_leaves_the_history_unchanged(tmp_path: Path) -> None:
    writer = CheckpointWriter(str(tmp_path), num_kept=1)
    partial_epoch = PartialEpoch(step=3, ranks=1, sums=[[1.0, 2.0]], generators=[])
    writer.write(checkpoint_after([0.4])._replace(partial_epoch=partial_epoch))
    writer.close()
    names = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert names == ["epoch-0001-step-000003.npz"]
    assert not (tmp_path / "history.json").exists()


def test_failed_write_is_raised_by_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_RETRY_AFTER_SECS", ())
    (tmp_path / "checkpoints").write_text("not a folder")
    writer = CheckpointWriter(str(tmp_path), num_kept=1)
    writer.write_in_background(checkpoint_after([0.4]))
    with pytest.raises(RunError, match="the checkpoint could not be written in 1 tries"):
        writer.wait()
    writer.close()
