from __future__ import annotations

import json
import logging
import sys

import pytest

from halftone.logs import library_warnings, relay
from halftone.logs.formats import FIELDS, JsonFormatter, LogContext, TextFormatter
from halftone.logs.record_lines import parse_record_line


def record(name: str, message: str, level: int = logging.WARNING) -> logging.LogRecord:
    made = logging.LogRecord(name, level, "file.py", 1, message, None, None)
    made.created = 1795837842.8784  # 2026-11-28T03:50:42.878Z
    return made


def failed() -> logging.LogRecord:
    made = record("halftone.spark.worker", "task failed", logging.ERROR)
    try:
        raise KeyError("k")
    except KeyError:
        made.exc_info = sys.exc_info()
    return made


def test_text_is_the_message_and_names_other_libraries() -> None:
    format_text = TextFormatter().format
    assert format_text(record("halftone.launch.train", "note: a\x1b[31m\nb")) == (
        "note: a\\x1b[31m\nb"
    )
    assert format_text(record("mlflow.tracking.client", "slow")) == "warning: mlflow: slow"
    assert format_text(record("halftones", "no")) == "warning: halftones: no"
    lines = format_text(failed()).splitlines()
    assert (lines[:2], lines[-1]) == (
        ["task failed", "Traceback (most recent call last):"],
        "KeyError: 'k'",
    )


def test_json_has_time_level_job_run_and_rank() -> None:
    made = record("halftone.progress", "ä\ud800 1 of 2", logging.INFO)
    setattr(made, FIELDS, {"progress": {"done": 1, "total": 2}})
    line = JsonFormatter(LogContext("train", "faces", 3)).format(made)
    assert json.loads(line) == {
        "time": "2026-11-28T03:50:42.878Z",
        "level": "info",
        "logger": "halftone.progress",
        "job": "train",
        "run": "faces",
        "rank": 3,
        "message": "ä\ud800 1 of 2",
        "progress": {"done": 1, "total": 2},
    }
    assert line.isascii()
    assert "\n" not in JsonFormatter(LogContext()).format(failed())
    assert json.loads(JsonFormatter(LogContext()).format(failed()))["traceback"].endswith(
        "\nKeyError: 'k'"
    )


def test_a_record_survives_its_line() -> None:
    parsed = parse_record_line(JsonFormatter(LogContext("train", "faces", 0)).format(failed()))
    assert parsed is not None
    assert parsed[:4] == (
        *("error", "halftone.spark.worker", "task failed"),
        "2026-11-28T03:50:42.878Z",
    )
    assert parsed.text.startswith("task failed\nTraceback ")
    for line in ("epoch 1/2: loss 1", '{"loss": 1}', '{"time": "2026", "lev', '{"time": 1}'):
        assert parse_record_line(line) is None


@pytest.mark.parametrize(
    ("file", "library"),
    [
        ("/v/lib/python3.11/site-packages/petastorm/reader.py", "petastorm"),
        ("/usr/lib/python3/dist-packages/six.py", "six"),
        ("/home/a/job.py", "python"),
    ],
)
def test_a_warning_is_of_a_library(file: str, library: str) -> None:
    assert library_warnings.library_of(file) == library


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-21 03:10:42.878341: E external/xla: bad", "error"),
        ("[2026-11-21 03:10:42.878341: I tensorflow/core: fine", "info"),
        ("26/11/27 01:01:01 WARN Utils: loopback", "warning"),
        ("train.py: error: unrecognized arguments: --ouput", "error"),
        ("Fatal Python error: Segmentation fault", "error"),
        ("libpng warning: iCCP", "warning"),
    ],
)
def test_the_level_of_a_raw_line(line: str, level: str) -> None:
    assert relay.guess_level(line) == level
