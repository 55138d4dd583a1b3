"""Checkpoints, from which an interrupted training resumes: one file per epoch, written atomically.

A checkpoint is a NumPy archive: the weights of the model, the variables of the optimizer, the
moving averages of the weights if they are kept, and as JSON the history so far and the fingerprint
of the training. A checkpoint written in the middle of an epoch also holds a `PartialEpoch`.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from halftone import storage
from halftone.errors import RunError

# The metrics of each finished epoch; a metric that was not finite is None.
History = list[dict[str, Any]]

_FILE_NAME = re.compile(r"^epoch-(\d{4,})(?:-step-(\d{6,}))?\.npz$")
# Delays before a failed write is tried again, for stores that are unreachable for a moment.
_RETRY_AFTER_SECS = (1.0, 3.0, 9.0)


class PartialEpoch(NamedTuple):
    """The state of an unfinished epoch."""

    step: int  # steps done
    ranks: int
    sums: list[list[float]]  # total and count of each metric, over all ranks
    generators: list[list[list[int]]]  # state of each random layer, by rank


class Checkpoint(NamedTuple):
    """The state of a training."""

    weights: list[npt.NDArray[Any]]
    optimizer: list[npt.NDArray[Any]]  # empty if the next epoch has a new one
    history: History
    fingerprint: dict[str, Any]  # of the training; one with another fingerprint must not resume it
    partial_epoch: Optional[PartialEpoch] = None
    averages: Sequence[npt.NDArray[Any]] = ()  # of the weights; empty if none are kept

    @property
    def published_weights(self) -> list[npt.NDArray[Any]]:
        """The weights of the model that is validated and published."""
        return list(self.averages) or self.weights

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def position(self) -> tuple[int, int]:
        """Number of finished epochs, and of finished steps in the next one."""
        return self.epoch, self.partial_epoch.step if self.partial_epoch else 0

    @property
    def place(self) -> str:
        """`position` in words."""
        step = f", step {self.partial_epoch.step} of the next" if self.partial_epoch else ""
        return f"after epoch {self.epoch}{step}"


def write_checkpoint(folder: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, and retry for a while if the store fails.

    Raises:
        RunError: all tries failed; earlier checkpoints are intact.
    """
    arrays = {f"weight_{i:04d}": array for i, array in enumerate(checkpoint.weights)}
    arrays.update({f"optimizer_{i:04d}": array for i, array in enumerate(checkpoint.optimizer)})
    arrays.update({f"average_{i:04d}": array for i, array in enumerate(checkpoint.averages)})
    meta = json.dumps(
        {
            "history": checkpoint.history,
            "origin": checkpoint.fingerprint,
            "middle": checkpoint.partial_epoch._asdict() if checkpoint.partial_epoch else None,
        }
    )
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array(meta), **arrays)
    _write_with_retries(checkpoint_url(folder, checkpoint.position), buffer.getbuffer())


def _write_with_retries(url: str, content: memoryview) -> None:
    for delay_secs in (*_RETRY_AFTER_SECS, None):
        try:
            return storage.write_bytes(url, content)
        except Exception as error:  # each store has exceptions of its own
            if delay_secs is None:
                raise RunError(
                    f"{url}: the checkpoint could not be written in {len(_RETRY_AFTER_SECS) + 1} "
                    f"tries: {error}; older checkpoints are intact, run the same command again to "
                    "go on"
                ) from error
            time.sleep(delay_secs)


def read_checkpoint(folder: str, epoch: int, step: int = 0) -> Checkpoint:
    """Read the checkpoint at the end of `epoch`, or `step` steps into the next epoch."""
    content = storage.read_bytes(checkpoint_url(folder, (epoch, step)))
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        # Older versions wrote metrics that are not finite as NaN and Infinity, which is not JSON.
        meta = json.loads(str(file["meta"]), parse_constant=lambda _: None)
        names = sorted(file.files)
        return Checkpoint(
            weights=[file[name] for name in names if name.startswith("weight_")],
            optimizer=[file[name] for name in names if name.startswith("optimizer_")],
            history=meta["history"],
            fingerprint=meta["origin"],
            partial_epoch=PartialEpoch(**meta["middle"]) if meta["middle"] else None,
            averages=[file[name] for name in names if name.startswith("average_")],
        )


def list_epochs(folder: str) -> list[int]:
    """List the epochs that have a checkpoint of their end in `folder`, in order."""
    return [epoch for epoch, step in _list_positions(folder) if not step]


def read_last_checkpoint(folder: str, num_ranks: Optional[int] = None) -> Optional[Checkpoint]:
    """Read the checkpoint of the latest epoch and step; None if there is none.

    Args:
        num_ranks: number of ranks that resume from it. Skip a checkpoint in the middle of an epoch
            that another number of ranks wrote, as ranks would read other parts of the epoch. None
            skips no checkpoint.
    """
    for epoch, step in reversed(_list_positions(folder)):
        checkpoint = read_checkpoint(folder, epoch, step)
        partial_epoch = checkpoint.partial_epoch
        if partial_epoch is None or num_ranks in (None, partial_epoch.ranks):
            return checkpoint
    return None


def prune_checkpoints(folder: str, num_newest: int, best_epoch: Optional[int]) -> None:
    """Remove all checkpoints except those of the `num_newest` last epochs and of `best_epoch`.

    Args:
        best_epoch: None if there is none yet.
    """
    kept_epochs = {*list_epochs(folder)[-num_newest:], best_epoch}
    for epoch, step in _list_positions(folder):
        if step or epoch not in kept_epochs:
            storage.remove(checkpoint_url(folder, (epoch, step)))


def _list_positions(folder: str) -> list[tuple[int, int]]:
    """List (epoch, step) of all checkpoints, in order; step is 0 at the end of the epoch."""
    matches = (_FILE_NAME.match(name) for name in storage.list_names(folder))
    return sorted((int(match.group(1)), int(match.group(2) or 0)) for match in matches if match)


def checkpoint_url(folder: str, position: tuple[int, int]) -> str:
    """Return the URL of the checkpoint at a `Checkpoint.position`."""
    epoch, step = position
    step_suffix = f"-step-{step:06d}" if step else ""
    return storage.join(folder, f"epoch-{epoch:04d}{step_suffix}.npz")
