"""Run all runs of a stage concurrently, skipping those that are finished."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Optional, Protocol

from halftone import printable, storage
from halftone.errors import InputError
from halftone.experiment import run_job
from halftone.experiment.outcomes import RunOutcome
from halftone.experiment.planning import Trial
from halftone.experiment.results import EpochEntries
from halftone.experiment.run_job import EarlyStop, StudyContext
from halftone.system import job_process


class TrialSource(Protocol):
    """A source of runs. Its methods are never called concurrently."""

    total: int
    known_trials: Sequence[Trial]  # runs that are known before the first one starts

    def next_trial(self) -> Optional[Trial]:
        """Return the next run; None if there are no more."""

    def record_outcome(self, outcome: RunOutcome) -> None:
        """Take the outcome of a run into account."""

    def get_early_stop(self, started_trial: Trial) -> Optional[EarlyStop]:
        """Return the early stopping decision for a run; None if it is never stopped early."""


class ListTrialSource:
    """A source with a fixed list of runs."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.known_trials, self.total, self._remaining = trials, len(trials), iter(trials)

    def next_trial(self) -> Optional[Trial]:
        return next(self._remaining, None)

    def record_outcome(self, outcome: RunOutcome) -> None:
        pass

    def get_early_stop(self, started_trial: Trial) -> Optional[EarlyStop]:
        return None


def check_run_folders(trials: Sequence[Trial], output: str) -> None:
    """Raise InputError if `output` has a run with the same name but different settings."""
    for trial in trials:
        root = run_job.run_folder(trial, output)
        folder = storage.join(root, "fold-0") if trial.folds else root
        try:
            settings = storage.read_json(storage.join(folder, run_job.SETTINGS))
        except FileNotFoundError:
            continue
        changes = run_job.describe_changes(settings, trial.training_configs()[0])
        if changes:
            raise InputError(
                f"{root}: belongs to a run with other settings and is not overwritten: "
                f"{'; '.join(changes)}. Use another --output, or remove it"
            )


def run_trials(source: TrialSource, context: StudyContext, parallel: int) -> list[RunOutcome]:
    """Run all unfinished runs, `parallel` at a time. A failed run does not stop the others.

    Raises:
        KeyboardInterrupt: a signal was received, and the runs have written checkpoints; the same
            call resumes them.
    """
    workers = _TrialWorkers(source, context, parallel)
    with job_process.unlimited_clean_up(), ThreadPoolExecutor(parallel) as pool:
        try:
            futures = [pool.submit(workers.run_worker, slot) for slot in range(parallel)]
            # Wait with a timeout: signal handlers only run between two waits.
            while wait(futures, 0.5, FIRST_EXCEPTION).not_done:
                for future in futures:
                    if future.done():
                        future.result()
        except BaseException:
            context.stop_event.set()
            raise
    for future in futures:
        future.result()
    return workers.outcomes()


class _TrialWorkers:
    """State shared by the worker threads; each thread runs `run_worker`."""

    def __init__(self, source: TrialSource, context: StudyContext, parallel: int) -> None:
        self._source, self._context, self._parallel = source, context, parallel
        self._lock = threading.Lock()
        self._outcomes: dict[int, RunOutcome] = {}
        self._num_started = 0

    def run_worker(self, slot: int) -> None:
        """Run trials until the source is exhausted or the study is stopped."""
        while not self._context.stop_event.is_set():
            with self._lock:
                trial = self._source.next_trial()
                if trial is None:
                    return
                number, self._num_started = self._num_started, self._num_started + 1
                early_stop = self._lock_early_stop(self._source.get_early_stop(trial))
            outcome = run_job.run_trial(trial, self._context, (slot, self._parallel), early_stop)
            if self._context.stop_event.is_set():
                return
            with self._lock:
                self._source.record_outcome(outcome)
                self._outcomes[number] = outcome
                printable.print_line(
                    f"{len(self._outcomes)}/{self._source.total} {_describe_outcome(outcome)}"
                )

    def outcomes(self) -> list[RunOutcome]:
        """Return the outcomes in the order in which the runs were started."""
        return [self._outcomes[number] for number in sorted(self._outcomes)]

    def _lock_early_stop(self, early_stop: Optional[EarlyStop]) -> Optional[EarlyStop]:
        if early_stop is None:
            return None

        def with_lock(history: EpochEntries) -> bool:
            with self._lock:
                return early_stop(history)

        return with_lock


def _describe_outcome(outcome: RunOutcome) -> str:
    name, result = outcome.trial.name, outcome.result
    if result is None:
        return f"{name}: failed: {outcome.error}"
    if outcome.is_pruned:
        return f"{name}: pruned after {result['epochs']} epochs"
    figures = [
        f"{split} {metric} {result[split][metric]:{format_spec}}"
        for split in ("test", "validation", "train")
        for metric, format_spec in (("accuracy", ".4f"), ("loss", ".4g"))
        if result[split][metric] is not None
    ]
    return f"{name}: {', '.join(figures[:2])}, trained for {result['train_secs']:.0f} s"
