"""Write the checkpoints and the history of a training, in a thread while the next epoch runs."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Optional

from halftone import storage
from halftone.metrics.epochs import best_epoch
from halftone.model_directory import CHECKPOINTS, HISTORY
from halftone.training import checkpoint
from halftone.training.checkpoint import Checkpoint, History


class CheckpointWriter:
    """Writes checkpoints and history into one model directory.

    Args:
        output: the model directory.
        num_kept: number of newest checkpoints to keep besides that of the best epoch.
        best_by: the setting, by which the best epoch is chosen.
    """

    def __init__(self, output: str, num_kept: int, best_by: str = "val_loss") -> None:
        self.folder = storage.join(output, CHECKPOINTS)
        self._history_url = storage.join(output, HISTORY)
        self._num_kept, self._best_by = num_kept, best_by
        self._executor = ThreadPoolExecutor(1)
        self._pending_write: Optional[Future[None]] = None

    def write_in_background(self, epoch_end: Checkpoint) -> None:
        """Start to write the checkpoint of a finished epoch."""
        self._pending_write = self._executor.submit(self._write, epoch_end)

    def write(self, partial: Checkpoint) -> None:
        """Write a checkpoint in the middle of an epoch."""
        checkpoint.write_checkpoint(self.folder, partial)

    def write_history(self, history: History) -> None:
        storage.write_json(
            self._history_url,
            {"best_epoch": best_epoch(history, self._best_by), "epochs": history},
        )

    def wait(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            RunError: it could not be written.
        """
        if self._pending_write is not None:
            self._pending_write.result()

    def close(self) -> None:
        self._executor.shutdown(wait=True)

    def _write(self, epoch_end: Checkpoint) -> None:
        checkpoint.write_checkpoint(self.folder, epoch_end)
        best = best_epoch(epoch_end.history, self._best_by)
        checkpoint.prune_checkpoints(self.folder, self._num_kept, best)
        self.write_history(epoch_end.history)
