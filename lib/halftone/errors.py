"""Errors that a job reports to the user without a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """The config or the input is wrong; the message states what, where, and how to fix it."""


class RunError(RuntimeError):
    """The job failed while running; the message states how far it got and what to do."""


class StoppedError(RunError):
    """The job was stopped by SIGTERM and shut down cleanly; the same command resumes it."""
