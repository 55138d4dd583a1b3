"""Fit values from YAML to the types of the settings, where YAML cannot know the type.

`off` is text for a setting that has it as a choice, and false for one that is true or false. `true`
is a boolean, and the text "true" in a mapping of texts, such as spark.conf.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from halftone.config.base import ConfigSection

SWITCHES = {"yes": True, "on": True, "no": False, "off": False}


def fit_section(raw: Mapping[str, Any], section: type[ConfigSection]) -> dict[str, Any]:
    """Return the settings of a section with their values fitted to its types."""
    annotations = {
        field.alias or name: field.annotation for name, field in section.model_fields.items()
    }
    return {key: _fit(value, annotations.get(key)) for key, value in raw.items()}


def read_switch(value: Any) -> Any:
    """Return True for `yes` and `on`, False for `no` and `off`, and any other value as it is."""
    is_switch = isinstance(value, str) and value in (value.lower(), value.title(), value.upper())
    return SWITCHES.get(value.lower(), value) if is_switch else value


def split_key(key: str, section: type[ConfigSection]) -> list[str]:
    """Split a dotted key; below a mapping of texts, such as spark.conf, the rest is one name."""
    names = key.split(".")
    annotation: Any = section
    for number, name in enumerate(names):
        if annotation == dict[str, str]:
            return [*names[:number], ".".join(names[number:])]
        if not is_section(annotation) or name not in annotation.model_fields:
            break
        annotation = annotation.model_fields[name].annotation
    return names


def is_section(annotation: Any) -> bool:
    """Whether the type of a setting is a section."""
    return isinstance(annotation, type) and issubclass(annotation, ConfigSection)


def _fit(value: Any, annotation: Any) -> Any:
    options = get_args(annotation) if get_origin(annotation) is Union else (annotation,)
    if isinstance(value, str):
        return read_switch(value) if bool in options and str not in options else value
    if isinstance(value, list):
        items = [get_args(option)[0] for option in options if get_origin(option) is tuple]
        return [_fit(item, items[0]) for item in value] if items else value
    if not isinstance(value, dict):
        return value
    sections = [option for option in options if is_section(option)]
    if len(sections) > 1:  # told apart by their names; the first one is the default
        value = {"name": get_args(sections[0].model_fields["name"].annotation)[0], **value}
        sections = [
            section
            for section in sections
            if value["name"] in get_args(section.model_fields["name"].annotation)
        ]
    if sections:
        return fit_section(value, sections[0])
    if dict[str, str] in options:
        return {key: _as_text(item) for key, item in value.items()}
    return value


def _as_text(value: Any) -> Any:
    """Return a boolean or a number as it is written in YAML."""
    return json.dumps(value) if isinstance(value, (bool, int, float)) else value
