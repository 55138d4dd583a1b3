"""Retraining calls one after the other, in one process and with one Spark session.

    python tests/retrain_calls.py CONFIG

Reads the arguments of a call from each line, as JSON; prints its exit code and its last line.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from halftone.config import SparkSettings
from halftone.retrain import command
from halftone.retrain.command import RetrainArguments
from halftone.spark.session import spark_session
from retrained import last_line


def main(config: str) -> None:
    with spark_session("calls", SparkSettings(master="local[1, 4]")):
        for line in sys.stdin:
            stdout = io.StringIO()
            with contextlib.redirect_stdout(stdout):
                code = command.main(RetrainArguments(config, **json.loads(line)))
            print(json.dumps({"code": code, "last": last_line(stdout.getvalue())}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
