"""What all jobs share on the command line: flags, the config, and exit codes.

Exit codes: 0 done, 1 failed on the way (may be tried again), 2 config or input is wrong,
130 interrupted, 143 stopped by SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Callable, Optional

from halftone import config
from halftone.errors import InputError, RunError, StoppedError
from halftone.storage import clients


def run_job(
    job: Callable[..., None],
    description: str,
    flags: Mapping[str, str],
    argv: Optional[Sequence[str]] = None,
    switches: Mapping[str, str] = {},
    output_keys: Sequence[str] = (),
) -> int:
    """Parse the command line, load the config, call `job`, and return the exit code.

    Args:
        flags: the job's own flags and the settings in section `paths` that they override,
            such as {"--input": "images"}.
        switches: flags without a value and their help, such as {"--prune": "..."}; the job gets
            each as an argument of its name.
        writes: those of the settings in `flags` that name what the job writes; with them the job
            has a flag --check, which looks at the cluster in its place.
    """
    arguments = _build_parser(description, flags, switches, bool(output_keys)).parse_args(argv)
    given = {key: getattr(arguments, key) for key in flags.values()}
    names = [switch.lstrip("-").replace("-", "_") for switch in switches]

    def work() -> None:
        loaded = config.load_config(arguments.config, arguments.set, given)
        clients.set_options(loaded.storage.options)
        if output_keys and arguments.check:
            from halftone.preflight.check import check_cluster  # here, as no job needs it

            paths = loaded.paths.model_dump(include=set(flags.values()), exclude_none=True)
            written = {key: paths.pop(key) for key in output_keys if key in paths}
            check_cluster(loaded, paths, written)
        else:
            job(loaded, **{name: getattr(arguments, name) for name in names})

    return run_with_exit_code(work)


def run_with_exit_code(work: Callable[[], None]) -> int:
    """Do the work, say on stderr what ended it early, and return the job's exit code."""
    try:
        work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except StoppedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 143
    except RunError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a disk that is full, a store that is away
        print(f"failed: {error}; run the same command again to go on", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        how = f": {error}" if str(error) else "; run the same command again to go on"
        print(f"interrupted{how}", file=sys.stderr)
        return 130
    return 0


def _build_parser(
    description: str, flags: Mapping[str, str], switches: Mapping[str, str], has_check: bool
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML file of settings")
    for flag, key in flags.items():
        parser.add_argument(flag, dest=key, metavar="URL", help=f"overrides paths.{key}")
    if has_check:
        switches = {**switches, "--check": "look at driver, executors and paths, and do no work"}
    for switch, meaning in switches.items():
        parser.add_argument(switch, action="store_true", help=meaning)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrides one setting, such as train.epochs=3; may be repeated",
    )
    return parser
