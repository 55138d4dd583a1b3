"""The JSON Schema of a config."""

from __future__ import annotations

from typing import Any

from halftone.config.root import Config


def json_schema() -> dict[str, Any]:
    """Return the schema."""
    return Config.model_json_schema()
