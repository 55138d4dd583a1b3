"""The outcomes of the runs of an experiment, and the selection of the best run of a stage.

result.json of a run has the keys

    state           finished or pruned
    parameters      number of parameters of the network
    epochs          number of trained epochs
    best_epoch      number of the epoch whose model is stored
    train, validation, test
                    loss and accuracy; also precision, recall, f1 (of the second class if there are
                    two, else means over classes), mistakes and rows if `score` lists the split.
                    A missing value is None or its key is absent
    train_secs      training time of all epochs, seconds
    images_per_sec  median over the epochs
    secs            time of the whole run including scoring, seconds

In a run with `folds`, every value is the mean over the folds, and there are the keys

    std             standard deviations of the same values (of a sample: divided by folds - 1)
    folds           the results of the folds, in order

A pruned run has the values of its best epoch so far and no test values.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from halftone.config import Config
from halftone.dataset.splits import SPLITS, TRAIN
from halftone.experiment.planning import Trial
from halftone.experiment.spec import ExperimentSpec, SelectionCriterion

FINISHED, PRUNED = "finished", "pruned"
RunResult = dict[str, Any]


class RunOutcome(NamedTuple):
    """The outcome of a run: its result, or the error of a failed run."""

    trial: Trial
    result: Optional[RunResult]
    error: str  # empty unless the run failed
    log: str  # URL; with folds, the log of the fold that failed, else of the last one
    folder: str = ""  # URL; has model/ and scores/, or fold-0/model/ and so on

    @property
    def is_pruned(self) -> bool:
        return self.result is not None and self.result.get("state") == PRUNED

    @property
    def is_finished(self) -> bool:
        return self.result is not None and not self.is_pruned


class StageOutcomes(NamedTuple):
    """The outcomes of one stage. The stage of an experiment without `stages` has no name."""

    name: str
    about: str
    outcomes: list[RunOutcome]
    best: Optional[str]  # name of the best run; None if no run is finished
    choose: SelectionCriterion = SelectionCriterion()  # selects the best run
    row_counts: Sequence[Mapping[str, int]] = ()  # by split, of the dataset of each training


class ExperimentResults(NamedTuple):
    """An experiment and the outcomes of its stages so far."""

    spec: ExperimentSpec
    base: Config  # settings shared by all runs
    stages: Sequence[StageOutcomes]
    output: str  # URL of the folder of the experiment
    shrunk: Sequence[str] = ()  # the command line flags that made the experiment smaller

    @property
    def images(self) -> str:
        return str(self.base.paths.images)


def metric_value(result: RunResult, split: str, metric: str) -> Optional[float]:
    """Return one metric of a result; None if it is missing or not finite."""
    value: Optional[float] = result.get(split, {}).get(metric)
    return value if value is not None and math.isfinite(value) else None


def best_outcome(
    outcomes: Sequence[RunOutcome], choose: SelectionCriterion
) -> Optional[RunOutcome]:
    """Return the finished run with the best metric; ties go to the shortest training time.

    If no run has the metric because there is no validation split, the train split is used.
    """
    for split in (choose.split, TRAIN):
        ranked = [
            (choose.sign * value, outcome.result["train_secs"], number)
            for number, outcome in enumerate(outcomes)
            if outcome.is_finished and outcome.result is not None
            for value in [metric_value(outcome.result, split, choose.metric)]
            if value is not None
        ]
        if ranked:
            return outcomes[min(ranked)[2]]
    return None


def combine_folds(results: Sequence[RunResult]) -> RunResult:
    """Combine the results of all folds into one."""
    mean = _reduce_folds(results, statistics.fmean)
    return {
        **mean,
        "state": FINISHED,
        "parameters": results[0]["parameters"],
        "std": _reduce_folds(results, statistics.stdev),
        "folds": list(results),
    }


_RUN_FIELDS = ("epochs", "best_epoch", "train_secs", "images_per_sec", "secs")


def _reduce_folds(results: Sequence[RunResult], statistic: Any) -> RunResult:
    """Reduce each value over all folds; None if a fold lacks it."""

    def reduce_values(values: Sequence[Any]) -> Optional[float]:
        return None if None in values else float(statistic(values))

    def reduce_split(split: str) -> Mapping[str, Optional[float]]:
        folds = [result[split] for result in results]
        return {key: reduce_values([fold.get(key) for fold in folds]) for key in folds[0]}

    return {
        **{split: reduce_split(split) for split in SPLITS},
        **{name: reduce_values([result[name] for result in results]) for name in _RUN_FIELDS},
    }
