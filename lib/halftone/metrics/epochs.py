"""Compare the epochs of a training by their metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional


def best_epoch(history: Sequence[Mapping[str, Any]], best_by: str = "val_loss") -> Optional[int]:
    """Return the first of the best epochs.

    Args:
        history: an entry per epoch. A metric that was not finite is None.
        best_by: the setting `train.best_by`.

    Returns:
        None if the loss was not finite in any epoch.
    """
    ranked = [
        (rank, int(entry["epoch"]))
        for rank, entry in zip(rank_epochs(history, best_by), history)
        if rank is not None
    ]
    return min(ranked)[1] if ranked else None


def rank_epochs(
    history: Sequence[Mapping[str, Any]], best_by: str = "val_loss"
) -> list[Optional[tuple[float, ...]]]:
    """Return for each epoch what compares as lower if the epoch is better.

    It is the validation loss, or the training loss without validation. By another metric, the
    higher value is better, and of equal ones that with the lower loss. None if a value was not
    finite, which is worse than any other; histories of older versions hold NaN.
    """
    ranks: list[Optional[tuple[float, ...]]] = []
    for entry in history:
        values = [entry.get("val_loss", entry["loss"])]
        if best_by != "val_loss":
            metric = entry.get(best_by)
            values.insert(0, None if metric is None else -metric)
        is_finite = all(value is not None and math.isfinite(value) for value in values)
        ranks.append(tuple(values) if is_finite else None)
    return ranks
