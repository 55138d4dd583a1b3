"""Run one trial of an experiment in the driver: its folder, its trainings and their results."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Callable, NamedTuple, Optional, Union

from halftone import config, model_directory, printable, storage
from halftone.config import Config, ConfigError
from halftone.config.effects import RESULT, effect_of, reset_neutral_settings
from halftone.errors import InputError
from halftone.experiment import outcomes, results, trial
from halftone.experiment.datasets import ExperimentDataset
from halftone.experiment.outcomes import PRUNED, RunOutcome, RunResult
from halftone.experiment.places import RunningTraining, TrainingLauncher
from halftone.experiment.planning import Trial
from halftone.experiment.results import EpochEntries
from halftone.metrics.epochs import best_epoch
from halftone.model_directory import HISTORY, STOP_FILE
from halftone.scoring import scores_directory
from halftone.tracking import tracking

SETTINGS = "settings.json"
RUNS_FOLDER, _LOG = "runs", "log"
# The sections that change a result; those of paths, tracking and Spark do not.
_RESULT_SECTIONS = {name for name in Config.model_fields if effect_of(Config, name) == RESULT}
_POLL_SECS = 1.0

# Returns whether a training with this history should be stopped.
EarlyStop = Callable[[EpochEntries], bool]


def result_settings(run_config: Config) -> dict[str, Any]:
    """Return the settings that affect the result of a run."""
    return reset_neutral_settings(run_config).model_dump(mode="json", include=_RESULT_SECTIONS)


def describe_changes(stored: dict[str, Any], run_config: Config) -> list[str]:
    """Describe how stored settings differ from those of a config, one line each."""
    with suppress(ConfigError):
        # Settings that are newer than the stored ones get their defaults.
        known = {key: stored[key] for key in stored if key in _RESULT_SECTIONS}
        stored = result_settings(config.config_from_mapping(known, "stored settings"))
    return [
        f"{key} was {old!r}, is now {new!r}"
        for key, old, new in config.diff_settings(stored, result_settings(run_config))
    ]


def stage_folder(output: str, stage: str) -> str:
    """Return the folder of the runs of a stage, below the output of the experiment."""
    return storage.join(output, RUNS_FOLDER, stage) if stage else storage.join(output, RUNS_FOLDER)


def run_folder(planned_trial: Trial, output: str) -> str:
    """Return the folder of a run."""
    return storage.join(stage_folder(output, planned_trial.stage), planned_trial.name)


class StudyContext(NamedTuple):
    """Objects that all runs of an experiment share."""

    output: str
    score_splits: Sequence[str]
    launcher: TrainingLauncher
    get_dataset: Callable[[Config], ExperimentDataset]
    stop_event: threading.Event  # once set, trainings checkpoint and exit, and none starts


def run_trial(
    planned_trial: Trial,
    context: StudyContext,
    core_share: tuple[int, int],
    early_stop: Optional[EarlyStop],
) -> RunOutcome:
    """Run all unfinished trainings of a run, one after the other.

    Args:
        planned_trial: The run.
        context: Shared objects of the experiment.
        core_share: Index of the run's share of this machine's cores, and the number of shares.
        early_stop: Decides after each epoch whether to stop the training; None never stops it.
    """
    root = run_folder(planned_trial, context.output)
    log, results_by_fold = "", []
    for fold, training_config in enumerate(planned_trial.training_configs()):
        folder = storage.join(root, f"fold-{fold}") if planned_trial.folds else root
        log = storage.join(folder, _LOG)
        result = _Training(training_config, folder, context).run(core_share, early_stop)
        if isinstance(result, str):
            return RunOutcome(planned_trial, None, result, log, root)
        results_by_fold.append(result)
    result = outcomes.combine_folds(results_by_fold) if planned_trial.folds else results_by_fold[0]
    return RunOutcome(planned_trial, result, "", log, root)


class _Training:
    """One training of a run and its state on storage."""

    def __init__(self, training_config: Config, folder: str, context: StudyContext) -> None:
        self._config, self._folder, self._context = training_config, folder, context
        self._dataset = context.get_dataset(training_config)
        settings = reset_neutral_settings(training_config).model_dump(
            mode="json", include=_RESULT_SECTIONS, exclude_defaults=True
        )
        text = json.dumps(
            [settings, self._dataset.fingerprint, sorted(context.score_splits)], sort_keys=True
        )
        self._fingerprint = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def run(
        self, core_share: tuple[int, int], early_stop: Optional[EarlyStop]
    ) -> Union[RunResult, str]:
        """Run the training unless it is finished; return its result or an error message."""
        previous = self._stored_result()
        if previous is not None and self._has_all_files(previous):
            printable.print_line(f"{self._config.name}: already finished, skipped")
            return previous
        if self._context.stop_event.is_set():
            return "stopped before it started"
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
        result = self._stored_result()
        if result is None and is_pruned:
            return self._write_pruned_result()
        return result or error or "exited with code 0 but wrote no result"

    def _config_with_tracking(self) -> Config:
        """Return the config with a tracking URI that is valid on any machine and in any folder."""
        settings = self._config.tracking
        absolute = settings.model_copy(update={"uri": tracking.store_uri(settings)})
        return self._config.model_copy(update={"tracking": absolute})

    def _wait_for_end(
        self, running: RunningTraining, early_stop: Optional[EarlyStop]
    ) -> tuple[str, bool]:
        """Wait for the end of the training; return its error message and whether it was pruned."""
        is_pruned = is_stopped = False
        while True:
            training_exit = running.wait(_POLL_SECS)
            if training_exit is not None:
                return training_exit.message, is_pruned
            if early_stop is not None and not is_pruned:
                is_pruned = early_stop(self._read_history())
            if is_pruned or self._context.stop_event.is_set():
                # Repeat it: a training that is just starting deletes the stop file of an earlier
                # one.
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
        """Write and return the result of a pruned training from its history."""
        history = self._read_history()
        result = {
            "identity": self._fingerprint,
            "state": PRUNED,
            "parameters": None,
            **results.summarise_history(history, best_epoch(history, self._config.train.best_by)),
            "secs": None,
        }
        storage.write_json(storage.join(self._folder, trial.RESULT), result)
        return result

    def _has_all_files(self, result: RunResult) -> bool:
        """Return whether model and scores are there; a pruned training has neither."""
        if result["state"] == PRUNED:
            return True
        try:
            info = model_directory.read_model_json(self._model_url())
        except InputError:
            return False
        scored_splits = [
            split for split in self._context.score_splits if "rows" in result.get(split, {})
        ]
        return not model_directory.find_missing_files(self._model_url(), info) and all(
            scores_directory.has_all_files(storage.join(self._folder, trial.scores_folder(split)))
            for split in scored_splits
        )

    def _stored_result(self) -> Optional[RunResult]:
        """Return the stored result with this fingerprint; None if the training is unfinished."""
        try:
            result: RunResult = storage.read_json(storage.join(self._folder, trial.RESULT))
        except FileNotFoundError:
            return None
        return result if result["identity"] == self._fingerprint else None


def read_history(folder: str) -> EpochEntries:
    """Return the finished epochs of the training in a folder."""
    url = storage.join(folder, trial.MODEL, HISTORY)
    try:
        epochs: EpochEntries = storage.read_json(url)["epochs"]
    except (OSError, ValueError):
        return []
    return epochs
