"""Read a config from YAML, apply overrides, and report every mistake at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import yaml
from pydantic import (
    ValidationError,
)

from halftone.config.base import ConfigError
from halftone.config.model import Convnet, Mlp
from halftone.config.root import Config


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
        _apply_override(raw, override)
    for name, value in paths.items():
        if value is not None:
            _apply_override(raw, f"paths.{name}={json.dumps(value)}")
    return config_from_mapping(raw, source=path)


def config_from_mapping(raw: Mapping[str, Any], source: str) -> Config:
    """Validate a mapping of settings.

    Args:
        source: the name of the mapping in error messages, such as its file.

    Raises:
        ConfigError: settings are invalid; lists every mistake.
    """
    try:
        # JSON mode checks types strictly, but accepts YAML's lists for tuples.
        return Config.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        mistakes = [_describe_mistake(dict(item)) for item in error.errors(include_url=False)]
        heading = f"{source}: {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        raise ConfigError("\n".join([heading, *(f"  {line}" for line in mistakes)])) from None


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


class _YamlLoader(yaml.SafeLoader):
    """SafeLoader that reads 1e-3 as a number and rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.append(key)
        return super().construct_mapping(node, deep=deep)


_YamlLoader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _parse_yaml(text: str, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_YamlLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split())}") from None


def read_yaml(path: str) -> dict[str, Any]:
    """Read the settings in a YAML file.

    Raises:
        ConfigError: the file cannot be read, or is not a YAML mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: cannot read the config: not UTF-8 text") from None
    raw = _parse_yaml(text, path)
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must hold settings as key: value, holds a {type(raw).__name__}")
    return raw


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: must be KEY=VALUE, such as train.epochs=3")
    *sections, name = key.split(".")
    for section in sections:
        inner = raw.get(section)
        # Copy each section, so that the caller's mapping does not change.
        raw[section] = dict(inner) if isinstance(inner, dict) else {}
        raw = raw[section]
    raw[name] = _parse_yaml(value, f"--set {override}")


def _describe_mistake(error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in ("convnet", "mlp"))
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; {_describe_valid_keys(error['loc'])}"
    message = str(error["msg"]).replace("Input should be", "must be").replace("Value error, ", "")
    if error["type"] == "missing" or isinstance(error["input"], dict):
        return f"{key or 'config'}: {message}"
    return f"{key} = {json.dumps(error['input'])}: {message}"


def _describe_valid_keys(location: tuple[Union[int, str], ...]) -> str:
    section: Any = Config
    for part in location[:-1]:
        if part in ("convnet", "mlp"):
            section = {"convnet": Convnet, "mlp": Mlp}[str(part)]
        elif part != "model":
            section = section.model_fields[part].annotation
    matches = difflib.get_close_matches(str(location[-1]), list(section.model_fields), n=1)
    hint = f"did you mean {matches[0]}? " if matches else ""
    return f"{hint}valid here: {', '.join(section.model_fields)}"
