"""Describe the mistakes in a config: where each comes from, what is wrong and what is right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from halftone.config.base import mistakes_message
from halftone.config.keys import find_section, join_key
from halftone.config.overrides import Override
from halftone.config.root import Config
from halftone.config.suggestions import suggest_key
from halftone.config.yaml_values import split_key

_FAMILY_KEY = "train.model.name"
_NOT_A_LIST = ("tuple_type", "list_type")


def describe_mistakes(
    error: ValidationError, raw: Mapping[str, Any], source: str, overrides: Sequence[Override]
) -> str:
    """Return a message with all mistakes, grouped by where they come from.

    Args:
        raw: the settings with their overrides.
        source: the name of the file.
        overrides: the settings that do not come from the file.
    """
    # One that a later setting replaced is no cause of a mistake.
    applied = [each for each in overrides if _value_at(raw, each.key) == each.value]
    by_source: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        heading = _find_source(join_key(item["loc"]), source, applied)
        by_source.setdefault(heading, []).append(_describe_mistake(dict(item)))
    return "\n".join(mistakes_message(*pair) for pair in by_source.items())


def _find_source(key: str, source: str, overrides: Sequence[Override]) -> str:
    """Return where the setting with this key, or what it clashes with, comes from."""
    for override in reversed(overrides):
        if f"{key}.".startswith(f"{override.key}."):
            return override.name
    # Settings of a section that do not fit together: some may come from elsewhere.
    causes = [
        override.name
        for override in overrides
        if override.key.startswith(f"{key}.")
        or (override.key == _FAMILY_KEY and key.startswith("train.model."))
    ]
    return f"{source} with {', '.join(causes)}" if causes else source


def _value_at(raw: Mapping[str, Any], key: str) -> Any:
    value: Any = raw
    for name in split_key(key, Config):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _describe_mistake(error: dict[str, Any]) -> str:
    key = join_key(error["loc"])
    if error["type"] == "extra_forbidden":
        section = find_section(error["loc"][:-1])
        assert section is not None  # only a section forbids keys
        names = list(section.model_fields)
        return f"{key}: unknown key; {suggest_key(key, names)}valid here: {', '.join(names)}"
    message = str(error["msg"]).replace("Value error, ", "")
    message = message.replace("Input should be", "must be").replace("a valid array", "a list")
    if error["type"] == "missing" or isinstance(error["input"], dict):
        return f"{key or 'config'}: {message}"
    advice = _advise_list(error)
    if advice:  # not the number of the value in a list that was not meant
        key = key.removesuffix(".0")
    return f"{key} = {json.dumps(error['input'])}: {message}{advice}"


def _advise_list(error: Mapping[str, Any]) -> str:
    """Say how a list is written, if a value was meant for one."""
    value = error["input"]
    # A setting of one value or a list takes a text for the first value.
    is_first_value = error["loc"][-1:] == (0,) and isinstance(value, str) and "," in value
    if error["type"] in _NOT_A_LIST or is_first_value:
        items = value.split(",") if isinstance(value, str) else [json.dumps(value)]
        return f"; write [{', '.join(item.strip() for item in items)}]"
    return ""
