"""What an experiment's file may say, checked before anything runs."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, Optional

from pydantic import Field, ValidationError

from halftone.config import ConfigError, ConfigSection, read_yaml
from halftone.experiment import spaces

# A run's name is that of its folder.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class PaperResult(ConfigSection):
    """What a paper says of a run: of the test split, as it has it."""

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
    """Runs drawn from all combinations of values, none twice."""

    from_: dict[str, Any] = Field(
        alias="from",
        description="by dotted key, or several with commas between: values, or names to values",
    )
    count: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    balance: Optional[str] = Field(
        None, description="one of the keys, of which every value is drawn as often as any other"
    )


class SearchSpec(ConfigSection):
    """Runs that are proposed one after the other, by what came of those before."""

    sampler: Literal["tpe", "gp", "random", "grid"] = Field(
        "tpe",
        description="tpe: tree-structured Parzen estimator; gp: Gaussian process; grid: in order",
    )
    trials: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    prune: bool = Field(
        False, description="stop a run that at an epoch is worse than the median of those before"
    )
    space: dict[str, Any] = Field(
        description="by dotted key, or several with commas between: a list of values, or "
        "{low, high, log, step}"
    )


class SelectionCriterion(ConfigSection):
    """What makes a run the best of its stage."""

    split: Literal["train", "validation"] = "validation"
    metric: Literal["loss", "accuracy", "f1"] = "loss"

    @property
    def sign(self) -> int:
        """What a figure is to be multiplied with, so that less is better."""
        return 1 if self.metric == "loss" else -1


class RunSources(ConfigSection):
    """Where runs come from."""

    runs: tuple[RunSpec, ...] = ()
    grid: dict[str, Any] = Field(
        default_factory=dict, description="as random.from, of which all combinations are run"
    )
    random: Optional[RandomSpec] = None
    search: Optional[SearchSpec] = None
    choose: SelectionCriterion = SelectionCriterion()

    def source_names(self) -> list[str]:
        """Those that are given."""
        return [name for name in ("runs", "grid", "random", "search") if getattr(self, name)]


class StageSpec(RunSources):
    """One step of an experiment."""

    name: str = Field(pattern=NAME_PATTERN)
    about: str = ""
    best_of: Optional[str] = Field(
        None, description="an earlier stage: the settings of its best run hold for all runs here"
    )
    set: dict[str, Any] = Field(default_factory=dict, description="settings of all its runs")
    subset: Optional[int] = Field(None, ge=1, description="images, as many of each class")


class ExperimentSpec(RunSources):
    """An experiment, whole. Its own runs, grid, random and search are those of a single stage."""

    name: str = Field(pattern=NAME_PATTERN)
    about: str = Field("", description="the paper, and its section")
    source: str = Field("", description="where the images are from")
    parallel: int = Field(1, ge=1, description="runs at a time")
    on: Literal["processes", "spark"] = Field(
        "processes", description="of this machine, which share its cores; spark: a slot for each"
    )
    score: tuple[Literal["train", "validation", "test"], ...] = Field(
        ("test",), description="splits that are scored with the best model, for all their metrics"
    )
    folds: Optional[int] = Field(
        None, ge=2, le=100, description="each run is as many trainings, see splits.folds"
    )
    base: dict[str, Any] = Field(
        default_factory=dict, description="settings of all runs, as in any config"
    )
    stages: tuple[StageSpec, ...] = ()

    def all_stages(self) -> tuple[StageSpec, ...]:
        """Its stages; what the short form describes is a stage without a name."""
        own = {name: getattr(self, name) for name in RunSources.model_fields}
        return self.stages or (StageSpec.model_construct(name="", **own),)


def load_spec(path: str) -> ExperimentSpec:
    """Read an experiment's file. Raises ConfigError, which names every mistake in it."""
    return parse_spec(read_yaml(path), source=path)


def parse_spec(raw: Mapping[str, Any], source: str) -> ExperimentSpec:
    """Check a mapping of what a file says; `source` is what errors call it. Raises ConfigError."""
    try:
        spec = ExperimentSpec.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        mistakes = [_describe_mistake(dict(item)) for item in error.errors(include_url=False)]
    else:
        mistakes = _check_stages(spec)
    if mistakes:
        heading = f"{source}: {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}"
        raise ConfigError("\n".join([heading, *(f"  {line}" for line in mistakes)]))
    return spec


def _check_stages(spec: ExperimentSpec) -> list[str]:
    """What is wrong with the stages, together and each."""
    if spec.stages and spec.source_names():
        return [f"{spec.source_names()[0]}: stands beside stages; move it into one of them"]
    found, earlier = [], set[str]()
    for number, stage in enumerate(spec.all_stages()):
        at = f"stages.{number}." if spec.stages else ""
        if stage.name in earlier:
            found.append(f"{at}name = {json.dumps(stage.name)}: is that of an earlier stage")
        if stage.best_of is not None and stage.best_of not in earlier:
            names = ", ".join(sorted(earlier)) or "there is none"
            found.append(
                f"{at}best_of = {json.dumps(stage.best_of)}: must be an earlier stage: {names}"
            )
        earlier.add(stage.name)
        if not stage.source_names():
            found.append(f"{at[:-1]}: no runs".lstrip(": ") + "; give runs, grid, random or search")
        found += [
            at + mistake for mistake in (*_check_sources(stage), *_check_criterion(stage, spec))
        ]
    return found


def _check_sources(stage: StageSpec) -> list[str]:
    """What is wrong with where a stage's runs come from."""
    kinds = stage.source_names()
    if stage.search is not None:
        if len(kinds) > 1:
            return [f"search: stands beside {kinds[0]}; give it a stage of its own"]
        return _check_search(stage.search)
    found = spaces.find_mistakes("grid", stage.grid)
    if stage.random is not None:
        found += spaces.find_mistakes("random.from", stage.random.from_)
        if not stage.random.from_:
            found.append("random.from: has no keys; give at least one with its values")
        elif stage.random.balance not in (None, *stage.random.from_):
            found.append(
                f"random.balance = {json.dumps(stage.random.balance)}: must be one of the keys of "
                f"random.from: {', '.join(stage.random.from_)}"
            )
    return found


def _check_search(search: SearchSpec) -> list[str]:
    found = spaces.find_mistakes("search.space", search.space, is_search=True)
    if not search.space:
        found.append("search.space: has no keys; give at least one with its values or its range")
    if found:
        return found
    values = {key: spaces.list_search_values(given) for key, given in search.space.items()}
    endless = [key for key, every in values.items() if every is None]
    count = math.prod(len(every or ()) for every in values.values())
    if search.sampler == "grid" and endless:
        return [f"search.space.{endless[0]}: sampler grid needs a list of values, or a step"]
    if not endless and search.trials > count:
        return [
            f"search.trials = {search.trials}: is more than the {count} combinations of "
            "search.space"
        ]
    return []


def _check_criterion(stage: StageSpec, spec: ExperimentSpec) -> list[str]:
    """What is wrong with what makes a run the best, and with what needs it early."""
    choose, found = stage.choose, []
    if choose.metric == "f1" and choose.split not in spec.score:
        found.append(
            f'choose.metric = "f1": is of a split that is scored, and score does not name '
            f"{choose.split}; add it there"
        )
    if stage.search is not None and stage.search.prune:
        if choose.metric == "f1":
            found.append("search.prune: an epoch has no f1; choose loss or accuracy")
        if spec.folds is not None:
            found.append("search.prune: does not go together with folds; take one out")
    return found


_SECTIONS: dict[str, type[ConfigSection]] = {
    "stages": StageSpec,
    "runs": RunSpec,
    "paper": PaperResult,
    "random": RandomSpec,
    "search": SearchSpec,
    "choose": SelectionCriterion,
}


def _describe_mistake(error: Mapping[str, Any]) -> str:
    place = error["loc"]
    key = ".".join(map(str, place))
    if error["type"] == "extra_forbidden":
        sections = [part for part in place[:-1] if isinstance(part, str)]
        section = _SECTIONS[sections[-1]] if sections else ExperimentSpec
        valid = [field.alias or name for name, field in section.model_fields.items()]
        close = difflib.get_close_matches(str(place[-1]), valid, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{key}: unknown key; {hint}valid here: {', '.join(valid)}"
    message = str(error["msg"]).replace("Input should be", "must be")
    if error["type"] == "missing":
        return f"{key}: is missing"
    return f"{key} = {json.dumps(error['input'])}: {message}"
