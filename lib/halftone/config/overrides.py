"""Settings that override those of a file: from `--set`, from flags and from the environment.

For train.model.filters the environment variable is HALFTONE_TRAIN_MODEL_FILTERS. Its value is YAML,
as that of `--set` is; a path is text as it is. An empty variable sets nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

from halftone.config.base import ConfigError, mistakes_message
from halftone.config.keys import known_keys, section_names
from halftone.config.suggestions import close_key
from halftone.config.yaml_text import parse_yaml

PATHS_PREFIX = "paths."
_PREFIX = "HALFTONE_"
# Variables of set-up, tests, schedulers, notebooks and trackers. They are no settings.
_OTHER_VARIABLES = {
    f"{_PREFIX}{name}"
    for name in (
        *("AIRFLOW", "CACHE", "CONFIG", "HOME", "JDBC_PASSWORD", "JDBC_USER", "PYTHON", "STUDY"),
        "WHEELS",
    )
}
# What Kubernetes sets in each container for a service, such as halftone-train-driver-svc.
_SERVICE_VARIABLE = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class Override(NamedTuple):
    """One setting that replaces that of the file."""

    key: str  # dotted
    value: Any
    origin: str  # "--set" or another flag, or the name of a variable
    text: str = ""  # as it was given, if this is more than its origin

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.text or self.origin


def collect_overrides(
    assignments: Sequence[Union[str, Override]] = (), paths: Mapping[str, Optional[str]] = {}
) -> list[Override]:
    """Return the overrides of a job, in the order in which they apply.

    Args:
        assignments: of `--set`: `KEY=VALUE` with a dotted key and a YAML value; or overrides, such
            as `parse_flag` returns.
        paths: values of the section `paths`, by name; None does not override.

    Raises:
        ConfigError: one of them has no key, or is not YAML, or a variable is no setting's.
    """
    return [
        *read_environment(),
        *(parse_assignment(each) if isinstance(each, str) else each for each in assignments),
        *(
            Override(PATHS_PREFIX + name, value, "the command line")
            for name, value in paths.items()
            if value is not None
        ),
    ]


def parse_assignment(assignment: str) -> Override:
    """Parse `KEY=VALUE`.

    Raises:
        ConfigError: it is no such pair, or the value is not YAML.
    """
    text = f"--set {assignment}"
    key, equals, value = assignment.partition("=")
    if not equals or not key:
        raise ConfigError(f"{text}: must be KEY=VALUE, such as train.epochs=3")
    return Override(key, parse_yaml(value, text, key), "--set", text)


def parse_flag(flag: str, key: str, value: str) -> Override:
    """Return the override of a setting by a flag of its own, such as --folds for splits.folds.

    Raises:
        ConfigError: it is not YAML.
    """
    text = f"{flag} {value}"
    return Override(key, parse_text(key, value, text).value, flag, text)


def parse_text(key: str, text: str, origin: str) -> Override:
    """Return the override of a setting by text: YAML, or for a path the text itself.

    Raises:
        ConfigError: it is not YAML.
    """
    value = text if key.startswith(PATHS_PREFIX) else parse_yaml(text, origin, key)
    return Override(key, value, origin)


def variable_name(key: str) -> str:
    """Return the environment variable of a setting: HALFTONE_TRAIN_EPOCHS for train.epochs."""
    return _PREFIX + key.replace(".", "_").upper()


def read_environment(environ: Mapping[str, str] = os.environ) -> list[Override]:
    """Return the settings that environment variables hold, in the order of a config.

    Raises:
        ConfigError: a variable looks like that of a setting, and there is no such setting; or a
            value is not YAML.
    """
    keys = {variable_name(key): key for key in known_keys()}
    mistakes = [
        f"{name}: no setting has this variable; {_advise(name)}"
        for name in sorted(environ)
        if name not in keys and _looks_like_a_setting(name)
    ]
    if mistakes:
        raise ConfigError(mistakes_message("environment", mistakes))
    return [parse_text(key, environ[name], name) for name, key in keys.items() if environ.get(name)]


def _looks_like_a_setting(variable: str) -> bool:
    """Whether a variable has the name of a section, or nearly that of a setting."""
    if not variable.startswith(_PREFIX) or variable in _OTHER_VARIABLES:
        return False
    if _SERVICE_VARIABLE.fullmatch(variable):
        return False
    name = variable[len(_PREFIX) :].lower()
    return name.startswith(tuple(f"{section}_" for section in section_names())) or bool(
        close_key(name, cutoff=0.8)
    )


def _advise(variable: str) -> str:
    key = close_key(variable[len(_PREFIX) :].lower())
    if key is None:
        return "correct or unset it; `halftone schema` and docs/reference/settings.md list all"
    return f"did you mean {variable_name(key)}, for {key}? Otherwise unset it"
