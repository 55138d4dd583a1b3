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
from halftone.experiment.combining import combinations
from halftone.experiment.outcomes import Outcome, figure
from halftone.experiment.planning import Layers, Planner, Trial
from halftone.experiment.results import History
from halftone.experiment.run_job import Judge
from halftone.experiment.spec import Run, Stage

PROPOSAL = "proposal.json"
# How often another proposal is asked for where one has been made before.
_ATTEMPTS = 5
# What may change between two calls.
_FREE = {"trials"}


class Search:
    """A stage's search. All its methods are called by one thread at a time.

    Args:
        under: settings of an earlier stage's best run.
        finish: what is done to a run's config, such as to take a subset of its images.

    Raises:
        InputError: a search with other settings is at `output`.
    """

    def __init__(
        self,
        planner: Planner,
        stage: Stage,
        under: Layers,
        output: str,
        finish: Callable[[Config], Config] = lambda one: one,
    ) -> None:
        assert stage.search is not None
        self._planner, self._stage, self._under = planner, stage, under
        self._search, self._output, self._finish = stage.search, output, finish
        self.total = stage.search.trials
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        direction = "minimize" if stage.choose.sign > 0 else "maximize"
        self._study = optuna.create_study(direction=direction, pruner=samplers.pruner())
        self._space = samplers.distributions(self._search)
        self._running: dict[str, optuna.Trial] = {}
        self._reported: Counter[int] = Counter()  # epochs
        self._seen: list[dict[str, Any]] = []  # what was proposed
        self.known: Sequence[Trial] = self._kept()  # runs that were proposed in an earlier call
        self._number = 0  # of runs that were handed out

    def next(self) -> Optional[Trial]:
        """The next run, None where there is none any more."""
        if self._number >= self.total:
            return None
        if self._number < len(self.known):
            one = self.known[self._number]
            asked = self._fixed(samplers.params(self._search, one.proposed))
        else:
            asked = self._asked()
            one = self._trial(samplers.settings(self._search, asked.params))
            text = {"search": self._decides(), "proposed": one.proposed}
            storage.write_json(self._place(one, PROPOSAL), text)
        self._number += 1
        self._seen.append(asked.params)
        self._running[one.name] = asked
        return one

    def told(self, outcome: Outcome) -> None:
        """Let what came of a run count."""
        asked = self._running.pop(outcome.trial.name)
        if not outcome.trial.folds:
            list(self._reports(asked, run_job.history(outcome.folder)))
        if outcome.is_pruned:
            self._study.tell(asked, state=TrialState.PRUNED)
            return
        value = None
        if outcome.result is not None:
            value = figure(outcome.result, self._split(), self._metric())
        self._study.tell(asked, value, TrialState.FAIL if value is None else TrialState.COMPLETE)

    def judge(self, one: Trial) -> Optional[Judge]:
        """Whether a run of a history so far is to be stopped; None where none is."""
        if not self._search.prune:
            return None
        asked, epochs = self._running[one.name], one.config.train.epochs

        def is_hopeless(history: History) -> bool:
            # Each epoch on its own: the others may have ended before one of a later number.
            judged = [asked.should_prune() for _ in self._reports(asked, history)]
            return any(judged) and len(history) < epochs

        return is_hopeless

    def _asked(self) -> optuna.Trial:
        """A proposal that has not been made before, if there is one."""
        params: dict[str, Any] = {}
        for attempt in range(0 if self._search.sampler == "grid" else _ATTEMPTS):
            self._study.sampler = samplers.sampler(self._search, self._number, attempt)
            asked = self._study.ask(self._space)
            params = samplers.rounded(self._space, asked.params)
            self._study.tell(asked, state=TrialState.FAIL)
            if params not in self._seen:
                return self._fixed(params)
        return self._fixed(next(self._untried(), params))

    def _untried(self) -> Iterator[dict[str, Any]]:
        """The combinations that were not proposed yet; none where they are not to be counted."""
        space = {key: spaces.every(given) or [] for key, given in self._search.space.items()}
        every = (samplers.params(self._search, one.settings) for one in combinations(space))
        return (one for one in every if one not in self._seen)

    def _fixed(self, params: dict[str, Any]) -> optuna.Trial:
        self._study.enqueue_trial(params)
        return self._study.ask(self._space)

    def _reports(self, asked: optuna.Trial, history: History) -> Iterator[None]:
        """Tell the study of each epoch that it does not know."""
        key = f"val_{self._metric()}" if self._split() == VALIDATION else self._metric()
        for entry in history[self._reported[asked.number] :]:
            if key in entry:
                asked.report(entry[key], entry["epoch"])
                yield
        self._reported[asked.number] = len(history)

    def _metric(self) -> str:
        return self._stage.choose.metric

    def _split(self) -> str:
        return self._stage.choose.split

    def _trial(self, proposed: Mapping[str, Any], number: Optional[int] = None) -> Trial:
        number = self._number if number is None else number
        run = Run(name=f"trial-{number + 1:03d}", set=spaces.spread(proposed))
        one = self._planner.trial(self._stage, self._under, run, proposed)
        return one._replace(config=self._finish(one.config))

    def _decides(self) -> dict[str, Any]:
        """All that decides what is proposed, as JSON has it."""
        search = self._search.model_dump(mode="json", exclude=_FREE)
        return {"search": search, "choose": self._stage.choose.model_dump(mode="json")}

    def _place(self, one: Trial, name: str) -> str:
        return storage.join(run_job.folder(one, self._output), name)

    def _kept(self) -> list[Trial]:
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
                for key, old, new in config.differing(kept["search"], self._decides())
            ]
            if changes:
                raise InputError(
                    f"{place}: a search with other settings is there, and is left alone: "
                    f"{'; '.join(changes)}. Give another --output, or remove {root}"
                )
            found.append(self._trial(kept["proposed"], number))
        return found
