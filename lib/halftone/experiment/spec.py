"""What an experiment's file may say, checked before anything runs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Optional

from pydantic import Field, ValidationError

from halftone.config import ConfigError, Section, read_yaml

# A run's name is that of its folder.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Paper(Section):
    """What a paper says of a run: of the test split, as it has it."""

    accuracy: Optional[float] = Field(None, ge=0.0, le=1.0)
    loss: Optional[float] = Field(None, ge=0.0)


class Run(Section):
    """One row of the table."""

    name: str = Field(pattern=NAME)
    set: dict[str, Any] = Field(default_factory=dict, description="settings by dotted key")
    paper: Paper = Paper()
    note: str = ""


class Draw(Section):
    """Runs drawn from all combinations of values, none twice."""

    from_: dict[str, list[Any]] = Field(alias="from", description="values by dotted key")
    count: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    balance: Optional[str] = Field(
        None, description="one of the keys, of which every value is drawn as often as any other"
    )


class Spec(Section):
    """An experiment, whole."""

    name: str = Field(pattern=NAME)
    about: str = Field("", description="the paper, and its section")
    source: str = Field("", description="where the images are from")
    synthetic: bool = Field(False, description="the images are drawn by code")
    parallel: int = Field(1, ge=1, description="runs at a time, which share this machine's cores")
    base: dict[str, Any] = Field(
        default_factory=dict, description="settings of all runs, as in any config"
    )
    runs: tuple[Run, ...] = ()
    grid: dict[str, list[Any]] = Field(
        default_factory=dict, description="values by dotted key, of which all combinations are run"
    )
    random: Optional[Draw] = None


_SECTIONS: dict[str, type[Section]] = {"runs": Run, "paper": Paper, "random": Draw}


def load(path: str) -> Spec:
    """Read an experiment's file. Raises ConfigError, which names every mistake in it."""
    return from_mapping(read_yaml(path), source=path)


def from_mapping(raw: Mapping[str, Any], source: str) -> Spec:
    """Check a mapping of what a file says; `source` is what errors call it. Raises ConfigError."""
    try:
        spec = Spec.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        mistakes = [_mistake(dict(item)) for item in error.errors(include_url=False)]
    else:
        mistakes = _of_search_space(spec)
    if mistakes:
        heading = f"{source}: {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}"
        raise ConfigError("\n".join([heading, *(f"  {line}" for line in mistakes)]))
    return spec


def _of_search_space(spec: Spec) -> list[str]:
    """What is wrong with the values to be combined."""
    if not (spec.runs or spec.grid or spec.random):
        return ["no runs: give runs, grid or random"]
    found = _of_values("grid", spec.grid)
    if spec.random is not None:
        found += _of_values("random.from", spec.random.from_)
        if not spec.random.from_:
            found.append("random.from: has no keys; give at least one with its values")
        elif spec.random.balance not in (None, *spec.random.from_):
            found.append(
                f"random.balance = {json.dumps(spec.random.balance)}: must be one of the keys of "
                f"random.from: {', '.join(spec.random.from_)}"
            )
    return found


def _of_values(where: str, space: Mapping[str, list[Any]]) -> list[str]:
    found = []
    for key, values in space.items():
        written = [json.dumps(value, sort_keys=True) for value in values]
        twice = next((value for value in written if written.count(value) > 1), None)
        if not values:
            found.append(f"{where}.{key}: has no values; give at least one")
        elif twice is not None:
            found.append(f"{where}.{key}: has the value {twice} twice; take one out")
    return found


def _mistake(error: Mapping[str, Any]) -> str:
    place = error["loc"]
    key = ".".join(map(str, place))
    if error["type"] == "extra_forbidden":
        sections = [part for part in place[:-1] if isinstance(part, str)]
        section = _SECTIONS[sections[-1]] if sections else Spec
        valid = [field.alias or name for name, field in section.model_fields.items()]
        close = difflib.get_close_matches(str(place[-1]), valid, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{key}: unknown key; {hint}valid here: {', '.join(valid)}"
    message = str(error["msg"]).replace("Input should be", "must be")
    if error["type"] == "missing":
        return f"{key}: is missing"
    return f"{key} = {json.dumps(error['input'])}: {message}"
