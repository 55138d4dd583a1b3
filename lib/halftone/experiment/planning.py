"""Which runs an experiment has, each with its whole config, checked before any of them starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Any, NamedTuple

from halftone import config
from halftone.config import Config, ConfigError, Convnet, SparkSettings
from halftone.dataset import splits
from halftone.experiment import combining, spaces
from halftone.experiment.combining import Combination
from halftone.experiment.spaces import NumberRange, Settings
from halftone.experiment.spec import ExperimentSpec, PaperResult, RunSpec, StageSpec

SettingLayers = tuple[Settings, ...]  # each laid over those before it


class Trial(NamedTuple):
    """A run that can be started."""

    name: str
    config: Config
    paper: PaperResult = PaperResult()
    note: str = ""
    stage: str = ""
    layers: SettingLayers = ()  # of its stage and itself, over the base
    folds: int = 0  # as many trainings; 0 where it is a single one
    proposal: Mapping[str, Any] = MappingProxyType({})  # by a search, by the keys of its space

    def training_configs(self) -> list[Config]:
        """Those of its trainings."""
        return [
            self.config.model_copy(
                update={"splits": self.config.splits.model_copy(update={"fold": number})}
            )
            for number in range(self.folds or 1)
        ]


class RunPlanner:
    """Gives each run its config.

    Args:
        source: what errors call the file.
        overrides: settings by dotted key that win over those of every run.

    Raises:
        ConfigError: the settings that all runs have in common are wrong.
    """

    def __init__(
        self, spec: ExperimentSpec, source: str, overrides: Mapping[str, Any] = {}
    ) -> None:
        self._spec, self._source, self._overrides = spec, source, overrides
        raw = overlay_settings(spec.base, overrides)
        self.base = _check_config(raw, f"{source}: base")
        if self.base.tracking.experiment is None:
            raw = overlay_settings(raw, {"tracking.experiment": spec.name})
            self.base = _check_config(raw, f"{source}: base")
        # Where the base leaves the network to the defaults, a run may still change a part of it.
        self._raw = overlay_settings(raw, {"train.model.name": self.base.train.model.name})

    def plan_stages(self) -> dict[str, list[Trial]]:
        """Check all stages, as far as they are known: each by the first run of an earlier stage.

        Returns the runs of each stage by its name; of a search none.

        Raises:
            ConfigError: a run's settings are wrong, do not fit the size of the images or the place
                of the outputs, or two runs of a stage have one name.
        """
        first: dict[str, SettingLayers] = {}
        found: dict[str, list[Trial]] = {}
        for stage in self._spec.all_stages():
            under = first[stage.best_of] if stage.best_of else ()
            tried = (
                self._boundary_trials(stage, under)
                if stage.search
                else self.list_trials(stage, under)
            )
            first[stage.name] = tried[0].layers
            found[stage.name] = [] if stage.search else tried
        return found

    def list_trials(self, stage: StageSpec, base_layers: SettingLayers) -> list[Trial]:
        """The runs of a stage without a search, over the settings of an earlier stage's best."""
        runs = [*stage.runs, *self._combine_runs(stage)]
        twice = [name for name, count in Counter(run.name for run in runs).items() if count > 1]
        if twice:
            raise ConfigError(
                f"{self._location(stage)}: two runs have the name {twice[0]}; rename one"
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
        """Give one run its config.

        Args:
            under: settings of an earlier stage's best run.
            proposed: by a search.
            what: it is called in errors.

        Raises:
            ConfigError: it cannot be run.
        """
        layers = (*base_layers, stage.set, run.set)
        name = f"{stage.name}.{run.name}" if stage.name else run.name
        raw = reduce(overlay_settings, (*layers, {**self._overrides, "name": name}), self._raw)
        if self._spec.folds is not None:
            raw = overlay_settings(raw, {"splits.folds": self._spec.folds, "splits.fold": 0})
        place = f"{self._location(stage)}: {kind}" + f" {run.name}" * (kind == "run")
        checked = _check_config(raw, place)
        _check_image_size(checked, place)
        self._check_ranks(checked, place)
        if self._spec.on == "spark":
            # The run's own small Spark is one of its machine.
            checked = checked.model_copy(update={"spark": SparkSettings()})
        folds = self._spec.folds or 0
        return Trial(run.name, checked, run.paper, run.note, stage.name, layers, folds, proposal)

    def _combine_runs(self, stage: StageSpec) -> Iterator[RunSpec]:
        drawn: list[Combination] = []
        if stage.random is not None:
            try:
                drawn = combining.draw_combinations(stage.random)
            except ValueError as error:
                raise ConfigError(f"{self._location(stage)}: {error}") from None
        every = combining.list_combinations(stage.grid) if stage.grid else ()
        for one in (*every, *drawn):
            yield RunSpec(name=one.name, set=spaces.split_keys(one.settings))

    def _boundary_trials(self, stage: StageSpec, base_layers: SettingLayers) -> list[Trial]:
        """A run for each value, or end of a range, of a search's space: one changed at a time."""
        assert stage.search is not None
        ends: dict[str, list[Any]] = {}
        for key, given in stage.search.space.items():
            asked = spaces.parse_search_values(given)
            ends[key] = [asked.low, asked.high] if isinstance(asked, NumberRange) else asked
        first = {key: values[0] for key, values in ends.items()}
        every = [first, *({**first, key: value} for key in ends for value in ends[key][1:])]
        return [
            self.make_trial(
                stage,
                base_layers,
                RunSpec(name="tried", set=spaces.split_keys(one)),
                one,
                "search.space",
            )
            for one in every
        ]

    def _location(self, stage: StageSpec) -> str:
        return f"{self._source}: stage {stage.name}" if stage.name else self._source

    def _check_ranks(self, trial_config: Config, source: str) -> None:
        ranks = trial_config.train.ranks
        if ranks > 1 and self._spec.on == "spark":
            raise ConfigError(
                f"{source}: train.ranks is {ranks}, and on: spark gives a run one slot; use "
                "on: processes with parallel: 1"
            )
        if ranks > 1 and self._spec.parallel > 1:
            raise ConfigError(
                f"{source}: train.ranks is {ranks}, and parallel is {self._spec.parallel}; runs of "
                "several ranks go one after the other: use parallel: 1"
            )


def overlay_settings(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with others, by dotted key, laid over them; `raw` stays as it is."""
    laid = dict(raw)
    for key, value in settings.items():
        first, dot, rest = key.partition(".")
        inner = laid.get(first)
        below = inner if isinstance(inner, Mapping) else {}
        laid[first] = overlay_settings(below, {rest: value}) if dot else value
    return laid


def _check_config(raw: Mapping[str, Any], source: str) -> Config:
    checked = config.config_from_mapping(raw, source)
    placed = [name for name, value in checked.paths if value is not None and name != "images"]
    if placed:
        raise ConfigError(
            f"{source}: paths.{placed[0]}: an experiment places all but paths.images below its "
            "output; take it out"
        )
    if checked.score.split != splits.TEST:
        raise ConfigError(
            f'{source}: score.split = "{checked.score.split}": an experiment scores the splits '
            "that its own score names; take it out"
        )
    if not checked.paths.images:
        raise ConfigError(f"{source}: paths.images is not set; give it there or as --input URL")
    return checked


def _check_image_size(trial_config: Config, source: str) -> None:
    if isinstance(trial_config.train.model, Convnet):
        try:
            trial_config.train.model.check_image_size(
                trial_config.pixels.height_px, trial_config.pixels.width_px
            )
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
