"""Set up logging in the process of a job, of a rank, and in a Spark worker."""

from __future__ import annotations

import logging
import logging.config
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Optional

from halftone.logs import library_warnings, options
from halftone.logs.formats import FIELDS, JsonFormatter, LogContext, TextFormatter
from halftone.logs.handler import HANDLER
from halftone.logs.options import JOB_VARIABLE, JSON, LEVELS, RUN_VARIABLE, LogArguments, LogOptions
from halftone.logs.record_lines import LoggedRecord

_STDERR_FD = 2
_OWN_LOGGER = logging.getLogger("halftone")
# MLflow would add a handler of its own, and print its own progress.
_LIBRARY_VARIABLES = {"MLFLOW_CONFIGURE_LOGGING": "false"}


class _State:
    """The logging of this process. There is one instance."""

    def __init__(self) -> None:
        self.context = LogContext()
        self.options = LogOptions()
        self.relay: Optional[subprocess.Popen[bytes]] = None


_state = _State()


def start(argv: Sequence[str] = (), *, libraries: bool = True) -> None:
    """Log to stderr, with the options of flags that are not parsed yet, and of the environment.

    Args:
        argv: the command line, with the script's path; empty if this process is no job.
        libraries: also handle the loggers and warnings of all libraries, as suits the process of a
            job. With format json, all that is written to stderr then becomes JSON.
    """
    _apply(options.guess_options(argv, os.environ), libraries)
    if argv:
        _set_context(job=options.guess_job(argv))
    if libraries and _state.options.format == JSON and _state.relay is None:
        _start_relay()


def configure(args: LogArguments) -> None:
    """Log with the options of parsed flags, see `add_arguments`, and of the environment.

    Raises:
        InputError: an environment variable has a value that is no level or format.
    """
    _apply(options.read_options(args, os.environ), libraries=False)


def start_child(*, always_json: bool = False) -> None:
    """Log as the process that started this one.

    Args:
        always_json: for a rank, whose lines the driver reads.
    """
    guessed = options.guess_options((), os.environ)
    _apply(guessed._replace(format=JSON) if always_json else guessed, libraries=True)
    _set_context(os.environ.get(JOB_VARIABLE), os.environ.get(RUN_VARIABLE))


def start_worker(driver_environment: Mapping[str, str]) -> None:
    """Log in a Spark worker as its driver does; nothing to do for later tasks of the worker.

    Args:
        driver_environment: `environment()` of the driver.
    """
    if HANDLER not in _OWN_LOGGER.handlers:
        os.environ.update(driver_environment)
        start_child()


def set_run(name: str) -> None:
    """Set the name of the run, which is that of its config."""
    _set_context(run=name)


def set_rank(rank: int) -> None:
    """Set the number of the rank that this process is."""
    _state.context = _state.context._replace(rank=rank)
    _set_formatter()


def job_name() -> str:
    """Return the name of the job that this process runs, such as train."""
    return _state.context.job


def environment() -> dict[str, str]:
    """Return the environment variables with which another process logs as this one."""
    return options.child_environment()


def rank_context(rank: int) -> LogContext:
    """Return the context of a rank of this job."""
    return _state.context._replace(rank=rank)


def is_json() -> bool:
    """Return whether this process logs JSON."""
    return _state.options.format == JSON


def relog(record: LoggedRecord) -> None:
    """Log a record of another process as one of this process."""
    level = LEVELS.get(record.level, logging.CRITICAL)
    if logging.getLogger(record.logger).isEnabledFor(level):
        repeated = logging.LogRecord(record.logger, level, "", 0, record.message, None, None)
        repeated.exc_text = record.fields.get("traceback")
        setattr(repeated, FIELDS, record.fields)
        HANDLER.handle(repeated)


def report_end(text: str, level: int = logging.ERROR) -> None:
    """Write how the job ended to stderr, also if its level, or a signal, has silenced all else."""
    HANDLER.handle(logging.LogRecord("halftone.job", level, "", 0, text, None, None))


def report_bug(error: BaseException) -> None:
    """Write an unexpected error with its traceback to stderr."""
    if is_json():
        trace = (type(error), error, error.__traceback__)
        text = f"{type(error).__name__}: {error}"
        HANDLER.handle(logging.LogRecord("halftone.job", logging.ERROR, "", 0, text, None, trace))
    else:
        sys.__excepthook__(type(error), error, error.__traceback__)


def relay_pid() -> Optional[int]:
    """Return the process that wraps raw lines in JSON. It ends by itself, after all others."""
    return _state.relay.pid if _state.relay else None


@contextmanager
def keep_handlers() -> Iterator[None]:
    """Let no library replace the handlers of this process in the body, as MLflow's Alembic does."""
    replaced = logging.config.fileConfig
    logging.config.fileConfig = lambda *_, **__: None
    try:
        yield
    finally:
        logging.config.fileConfig = replaced


def _apply(chosen: LogOptions, libraries: bool) -> None:
    _state.options = chosen
    os.environ[options.LEVEL_VARIABLE], os.environ[options.FORMAT_VARIABLE] = chosen
    level = LEVELS[chosen.level]
    _OWN_LOGGER.setLevel(level)
    _OWN_LOGGER.propagate = False
    if HANDLER not in _OWN_LOGGER.handlers:
        _OWN_LOGGER.addHandler(HANDLER)
    if libraries:
        root = logging.getLogger()
        root.handlers[:] = [HANDLER]
        library_warnings.route_warnings()
        for name, value in _LIBRARY_VARIABLES.items():
            os.environ.setdefault(name, value)
    if HANDLER in logging.getLogger().handlers:
        logging.getLogger().setLevel(max(level, logging.WARNING))
    _set_formatter()


def _set_context(job: Optional[str] = None, run: Optional[str] = None) -> None:
    if job:
        _state.context = _state.context._replace(job=job)
        os.environ[JOB_VARIABLE] = job
    if run:
        _state.context = _state.context._replace(run=run)
        os.environ[RUN_VARIABLE] = run
    _set_formatter()


def _set_formatter() -> None:
    HANDLER.is_text = not is_json()
    HANDLER.setFormatter(JsonFormatter(_state.context) if is_json() else TextFormatter())


def _start_relay() -> None:
    """Send what this process and its children write to stderr through a process that wraps it."""
    real = os.dup(_STDERR_FD)
    path = os.pathsep.join(path for path in sys.path if path)
    _state.relay = subprocess.Popen(
        [sys.executable, "-m", "halftone.logs.relay", _state.context.job],
        stdin=subprocess.PIPE,
        stdout=real,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    pipe = _state.relay.stdin
    assert pipe is not None
    sys.stderr.flush()
    os.dup2(pipe.fileno(), _STDERR_FD)
    pipe.close()
    HANDLER.stream = os.fdopen(real, "w", encoding="utf-8")
