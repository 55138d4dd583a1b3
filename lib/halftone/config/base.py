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
from halftone.url_schemes import DELTA_PREFIX, TABLE_PREFIX, describe_unknown_scheme


class ConfigError(InputError):
    """A setting is unknown, of the wrong type, out of range, or missing although required."""


def names_table(url: str) -> bool:
    """Return whether a path is the name or the folder of a table: table:NAME or delta://URL."""
    return url.startswith((TABLE_PREFIX, DELTA_PREFIX))


def _check_scheme(url: str) -> str:
    mistake = describe_unknown_scheme(url)
    if mistake:
        raise ValueError(mistake)
    return url


def _check_path(url: str) -> str:
    if names_table(url):
        raise ValueError(
            "names a table, which only a dataset that is read and a catalogue may be; give the URL "
            "or the path of a folder"
        )
    return _check_scheme(url)


def _check_table(url: str) -> str:
    name = url.removeprefix(TABLE_PREFIX)
    if name != url:
        if not name or name.startswith("/"):
            raise ValueError("must be table:NAME with a name of Spark, such as main.faces.all")
        return url
    folder = url.removeprefix(DELTA_PREFIX)
    if not folder or names_table(folder):
        raise ValueError("must be delta:// with a URL or a path, such as delta://s3://bucket/faces")
    _check_scheme(folder)
    return url


# A local path, or a URL whose scheme is known.
PathOrUrl = Annotated[str, AfterValidator(_check_path)]
# The same, or a table that is read.
TableOrUrl = Annotated[str, AfterValidator(_check_table)]


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
