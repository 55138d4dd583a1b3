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
from halftone.experiment.datasets import ExperimentDataset
from halftone.experiment.outcomes import PRUNED, RunOutcome, RunResult
from halftone.experiment.places import RunningTraining, TrainingLauncher
from halftone.experiment.planning import Trial
from halftone.experiment.results import EpochEntries
from halftone.model_directory import HISTORY, STOP_FILE, best_epoch
from halftone.tracking import tracking

SETTINGS = "settings.json"
_RUNS, _LOG = "runs", "log"
# What decides a result; what a run's place and helpers are has no part in it.
_RESULT_SETTINGS = {"seed", "pixels", "splits", "preprocess", "train", "score"}
_POLL_SECS = 1.0

# Whether a training of such a history is not worth going on with.
EarlyStop = Callable[[EpochEntries], bool]


def result_settings(run_config: Config) -> dict[str, Any]:
    """All that decides what a run ends with."""
    return run_config.model_dump(mode="json", include=_RESULT_SETTINGS)


def describe_changes(stored: dict[str, Any], run_config: Config) -> list[str]:
    """How settings that were kept differ from a config's, a line each."""
    with suppress(ConfigError):
        # What an earlier version did not know has its default.
        known = {key: stored[key] for key in stored if key in _RESULT_SETTINGS}
        stored = result_settings(config.config_from_mapping(known, "kept settings"))
    return [
        f"{key} {old!r} there, {new!r} now"
        for key, old, new in config.diff_settings(stored, result_settings(run_config))
    ]


def stage_folder(output: str, stage: str) -> str:
    """Where the runs of a stage are kept, below the experiment's output."""
    return storage.join(output, _RUNS, stage) if stage else storage.join(output, _RUNS)


def run_folder(planned_trial: Trial, output: str) -> str:
    """Where a run is kept."""
    return storage.join(stage_folder(output, planned_trial.stage), planned_trial.name)


class StudyContext(NamedTuple):
    """What all runs of an experiment share."""

    output: str
    score_splits: Sequence[str]  # splits
    launcher: TrainingLauncher
    get_dataset: Callable[[Config], ExperimentDataset]
    stop_event: threading.Event  # set: trainings write a checkpoint and end, and none begins


def run_trial(
    planned_trial: Trial,
    context: StudyContext,
    core_share: tuple[int, int],
    early_stop: Optional[EarlyStop],
) -> RunOutcome:
    """Do all trainings of a run that are not finished, one after the other.

    Args:
        share: which of how many parts of this machine's cores it has.
    """
    root = run_folder(planned_trial, context.output)
    log, found = "", []
    for number, own in enumerate(planned_trial.training_configs()):
        place = storage.join(root, f"fold-{number}") if planned_trial.folds else root
        log = storage.join(place, _LOG)
        result = _Training(own, place, context).run(core_share, early_stop)
        if isinstance(result, str):
            return RunOutcome(planned_trial, None, result, log, root)
        found.append(result)
    return RunOutcome(
        planned_trial,
        outcomes.combine_folds(found) if planned_trial.folds else found[0],
        "",
        log,
        root,
    )


class _Training:
    """One training: what it is, and what stands of it."""

    def __init__(self, training_config: Config, folder: str, context: StudyContext) -> None:
        self._config, self._folder, self._context = training_config, folder, context
        self._dataset = context.get_dataset(training_config)
        decides = training_config.model_dump(
            mode="json", include=_RESULT_SETTINGS, exclude_defaults=True
        )
        text = json.dumps(
            [decides, self._dataset.fingerprint, sorted(context.score_splits)], sort_keys=True
        )
        self._fingerprint = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def run(
        self, core_share: tuple[int, int], early_stop: Optional[EarlyStop]
    ) -> Union[RunResult, str]:
        """What it comes to, or why it came to nothing."""
        standing = self._previous_result()
        if standing is not None:
            print(f"{self._config.name}: finished before, and kept", flush=True)
            return standing
        if self._context.stop_event.is_set():
            return "stopped before it began"
        storage.write_json(storage.join(self._folder, SETTINGS), result_settings(self._config))
        slot, parallel = core_share if self._context.launcher.is_local else (0, 1)
        job = {
            "config": self._config_with_tracking().model_dump(mode="json"),
            "dataset": self._dataset.url,
            "folder": self._folder,
            "identity": self._fingerprint,
            "score": list(self._context.score_splits),
            "slot": slot,
            "parallel": parallel,
            "environment": {tracking.PARENT_VARIABLE: self._context.output},
        }
        running = self._context.launcher.launch(job, storage.join(self._folder, _LOG))
        error, is_pruned = self._wait_for_end(running, early_stop)
        found = self._previous_result()
        if found is None and is_pruned:
            return self._write_pruned_result()
        return found or error or "ended well and left no result"

    def _config_with_tracking(self) -> Config:
        """The config, with the store as it is called from any machine and folder."""
        settings = self._config.tracking
        known = settings.model_copy(update={"uri": tracking.store_uri(settings)})
        return self._config.model_copy(update={"tracking": known})

    def _wait_for_end(
        self, running: RunningTraining, early_stop: Optional[EarlyStop]
    ) -> tuple[str, bool]:
        """Wait for the end; return what went wrong, and whether it was found not worth going on."""
        is_pruned = is_stopped = False
        while True:
            ended = running.wait(_POLL_SECS)
            if ended is not None:
                return ended.message, is_pruned
            if early_stop is not None and not is_pruned:
                is_pruned = early_stop(self._read_history())
            if is_pruned or self._context.stop_event.is_set():
                # Again and again: a training that only begins takes an earlier one's file away.
                with suppress(OSError):
                    storage.write_bytes(storage.join(self._model_url(), STOP_FILE), b"")
            if self._context.stop_event.is_set() and not is_stopped:
                running.stop()
                is_stopped = True

    def _model_url(self) -> str:
        return storage.join(self._folder, trial.MODEL)

    def _read_history(self) -> EpochEntries:
        return read_history(self._folder)

    def _write_pruned_result(self) -> RunResult:
        """Keep what is known of a training that was stopped for good."""
        done = self._read_history()
        result = {
            "identity": self._fingerprint,
            "state": PRUNED,
            "parameters": None,
            **results.summarise_history(done, best_epoch(done)),
            "secs": None,
        }
        storage.write_json(storage.join(self._folder, trial.RESULT), result)
        return result

    def _previous_result(self) -> Optional[RunResult]:
        """What this very training, on this very dataset, left; None where it is not finished."""
        try:
            result: RunResult = storage.read_json(storage.join(self._folder, trial.RESULT))
        except FileNotFoundError:
            return None
        return result if result["identity"] == self._fingerprint else None


def read_history(folder: str) -> EpochEntries:
    """The epochs that the training in a folder has done."""
    try:
        epochs: EpochEntries = storage.read_json(storage.join(folder, trial.MODEL, HISTORY))[
            "epochs"
        ]
    except (OSError, ValueError):
        return []
    return epochs
