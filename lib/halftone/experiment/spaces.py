"""Values to choose from, as an experiment's file has them: lists, named values and ranges.

A space has them by dotted key, or by several keys with commas between, which then have one value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, Union

Space = Mapping[str, Any]
Settings = dict[str, Any]  # by dotted key
_KEYS = ("low", "high", "log", "step")


class Range(NamedTuple):
    """Numbers from low to high, both included; whole ones where both are."""

    low: Union[int, float]
    high: Union[int, float]
    log: bool = False
    step: Optional[Union[int, float]] = None

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def values(self) -> Optional[list[Any]]:
        """All of them; None where they are not to be counted."""
        if self.step is None and (self.log or not self.is_whole):
            return None
        step = self.step or 1
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        # Not by adding up, which ends elsewhere.
        return [self.low + number * step for number in range(count)]


def named(values: Any) -> dict[str, Any]:
    """What values are called, in a name of a run, and the values."""
    return dict(values) if isinstance(values, Mapping) else {in_name(one): one for one in values}


def of_search(given: Any) -> Union[Range, list[Any]]:
    """What one key of a search's space may be. The space has no mistakes."""
    return Range(**given) if isinstance(given, Mapping) else list(given)


def every(given: Any) -> Optional[list[Any]]:
    """All values of one key of a search's space; None where they are not to be counted."""
    asked = of_search(given)
    return asked.values() if isinstance(asked, Range) else asked


def spread(settings: Mapping[str, Any]) -> Settings:
    """The settings with each of several keys on its own."""
    return {one.strip(): value for key, value in settings.items() for one in key.split(",")}


def in_name(value: Any) -> str:
    if isinstance(value, dict):
        return "-".join(f"{key}-{in_name(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "x".join(map(in_name, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def mistakes(where: str, space: Space, is_search: bool = False) -> list[str]:
    """What is wrong with a space, a line each; `where` is what it is called."""
    found = []
    for key, values in space.items():
        place = f"{where}.{key}"
        if isinstance(values, list):
            found += [f"{place}: {what}" for what in _of_list(values)]
        elif isinstance(values, Mapping):
            found += _of_range(place, values) if is_search else _of_named(place, values)
        else:
            forms = "{low, high, log, step}" if is_search else "a mapping of names to values"
            found.append(f"{place} = {json.dumps(values)}: must be a list of values, or {forms}")
    return found


def _of_list(values: list[Any]) -> list[str]:
    written = [json.dumps(value, sort_keys=True) for value in values]
    if not values:
        return ["has no values; give at least one"]
    twice = next((value for value in written if written.count(value) > 1), None)
    return [f"has the value {twice} twice; take one out"] if twice is not None else []


def _of_named(place: str, values: Mapping[str, Any]) -> list[str]:
    return [f"{place}: {what}" for what in _of_list(list(values.values()))]


def _of_range(place: str, given: Mapping[str, Any]) -> list[str]:
    found = [
        f"{place}.{key}: unknown key; valid here: {', '.join(_KEYS)}"
        for key in given
        if key not in _KEYS
    ]
    found += [f"{place}.{key}: is missing" for key in ("low", "high") if key not in given]
    found += [
        f"{place}.{key} = {json.dumps(given[key])}: must be a number"
        for key in ("low", "high", "step")
        if key in given and (isinstance(given[key], bool) or not _is_finite(given[key]))
    ]
    if not isinstance(given.get("log", False), bool):
        found.append(f"{place}.log = {json.dumps(given['log'])}: must be true or false")
    return found or [f"{place}: {what}" for what in _of_bounds(Range(**given))]


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _of_bounds(asked: Range) -> list[str]:
    low, high, log, step = asked
    if low >= high:
        return [f"low {low:g} must be below high {high:g}"]
    if log and low <= 0:
        return [f"low {low:g} has no logarithm; give one above 0, or log: false"]
    if step is None:
        return []
    if log:
        return [f"step {step:g} and log: true do not go together; take one out"]
    if step <= 0 or step > high - low:
        return [f"step {step:g} must be above 0 and at most high - low = {high - low:g}"]
    if asked.is_whole and not isinstance(step, int):
        return [f"step {step:g} must be whole, as low and high are"]
    return []
