"""Run the stages of an experiment in order; a stage can build on the best run of an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from halftone import printable
from halftone.config import Config
from halftone.errors import InputError, RunError
from halftone.experiment import datasets, outcomes, study
from halftone.experiment.datasets import DatasetCache
from halftone.experiment.outcomes import RunOutcome, StageOutcomes
from halftone.experiment.planning import RunPlanner, SettingLayers, Trial
from halftone.experiment.run_job import StudyContext
from halftone.experiment.spec import ExperimentSpec, StageSpec
from halftone.experiment.study import ListTrialSource, TrialSource


class StageRunner:
    """Run the stages of an experiment.

    Args:
        spec: The experiment.
        planner: Builds the configs of the runs.
        context: Objects that all runs share.
        dataset_cache: The datasets of the experiment.
        subset: Maximum number of images of each run; None for no limit.
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
        """Raise InputError if the output has a run of the same name with different settings.

        Args:
            planned: The runs by stage. Stages that build on another one are skipped: the settings
                of their runs are not known yet.
        """
        for stage in self._spec.all_stages():
            if stage.best_of is None:
                self._create_source(stage, (), planned[stage.name])

    def run_stage(self, stage: StageSpec, earlier_stages: Sequence[StageOutcomes]) -> StageOutcomes:
        """Run all runs of a stage.

        Args:
            stage: The stage.
            earlier_stages: Outcomes of the stages before it.

        Raises:
            InputError: The output has a run of the same name with different settings, or all folds
                of a run are the same.
            RunError: The stage that this one builds on has no finished run.
            KeyboardInterrupt: a signal was received.
        """
        base_layers = self._inherited_layers(stage, earlier_stages)
        planned = [] if stage.search else self._planner.list_trials(stage, base_layers)
        source = self._create_source(stage, base_layers, planned)
        name = f"{self._spec.name}, stage {stage.name}" if stage.name else self._spec.name
        printable.print_line(f"{name}: {source.total} runs, {self._spec.parallel} at a time")
        self._dataset_cache.prepare(
            [config for trial in source.known_trials for config in trial.training_configs()]
        )
        self._check_folds(source.known_trials)
        run_outcomes = study.run_trials(source, self._context, self._spec.parallel)
        best = outcomes.best_outcome(run_outcomes, stage.choose)
        return StageOutcomes(
            stage.name,
            stage.about,
            run_outcomes,
            best.trial.name if best else None,
            stage.choose,
            [
                self._dataset_cache.get(config).row_counts
                for outcome in run_outcomes
                for config in outcome.trial.training_configs()
            ],
        )

    def _check_folds(self, trials: Sequence[Trial]) -> None:
        """Raise InputError if the images bring a validation split: all folds are then the same."""
        for trial in trials:
            configs = trial.training_configs()
            fingerprints = {self._dataset_cache.get(config).fingerprint for config in configs}
            if len(configs) > len(fingerprints) == 1:
                raise InputError(
                    f"{trial.config.paths.images}: the images have a validation split of their own "
                    f"(by splits.from_path or a table), so all {len(configs)} folds are the same; "
                    "let splits.from_path and the table name only train and test images"
                )

    def _inherited_layers(
        self, stage: StageSpec, earlier_stages: Sequence[StageOutcomes]
    ) -> SettingLayers:
        """Return the settings of the best run of the stage that this one builds on."""
        if stage.best_of is None:
            return ()
        earlier = next(outcome for outcome in earlier_stages if outcome.name == stage.best_of)
        best = outcomes.best_outcome(earlier.outcomes, earlier.choose)
        if best is None:
            lines = [
                f"stage {stage.name} builds on the best run of stage {earlier.name}, which has no "
                "finished run; correct what they say, then run the same command again",
                *describe_failures(earlier.outcomes),
            ]
            raise RunError("\n".join(lines))
        return best.trial.layers

    def _create_source(
        self, stage: StageSpec, base_layers: SettingLayers, planned: Sequence[Trial]
    ) -> TrialSource:
        """Create the source of a stage's runs. Raises InputError as `check_run_folders` does."""
        output = self._context.output
        source: TrialSource
        if stage.search is None:
            source = ListTrialSource(self._apply_subset(stage, planned))
        else:
            # Imported here because importing Optuna takes a second.
            from halftone.experiment.search import SearchTrialSource

            source = SearchTrialSource(
                self._planner,
                stage,
                base_layers,
                output,
                lambda config: self._config_with_subset(stage, config),
            )
        study.check_run_folders(source.known_trials, output)
        return source

    def _apply_subset(self, stage: StageSpec, planned: Sequence[Trial]) -> list[Trial]:
        return [
            trial._replace(config=self._config_with_subset(stage, trial.config))
            for trial in planned
        ]

    def _config_with_subset(self, stage: StageSpec, config: Config) -> Config:
        sizes = [size for size in (stage.subset, self._subset) if size is not None]
        return datasets.apply_subset(config, self._context.output, min(sizes)) if sizes else config


def describe_failures(run_outcomes: Sequence[RunOutcome]) -> list[str]:
    """Describe each failed run, one line each."""
    return [
        f"  {outcome.trial.config.name}: {outcome.error}; its log is {outcome.log}"
        for outcome in run_outcomes
        if outcome.error
    ]
