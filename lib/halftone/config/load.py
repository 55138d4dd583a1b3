"""Build a config from YAML and overrides, and report every mistake at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from pydantic import (
    ValidationError,
)

from halftone.config.base import ConfigError, mistakes_message
from halftone.config.families import FAMILIES
from halftone.config.root import Config
from halftone.config.yaml_text import parse_yaml, read_yaml
from halftone.config.yaml_values import fit_section, split_key


def load_config(
    path: str, overrides: Sequence[str] = (), paths: Mapping[str, Optional[str]] = {}
) -> Config:
    """Read a YAML file, apply overrides, and validate all settings.

    Args:
        path: the YAML file.
        overrides: `KEY=VALUE` with dotted keys and YAML values, such as `train.epochs=3`.
        paths: values of the section `paths`, by name; None does not override.

    Raises:
        ConfigError: the file cannot be read, or settings are invalid; lists every mistake.
    """
    raw = read_yaml(path)
    for override in overrides:
        raw = overlay_settings(raw, _parse_override(override))
    given = {f"paths.{name}": value for name, value in paths.items() if value is not None}
    return config_from_mapping(overlay_settings(raw, given), source=path)


def config_from_mapping(raw: Mapping[str, Any], source: str) -> Config:
    """Validate a mapping of settings.

    Args:
        source: the name of the mapping in error messages, such as its file.

    Raises:
        ConfigError: settings are invalid; lists every mistake.
    """
    try:
        # JSON mode checks types strictly, but accepts YAML's lists for tuples.
        return Config.model_validate_json(json.dumps(fit_section(raw, Config), default=str))
    except ValidationError as error:
        mistakes = [_describe_mistake(dict(item)) for item in error.errors(include_url=False)]
        raise ConfigError(mistakes_message(source, mistakes)) from None


def require_path(value: Optional[str], key: str, flag: str) -> str:
    """Return a path that a job requires.

    Raises:
        ConfigError: the path is not set.
    """
    if not value:
        raise ConfigError(f"paths.{key} is not set; give it in the config file or as {flag} URL")
    return value


def flatten_settings(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted keys, such as train.model.name."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat.update(flatten_settings(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def diff_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the settings that differ: (dotted key, old value, new value), None if missing."""
    old_flat, new_flat = flatten_settings(old), flatten_settings(new)
    triples = (
        (key, old_flat.get(key), new_flat.get(key)) for key in sorted({*old_flat, *new_flat})
    )
    return [(key, before, after) for key, before, after in triples if before != after]


def overlay_settings(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested settings with the values of dotted keys set; `raw` is unchanged."""
    overlaid = dict(raw)
    for key, value in settings.items():
        *sections, name = split_key(key, Config)
        inner = overlaid
        for section in sections:
            current = inner.get(section)
            inner[section] = dict(current) if isinstance(current, Mapping) else {}
            inner = inner[section]
        inner[name] = value
    return overlaid


def _parse_override(override: str) -> dict[str, Any]:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: must be KEY=VALUE, such as train.epochs=3")
    return {key: parse_yaml(value, f"--set {override}", key)}


def _describe_mistake(error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in FAMILIES)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; {_describe_valid_keys(error['loc'])}"
    message = str(error["msg"]).replace("Input should be", "must be").replace("Value error, ", "")
    if error["type"] == "missing" or isinstance(error["input"], dict):
        return f"{key or 'config'}: {message}"
    return f"{key} = {json.dumps(error['input'])}: {message}"


def _describe_valid_keys(location: tuple[Union[int, str], ...]) -> str:
    section: Any = Config
    for part in location[:-1]:
        if part in FAMILIES:
            section = FAMILIES[str(part)]
        elif part != "model":
            section = section.model_fields[part].annotation
    matches = difflib.get_close_matches(str(location[-1]), list(section.model_fields), n=1)
    hint = f"did you mean {matches[0]}? " if matches else ""
    return f"{hint}valid here: {', '.join(section.model_fields)}"
