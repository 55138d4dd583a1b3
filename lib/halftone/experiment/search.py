"""A search: runs that are proposed one after the other from the results of earlier runs.

The folder of each run stores its proposal and its result. A search that was killed replays both
and then continues: no run is repeated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Optional

import optuna
from optuna.trial import TrialState

from halftone import config, storage
from halftone.config import Config
from halftone.dataset.splits import VALIDATION
from halftone.errors import InputError
from halftone.experiment import run_job, samplers, spaces
from halftone.experiment.combining import list_combinations
from halftone.experiment.outcomes import RunOutcome, metric_value
from halftone.experiment.planning import RunPlanner, SettingLayers, Trial
from halftone.experiment.results import EpochEntries
from halftone.experiment.run_job import EarlyStop
from halftone.experiment.spec import RunSpec, StageSpec

PROPOSAL = "proposal.json"
# How often a sampler is asked for a proposal that differs from all earlier ones.
_MAX_ATTEMPTS = 5
# Settings that may change between two calls.
_CHANGEABLE_SETTINGS = {"trials"}


class SearchTrialSource:
    """The search of a stage. Its methods must not be called concurrently.

    Args:
        planner: Builds the configs of the runs.
        stage: A stage with a search.
        base_layers: Settings of the best run of an earlier stage.
        output: URL of the output of the experiment.
        adapt_config: Applied to the config of each run, for instance to use a subset of its images.

    Raises:
        InputError: A search with different settings exists at `output`.
    """

    def __init__(
        self,
        planner: RunPlanner,
        stage: StageSpec,
        base_layers: SettingLayers,
        output: str,
        adapt_config: Callable[[Config], Config] = lambda config: config,
    ) -> None:
        assert stage.search is not None
        self._planner, self._stage, self._base_layers = planner, stage, base_layers
        self._search, self._output, self._adapt_config = stage.search, output, adapt_config
        self.total = stage.search.trials
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        direction = "minimize" if stage.choose.sign > 0 else "maximize"
        self._study = optuna.create_study(direction=direction, pruner=samplers.create_pruner())
        self._space = samplers.distributions(self._search)
        self._running: dict[str, optuna.Trial] = {}
        self._num_reported_epochs: Counter[int] = Counter()  # by the number of the Optuna trial
        self._proposed_params: list[dict[str, Any]] = []
        # Runs that were proposed in an earlier call.
        self.known_trials: Sequence[Trial] = self._load_proposals()
        self._num_started = 0  # runs that next_trial returned

    def next_trial(self) -> Optional[Trial]:
        """Return the next run; None if there are no more."""
        if self._num_started >= self.total:
            return None
        if self._num_started < len(self.known_trials):
            trial = self.known_trials[self._num_started]
            params = samplers.settings_to_params(self._search, trial.proposal)
            optuna_trial = self._enqueue(params)
        else:
            optuna_trial = self._propose()
            trial = self._make_trial(samplers.params_to_settings(self._search, optuna_trial.params))
            content = {"search": self._proposal_settings(), "proposed": trial.proposal}
            storage.write_json(self._trial_file_url(trial, PROPOSAL), content)
        self._num_started += 1
        self._proposed_params.append(optuna_trial.params)
        self._running[trial.name] = optuna_trial
        return trial

    def record_outcome(self, outcome: RunOutcome) -> None:
        """Report the outcome of a run to the sampler."""
        optuna_trial = self._running.pop(outcome.trial.name)
        if not outcome.trial.folds:
            list(self._report_epochs(optuna_trial, run_job.read_history(outcome.folder)))
        if outcome.is_pruned:
            self._study.tell(optuna_trial, state=TrialState.PRUNED)
            return
        value = None
        if outcome.result is not None:
            value = metric_value(outcome.result, self._split(), self._metric())
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        self._study.tell(optuna_trial, value, state)

    def get_early_stop(self, started_trial: Trial) -> Optional[EarlyStop]:
        """Return the pruning decision for a started run; None if the search does not prune."""
        if not self._search.prune:
            return None
        optuna_trial = self._running[started_trial.name]
        epochs = started_trial.config.train.epochs

        def is_hopeless(history: EpochEntries) -> bool:
            # Decide at each new epoch: no other run may have reached the latest one yet.
            decisions = [
                optuna_trial.should_prune() for _ in self._report_epochs(optuna_trial, history)
            ]
            return any(decisions) and len(history) < epochs

        return is_hopeless

    def _propose(self) -> optuna.Trial:
        """Propose parameters that were not proposed before, if there are any."""
        params: dict[str, Any] = {}
        for attempt in range(0 if self._search.sampler == "grid" else _MAX_ATTEMPTS):
            self._study.sampler = samplers.create_sampler(self._search, self._num_started, attempt)
            optuna_trial = self._study.ask(self._space)
            params = samplers.round_params(self._space, optuna_trial.params)
            self._study.tell(optuna_trial, state=TrialState.FAIL)
            if params not in self._proposed_params:
                return self._enqueue(params)
        return self._enqueue(next(self._remaining_combinations(), params))

    def _remaining_combinations(self) -> Iterator[dict[str, Any]]:
        """Yield the combinations not proposed yet; none if the space is not countable."""
        space = {
            key: spaces.list_search_values(entry) or [] for key, entry in self._search.space.items()
        }
        all_params = (
            samplers.settings_to_params(self._search, combination.settings)
            for combination in list_combinations(space)
        )
        return (params for params in all_params if params not in self._proposed_params)

    def _enqueue(self, params: dict[str, Any]) -> optuna.Trial:
        self._study.enqueue_trial(params)
        return self._study.ask(self._space)

    def _report_epochs(self, optuna_trial: optuna.Trial, history: EpochEntries) -> Iterator[None]:
        """Report each new epoch with a finite metric to Optuna; yield after each report.

        Optuna prunes on NaN, but the next epoch may be right, as after an overflow in half
        precision.
        """
        key = f"val_{self._metric()}" if self._split() == VALIDATION else self._metric()
        for entry in history[self._num_reported_epochs[optuna_trial.number] :]:
            if entry.get(key) is not None:
                optuna_trial.report(entry[key], entry["epoch"])
                yield
        self._num_reported_epochs[optuna_trial.number] = len(history)

    def _metric(self) -> str:
        return self._stage.choose.metric

    def _split(self) -> str:
        return self._stage.choose.split

    def _make_trial(self, proposal: Mapping[str, Any], number: Optional[int] = None) -> Trial:
        number = self._num_started if number is None else number
        run = RunSpec(name=f"trial-{number + 1:03d}", set=spaces.split_keys(proposal))
        trial = self._planner.make_trial(self._stage, self._base_layers, run, proposal)
        return trial._replace(config=self._adapt_config(trial.config))

    def _proposal_settings(self) -> dict[str, Any]:
        """Return the settings that affect the proposals, in JSON types."""
        search = self._search.model_dump(mode="json", exclude=_CHANGEABLE_SETTINGS)
        return {"search": search, "choose": self._stage.choose.model_dump(mode="json")}

    def _trial_file_url(self, planned_trial: Trial, name: str) -> str:
        return storage.join(run_job.run_folder(planned_trial, self._output), name)

    def _load_proposals(self) -> list[Trial]:
        """Read the proposals of an earlier call. Raises InputError if their settings differ."""
        trials: list[Trial] = []
        root = run_job.stage_folder(self._output, self._stage.name)
        settings = self._proposal_settings()
        for number in range(self.total):
            folder = storage.join(root, f"trial-{number + 1:03d}")
            try:
                stored = storage.read_json(storage.join(folder, PROPOSAL))
            except FileNotFoundError:
                break
            changes = [
                f"{key} was {json.dumps(old)}, is now {json.dumps(new)}"
                for key, old, new in config.diff_settings(stored["search"], settings)
            ]
            if changes:
                raise InputError(
                    f"{folder}: belongs to a search with other settings and is not overwritten: "
                    f"{'; '.join(changes)}. Use another --output, or remove {root}"
                )
            trials.append(self._make_trial(stored["proposed"], number))
        return trials
