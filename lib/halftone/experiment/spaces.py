"""Value spaces of an experiment file: lists, named values and ranges.

A space maps a dotted key, or several comma-separated keys that share one value, to its values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, Union

ValueSpace = Mapping[str, Any]
Settings = dict[str, Any]  # by dotted key
_RANGE_KEYS = ("low", "high", "log", "step")


class NumberRange(NamedTuple):
    """Numbers from `low` to `high`, both inclusive; integers if both bounds are integers."""

    low: Union[int, float]
    high: Union[int, float]
    log: bool = False
    step: Optional[Union[int, float]] = None

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def values(self) -> Optional[list[Any]]:
        """Return all numbers of the range; None if they are not countable."""
        if self.step is None and (self.log or not self.is_whole):
            return None
        step = self.step or 1
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        # Repeated addition would accumulate rounding errors.
        return [self.low + number * step for number in range(count)]


def name_values(values: Any) -> dict[str, Any]:
    """Return the values by the name that they have in the name of a run."""
    if isinstance(values, Mapping):
        return dict(values)
    return {format_name_part(value): value for value in values}


def parse_search_values(entry: Any) -> Union[NumberRange, list[Any]]:
    """Parse the entry of one key of a valid search space."""
    return NumberRange(**entry) if isinstance(entry, Mapping) else list(entry)


def list_search_values(entry: Any) -> Optional[list[Any]]:
    """Return all values of one key of a search space; None if they are not countable."""
    values = parse_search_values(entry)
    return values.values() if isinstance(values, NumberRange) else values


def split_keys(settings: Mapping[str, Any]) -> Settings:
    """Split comma-separated keys into one entry for each key."""
    return {key.strip(): value for keys, value in settings.items() for key in keys.split(",")}


def format_name_part(value: Any) -> str:
    if isinstance(value, dict):
        return "-".join(f"{key}-{format_name_part(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "x".join(map(format_name_part, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def find_mistakes(location: str, space: ValueSpace, is_search: bool = False) -> list[str]:
    """Return the mistakes in a space, one line each.

    Args:
        location: Dotted key of the space in the experiment file.
        is_search: Whether a mapping is a range of numbers instead of named values.
    """
    mistakes = []
    for key, values in space.items():
        path = f"{location}.{key}"
        if isinstance(values, list):
            mistakes += [f"{path}: {mistake}" for mistake in _check_list(values)]
        elif isinstance(values, Mapping):
            mistakes += (
                _check_range(path, values) if is_search else _check_named_values(path, values)
            )
        else:
            forms = "{low, high, log, step}" if is_search else "a mapping of names to values"
            mistakes.append(f"{path} = {json.dumps(values)}: must be a list of values, or {forms}")
    return mistakes


def _check_list(values: list[Any]) -> list[str]:
    encoded = [json.dumps(value, sort_keys=True) for value in values]
    if not values:
        return ["has no values; add at least one"]
    duplicate = next((value for value in encoded if encoded.count(value) > 1), None)
    return [f"has the value {duplicate} twice; remove one"] if duplicate is not None else []


def _check_named_values(location: str, values: Mapping[str, Any]) -> list[str]:
    return [f"{location}: {mistake}" for mistake in _check_list(list(values.values()))]


def _check_range(location: str, entry: Mapping[str, Any]) -> list[str]:
    mistakes = [
        f"{location}.{key}: unknown key; valid here: {', '.join(_RANGE_KEYS)}"
        for key in entry
        if key not in _RANGE_KEYS
    ]
    mistakes += [f"{location}.{key}: is missing" for key in ("low", "high") if key not in entry]
    mistakes += [
        f"{location}.{key} = {json.dumps(entry[key])}: must be a number"
        for key in ("low", "high", "step")
        if key in entry and (isinstance(entry[key], bool) or not _is_finite(entry[key]))
    ]
    if not isinstance(entry.get("log", False), bool):
        mistakes.append(f"{location}.log = {json.dumps(entry['log'])}: must be true or false")
    if mistakes:
        return mistakes
    return [f"{location}: {mistake}" for mistake in _check_bounds(NumberRange(**entry))]


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _check_bounds(number_range: NumberRange) -> list[str]:
    low, high, log, step = number_range
    if low >= high:
        return [f"low {low:g} must be below high {high:g}"]
    if log and low <= 0:
        return [f"low {low:g} has no logarithm; use a value above 0, or log: false"]
    if step is None:
        return []
    if log:
        return [f"step {step:g} cannot be combined with log: true; remove one of them"]
    if step <= 0 or step > high - low:
        return [f"step {step:g} must be above 0 and at most high - low = {high - low:g}"]
    if number_range.is_whole and not isinstance(step, int):
        return [f"step {step:g} must be an integer, because low and high are integers"]
    return []
