"""The base class of all sections of a config, and the error for a wrong setting."""

from __future__ import annotations

import re

from pydantic import (
    BaseModel,
    ConfigDict,
)

from halftone.errors import InputError


class ConfigError(InputError):
    """A setting is unknown, of the wrong type, out of range, or missing where it is needed."""


class ConfigSection(BaseModel):
    """A frozen group of settings in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _check_one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"must have exactly 1 group (...), has {groups}")
    return pattern
