"""All runs of a stage: what stands is kept, the others run, so many at a time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import Optional, Protocol

from halftone import storage
from halftone.errors import InputError, StoppedError
from halftone.experiment import run_job
from halftone.experiment.outcomes import RunOutcome
from halftone.experiment.planning import Trial
from halftone.experiment.results import EpochEntries
from halftone.experiment.run_job import EarlyStop, StudyContext
from halftone.spark.session import is_spark_submitted
from halftone.system import parent_watch


class TrialSource(Protocol):
    """Where runs come from. All methods are called by one thread at a time."""

    total: int
    known_trials: Sequence[Trial]  # as far as they are, before the first is run

    def next_trial(self) -> Optional[Trial]:
        """The next run, None where there is none any more."""

    def record_outcome(self, outcome: RunOutcome) -> None:
        """Let what came of a run count."""

    def get_early_stop(self, started_trial: Trial) -> Optional[EarlyStop]:
        """Whether a run is to be stopped early; None where none is."""


class ListTrialSource:
    """Runs that are known from the start."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.known_trials, self.total, self._remaining = trials, len(trials), iter(trials)

    def next_trial(self) -> Optional[Trial]:
        return next(self._remaining, None)

    def record_outcome(self, outcome: RunOutcome) -> None:
        pass

    def get_early_stop(self, started_trial: Trial) -> Optional[EarlyStop]:
        return None


def check_run_folders(trials: Sequence[Trial], output: str) -> None:
    """Raise InputError where a run of the same name and other settings stands at `output`."""
    for one in trials:
        root = run_job.run_folder(one, output)
        own = storage.join(root, "fold-0") if one.folds else root
        try:
            there = storage.read_json(storage.join(own, run_job.SETTINGS))
        except FileNotFoundError:
            continue
        changes = run_job.describe_changes(there, one.training_configs()[0])
        if changes:
            raise InputError(
                f"{root}: a run with other settings is there, and is left alone: "
                f"{'; '.join(changes)}. Give another --output, or remove it"
            )


def run_trials(source: TrialSource, context: StudyContext, parallel: int) -> list[RunOutcome]:
    """Run what is not finished, `parallel` at a time; a run that fails does not stop the others.

    Raises:
        StoppedError: SIGTERM; the same call goes on.
    """
    stage = _TrialWorkers(source, context, parallel)
    with _raise_on_sigterm(), ThreadPoolExecutor(parallel) as pool:
        try:
            workers = [pool.submit(stage.run_worker, slot) for slot in range(parallel)]
            # In turns: a signal is heard between them.
            while wait(workers, 0.5, FIRST_EXCEPTION).not_done:
                for one in workers:
                    if one.done():
                        one.result()
        except BaseException:
            context.stop_event.set()
            raise
    for one in workers:
        one.result()
    return stage.outcomes()


class _TrialWorkers:
    """The work of all threads."""

    def __init__(self, source: TrialSource, context: StudyContext, parallel: int) -> None:
        self._source, self._context, self._parallel = source, context, parallel
        self._lock = threading.Lock()
        self._outcomes: dict[int, RunOutcome] = {}
        self._num_started = 0

    def run_worker(self, slot: int) -> None:
        """Do one run after the other."""
        while not self._context.stop_event.is_set():
            with self._lock:
                one = self._source.next_trial()
                if one is None:
                    return
                number, self._num_started = self._num_started, self._num_started + 1
                judge = self._lock_early_stop(self._source.get_early_stop(one))
            outcome = run_job.run_trial(one, self._context, (slot, self._parallel), judge)
            if self._context.stop_event.is_set():
                return
            with self._lock:
                self._source.record_outcome(outcome)
                self._outcomes[number] = outcome
                print(
                    f"{len(self._outcomes)}/{self._source.total} {_describe_outcome(outcome)}",
                    flush=True,
                )

    def outcomes(self) -> list[RunOutcome]:
        """In the order in which runs began."""
        return [self._outcomes[number] for number in sorted(self._outcomes)]

    def _lock_early_stop(self, early_stop: Optional[EarlyStop]) -> Optional[EarlyStop]:
        if early_stop is None:
            return None

        def with_lock(history: EpochEntries) -> bool:
            with self._lock:
                return early_stop(history)

        return with_lock


@contextmanager
def _raise_on_sigterm() -> Iterator[None]:
    """Raise StoppedError on SIGTERM, where this is the thread that gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Optional[FrameType]) -> None:
        raise StoppedError("the runs write their checkpoints; run the same command again to go on")

    if is_spark_submitted():
        # spark-submit is a JVM that does not hand a signal on to the Python that it started.
        parent_watch.signal_on_parent_exit(signal.SIGTERM)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _describe_outcome(outcome: RunOutcome) -> str:
    name, result = outcome.trial.name, outcome.result
    if result is None:
        return f"{name}: failed: {outcome.error}"
    if outcome.is_pruned:
        return f"{name}: pruned after {result['epochs']} epochs"
    figures = [
        f"{split} {metric} {result[split][metric]:{form}}"
        for split in ("test", "validation", "train")
        for metric, form in (("accuracy", ".4f"), ("loss", ".4g"))
        if result[split][metric] is not None
    ]
    return f"{name}: {', '.join(figures[:2])}, trained for {result['train_secs']:.0f} s"
