"""The options of logging: flags, or environment variables, which child processes inherit."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Protocol

from halftone.errors import InputError

LEVEL_VARIABLE, FORMAT_VARIABLE = "HALFTONE_LOG_LEVEL", "HALFTONE_LOG_FORMAT"
JOB_VARIABLE, RUN_VARIABLE = "HALFTONE_LOG_JOB", "HALFTONE_LOG_RUN"
VARIABLES = (LEVEL_VARIABLE, FORMAT_VARIABLE, JOB_VARIABLE, RUN_VARIABLE)

TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_LEVEL_FLAG, _FORMAT_FLAG = "--log-level", "--log-format"
# Names of a script that runs one of several jobs, which its first argument names.
_COMMANDS = {"halftone", "__main__"}


class LogArguments(Protocol):
    """Parsed flags, None where a flag is not given: an argparse.Namespace, or an own class."""

    @property
    def log_level(self) -> Optional[str]: ...

    @property
    def log_format(self) -> Optional[str]: ...


class LogOptions(NamedTuple):
    """What is logged, and how."""

    level: str = "info"
    format: str = TEXT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags --log-level and --log-format."""
    parser.add_argument(
        _LEVEL_FLAG,
        choices=LEVELS,
        help=f"log messages of this level and above; default: {LEVEL_VARIABLE}, else info",
    )
    parser.add_argument(
        _FORMAT_FLAG,
        choices=FORMATS,
        help=f"what is written to stderr; default: {FORMAT_VARIABLE}, else text",
    )


def read_options(args: LogArguments, environment: Mapping[str, str]) -> LogOptions:
    """Return the options of parsed flags, else of environment variables, else the defaults.

    Raises:
        InputError: a variable has a value that is no level or format.
    """
    defaults = LogOptions()
    return LogOptions(
        args.log_level or _variable(environment, LEVEL_VARIABLE, LEVELS) or defaults.level,
        args.log_format or _variable(environment, FORMAT_VARIABLE, FORMATS) or defaults.format,
    )


def guess_options(argv: Sequence[str], environment: Mapping[str, str]) -> LogOptions:
    """Return the options before the flags are parsed; those that are wrong have their defaults."""
    defaults = LogOptions()
    level = _flag_value(argv, _LEVEL_FLAG) or environment.get(LEVEL_VARIABLE)
    log_format = _flag_value(argv, _FORMAT_FLAG) or environment.get(FORMAT_VARIABLE)
    return LogOptions(
        level if level in LEVELS else defaults.level,
        log_format if log_format in FORMATS else defaults.format,
    )


def guess_job(argv: Sequence[str]) -> str:
    """Return the job that a command line runs: the script's name, or the command's first argument.

    Args:
        argv: with the script's path, as in `sys.argv`.
    """
    script = Path(argv[0]).stem if argv else ""
    if script not in _COMMANDS:
        return script
    values_of_flags = {_flag_value(argv, flag) for flag in (_LEVEL_FLAG, _FORMAT_FLAG)}
    words = (word for word in argv[1:] if not word.startswith("-") and word not in values_of_flags)
    return next(words, "")


def _variable(environment: Mapping[str, str], name: str, known: Iterable[str]) -> Optional[str]:
    value = environment.get(name)
    if value and value not in known:
        raise InputError(f"{name} is {value}, which is not one of {', '.join(known)}")
    return value


def _flag_value(argv: Sequence[str], flag: str) -> Optional[str]:
    """Return the last value of a flag, written `--flag value` or `--flag=value`."""
    values = [
        following if argument == flag else argument[len(flag) + 1 :]
        for argument, following in zip(argv, [*argv[1:], ""])
        if argument == flag or argument.startswith(f"{flag}=")
    ]
    return values[-1] if values else None


def child_environment() -> dict[str, str]:
    """Return the variables of this process that a process elsewhere needs to log the same way."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}
