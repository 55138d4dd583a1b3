"""Restart all ranks from the last checkpoint when one is lost."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Callable

from halftone import model_directory, storage
from halftone.errors import RunError, StoppedError
from halftone.launch import rank_logs, supervisor
from halftone.launch.failure import LostRankError
from halftone.launch.signals import StopRequest
from halftone.launch.supervisor import Rank
from halftone.model_directory import CHECKPOINTS, RESTARTS, Restart
from halftone.training import checkpoint

_logger = logging.getLogger(__name__)

# Starts all ranks; leaving the context kills those that still run.
StartRanks = Callable[[StopRequest], AbstractContextManager[Sequence[Rank]]]


def run_with_restarts(
    start_ranks: StartRanks,
    output: str,
    num_ranks: int,
    max_restarts: int,
    stop_request: StopRequest,
) -> None:
    """Run a training to its end, with up to `max_restarts` restarts.

    Raises:
        InputError: a rank reported an input error.
        RunError: a rank reported a run error, or was lost once more than `max_restarts` times.
        StoppedError: the training was asked to stop.
    """
    if not storage.list_names(storage.join(output, CHECKPOINTS)):
        storage.remove(storage.join(output, RESTARTS))  # of an earlier training
    last_exception = ""
    for attempt in itertools.count(1):
        try:
            with (
                rank_logs.open_logs(output, num_ranks) as logs,
                start_ranks(stop_request) as ranks,
            ):
                return supervisor.monitor_ranks(ranks, logs, stop_request, attempt)
        except LostRankError as lost:
            epoch = _last_epoch(output)
            position = f"after epoch {epoch}" if epoch else "from the start"
            if stop_request.is_received():
                raise StoppedError(
                    f"before a checkpoint was written: {lost}; run the same command again to go on "
                    f"{position}"
                ) from None
            if attempt > max_restarts:
                cure = f"run the same command again to go on {position}"
                if lost.is_exception and str(lost) == last_exception:
                    cure = "the try before ended in the same way, so correct the cause"
                raise RunError(
                    f"{lost}, and train.max_restarts is {max_restarts}; {cure}. Its log is "
                    f"{rank_logs.log_url(output, lost.rank)}"
                ) from None
            last_exception = str(lost) if lost.is_exception else ""
            _logger.warning("restarting (%d of %d) %s: %s", attempt, max_restarts, position, lost)
            model_directory.add_restart(output, Restart(epoch=epoch, message=str(lost)))


def _last_epoch(output: str) -> int:
    """Return the last epoch with a checkpoint of its end, or 0."""
    return max(checkpoint.list_epochs(storage.join(output, CHECKPOINTS)), default=0)
