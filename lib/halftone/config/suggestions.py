"""Find the setting that someone meant who wrote an unknown key, flag or variable."""

from __future__ import annotations

import difflib
from typing import Optional

from halftone.config.keys import known_keys, known_settings

_CUTOFF = 0.6  # of difflib
# A flag of most jobs, and the last name of a setting that means something else.
_OUTPUT = "output"


def suggest_setting(flag: str, value: str = "VALUE") -> Optional[str]:
    """Return what to write for an unknown flag that is a setting; None if it is no setting.

    For `--epochs` and `3` this is `--set train.epochs=3`; for `--batch-size`, which two sections
    have, both forms.

    Args:
        flag: with or without its value after `=`.
        value: the word after the flag.
    """
    name, equals, given = flag.lstrip("-").partition("=")
    name = name.replace("-", "_")
    if name == _OUTPUT:
        return None
    close = difflib.get_close_matches(name, _leaf_names(), n=1, cutoff=0.85)
    keys = keys_named(name) or (keys_named(close[0]) if close else [])
    text = given if equals else value
    return " or ".join(f"--set {key}={text}" for key in keys) or None


def keys_named(name: str) -> list[str]:
    """Return the settings with this dotted key, or with this name in any section."""
    if name in known_keys():
        return [name]
    return [key for key in known_keys() if key.rpartition(".")[2] == name]


def close_key(name: str, cutoff: float = _CUTOFF) -> Optional[str]:
    """Return the setting whose key, written with underscores, or last name is closest to `name`."""
    by_name = {key.replace(".", "_"): key for key in reversed(known_keys())}
    if name in _leaf_names():
        return keys_named(name)[0]
    matches = difflib.get_close_matches(name, by_name, n=1, cutoff=cutoff)
    return by_name[matches[0]] if matches else None


def suggest_key(key: str, valid_names: list[str]) -> str:
    """Return the hint for an unknown key, such as "did you mean train.epochs? ", or nothing.

    Args:
        key: the dotted key.
        valid_names: the names that its section has.
    """
    families = [setting.family for setting in known_settings() if setting.key == key]
    if families:
        return f"it is one of name {' or '.join(families)}; "
    name = key.rpartition(".")[2]
    matches = keys_named(name) or difflib.get_close_matches(name, valid_names, n=1, cutoff=_CUTOFF)
    if not matches:
        close = difflib.get_close_matches(name, _leaf_names(), n=1, cutoff=0.8)
        matches = keys_named(close[0]) if close else []
    return f"did you mean {' or '.join(matches)}? " if matches else ""


def _leaf_names() -> list[str]:
    return list(dict.fromkeys(key.rpartition(".")[2] for key in known_keys()))
