"""The stages of an experiment, one after the other, each on the best of an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from halftone.config import Config
from halftone.errors import RunError
from halftone.experiment import datasets, outcomes, study
from halftone.experiment.datasets import DatasetCache
from halftone.experiment.outcomes import RunOutcome, StageOutcomes
from halftone.experiment.planning import RunPlanner, SettingLayers, Trial
from halftone.experiment.run_job import StudyContext
from halftone.experiment.spec import ExperimentSpec, StageSpec
from halftone.experiment.study import ListTrialSource, TrialSource


class StageRunner:
    """Runs stages.

    Args:
        subset: of no run more images than that.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        planner: RunPlanner,
        context: StudyContext,
        dataset_cache: DatasetCache,
        subset: Optional[int],
    ) -> None:
        self._spec, self._planner, self._context = spec, planner, context
        self._dataset_cache, self._subset = dataset_cache, subset

    def check_run_folders(self, planned: Mapping[str, Sequence[Trial]]) -> None:
        """Raise InputError where a run of other settings stands in the place of one that is known.

        Args:
            planned: the runs by stage; those that build on another stage are not yet known.
        """
        for stage in self._spec.all_stages():
            if stage.best_of is None:
                self._create_source(stage, (), planned[stage.name])

    def run_stage(self, stage: StageSpec, earlier_stages: Sequence[StageOutcomes]) -> StageOutcomes:
        """Do all runs of a stage.

        Args:
            done: the stages before.

        Raises:
            InputError: a run of other settings is in the place of one.
            RunError: the stage that it builds on has no run that is finished.
            StoppedError: SIGTERM.
        """
        under = self._inherited_layers(stage, earlier_stages)
        planned = [] if stage.search else self._planner.list_trials(stage, under)
        source = self._create_source(stage, under, planned)
        name = f"{self._spec.name}, stage {stage.name}" if stage.name else self._spec.name
        print(f"{name}: {source.total} runs, {self._spec.parallel} at a time", flush=True)
        self._dataset_cache.prepare(
            [own for one in source.known_trials for own in one.training_configs()]
        )
        found = study.run_trials(source, self._context, self._spec.parallel)
        best = outcomes.best_outcome(found, stage.choose)
        return StageOutcomes(
            stage.name,
            stage.about,
            found,
            best.trial.name if best else None,
            stage.choose,
            [
                self._dataset_cache.get(own).row_counts
                for one in found
                for own in one.trial.training_configs()
            ],
        )

    def _inherited_layers(
        self, stage: StageSpec, earlier_stages: Sequence[StageOutcomes]
    ) -> SettingLayers:
        """The settings of the best run of the stage that this one builds on."""
        if stage.best_of is None:
            return ()
        earlier = next(one for one in earlier_stages if one.name == stage.best_of)
        best = outcomes.best_outcome(earlier.outcomes, earlier.choose)
        if best is None:
            lines = [
                f"stage {stage.name} builds on the best run of stage {earlier.name}, of which none "
                "is finished; the same command tries them again",
                *describe_failures(earlier.outcomes),
            ]
            raise RunError("\n".join(lines))
        return best.trial.layers

    def _create_source(
        self, stage: StageSpec, base_layers: SettingLayers, planned: Sequence[Trial]
    ) -> TrialSource:
        """Where the stage's runs come from, once it is known that they do not stand otherwise."""
        output = self._context.output
        source: TrialSource
        if stage.search is None:
            source = ListTrialSource(self._apply_subset(stage, planned))
        else:
            from halftone.experiment.search import (
                SearchTrialSource,
            )  # Optuna takes a second to import

            source = SearchTrialSource(
                self._planner,
                stage,
                base_layers,
                output,
                lambda one: self._config_with_subset(stage, one),
            )
        study.check_run_folders(source.known_trials, output)
        return source

    def _apply_subset(self, stage: StageSpec, planned: Sequence[Trial]) -> list[Trial]:
        return [one._replace(config=self._config_with_subset(stage, one.config)) for one in planned]

    def _config_with_subset(self, stage: StageSpec, config: Config) -> Config:
        sizes = [size for size in (stage.subset, self._subset) if size is not None]
        return datasets.apply_subset(config, self._context.output, min(sizes)) if sizes else config


def describe_failures(run_outcomes: Sequence[RunOutcome]) -> list[str]:
    """A line for each run that failed."""
    return [
        f"  {one.trial.config.name}: {one.error}; its log is {one.log}"
        for one in run_outcomes
        if one.error
    ]
