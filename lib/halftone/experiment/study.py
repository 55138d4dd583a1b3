"""All runs of an experiment: what stands is kept, the others run, each in a process of its own."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from types import FrameType
from typing import Optional

from halftone import lifeline, storage
from halftone.config import differing
from halftone.errors import InputError, StoppedError
from halftone.experiment import datasets, run_job
from halftone.experiment.datasets import Dataset
from halftone.experiment.planning import Trial
from halftone.experiment.run_job import Job, Outcome
from halftone.session import is_submitted


def check_place(trials: Sequence[Trial], output: str) -> None:
    """Raise InputError where a run of the same name and other settings stands at `output`."""
    if not storage.is_local(output):
        raise InputError(f"{output}: an experiment's output must be a folder of this machine")
    for one in trials:
        folder = run_job.folder(one, output)
        try:
            there = storage.read_json(storage.join(folder, run_job.SETTINGS))
        except FileNotFoundError:
            continue
        changes = [
            f"{key} {old!r} there, {new!r} now"
            for key, old, new in differing(there, run_job.settings(one.config))
        ]
        if changes:
            raise InputError(
                f"{folder}: a run with other settings is there, and is left alone: "
                f"{'; '.join(changes)}. Give another --output, or remove it"
            )


def run(
    trials: Sequence[Trial], made: Mapping[str, Dataset], output: str, parallel: int
) -> list[Outcome]:
    """Run what is not finished, `parallel` at a time; a run that fails does not stop the others.

    Args:
        made: the trials' datasets, by digest.

    Raises:
        StoppedError: SIGTERM; the same call goes on.
    """
    jobs = [Job(one, output, made[datasets.digest(one.config)]) for one in trials]
    slots: queue.SimpleQueue[int] = queue.SimpleQueue()
    for slot in range(parallel):
        slots.put(slot)
    with _stoppable(), ThreadPoolExecutor(parallel) as pool:
        waiting = [pool.submit(job.outcome, slots, parallel) for job in jobs]
        try:
            for number, done in enumerate(as_completed(waiting), 1):
                print(f"{number}/{len(jobs)} {_said(done.result())}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for job in jobs:
                job.stop()
            raise
    return [one.result() for one in waiting]


@contextmanager
def _stoppable() -> Iterator[None]:
    """Raise StoppedError on SIGTERM, where this is the thread that gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Optional[FrameType]) -> None:
        raise StoppedError("the runs write their checkpoints; run the same command again to go on")

    if is_submitted():
        # spark-submit is a JVM that does not hand a signal on to the Python that it started.
        lifeline.end_with_parent(signal.SIGTERM)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _said(outcome: Outcome) -> str:
    if outcome.result is None:
        return f"{outcome.trial.name}: failed: {outcome.error}"
    tested = outcome.result["test"]
    return (
        f"{outcome.trial.name}: test accuracy {tested['accuracy']:.4f}, loss {tested['loss']:.4g}, "
        f"trained for {outcome.result['train_secs']:.0f} s"
    )
