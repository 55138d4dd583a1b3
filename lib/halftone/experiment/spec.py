"""Schema of an experiment file, validated before any run starts."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, Optional

from pydantic import Field, ValidationError

from halftone.config import ConfigError, ConfigSection, fit_section, read_yaml
from halftone.experiment import spaces

# The name of a run is also the name of its folder.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
# Sections of a config that an experiment has below `base`.
_CONFIG_KEYS = {"paths", "pixels", "splits", "preprocess", "train"}


class PaperResult(ConfigSection):
    """Results that a paper reports for a run, on its test split."""

    accuracy: Optional[float] = Field(None, ge=0.0, le=1.0)
    loss: Optional[float] = Field(None, ge=0.0)
    precision: Optional[float] = Field(None, ge=0.0, le=1.0)
    recall: Optional[float] = Field(None, ge=0.0, le=1.0)
    f1: Optional[float] = Field(None, ge=0.0, le=1.0)
    mistakes: Optional[int] = Field(None, ge=0)
    train_secs: Optional[float] = Field(None, ge=0.0)


class RunSpec(ConfigSection):
    """One row of the table."""

    name: str = Field(pattern=NAME_PATTERN)
    set: dict[str, Any] = Field(default_factory=dict, description="settings by dotted key")
    paper: PaperResult = PaperResult()
    note: str = ""


class RandomSpec(ConfigSection):
    """Runs drawn from all combinations of values without replacement."""

    from_: dict[str, Any] = Field(
        alias="from",
        description="by dotted key or comma-separated keys: a list of values, or a mapping of "
        "names to values",
    )
    count: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    balance: Optional[str] = Field(
        None, description="one of the keys; each of its values is drawn equally often"
    )


class SearchSpec(ConfigSection):
    """Runs that are proposed one after the other from the results of earlier runs."""

    sampler: Literal["tpe", "gp", "random", "grid"] = Field(
        "tpe",
        description="tpe: tree-structured Parzen estimator; gp: Gaussian process; grid: in order",
    )
    trials: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    prune: bool = Field(
        False, description="stop a run if it is worse than the median of earlier runs at an epoch"
    )
    space: dict[str, Any] = Field(
        description="by dotted key or comma-separated keys: a list of values, or "
        "{low, high, log, step}"
    )


class SelectionCriterion(ConfigSection):
    """The metric that selects the best run of a stage."""

    split: Literal["train", "validation"] = "validation"
    metric: Literal["loss", "accuracy", "f1"] = "loss"

    @property
    def sign(self) -> int:
        """Factor for a value of the metric, so that lower is better."""
        return 1 if self.metric == "loss" else -1


class RunSources(ConfigSection):
    """The sources of the runs of a stage."""

    runs: tuple[RunSpec, ...] = ()
    grid: dict[str, Any] = Field(
        default_factory=dict, description="same format as random.from; runs all combinations"
    )
    random: Optional[RandomSpec] = None
    search: Optional[SearchSpec] = None
    choose: SelectionCriterion = SelectionCriterion()

    def source_names(self) -> list[str]:
        """Return the names of the sources that are set."""
        return [name for name in ("runs", "grid", "random", "search") if getattr(self, name)]


class StageSpec(RunSources):
    """One step of an experiment."""

    name: str = Field(pattern=NAME_PATTERN)
    about: str = ""
    best_of: Optional[str] = Field(
        None, description="an earlier stage; all runs here inherit the settings of its best run"
    )
    set: dict[str, Any] = Field(default_factory=dict, description="settings of all its runs")
    subset: Optional[int] = Field(None, ge=1, description="images, equally many of each class")


class ExperimentSpec(RunSources):
    """An experiment. Without `stages`, its runs, grid, random and search form a single stage."""

    name: str = Field(pattern=NAME_PATTERN)
    about: str = Field("", description="the paper and its section")
    source: str = Field("", description="the source of the images")
    parallel: int = Field(1, ge=1, description="number of concurrent runs")
    on: Literal["processes", "spark"] = Field(
        "processes",
        description="processes: local processes that share the cores of this machine; spark: one "
        "task slot for each run",
    )
    score: tuple[Literal["train", "validation", "test"], ...] = Field(
        ("test",), description="splits that are scored with the best model, with all metrics"
    )
    folds: Optional[int] = Field(
        None, ge=2, le=100, description="number of trainings of each run, see splits.folds"
    )
    base: dict[str, Any] = Field(
        default_factory=dict, description="settings of all runs, in the format of any config"
    )
    stages: tuple[StageSpec, ...] = ()

    def all_stages(self) -> tuple[StageSpec, ...]:
        """Return the stages; the short form is a single stage with an empty name."""
        sources = {name: getattr(self, name) for name in RunSources.model_fields}
        return self.stages or (StageSpec.model_construct(name="", **sources),)


def load_spec(path: str) -> ExperimentSpec:
    """Read and validate an experiment file.

    Raises:
        ConfigError: The file has mistakes; the message lists all of them.
    """
    raw = read_yaml(path)
    if not _CONFIG_KEYS.isdisjoint(raw):
        raise ConfigError(
            f"{path}: is a config and no experiment, which has its settings below `base`; begin "
            "with one of conf/experiments"
        )
    return parse_spec(raw, source=path)


def parse_spec(raw: Mapping[str, Any], source: str) -> ExperimentSpec:
    """Validate the content of an experiment file.

    Args:
        raw: The content as a nested mapping.
        source: Name of the file in error messages.

    Raises:
        ConfigError: The content has mistakes; the message lists all of them.
    """
    try:
        fitted = fit_section(raw, ExperimentSpec)
        spec = ExperimentSpec.model_validate_json(json.dumps(fitted, default=str))
    except ValidationError as error:
        mistakes = [_describe_mistake(dict(item)) for item in error.errors(include_url=False)]
    else:
        mistakes = _check_stages(spec)
    if mistakes:
        heading = f"{source}: {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}"
        raise ConfigError("\n".join([heading, *(f"  {line}" for line in mistakes)]))
    return spec


def _check_stages(spec: ExperimentSpec) -> list[str]:
    """Return the mistakes of all stages and of their order."""
    if spec.stages and spec.source_names():
        return [
            f"{spec.source_names()[0]}: cannot be combined with stages; move it into one of them"
        ]
    mistakes, earlier = [], set[str]()
    for number, stage in enumerate(spec.all_stages()):
        prefix = f"stages.{number}." if spec.stages else ""
        if stage.name in earlier:
            mistakes.append(
                f"{prefix}name = {json.dumps(stage.name)}: is the name of an earlier stage"
            )
        if stage.best_of is not None and stage.best_of not in earlier:
            names = ", ".join(sorted(earlier)) or "there is none"
            mistakes.append(
                f"{prefix}best_of = {json.dumps(stage.best_of)}: must be an earlier stage: {names}"
            )
        earlier.add(stage.name)
        if not stage.source_names():
            mistakes.append(
                f"{prefix[:-1]}: no runs".lstrip(": ") + "; set runs, grid, random or search"
            )
        mistakes += [
            prefix + mistake for mistake in (*_check_sources(stage), *_check_criterion(stage, spec))
        ]
    return mistakes


def _check_sources(stage: StageSpec) -> list[str]:
    """Return the mistakes in the run sources of a stage."""
    names = stage.source_names()
    if stage.search is not None:
        if len(names) > 1:
            return [f"search: cannot be combined with {names[0]}; move it into a stage of its own"]
        return _check_search(stage.search)
    mistakes = spaces.find_mistakes("grid", stage.grid)
    if stage.random is not None:
        mistakes += spaces.find_mistakes("random.from", stage.random.from_)
        if not stage.random.from_:
            mistakes.append("random.from: has no keys; add at least one with its values")
        elif stage.random.balance not in (None, *stage.random.from_):
            mistakes.append(
                f"random.balance = {json.dumps(stage.random.balance)}: must be one of the keys of "
                f"random.from: {', '.join(stage.random.from_)}"
            )
    return mistakes


def _check_search(search: SearchSpec) -> list[str]:
    mistakes = spaces.find_mistakes("search.space", search.space, is_search=True)
    if not search.space:
        mistakes.append("search.space: has no keys; add at least one with its values or its range")
    if mistakes:
        return mistakes
    values_by_key = {key: spaces.list_search_values(entry) for key, entry in search.space.items()}
    infinite_keys = [key for key, values in values_by_key.items() if values is None]
    count = math.prod(len(values or ()) for values in values_by_key.values())
    if search.sampler == "grid" and infinite_keys:
        return [f"search.space.{infinite_keys[0]}: sampler grid needs a list of values or a step"]
    if not infinite_keys and search.trials > count:
        return [
            f"search.trials = {search.trials}: is more than the {count} combinations of "
            "search.space"
        ]
    return []


def _check_criterion(stage: StageSpec, spec: ExperimentSpec) -> list[str]:
    """Return the mistakes in the selection criterion and in pruning, which depends on it."""
    choose, mistakes = stage.choose, []
    if choose.metric == "f1" and choose.split not in spec.score:
        mistakes.append(
            f'choose.metric = "f1": needs the scores of the {choose.split} split; '
            f"add {choose.split} to score"
        )
    if stage.search is not None and stage.search.prune:
        if choose.metric == "f1":
            mistakes.append("search.prune: epochs have no f1; choose loss or accuracy")
        if spec.folds is not None:
            mistakes.append("search.prune: cannot be combined with folds; remove one of them")
    return mistakes


_SECTIONS: dict[str, type[ConfigSection]] = {
    "stages": StageSpec,
    "runs": RunSpec,
    "paper": PaperResult,
    "random": RandomSpec,
    "search": SearchSpec,
    "choose": SelectionCriterion,
}


def _describe_mistake(error: Mapping[str, Any]) -> str:
    location = error["loc"]
    key = ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        sections = [part for part in location[:-1] if isinstance(part, str)]
        section = _SECTIONS[sections[-1]] if sections else ExperimentSpec
        valid = [field.alias or name for name, field in section.model_fields.items()]
        close = difflib.get_close_matches(str(location[-1]), valid, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{key}: unknown key; {hint}valid here: {', '.join(valid)}"
    message = str(error["msg"]).replace("Input should be", "must be")
    if error["type"] == "missing":
        return f"{key}: is missing"
    return f"{key} = {json.dumps(error['input'])}: {message}"
