"""The settings that make a dataset or a model again, as a config file."""

from __future__ import annotations

from typing import Any

from halftone import storage
from halftone.config import Config
from halftone.errors import InputError

# They change no result, or may hold passwords, which must not be shared.
_LEFT_OUT = {"tracking", "card", "retrain", "storage", "spark"}


def list_changed_settings(config: Config) -> dict[str, Any]:
    """Return the nested settings that differ from their defaults, and the name of the network."""
    changed = config.model_dump(mode="json", exclude_defaults=True, exclude=_LEFT_OUT)
    default_network = Config().train.model
    if type(config.train.model) is not type(default_network):
        network = changed.setdefault("train", {}).get("model", {})
        changed["train"]["model"] = {"name": config.train.model.name, **network}
    paths = {key: url for key, url in changed.get("paths", {}).items() if _may_be_shared(url)}
    return {**changed, **({"paths": paths} if "paths" in changed else {})}


def _may_be_shared(url: str) -> bool:
    """Return whether a path holds no password; one that no job has read may."""
    try:
        storage.normalise_url(url)
    except InputError:
        return False
    return True
