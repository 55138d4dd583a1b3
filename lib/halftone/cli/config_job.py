"""Run a job with the config that its command line names."""

from __future__ import annotations

import argparse
from typing import Callable

from halftone.cli.exit_codes import run_with_exit_code
from halftone.cli.flags import JobFlags


def run_job(job: Callable[..., None], flags: JobFlags, args: argparse.Namespace) -> int:
    """Load the config that `args` names, call `job` with it, and return the exit code.

    Args:
        job: gets the config, and each of `flags.switches` as a keyword argument.
        flags: what was added to the parser.
        args: what the parser has returned.
    """
    # Here: --help needs no packages.
    from halftone import config, job_start

    def load_and_run() -> None:
        given = [config.parse_flag(*flag) for flag in flags.given_settings(args)]
        settings = config.load_config(args.config, [*args.set, *given])
        if "dataset" in flags.output_keys:
            config.check_written_dataset(settings.paths.dataset)
        job_start.apply_settings(settings)
        if flags.output_keys and args.check:
            from halftone.preflight.check import check_cluster  # only --check needs it

            names = set(flags.paths.values())
            paths = settings.paths.model_dump(include=names, exclude_none=True)
            output_paths = {key: paths.pop(key) for key in flags.output_keys if key in paths}
            check_cluster(settings, paths, output_paths)
        else:
            job(settings, **{name: getattr(args, name) for name in flags.switch_names()})

    return run_with_exit_code(load_and_run)
