"""Values to choose from, as an experiment's file has them: lists, named values and ranges.

A space has them by dotted key, or by several keys with commas between, which then have one value.
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


def name_values(values: Any) -> dict[str, Any]:
    """What values are called, in a name of a run, and the values."""
    return (
        dict(values)
        if isinstance(values, Mapping)
        else {format_name_part(one): one for one in values}
    )


def parse_search_values(entry: Any) -> Union[NumberRange, list[Any]]:
    """What one key of a search's space may be. The space has no mistakes."""
    return NumberRange(**entry) if isinstance(entry, Mapping) else list(entry)


def list_search_values(entry: Any) -> Optional[list[Any]]:
    """All values of one key of a search's space; None where they are not to be counted."""
    asked = parse_search_values(entry)
    return asked.values() if isinstance(asked, NumberRange) else asked


def split_keys(settings: Mapping[str, Any]) -> Settings:
    """The settings with each of several keys on its own."""
    return {one.strip(): value for key, value in settings.items() for one in key.split(",")}


def format_name_part(value: Any) -> str:
    if isinstance(value, dict):
        return "-".join(f"{key}-{format_name_part(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "x".join(map(format_name_part, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def find_mistakes(location: str, space: ValueSpace, is_search: bool = False) -> list[str]:
    """What is wrong with a space, a line each; `where` is what it is called."""
    found = []
    for key, values in space.items():
        place = f"{location}.{key}"
        if isinstance(values, list):
            found += [f"{place}: {what}" for what in _check_list(values)]
        elif isinstance(values, Mapping):
            found += (
                _check_range(place, values) if is_search else _check_named_values(place, values)
            )
        else:
            forms = "{low, high, log, step}" if is_search else "a mapping of names to values"
            found.append(f"{place} = {json.dumps(values)}: must be a list of values, or {forms}")
    return found


def _check_list(values: list[Any]) -> list[str]:
    written = [json.dumps(value, sort_keys=True) for value in values]
    if not values:
        return ["has no values; give at least one"]
    twice = next((value for value in written if written.count(value) > 1), None)
    return [f"has the value {twice} twice; take one out"] if twice is not None else []


def _check_named_values(location: str, values: Mapping[str, Any]) -> list[str]:
    return [f"{location}: {what}" for what in _check_list(list(values.values()))]


def _check_range(location: str, entry: Mapping[str, Any]) -> list[str]:
    found = [
        f"{location}.{key}: unknown key; valid here: {', '.join(_RANGE_KEYS)}"
        for key in entry
        if key not in _RANGE_KEYS
    ]
    found += [f"{location}.{key}: is missing" for key in ("low", "high") if key not in entry]
    found += [
        f"{location}.{key} = {json.dumps(entry[key])}: must be a number"
        for key in ("low", "high", "step")
        if key in entry and (isinstance(entry[key], bool) or not _is_finite(entry[key]))
    ]
    if not isinstance(entry.get("log", False), bool):
        found.append(f"{location}.log = {json.dumps(entry['log'])}: must be true or false")
    return found or [f"{location}: {what}" for what in _check_bounds(NumberRange(**entry))]


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _check_bounds(number_range: NumberRange) -> list[str]:
    low, high, log, step = number_range
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
    if number_range.is_whole and not isinstance(step, int):
        return [f"step {step:g} must be whole, as low and high are"]
    return []
