"""Try until a training is done: when ranks are lost, all start again from the last checkpoint."""

from __future__ import annotations

import itertools
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

# Starts all ranks; the context ends them.
StartRanks = Callable[[StopRequest], AbstractContextManager[Sequence[Rank]]]


def run_with_restarts(
    start_ranks: StartRanks,
    output: str,
    num_ranks: int,
    max_restarts: int,
    stop_request: StopRequest,
) -> None:
    """Return when a training has ended well.

    Raises:
        InputError, RunError: a rank said why it could not go on, or ranks were lost too often.
        StoppedError: it was asked to stop.
    """
    if not storage.list_names(storage.join(output, CHECKPOINTS)):
        storage.remove(storage.join(output, RESTARTS))  # of another training
    for attempt in itertools.count(1):
        try:
            with (
                rank_logs.open_logs(output, num_ranks) as logs,
                start_ranks(stop_request) as started,
            ):
                return supervisor.monitor_ranks(started, logs, stop_request, attempt)
        except LostRankError as lost:
            epoch = _epochs_done(output)
            place = f"after epoch {epoch}" if epoch else "from the start"
            if stop_request.is_received():
                raise StoppedError(
                    f"not in good order, {lost}; run the same command again to go on {place}"
                ) from None
            if attempt > max_restarts:
                raise RunError(
                    f"{lost}, and train.max_restarts is {max_restarts}; run the same command "
                    f"again to go on {place}. Its log is {rank_logs.log_url(output, lost.rank)}"
                ) from None
            print(f"restarting ({attempt} of {max_restarts}) {place}: {lost}", flush=True)
            model_directory.add_restart(output, Restart(epoch=epoch, message=str(lost)))


def _epochs_done(output: str) -> int:
    return max(checkpoint.list_epochs(storage.join(output, CHECKPOINTS)), default=0)
