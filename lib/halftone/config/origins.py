"""Show the resolved config."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from halftone.config.load import load_config


def describe(path: str, overrides: Sequence[str] = ()) -> str:
    """Return all settings as YAML."""
    settings = load_config(path, overrides).model_dump(mode="json")
    return yaml.safe_dump(settings, sort_keys=False).rstrip()
