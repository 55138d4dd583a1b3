"""What was run: settings, and the machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from halftone.config import Config, flatten_settings

_DISPLAY_NAMES = {"python": "Python", "tensorflow": "TensorFlow", "pyspark": "Spark"}


def list_changed_settings(config: Config) -> list[tuple[str, str, str]]:
    """(key, value, default) of each setting that differs from its default.

    The run's name has its own place on the page. Paths and Spark's settings say where and how it
    ran, not what; Spark's may hold passwords, and a page is passed on.
    """
    family = type(config.train.model)()
    defaults = {
        **flatten_settings(Config().model_dump(mode="json")),
        # Another family than the default one differs in its name, and from its own defaults.
        **flatten_settings(family.model_dump(mode="json", exclude={"name"}), "train.model."),
    }
    values = flatten_settings(config.model_dump(mode="json", exclude={"name", "paths", "spark"}))
    return [
        (key, _format_setting(value), _format_setting(defaults[key]))
        for key, value in values.items()
        if value != defaults[key]
    ]


def describe_machine(facts: Optional[Mapping[str, Any]]) -> str:
    """Facts on one line, in the order given; `memory_bytes` in GiB, `versions` one by one."""
    return ", ".join(_describe_fact(name, value) for name, value in (facts or {}).items())


def _describe_fact(name: str, value: Any) -> str:
    if name == "versions":
        return describe_machine(value)
    if name == "memory_bytes":
        return f"{value / 2**30:.1f} GiB of memory"
    if name == "cores":
        return f"{value} core{'s' if value != 1 else ''}"
    return f"{_DISPLAY_NAMES.get(name, name)} {value}"


def _format_setting(value: Any) -> str:
    """A setting as a YAML file would state it."""
    return value if isinstance(value, str) else json.dumps(value)
