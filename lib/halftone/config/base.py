"""The base class of all sections of a config, and the error for an invalid setting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
)

from halftone.errors import InputError
from halftone.url_schemes import describe_unknown_scheme


class ConfigError(InputError):
    """A setting is unknown, of the wrong type, out of range, or missing although required."""


def _check_scheme(url: str) -> str:
    mistake = describe_unknown_scheme(url)
    if mistake:
        raise ValueError(mistake)
    return url


# A local path, or a URL whose scheme is known.
PathOrUrl = Annotated[str, AfterValidator(_check_scheme)]


def mistakes_message(source: str, mistakes: Sequence[str]) -> str:
    """Format the mistakes in a file, one a line."""
    heading = f"{source}: {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}"
    return "\n".join([heading, *(f"  {line}" for line in mistakes)])


class ConfigSection(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def check_one_group(pattern: str) -> str:
    """Return a regular expression after checking that it has exactly one group.

    Raises:
        ValueError: it is invalid, or has another number of groups.
    """
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"must have exactly 1 group (...), has {groups}")
    return pattern
