"""What came of the runs of an experiment, and which of a stage's is the best.

A run's result, as its result.json has it, is

    state           finished or pruned
    parameters      of the network
    epochs          that it was trained for, of which best_epoch is the one whose model is kept
    train, validation, test
                    loss and accuracy; precision, recall, f1 (of the second class where there are
                    two, else means over classes), mistakes and rows where `score` names the split.
                    None, or no such key, where there is no figure
    train_secs      of all epochs; images_per_sec: the median epoch's
    secs            of the whole run, scoring included

Of a run with `folds` every figure is the mean over its folds; beside them are

    std             the same figures' standard deviations (of a sample: over the folds less one)
    folds           the folds' own results, in order

A pruned run has the figures of its best epoch so far, and no test.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from halftone.dataset.splits import SPLITS, TRAIN
from halftone.experiment.planning import Trial
from halftone.experiment.spec import SelectionCriterion

FINISHED, PRUNED = "finished", "pruned"
RunResult = dict[str, Any]


class RunOutcome(NamedTuple):
    """What came of a run: its result, or why it has none."""

    trial: Trial
    result: Optional[RunResult]
    error: str  # empty unless the run failed
    log: str  # URL; of the fold that failed where there are folds
    folder: str = ""  # URL; holds model/ and scores/, or fold-0/model/ and so on

    @property
    def is_pruned(self) -> bool:
        return self.result is not None and self.result.get("state") == PRUNED

    @property
    def is_finished(self) -> bool:
        return self.result is not None and not self.is_pruned


class StageOutcomes(NamedTuple):
    """What came of one stage. The stage of an experiment without `stages` has no name."""

    name: str
    about: str
    outcomes: list[RunOutcome]
    best: Optional[str]  # the run's name; None where no run is finished
    choose: SelectionCriterion = SelectionCriterion()  # what makes it the best
    row_counts: Sequence[Mapping[str, int]] = ()  # by split, of the dataset of each training


def metric_value(result: RunResult, split: str, metric: str) -> Optional[float]:
    """One of a result's figures; None where there is none."""
    found: Optional[float] = result.get(split, {}).get(metric)
    return found


def best_outcome(
    outcomes: Sequence[RunOutcome], choose: SelectionCriterion
) -> Optional[RunOutcome]:
    """The finished run of the best figure; of equal ones the one trained in the least time.

    Where no run has the figure, as nothing was held out for validation, that of training counts.
    """
    for split in (choose.split, TRAIN):
        ranked = [
            (choose.sign * value, one.result["train_secs"], number)
            for number, one in enumerate(outcomes)
            if one.is_finished and one.result is not None
            for value in [metric_value(one.result, split, choose.metric)]
            if value is not None
        ]
        if ranked:
            return outcomes[min(ranked)[2]]
    return None


def combine_folds(results: Sequence[RunResult]) -> RunResult:
    """One result from those of all folds."""
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
    """Each figure over all folds; None where a fold lacks it."""

    def of(values: Sequence[Any]) -> Optional[float]:
        return None if None in values else float(statistic(values))

    def of_split(name: str) -> Mapping[str, Optional[float]]:
        own = [one[name] for one in results]
        return {key: of([each.get(key) for each in own]) for key in own[0]}

    return {
        **{name: of_split(name) for name in SPLITS},
        **{name: of([one[name] for one in results]) for name in _RUN_FIELDS},
    }
