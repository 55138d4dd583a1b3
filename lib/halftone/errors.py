"""The ways in which a job ends that a user reads about without a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """The config or the input is wrong; the message says what, where, and how to mend it."""


class RunError(RuntimeError):
    """The work failed on the way; the message says how far it got and what to do."""


class StoppedError(RunError):
    """The work was asked to stop (SIGTERM), and did in good order; the same call goes on."""
