"""The command line of the jobs: flags, the config, and exit codes.

`flags` adds the flags to a parser, `config_job` loads the config that they name and calls a job,
and `exit_codes` turns an error into a line and a code. Until a job is called they import nothing
but Python's own modules, so that --help is fast and a wrong Python gives a message.
"""

from halftone.cli.config_job import run_job
from halftone.cli.exit_codes import BUSY, run_with_exit_code
from halftone.cli.flags import CommandParser, JobFlags

__all__ = [
    "BUSY",
    "CommandParser",
    "JobFlags",
    "run_job",
    "run_with_exit_code",
]
