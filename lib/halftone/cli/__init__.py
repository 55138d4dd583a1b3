"""The command line of the jobs: flags, the config, and exit codes.

`flags` adds the flags to a parser, `config_job` loads the config that they name and calls a job,
and `exit_codes` turns an error into a line and a code.
"""

from halftone.cli.config_job import run_job, run_parsed_job
from halftone.cli.exit_codes import BUSY, run_with_exit_code
from halftone.cli.flags import JobFlags

__all__ = ["BUSY", "JobFlags", "run_job", "run_parsed_job", "run_with_exit_code"]
