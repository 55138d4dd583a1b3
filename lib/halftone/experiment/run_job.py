"""One run of an experiment from this side: its folder, its trainings, and what came of them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Callable, NamedTuple, Optional, Union

from halftone import config, storage
from halftone.config import Config, ConfigError
from halftone.experiment import outcomes, results, trial
from halftone.experiment.datasets import Dataset
from halftone.experiment.outcomes import PRUNED, Outcome, Result
from halftone.experiment.places import Place, Running
from halftone.experiment.planning import Trial
from halftone.experiment.results import History
from halftone.model_directory import HISTORY, STOP, best_epoch
from halftone.tracking import tracking

SETTINGS = "settings.json"
_RUNS, _LOG = "runs", "log"
# What decides a result; what a run's place and helpers are has no part in it.
_DECIDES = {"seed", "pixels", "splits", "preprocess", "train", "score"}
_LOOK_EVERY_SECS = 1.0

# Whether a training of such a history is not worth going on with.
Judge = Callable[[History], bool]


def settings(one: Config) -> dict[str, Any]:
    """All that decides what a run ends with."""
    return one.model_dump(mode="json", include=_DECIDES)


def changed(there: dict[str, Any], one: Config) -> list[str]:
    """How settings that were kept differ from a config's, a line each."""
    with suppress(ConfigError):
        # What an earlier version did not know has its default.
        known = {key: there[key] for key in there if key in _DECIDES}
        there = settings(config.from_mapping(known, "kept settings"))
    return [
        f"{key} {old!r} there, {new!r} now"
        for key, old, new in config.differing(there, settings(one))
    ]


def stage_folder(output: str, stage: str) -> str:
    """Where the runs of a stage are kept, below the experiment's output."""
    return storage.join(output, _RUNS, stage) if stage else storage.join(output, _RUNS)


def folder(one: Trial, output: str) -> str:
    """Where a run is kept."""
    return storage.join(stage_folder(output, one.stage), one.name)


class Desk(NamedTuple):
    """What all runs of an experiment share."""

    output: str
    score: Sequence[str]  # splits
    place: Place
    dataset: Callable[[Config], Dataset]
    is_stopped: threading.Event  # set: trainings write a checkpoint and end, and none begins


def run(one: Trial, desk: Desk, share: tuple[int, int], judge: Optional[Judge]) -> Outcome:
    """Do all trainings of a run that are not finished, one after the other.

    Args:
        share: which of how many parts of this machine's cores it has.
    """
    root = folder(one, desk.output)
    log, found = "", []
    for number, own in enumerate(one.configs()):
        place = storage.join(root, f"fold-{number}") if one.folds else root
        log = storage.join(place, _LOG)
        result = _Training(own, place, desk).result(share, judge)
        if isinstance(result, str):
            return Outcome(one, None, result, log, root)
        found.append(result)
    return Outcome(one, outcomes.of_folds(found) if one.folds else found[0], "", log, root)


class _Training:
    """One training: what it is, and what stands of it."""

    def __init__(self, own: Config, place: str, desk: Desk) -> None:
        self._config, self._folder, self._desk = own, place, desk
        self._dataset = desk.dataset(own)
        decides = own.model_dump(mode="json", include=_DECIDES, exclude_defaults=True)
        text = json.dumps([decides, self._dataset.fingerprint, sorted(desk.score)], sort_keys=True)
        self._identity = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def result(self, share: tuple[int, int], judge: Optional[Judge]) -> Union[Result, str]:
        """What it comes to, or why it came to nothing."""
        standing = self._standing()
        if standing is not None:
            print(f"{self._config.name}: finished before, and kept", flush=True)
            return standing
        if self._desk.is_stopped.is_set():
            return "stopped before it began"
        storage.write_json(storage.join(self._folder, SETTINGS), settings(self._config))
        slot, parallel = share if self._desk.place.is_here else (0, 1)
        job = {
            "config": self._tracked().model_dump(mode="json"),
            "dataset": self._dataset.url,
            "folder": self._folder,
            "identity": self._identity,
            "score": list(self._desk.score),
            "slot": slot,
            "parallel": parallel,
            "environment": {tracking.PARENT: self._desk.output},
        }
        running = self._desk.place.start(job, storage.join(self._folder, _LOG))
        error, is_pruned = self._follow(running, judge)
        found = self._standing()
        if found is None and is_pruned:
            return self._pruned()
        return found or error or "ended well and left no result"

    def _tracked(self) -> Config:
        """The config, with the store as it is called from any machine and folder."""
        settings = self._config.tracking
        known = settings.model_copy(update={"uri": tracking.store_uri(settings)})
        return self._config.model_copy(update={"tracking": known})

    def _follow(self, running: Running, judge: Optional[Judge]) -> tuple[str, bool]:
        """Wait for the end; return what went wrong, and whether it was found not worth going on."""
        is_pruned = is_stopped = False
        while True:
            ended = running.wait(_LOOK_EVERY_SECS)
            if ended is not None:
                return ended.said, is_pruned
            if judge is not None and not is_pruned:
                is_pruned = judge(self._history())
            if is_pruned or self._desk.is_stopped.is_set():
                # Again and again: a training that only begins takes an earlier one's file away.
                with suppress(OSError):
                    storage.write_bytes(storage.join(self._model(), STOP), b"")
            if self._desk.is_stopped.is_set() and not is_stopped:
                running.stop()
                is_stopped = True

    def _model(self) -> str:
        return storage.join(self._folder, trial.MODEL)

    def _history(self) -> History:
        return history(self._folder)

    def _pruned(self) -> Result:
        """Keep what is known of a training that was stopped for good."""
        done = self._history()
        result = {
            "identity": self._identity,
            "state": PRUNED,
            "parameters": None,
            **results.of_history(done, best_epoch(done)),
            "secs": None,
        }
        storage.write_json(storage.join(self._folder, trial.RESULT), result)
        return result

    def _standing(self) -> Optional[Result]:
        """What this very training, on this very dataset, left; None where it is not finished."""
        try:
            result: Result = storage.read_json(storage.join(self._folder, trial.RESULT))
        except FileNotFoundError:
            return None
        return result if result["identity"] == self._identity else None


def history(place: str) -> History:
    """The epochs that the training in a folder has done."""
    try:
        epochs: History = storage.read_json(storage.join(place, trial.MODEL, HISTORY))["epochs"]
    except (OSError, ValueError):
        return []
    return epochs
