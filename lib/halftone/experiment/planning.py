"""Which runs an experiment has, each with its whole config, checked before any of them starts."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from halftone import config, splits
from halftone.config import Config, ConfigError, Convnet
from halftone.experiment.spec import Draw, Paper, Run, Spec

Settings = dict[str, Any]  # by dotted key


class Trial(NamedTuple):
    """A run that can be started."""

    name: str
    config: Config
    paper: Paper = Paper()
    note: str = ""


class Plan(NamedTuple):
    base: Config  # what all runs have in common
    trials: list[Trial]


def plan(spec: Spec, source: str, overrides: Mapping[str, Any] = {}) -> Plan:
    """Give each run its config.

    Args:
        source: what errors call the file.
        overrides: settings by dotted key that win over those of every run.

    Raises:
        ConfigError: a run's settings are wrong, do not fit the size of the images or the place of
            the outputs, or two runs have one name.
    """
    runs = [*spec.runs, *_grid(spec.grid), *_drawn(spec.random, source)]
    twice = [name for name, count in Counter(run.name for run in runs).items() if count > 1]
    if twice:
        raise ConfigError(f"{source}: two runs have the name {twice[0]}; rename one")
    raw = laid_over({"tracking": {"experiment": spec.name}, **spec.base}, overrides)
    base = _checked(raw, f"{source}: base")
    # Where the base leaves the network to the defaults, a run may still change a part of it.
    raw = laid_over(raw, {"train.model.name": base.train.model.name})
    trials = []
    for run in runs:
        own = laid_over(laid_over(raw, run.set), {**overrides, "name": run.name})
        checked = _checked(own, f"{source}: run {run.name}")
        _check_size(checked, f"{source}: run {run.name}")
        trials.append(Trial(run.name, checked, run.paper, run.note))
    return Plan(base, trials)


def laid_over(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with others, by dotted key, laid over them; `raw` stays as it is."""
    laid = dict(raw)
    for key, value in settings.items():
        first, dot, rest = key.partition(".")
        inner = laid.get(first)
        below = inner if isinstance(inner, Mapping) else {}
        laid[first] = laid_over(below, {rest: value}) if dot else value
    return laid


def combinations(space: Mapping[str, Sequence[Any]]) -> Iterator[Settings]:
    """All combinations of a value for each key, the last key's changing first."""
    for values in itertools.product(*space.values()):
        yield dict(zip(space, values))


def draw(settings: Draw) -> list[Settings]:
    """Choose `count` of all combinations, none twice: a pure function of the space and the seed.

    With `balance` no value of that key is drawn more than once more than another.

    Raises:
        ValueError: there are not so many combinations.
    """
    shuffled = sorted(
        combinations(settings.from_),
        key=lambda one: splits.order(_as_text(one), settings.seed, "draw"),
    )
    if settings.count > len(shuffled):
        raise ValueError(
            f"random.count = {settings.count}: is more than the {len(shuffled)} combinations of "
            "random.from"
        )
    if settings.balance is not None:
        seen: Counter[str] = Counter()
        turns = []
        for one in shuffled:
            value = _as_text(one[settings.balance])
            turns.append(seen[value])
            seen[value] += 1
        # The sort is stable: the first of each value, then the second of each, and so on.
        shuffled = [one for _, one in sorted(zip(turns, shuffled), key=lambda pair: pair[0])]
    return shuffled[: settings.count]


def name_of(settings: Settings) -> str:
    """What a combination is called: the last part of each key, and the value."""
    last = Counter(key.rpartition(".")[2] for key in settings)
    parts = []
    for key, value in settings.items():
        short = key.rpartition(".")[2]
        parts.append(f"{short if last[short] == 1 else key}-{_in_name(value)}")
    # A folder of this name must be possible, also where the key is a mistake, named as such later.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "_".join(parts)).lstrip("._-") or "run"


def _in_name(value: Any) -> str:
    if isinstance(value, dict):
        return "-".join(f"{key}-{_in_name(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "x".join(map(_in_name, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _grid(space: Mapping[str, list[Any]]) -> list[Run]:
    return [Run(name=name_of(one), set=one) for one in combinations(space)] if space else []


def _drawn(settings: Optional[Draw], source: str) -> list[Run]:
    try:
        drawn = draw(settings) if settings else []
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    return [Run(name=name_of(one), set=one) for one in drawn]


def _checked(raw: Mapping[str, Any], source: str) -> Config:
    checked = config.from_mapping(raw, source)
    placed = [name for name, value in checked.paths if value is not None and name != "images"]
    if placed:
        raise ConfigError(
            f"{source}: paths.{placed[0]}: an experiment places all but paths.images below its "
            "output; take it out"
        )
    if checked.score.split != splits.TEST:
        raise ConfigError(
            f'{source}: score.split = "{checked.score.split}": an experiment scores the test '
            "split; take it out"
        )
    if not checked.paths.images:
        raise ConfigError(f"{source}: paths.images is not set; give it there or as --input URL")
    return checked


def _check_size(checked: Config, source: str) -> None:
    if isinstance(checked.train.model, Convnet):
        try:
            checked.train.model.check_images(checked.pixels.height_px, checked.pixels.width_px)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
