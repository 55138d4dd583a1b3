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
from halftone.experiment.outcomes import Outcome
from halftone.experiment.planning import Trial
from halftone.experiment.results import History
from halftone.experiment.run_job import Desk, Judge
from halftone.spark.session import is_submitted
from halftone.system import parent_watch


class Source(Protocol):
    """Where runs come from. All methods are called by one thread at a time."""

    total: int
    known: Sequence[Trial]  # as far as they are, before the first is run

    def next(self) -> Optional[Trial]:
        """The next run, None where there is none any more."""

    def told(self, outcome: Outcome) -> None:
        """Let what came of a run count."""

    def judge(self, one: Trial) -> Optional[Judge]:
        """Whether a run is to be stopped early; None where none is."""


class Listed:
    """Runs that are known from the start."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.known, self.total, self._left = trials, len(trials), iter(trials)

    def next(self) -> Optional[Trial]:
        return next(self._left, None)

    def told(self, outcome: Outcome) -> None:
        pass

    def judge(self, one: Trial) -> Optional[Judge]:
        return None


def check_place(trials: Sequence[Trial], output: str) -> None:
    """Raise InputError where a run of the same name and other settings stands at `output`."""
    for one in trials:
        root = run_job.folder(one, output)
        own = storage.join(root, "fold-0") if one.folds else root
        try:
            there = storage.read_json(storage.join(own, run_job.SETTINGS))
        except FileNotFoundError:
            continue
        changes = run_job.changed(there, one.configs()[0])
        if changes:
            raise InputError(
                f"{root}: a run with other settings is there, and is left alone: "
                f"{'; '.join(changes)}. Give another --output, or remove it"
            )


def run(source: Source, desk: Desk, parallel: int) -> list[Outcome]:
    """Run what is not finished, `parallel` at a time; a run that fails does not stop the others.

    Raises:
        StoppedError: SIGTERM; the same call goes on.
    """
    stage = _Stage(source, desk, parallel)
    with _stoppable(), ThreadPoolExecutor(parallel) as pool:
        try:
            workers = [pool.submit(stage.work, slot) for slot in range(parallel)]
            # In turns: a signal is heard between them.
            while wait(workers, 0.5, FIRST_EXCEPTION).not_done:
                for one in workers:
                    if one.done():
                        one.result()
        except BaseException:
            desk.is_stopped.set()
            raise
    for one in workers:
        one.result()
    return stage.outcomes()


class _Stage:
    """The work of all threads."""

    def __init__(self, source: Source, desk: Desk, parallel: int) -> None:
        self._source, self._desk, self._parallel = source, desk, parallel
        self._lock = threading.Lock()
        self._done: dict[int, Outcome] = {}
        self._begun = 0

    def work(self, slot: int) -> None:
        """Do one run after the other."""
        while not self._desk.is_stopped.is_set():
            with self._lock:
                one = self._source.next()
                if one is None:
                    return
                number, self._begun = self._begun, self._begun + 1
                judge = self._locked(self._source.judge(one))
            outcome = run_job.run(one, self._desk, (slot, self._parallel), judge)
            if self._desk.is_stopped.is_set():
                return
            with self._lock:
                self._source.told(outcome)
                self._done[number] = outcome
                print(f"{len(self._done)}/{self._source.total} {_said(outcome)}", flush=True)

    def outcomes(self) -> list[Outcome]:
        """In the order in which runs began."""
        return [self._done[number] for number in sorted(self._done)]

    def _locked(self, judge: Optional[Judge]) -> Optional[Judge]:
        if judge is None:
            return None

        def with_lock(history: History) -> bool:
            with self._lock:
                return judge(history)

        return with_lock


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
        parent_watch.end_with_parent(signal.SIGTERM)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _said(outcome: Outcome) -> str:
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
