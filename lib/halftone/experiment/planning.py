"""Plan the runs of an experiment: each gets its full config, validated before any run starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any, NamedTuple

from halftone import config
from halftone.config import (
    Config,
    ConfigError,
    Override,
    SparkSettings,
    apply_overrides,
    overlay_settings,
)
from halftone.dataset import splits
from halftone.experiment import combining, spaces
from halftone.experiment.combining import Combination
from halftone.experiment.shortening import shorten_training
from halftone.experiment.spaces import NumberRange, Settings
from halftone.experiment.spec import ExperimentSpec, PaperResult, RunSpec, StageSpec

_FLAGS = {"paths.images": "--input", "train.epochs": "--epochs"}
SettingLayers = tuple[Settings, ...]  # each overrides those before it


class Trial(NamedTuple):
    """A run with its full config."""

    name: str
    config: Config
    paper: PaperResult = PaperResult()
    note: str = ""
    stage: str = ""
    layers: SettingLayers = ()  # of its stage and of the run, over the base
    folds: int = 0  # number of trainings; 0 for a single training without folds
    proposal: Mapping[str, Any] = MappingProxyType({})  # of a search, by the keys of its space

    def training_configs(self) -> list[Config]:
        """Return the config of each training of the run."""
        return [
            self.config.model_copy(
                update={"splits": self.config.splits.model_copy(update={"fold": number})}
            )
            for number in range(self.folds or 1)
        ]


class RunPlanner:
    """Build the config of each run.

    Args:
        spec: The experiment.
        source: Name of the experiment file in error messages.
        overrides: Settings by dotted key that override those of every run.
        environment: Settings that override those of `base`; those of a run or a stage come after.
            Paths of outputs are left out, which an experiment sets itself.

    Raises:
        ConfigError: The settings shared by all runs are invalid.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        source: str,
        overrides: Mapping[str, Any] = {},
        environment: Sequence[Override] = (),
    ) -> None:
        self._spec, self._source, self._overrides = spec, source, overrides
        applied = [each for each in environment if not _is_output_path(each.key)]
        raw = overlay_settings(apply_overrides(spec.base, applied), overrides)
        flags = (Override(key, value, _FLAGS.get(key, key)) for key, value in overrides.items())
        self._not_of_file = [*applied, *flags]
        self.base = self._check_config(raw, f"{source}: base")
        if self.base.tracking.experiment is None:
            raw = overlay_settings(raw, {"tracking.experiment": spec.name})
            self.base = self._check_config(raw, f"{source}: base")
        # A run may change single settings of the network: this needs its name in the config.
        self._raw = overlay_settings(raw, {"train.model.name": self.base.train.model.name})

    def plan_stages(self) -> dict[str, list[Trial]]:
        """Validate the runs of all stages.

        The best run of an earlier stage is not known yet: its first run stands in for it.

        Returns:
            The runs of each stage by its name; a search has none yet.

        Raises:
            ConfigError: The settings of a run are invalid, do not fit the size of the images or
                set output paths, or two runs of a stage have the same name.
        """
        first_layers: dict[str, SettingLayers] = {}
        trials_by_stage: dict[str, list[Trial]] = {}
        for stage in self._spec.all_stages():
            base_layers = first_layers[stage.best_of] if stage.best_of else ()
            trials = (
                self._boundary_trials(stage, base_layers)
                if stage.search
                else self.list_trials(stage, base_layers)
            )
            first_layers[stage.name] = trials[0].layers
            trials_by_stage[stage.name] = [] if stage.search else trials
        return trials_by_stage

    def list_trials(self, stage: StageSpec, base_layers: SettingLayers) -> list[Trial]:
        """Return the runs of a stage without a search.

        Args:
            stage: The stage.
            base_layers: Settings of the best run of an earlier stage.

        Raises:
            ConfigError: The settings of a run are invalid, or two runs have the same name.
        """
        runs = [*stage.runs, *self._combine_runs(stage)]
        name_counts = Counter(run.name for run in runs)
        duplicates = [name for name, count in name_counts.items() if count > 1]
        if duplicates:
            raise ConfigError(
                f"{self._location(stage)}: two runs have the name {duplicates[0]}; rename one"
            )
        return [self.make_trial(stage, base_layers, run) for run in runs]

    def make_trial(
        self,
        stage: StageSpec,
        base_layers: SettingLayers,
        run: RunSpec,
        proposal: Mapping[str, Any] = MappingProxyType({}),
        kind: str = "run",
    ) -> Trial:
        """Build the config of one run.

        Args:
            stage: The stage of the run.
            base_layers: Settings of the best run of an earlier stage.
            run: The run as in the experiment file.
            proposal: Values that a search proposed for the run.
            kind: Noun for the run in error messages.

        Raises:
            ConfigError: The run has invalid settings.
        """
        layers = (*base_layers, stage.set, run.set)
        name = f"{stage.name}.{run.name}" if stage.name else run.name
        raw = reduce(overlay_settings, (*layers, {**self._overrides, "name": name}), self._raw)
        if self._spec.folds is not None:
            raw = overlay_settings(raw, {"splits.folds": self._spec.folds, "splits.fold": 0})
        source = f"{self._location(stage)}: {kind}" + f" {run.name}" * (kind == "run")
        trial_config = self._check_config(raw, source)
        _check_images(trial_config, source)
        self._check_ranks(trial_config, source)
        if self._spec.on == "spark":
            # Each training starts a local Spark with default settings on its executor's machine.
            trial_config = trial_config.model_copy(update={"spark": SparkSettings()})
        folds = self._spec.folds or 0
        return Trial(
            run.name, trial_config, run.paper, run.note, stage.name, layers, folds, proposal
        )

    def _shorten(self, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        epochs = self._overrides.get("train.epochs")
        return raw if epochs is None else shorten_training(raw, epochs)

    def _combine_runs(self, stage: StageSpec) -> Iterator[RunSpec]:
        drawn: list[Combination] = []
        if stage.random is not None:
            try:
                drawn = combining.draw_combinations(stage.random)
            except ValueError as error:
                raise ConfigError(f"{self._location(stage)}: {error}") from None
        grid = combining.list_combinations(stage.grid) if stage.grid else ()
        for combination in (*grid, *drawn):
            yield RunSpec(name=combination.name, set=spaces.split_keys(combination.settings))

    def _boundary_trials(self, stage: StageSpec, base_layers: SettingLayers) -> list[Trial]:
        """Build runs that cover every listed value and both ends of every range of a search space.

        Each run differs from the first one in a single key.
        """
        assert stage.search is not None
        boundaries: dict[str, list[Any]] = {}
        for key, entry in stage.search.space.items():
            values = spaces.parse_search_values(entry)
            boundaries[key] = (
                [values.low, values.high] if isinstance(values, NumberRange) else values
            )
        first = {key: values[0] for key, values in boundaries.items()}
        others = ({**first, key: value} for key in boundaries for value in boundaries[key][1:])
        return [
            self.make_trial(
                stage,
                base_layers,
                RunSpec(name="tried", set=spaces.split_keys(settings)),
                settings,
                "search.space",
            )
            for settings in (first, *others)
        ]

    def _check_config(self, raw: Mapping[str, Any], source: str) -> Config:
        parsed = config.config_from_mapping(self._shorten(raw), source, self._not_of_file)
        output_paths = [
            name for name, value in parsed.paths if value is not None and name != "images"
        ]
        if output_paths:
            raise ConfigError(
                f"{source}: paths.{output_paths[0]}: an experiment sets all paths except "
                "paths.images to folders below its output; remove it"
            )
        if parsed.score.split != splits.TEST:
            raise ConfigError(
                f'{source}: score.split = "{parsed.score.split}": an experiment scores the splits '
                "that its `score` key lists; remove it"
            )
        if not parsed.paths.images:
            raise ConfigError(
                f"{source}: paths.images is not set; set it there or with --input URL"
            )
        return parsed

    def _location(self, stage: StageSpec) -> str:
        return f"{self._source}: stage {stage.name}" if stage.name else self._source

    def _check_ranks(self, trial_config: Config, source: str) -> None:
        ranks = trial_config.train.ranks
        if ranks > 1 and self._spec.on == "spark":
            raise ConfigError(
                f"{source}: train.ranks is {ranks}, but on: spark gives each run one slot; use "
                "on: processes with parallel: 1"
            )
        if ranks > 1 and self._spec.parallel > 1:
            raise ConfigError(
                f"{source}: train.ranks is {ranks}, but parallel is {self._spec.parallel}; runs "
                "with several ranks cannot run concurrently: use parallel: 1"
            )


def _is_output_path(key: str) -> bool:
    return key.startswith("paths.") and key != "paths.images"


def _check_images(trial_config: Config, source: str) -> None:
    try:
        trial_config.train.check_images(*trial_config.pixels.shape)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
