"""Entry point of `halftone` and `python -m halftone`."""

from __future__ import annotations

import sys

from halftone.system import job_process


def main() -> int:
    """Run the command line in `sys.argv`; return 0, or end the process with another exit code.

    Databricks calls this function as a task, and takes whatever it returns for a success.

    Raises:
        SystemExit: the exit code is not 0.
    """
    job_process.start()
    from halftone.commands.main import main as run  # here: signals are handled from now on

    code = job_process.conclude(run(sys.argv[1:]))
    if code != 0:
        sys.exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
