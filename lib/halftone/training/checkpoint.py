"""What an interrupted training needs to go on: one file an epoch, whole or not there.

A checkpoint is a NumPy archive: the model's weights, the optimizer's variables, and as JSON the
history so far and what the run was made from. One that was asked for in the middle of an epoch
holds besides how far that was.
"""

from __future__ import annotations

import io
import json
import re
import time
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from halftone import storage
from halftone.errors import RunError

_FILE_NAME = re.compile(r"^epoch-(\d{4,})(?:-step-(\d{6,}))?\.npz$")
# A store that is away for a moment: try again after so long.
_RETRY_AFTER_SECS = (1.0, 3.0, 9.0)


class PartialEpoch(NamedTuple):
    """How far an unfinished epoch was."""

    step: int  # steps done
    ranks: int
    sums: list[list[float]]  # of each metric, over all ranks: total and count
    generators: list[list[list[int]]]  # of each rank, of each random layer: its state


class Checkpoint(NamedTuple):
    weights: list[npt.NDArray[Any]]
    optimizer: list[npt.NDArray[Any]]
    history: list[dict[str, Any]]  # one entry an epoch that is done
    fingerprint: dict[str, Any]  # what the run was made from; another origin must not resume it
    partial_epoch: Optional[PartialEpoch] = None

    @property
    def epoch(self) -> int:
        """Epochs done, from 1."""
        return len(self.history)

    @property
    def position(self) -> tuple[int, int]:
        """Epochs done, and steps of the next."""
        return self.epoch, self.partial_epoch.step if self.partial_epoch else 0


def write_checkpoint(folder: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, and try again for a while where the store does not take it.

    Raises:
        RunError: it did not take it; the checkpoints that stand are unharmed.
    """
    arrays = {f"weight_{i:04d}": array for i, array in enumerate(checkpoint.weights)}
    arrays.update({f"optimizer_{i:04d}": array for i, array in enumerate(checkpoint.optimizer)})
    meta = json.dumps(
        {
            "history": checkpoint.history,
            "origin": checkpoint.fingerprint,
            "middle": checkpoint.partial_epoch._asdict() if checkpoint.partial_epoch else None,
        }
    )
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array(meta), **arrays)
    _write_with_retries(_checkpoint_url(folder, checkpoint.position), buffer.getbuffer())


def _write_with_retries(url: str, content: memoryview) -> None:
    for delay_secs in (*_RETRY_AFTER_SECS, None):
        try:
            return storage.write_bytes(url, content)
        except Exception as error:  # each store raises its own kind
            if delay_secs is None:
                raise RunError(
                    f"{url}: the checkpoint could not be written in {len(_RETRY_AFTER_SECS) + 1} "
                    f"tries: {error}; the older ones stand, run the same command again to go on"
                ) from error
            time.sleep(delay_secs)


def read_checkpoint(folder: str, epoch: int, step: int = 0) -> Checkpoint:
    content = storage.read_bytes(_checkpoint_url(folder, (epoch, step)))
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        names = sorted(file.files)
        return Checkpoint(
            weights=[file[name] for name in names if name.startswith("weight_")],
            optimizer=[file[name] for name in names if name.startswith("optimizer_")],
            history=meta["history"],
            fingerprint=meta["origin"],
            partial_epoch=PartialEpoch(**meta["middle"]) if meta["middle"] else None,
        )


def list_epochs(folder: str) -> list[int]:
    """Epochs that have a checkpoint of their end in `folder`, in order."""
    return [epoch for epoch, step in _list_positions(folder) if not step]


def read_last_checkpoint(folder: str, num_ranks: Optional[int] = None) -> Optional[Checkpoint]:
    """Read the checkpoint that is furthest.

    Args:
        ranks: how many go on from it. Others than wrote it have other parts of an epoch, so that
            one in the middle of an epoch is of no use to them. None: as many.
    """
    for epoch, step in reversed(_list_positions(folder)):
        found = read_checkpoint(folder, epoch, step)
        if found.partial_epoch is None or num_ranks in (None, found.partial_epoch.ranks):
            return found
    return None


def prune_checkpoints(folder: str, num_newest: int, best_epoch: int) -> None:
    """Remove all checkpoints but those of the `newest` last epochs and of epoch `best`."""
    standing = list_epochs(folder)
    kept = {*standing[-num_newest:], best_epoch}
    for epoch, step in _list_positions(folder):
        if step or epoch not in kept:
            storage.remove(_checkpoint_url(folder, (epoch, step)))


def _list_positions(folder: str) -> list[tuple[int, int]]:
    matches = (_FILE_NAME.match(name) for name in storage.list_names(folder))
    return sorted((int(match.group(1)), int(match.group(2) or 0)) for match in matches if match)


def _checkpoint_url(folder: str, position: tuple[int, int]) -> str:
    epoch, step = position
    middle = f"-step-{step:06d}" if step else ""
    return storage.join(folder, f"epoch-{epoch:04d}{middle}.npz")
