"""Exchange values between ranks.

A single rank exchanges nothing: then Horovod is not initialised, which needs a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, TypeVar

import horovod.tensorflow as hvd
import tensorflow as tf

# How `all_reduce` combines the values of all ranks.
AVERAGE, SUM, MIN, MAX = hvd.Average, hvd.Sum, hvd.Min, hvd.Max

Value = TypeVar("Value")


def num_ranks() -> int:
    return int(hvd.size()) if hvd.is_initialized() else 1


def all_reduce(
    tensor: tf.Tensor, operation: Any, name: Optional[str] = None, compression: Any = None
) -> tf.Tensor:
    """Return the combined tensors of all ranks.

    Args:
        operation: AVERAGE, SUM, MIN or MAX.
        name: equal on all ranks; needed if ranks may call this in different orders.
        compression: one of Horovod's; None sends the values as they are.
    """
    if num_ranks() == 1:
        return tensor
    compression = compression or hvd.Compression.none
    return hvd.allreduce(tensor, op=operation, name=name, compression=compression)


def broadcast_variables(variables: Sequence[tf.Variable]) -> None:
    """Set the variables of all ranks to those of rank 0."""
    if num_ranks() > 1:
        hvd.broadcast_variables(variables, 0)


def broadcast(value: Value) -> Value:
    """Return the value of rank 0, which can be pickled."""
    if num_ranks() == 1:
        return value
    received: Value = hvd.broadcast_object(value, 0)
    return received


def gather(value: Value) -> list[Value]:
    """Return the values of all ranks, which can be pickled, in the order of the ranks."""
    return list(hvd.allgather_object(value)) if num_ranks() > 1 else [value]
