"""A search: runs that are proposed one after the other, by what came of those before.

What was proposed is kept in each run's folder, and what came of it. A search that was killed goes
through both again, and goes on: nothing is run twice.
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
# How often another proposal is asked for where one has been made before.
_MAX_ATTEMPTS = 5
# What may change between two calls.
_CHANGEABLE_SETTINGS = {"trials"}


class SearchTrialSource:
    """A stage's search. All its methods are called by one thread at a time.

    Args:
        under: settings of an earlier stage's best run.
        finish: what is done to a run's config, such as to take a subset of its images.

    Raises:
        InputError: a search with other settings is at `output`.
    """

    def __init__(
        self,
        planner: RunPlanner,
        stage: StageSpec,
        base_layers: SettingLayers,
        output: str,
        adapt_config: Callable[[Config], Config] = lambda one: one,
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
        self._num_reported_epochs: Counter[int] = Counter()  # epochs
        self._proposed_params: list[dict[str, Any]] = []  # what was proposed
        self.known_trials: Sequence[Trial] = (
            self._load_proposals()
        )  # runs that were proposed in an earlier call
        self._num_started = 0  # of runs that were handed out

    def next_trial(self) -> Optional[Trial]:
        """The next run, None where there is none any more."""
        if self._num_started >= self.total:
            return None
        if self._num_started < len(self.known_trials):
            one = self.known_trials[self._num_started]
            asked = self._enqueue(samplers.settings_to_params(self._search, one.proposal))
        else:
            asked = self._propose()
            one = self._make_trial(samplers.params_to_settings(self._search, asked.params))
            text = {"search": self._proposal_settings(), "proposed": one.proposal}
            storage.write_json(self._trial_file_url(one, PROPOSAL), text)
        self._num_started += 1
        self._proposed_params.append(asked.params)
        self._running[one.name] = asked
        return one

    def record_outcome(self, outcome: RunOutcome) -> None:
        """Let what came of a run count."""
        asked = self._running.pop(outcome.trial.name)
        if not outcome.trial.folds:
            list(self._report_epochs(asked, run_job.read_history(outcome.folder)))
        if outcome.is_pruned:
            self._study.tell(asked, state=TrialState.PRUNED)
            return
        value = None
        if outcome.result is not None:
            value = metric_value(outcome.result, self._split(), self._metric())
        self._study.tell(asked, value, TrialState.FAIL if value is None else TrialState.COMPLETE)

    def get_early_stop(self, started_trial: Trial) -> Optional[EarlyStop]:
        """Whether a run of a history so far is to be stopped; None where none is."""
        if not self._search.prune:
            return None
        asked, epochs = self._running[started_trial.name], started_trial.config.train.epochs

        def is_hopeless(history: EpochEntries) -> bool:
            # Each epoch on its own: the others may have ended before one of a later number.
            judged = [asked.should_prune() for _ in self._report_epochs(asked, history)]
            return any(judged) and len(history) < epochs

        return is_hopeless

    def _propose(self) -> optuna.Trial:
        """A proposal that has not been made before, if there is one."""
        params: dict[str, Any] = {}
        for attempt in range(0 if self._search.sampler == "grid" else _MAX_ATTEMPTS):
            self._study.sampler = samplers.create_sampler(self._search, self._num_started, attempt)
            asked = self._study.ask(self._space)
            params = samplers.round_params(self._space, asked.params)
            self._study.tell(asked, state=TrialState.FAIL)
            if params not in self._proposed_params:
                return self._enqueue(params)
        return self._enqueue(next(self._remaining_combinations(), params))

    def _remaining_combinations(self) -> Iterator[dict[str, Any]]:
        """The combinations that were not proposed yet; none where they are not to be counted."""
        space = {
            key: spaces.list_search_values(given) or [] for key, given in self._search.space.items()
        }
        every = (
            samplers.settings_to_params(self._search, one.settings)
            for one in list_combinations(space)
        )
        return (one for one in every if one not in self._proposed_params)

    def _enqueue(self, params: dict[str, Any]) -> optuna.Trial:
        self._study.enqueue_trial(params)
        return self._study.ask(self._space)

    def _report_epochs(self, optuna_trial: optuna.Trial, history: EpochEntries) -> Iterator[None]:
        """Tell the study of each epoch that it does not know."""
        key = f"val_{self._metric()}" if self._split() == VALIDATION else self._metric()
        for entry in history[self._num_reported_epochs[optuna_trial.number] :]:
            if key in entry:
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
        one = self._planner.make_trial(self._stage, self._base_layers, run, proposal)
        return one._replace(config=self._adapt_config(one.config))

    def _proposal_settings(self) -> dict[str, Any]:
        """All that decides what is proposed, as JSON has it."""
        search = self._search.model_dump(mode="json", exclude=_CHANGEABLE_SETTINGS)
        return {"search": search, "choose": self._stage.choose.model_dump(mode="json")}

    def _trial_file_url(self, planned_trial: Trial, name: str) -> str:
        return storage.join(run_job.run_folder(planned_trial, self._output), name)

    def _load_proposals(self) -> list[Trial]:
        found: list[Trial] = []
        root = run_job.stage_folder(self._output, self._stage.name)
        for number in range(self.total):
            place = storage.join(root, f"trial-{number + 1:03d}")
            try:
                kept = storage.read_json(storage.join(place, PROPOSAL))
            except FileNotFoundError:
                break
            changes = [
                f"{key} {json.dumps(old)} there, {json.dumps(new)} now"
                for key, old, new in config.diff_settings(kept["search"], self._proposal_settings())
            ]
            if changes:
                raise InputError(
                    f"{place}: a search with other settings is there, and is left alone: "
                    f"{'; '.join(changes)}. Give another --output, or remove {root}"
                )
            found.append(self._make_trial(kept["proposed"], number))
        return found
