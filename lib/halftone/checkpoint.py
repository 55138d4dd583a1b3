"""What an interrupted training needs to go on: one file an epoch, whole or not there.

A checkpoint is a NumPy archive: the model's weights, the optimizer's variables, and as JSON the
history so far and what the run was made from.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from halftone import storage

_NAME = re.compile(r"^epoch-(\d{4,})\.npz$")


class Checkpoint(NamedTuple):
    weights: list[npt.NDArray[Any]]
    optimizer: list[npt.NDArray[Any]]
    history: list[dict[str, Any]]  # one entry an epoch, the last is this checkpoint's
    origin: dict[str, Any]  # what the run was made from; another origin must not resume it

    @property
    def epoch(self) -> int:
        """Epochs done, from 1."""
        return len(self.history)


def write(folder: str, checkpoint: Checkpoint) -> None:
    arrays = {f"weight_{i:04d}": array for i, array in enumerate(checkpoint.weights)}
    arrays.update({f"optimizer_{i:04d}": array for i, array in enumerate(checkpoint.optimizer)})
    meta = json.dumps({"history": checkpoint.history, "origin": checkpoint.origin})
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array(meta), **arrays)
    storage.write_bytes(_url(folder, checkpoint.epoch), buffer.getbuffer())


def read(folder: str, epoch: int) -> Checkpoint:
    with np.load(io.BytesIO(storage.read_bytes(_url(folder, epoch))), allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        names = sorted(file.files)
        return Checkpoint(
            weights=[file[name] for name in names if name.startswith("weight_")],
            optimizer=[file[name] for name in names if name.startswith("optimizer_")],
            history=meta["history"],
            origin=meta["origin"],
        )


def epochs(folder: str) -> list[int]:
    """Epochs that have a checkpoint in `folder`, in order."""
    matches = (_NAME.match(name) for name in storage.list_names(folder))
    return sorted(int(match.group(1)) for match in matches if match)


def last(folder: str) -> Optional[Checkpoint]:
    done = epochs(folder)
    return read(folder, done[-1]) if done else None


def keep(folder: str, newest: int, best: int) -> None:
    """Remove all checkpoints but the `newest` last ones and that of epoch `best`."""
    for epoch in epochs(folder)[:-newest]:
        if epoch != best:
            storage.remove(_url(folder, epoch))


def _url(folder: str, epoch: int) -> str:
    return storage.join(folder, f"epoch-{epoch:04d}.npz")
