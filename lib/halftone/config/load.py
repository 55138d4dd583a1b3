"""Build a config from YAML and overrides, and report every mistake at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from pydantic import (
    ValidationError,
)

from halftone.config.base import ConfigError, names_table
from halftone.config.mistakes import describe_mistakes
from halftone.config.overrides import Override, collect_overrides
from halftone.config.root import Config
from halftone.config.yaml_text import read_yaml
from halftone.config.yaml_values import fit_section, split_key

_EXPERIMENT_KEY = "base"  # an experiment has a config below it


def load_config(
    path: str,
    overrides: Sequence[Union[str, Override]] = (),
    paths: Mapping[str, Optional[str]] = {},
) -> Config:
    """Read a YAML file, apply overrides, and validate all settings.

    A setting comes from the file, from its environment variable (HALFTONE_TRAIN_EPOCHS for
    train.epochs), from `overrides` or from `paths`; each takes precedence over those before it.

    Args:
        path: the YAML file.
        overrides: `KEY=VALUE` with dotted keys and YAML values, such as `train.epochs=3`; or what
            `parse_flag` returns.
        paths: values of the section `paths`, by name; None does not override.

    Raises:
        ConfigError: the file cannot be read, or settings are invalid; lists every mistake.
    """
    return build_config(path, collect_overrides(overrides, paths))


def build_config(path: str, overrides: Sequence[Override]) -> Config:
    """Read a YAML file and apply these overrides alone.

    Raises:
        ConfigError: as load_config.
    """
    raw = read_yaml(path)
    if _EXPERIMENT_KEY in raw:
        raise ConfigError(
            f"{path}: is an experiment and no config; run it with jobs/experiment.py --config "
            f"{path}"
        )
    return config_from_mapping(apply_overrides(raw, overrides), path, overrides)


def apply_overrides(raw: Mapping[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """Return a copy of nested settings with overrides, of which later ones take precedence."""
    overlaid = dict(raw)
    for override in overrides:
        overlaid = overlay_settings(overlaid, {override.key: override.value})
    return overlaid


def config_from_mapping(
    raw: Mapping[str, Any], source: str, overrides: Sequence[Override] = ()
) -> Config:
    """Validate a mapping of settings.

    Args:
        source: the name of the mapping in error messages, such as its file.
        overrides: what `raw` has from elsewhere, to be named in error messages.

    Raises:
        ConfigError: settings are invalid; lists every mistake.
    """
    try:
        # JSON mode checks types strictly, but accepts YAML's lists for tuples.
        return Config.model_validate_json(json.dumps(fit_section(raw, Config), default=str))
    except ValidationError as error:
        raise ConfigError(describe_mistakes(error, raw, source, overrides)) from None


def require_path(value: Optional[str], key: str, flag: str) -> str:
    """Return a path that a job requires.

    Raises:
        ConfigError: the path is not set.
    """
    if not value:
        raise ConfigError(f"paths.{key} is not set; give it in the config file or as {flag} URL")
    return value


def check_written_dataset(url: Optional[str]) -> None:
    """Check that a dataset that is written is named by its folder, and not as a table.

    Raises:
        ConfigError: it is table:NAME or delta://URL.
    """
    if url and names_table(url):
        raise ConfigError(
            f"paths.dataset is {url}, the name of a table that exists, and preprocess and retrain "
            "write the dataset; give the URL or the path of its folder, in the config file or as "
            "--output of preprocess"
        )


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
