"""The command line of the jobs: flags, the config, and exit codes.

Exit codes: 0 success, 1 failure (may be tried again), 2 wrong config or input, 75 busy (another job
writes to the same output), 130 interrupted, 143 stopped by SIGTERM.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Callable, Optional

from halftone import config, job_start, logs
from halftone.errors import InputError, RunError, StoppedError, describe_os_error
from halftone.locking import output
from halftone.locking.lock import LockHeldError, LockLostError
from halftone.system import job_process

BUSY = 75  # EX_TEMPFAIL of sysexits.h


def run_job(
    job: Callable[..., None],
    description: str,
    flags: Mapping[str, str],
    argv: Optional[Sequence[str]] = None,
    switches: Mapping[str, str] = {},
    output_keys: Sequence[str] = (),
    options: Mapping[str, str] = {},
) -> int:
    """Parse the command line, load the config, call `job`, and return the exit code.

    Args:
        flags: the job's own flags and the settings in section `paths` that they override,
            such as {"--input": "images"}.
        switches: flags without a value and their help, such as {"--prune": "..."}; the job gets
            each as a keyword argument.
        output_keys: the settings in `flags` that name outputs of the job. If given, the job has a
            flag --check, which checks the cluster and does not run the job.
        options: the job's own flags that override one setting each, such as
            {"--folds": "splits.folds"}.
    """
    parser = _build_parser(description, flags, options, switches, bool(output_keys))
    args = parser.parse_args(argv)
    path_overrides = {key: getattr(args, key) for key in flags.values()}
    names = [switch.lstrip("-").replace("-", "_") for switch in switches]

    def load_and_run() -> None:
        logs.configure(args)
        given = {key: getattr(args, key) for key in options.values()}
        overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
        settings = config.load_config(args.config, [*args.set, *overrides], path_overrides)
        job_start.apply_settings(settings)
        if output_keys and args.check:
            from halftone.preflight.check import check_cluster  # only --check needs it

            paths = settings.paths.model_dump(include=set(flags.values()), exclude_none=True)
            output_paths = {key: paths.pop(key) for key in output_keys if key in paths}
            check_cluster(settings, paths, output_paths)
        else:
            job(settings, **{name: getattr(args, name) for name in names})

    return run_with_exit_code(load_and_run)


def run_with_exit_code(function: Callable[[], None]) -> int:
    """Call `function`, print its error to stderr if it fails, and return the job's exit code."""
    try:
        with output.handle_loss(_end_process):
            function()
    except BaseException as error:
        if job_process.received_signal() is not None:
            return job_process.finish_interrupted(error)
        message, code = _describe_error(error)
        logs.report_end(message)
        return code
    return 0


def _describe_error(error: BaseException) -> tuple[str, int]:
    """Return the line for an error and the exit code; raise an error that is a bug."""
    if isinstance(error, InputError):
        return f"error: {error}", 2
    if isinstance(error, StoppedError):
        return f"stopped: {error}", 143
    if isinstance(error, LockHeldError):
        return f"busy: {error}", BUSY
    if isinstance(error, RunError):
        return f"failed: {error}", 1
    if isinstance(error, OSError):  # such as a full disk
        return f"failed: {describe_os_error(error)}", 1
    if isinstance(error, KeyboardInterrupt):
        hint = f": {error}" if str(error) else "; run the same command again to go on"
        return f"interrupted{hint}", 130
    raise error


def _end_process(error: LockLostError) -> None:
    """End at once, in any thread: this job would interfere with the one that has taken over."""
    logs.report_end(f"failed: {error}")
    os._exit(1)


def _build_parser(
    description: str,
    flags: Mapping[str, str],
    options: Mapping[str, str],
    switches: Mapping[str, str],
    has_check: bool,
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML file of settings")
    for flag, key in flags.items():
        parser.add_argument(flag, dest=key, metavar="URL", help=f"overrides paths.{key}")
    for flag, key in options.items():
        parser.add_argument(flag, dest=key, metavar="VALUE", help=f"overrides {key}")
    if has_check:
        switches = {**switches, "--check": "only check driver, executors and paths"}
    for switch, switch_help in switches.items():
        parser.add_argument(switch, action="store_true", help=switch_help)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrides one setting, such as train.epochs=3; may be repeated",
    )
    logs.add_arguments(parser)
    return parser
