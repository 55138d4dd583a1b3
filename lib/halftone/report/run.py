"""Settings and machine of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from halftone.config import Config, NetworkSettings, flatten_settings

_DISPLAY_NAMES = {"python": "Python", "tensorflow": "TensorFlow", "pyspark": "Spark"}


def list_changed_settings(config: Config) -> list[tuple[str, str, str]]:
    """Return (key, value, default) of each setting that differs from its default.

    The name of the run and the texts of the cards are elsewhere. Paths and Spark settings are left
    out: they do not change the result, and Spark settings may hold passwords, which must not be
    shared.
    """
    family: type[NetworkSettings] = type(config.train.model)
    network = family.model_construct()  # without the settings that have no default
    defaults = {
        **flatten_settings(Config().model_dump(mode="json")),
        # For a model family other than the default, compare with the defaults of that family.
        **flatten_settings(network.model_dump(mode="json", exclude={"name"}), "train.model."),
    }
    excluded = {"name", "paths", "card", "spark"}
    values = flatten_settings(config.model_dump(mode="json", exclude=excluded))
    return [
        (key, _format_setting(value), _format_setting(defaults.get(key)))
        for key, value in values.items()
        if key not in defaults or value != defaults[key]
    ]


def describe_machine(facts: Optional[Mapping[str, Any]]) -> str:
    """Format facts on one line, in the given order; `memory_bytes` in GiB, `versions` flattened."""
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
    """Format a setting as in a YAML file."""
    return value if isinstance(value, str) else json.dumps(value)
