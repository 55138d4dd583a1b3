"""The stages of an experiment, one after the other, each on the best of an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from halftone.config import Config
from halftone.errors import RunError
from halftone.experiment import datasets, outcomes, study
from halftone.experiment.datasets import Datasets
from halftone.experiment.outcomes import Outcome, StageOutcomes
from halftone.experiment.planning import Layers, Planner, Trial
from halftone.experiment.run_job import Desk
from halftone.experiment.spec import Spec, Stage
from halftone.experiment.study import Listed, Source


class Stages:
    """Runs stages.

    Args:
        subset: of no run more images than that.
    """

    def __init__(
        self, spec: Spec, planner: Planner, desk: Desk, made: Datasets, subset: Optional[int]
    ) -> None:
        self._spec, self._planner, self._desk = spec, planner, desk
        self._made, self._subset = made, subset

    def check_places(self, planned: Mapping[str, Sequence[Trial]]) -> None:
        """Raise InputError where a run of other settings stands in the place of one that is known.

        Args:
            planned: the runs by stage; those that build on another stage are not yet known.
        """
        for stage in self._spec.all_stages():
            if stage.best_of is None:
                self._source(stage, (), planned[stage.name])

    def run(self, stage: Stage, done: Sequence[StageOutcomes]) -> StageOutcomes:
        """Do all runs of a stage.

        Args:
            done: the stages before.

        Raises:
            InputError: a run of other settings is in the place of one.
            RunError: the stage that it builds on has no run that is finished.
            StoppedError: SIGTERM.
        """
        under = self._under(stage, done)
        planned = [] if stage.search else self._planner.listed(stage, under)
        source = self._source(stage, under, planned)
        name = f"{self._spec.name}, stage {stage.name}" if stage.name else self._spec.name
        print(f"{name}: {source.total} runs, {self._spec.parallel} at a time", flush=True)
        self._made.make([own for one in source.known for own in one.configs()])
        found = study.run(source, self._desk, self._spec.parallel)
        best = outcomes.best(found, stage.choose)
        return StageOutcomes(
            stage.name,
            stage.about,
            found,
            best.trial.name if best else None,
            stage.choose,
            [self._made.of(own).rows for one in found for own in one.trial.configs()],
        )

    def _under(self, stage: Stage, done: Sequence[StageOutcomes]) -> Layers:
        """The settings of the best run of the stage that this one builds on."""
        if stage.best_of is None:
            return ()
        earlier = next(one for one in done if one.name == stage.best_of)
        best = outcomes.best(earlier.outcomes, earlier.choose)
        if best is None:
            lines = [
                f"stage {stage.name} builds on the best run of stage {earlier.name}, of which none "
                "is finished; the same command tries them again",
                *failures(earlier.outcomes),
            ]
            raise RunError("\n".join(lines))
        return best.trial.layers

    def _source(self, stage: Stage, under: Layers, planned: Sequence[Trial]) -> Source:
        """Where the stage's runs come from, once it is known that they do not stand otherwise."""
        output = self._desk.output
        source: Source
        if stage.search is None:
            source = Listed(self._sized(stage, planned))
        else:
            from halftone.experiment.search import Search  # Optuna takes a second to import

            source = Search(
                self._planner, stage, under, output, lambda one: self._config(stage, one)
            )
        study.check_place(source.known, output)
        return source

    def _sized(self, stage: Stage, planned: Sequence[Trial]) -> list[Trial]:
        return [one._replace(config=self._config(stage, one.config)) for one in planned]

    def _config(self, stage: Stage, config: Config) -> Config:
        sizes = [size for size in (stage.subset, self._subset) if size is not None]
        return datasets.with_subset(config, self._desk.output, min(sizes)) if sizes else config


def failures(found: Sequence[Outcome]) -> list[str]:
    """A line for each run that failed."""
    return [
        f"  {one.trial.config.name}: {one.error}; its log is {one.log}"
        for one in found
        if one.error
    ]
