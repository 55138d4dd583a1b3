"""What a job's process writes to stderr, as a caller reads it."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from logging.config import fileConfig
from pathlib import Path
from typing import Any

import pytest

from halftone import logs
from halftone.logs import rank_lines, set_up
from halftone.logs.handler import HANDLER
from halftone.logs.options import LogOptions
from halftone.logs.record_lines import LoggedRecord, parse_record_line

# A job in which libraries, C++ code, a child process and a bug write to stderr.
NOISY = """
import logging, os, subprocess, sys, threading, warnings
from halftone.system import job_process
job_process.start()
from halftone import logs
logs.set_run("faces")
logging.getLogger("halftone.launch.train").info("note: a\\nb")
logging.getLogger("halftone.launch.train").debug("detail")
logging.getLogger("mlflow.store").warning("slow")
logging.getLogger("mlflow.store").info("created")
warnings.warn("is old", FutureWarning)
print("print to stderr", file=sys.stderr, flush=True)
os.write(2, b"2026-11-21 03:10:42.878341: E tensorflow/core: bad\\n")
subprocess.run(["sh", "-c", "echo of a child >&2"])
raise ZeroDivisionError("a bug")
"""
CRASH = """
import faulthandler, os
from halftone.system import job_process
job_process.start()
faulthandler.enable()
os.abort()
"""


def run(
    code: str, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("HALFTONE_LOG_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**inherited, **(environment or {})},
        timeout=60,
    )


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_a_job_is_an_object() -> None:
    done = run(NOISY, "--log-format", "json", environment={"HALFTONE_LOG_LEVEL": "debug"})
    assert (done.returncode, done.stdout) == (1, "")
    found = {
        (line["level"], line["logger"], line["message"], line.get("run"))
        for line in objects(done.stderr)
    }
    assert found == {
        ("info", "halftone.launch.train", "note: a\nb", "faces"),
        ("debug", "halftone.launch.train", "detail", "faces"),
        ("warning", "mlflow.store", "slow", "faces"),
        ("warning", "python", "FutureWarning: is old", "faces"),
        ("warning", "stderr", "print to stderr", None),
        ("error", "stderr", "2026-11-21 03:10:42.878341: E tensorflow/core: bad", None),
        ("warning", "stderr", "of a child", None),
        ("error", "halftone.job", "ZeroDivisionError: a bug", "faces"),
    }
    times = [line["time"] for line in objects(done.stderr)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)


def test_text_is_for_people() -> None:
    done = run(NOISY)
    assert done.stderr.splitlines()[:8] == [
        "note: a",
        "b",
        "warning: mlflow: slow",
        "warning: python: FutureWarning: is old",
        "print to stderr",
        "2026-11-21 03:10:42.878341: E tensorflow/core: bad",
        "of a child",
        "Traceback (most recent call last):",
    ]
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: a bug"


def test_a_crash_of_a_job_is_reported_in_json() -> None:
    done = run(CRASH, environment={"HALFTONE_LOG_FORMAT": "json"})
    assert done.returncode == -6
    lines = objects(done.stderr)
    assert (lines[0]["level"], lines[0]["message"]) == ("error", "Fatal Python error: Aborted")
    assert len(lines) > 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_end_is_reported_whatever_the_level(
    log_format: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(set_up._state, "options", LogOptions("error", log_format))
    set_up._set_formatter()
    try:
        logging.disable()
        logs.report_end("interrupted; run again", logging.WARNING)
    finally:
        logging.disable(logging.NOTSET)
        monkeypatch.undo()
        set_up._set_formatter()
    written = capsys.readouterr().err
    if log_format == "json":
        assert json.loads(written)["message"] == "interrupted; run again"
    else:
        assert written == "interrupted; run again\n"


def as_lines(log_format: str, monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]) -> str:
    """What the driver writes to the log of rank 1."""
    monkeypatch.setattr(set_up._state, "options", LogOptions("info", log_format))
    log = rank_lines.format_attempt(1, 2, "pid 7")
    for text in texts:
        log += rank_lines.format_lines(1, text, parse_record_line(text))
    return log


RECORD = (
    '{"time": "2026-11-21T03:10:42.878Z", "level": "warning", "logger": "horovod.runner", '
    '"job": "train", "run": "faces", "rank": 1, "message": "a\\nb"}\n'
)


def test_each_line_of_a_rank_has_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["up\n", RECORD, "Traceback:\n  x\nKeyError\n\n", ""]
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(
        rf"=== attempt 2, rank 1, {time}, pid 7 ===\n{time} rank 1: up\n"
        r"2026-11-21T03:10:42.878Z rank 1: warning: horovod: a\n"
        r"2026-11-21T03:10:42.878Z rank 1: b\n"
        rf"{time} rank 1: Traceback:\n{time} rank 1:   x\n{time} rank 1: KeyError\n",
        as_lines("text", monkeypatch, texts),
    )
    lines = objects(as_lines("json", monkeypatch, texts))
    assert [(line["rank"], line["logger"], line["message"]) for line in lines] == [
        (1, "output", "attempt 2, pid 7"),
        (1, "output", "up"),
        (1, "horovod.runner", "a\nb"),
        (1, "output", "Traceback:\n  x\nKeyError"),
    ]


def test_a_record_of_rank_0_is_logged_again(capsys: pytest.CaptureFixture[str]) -> None:
    logs.relog(LoggedRecord("warning", "halftone.x", "note: a", "2026", {"traceback": "T"}))
    logs.relog(LoggedRecord("debug", "halftone.x", "too detailed", "2026", {}))
    assert capsys.readouterr().err == "note: a\nT\n"


def test_no_library_replaces_the_handlers(tmp_path: Path) -> None:
    """MLflow's Alembic does, when it creates a database."""
    file = tmp_path / "logging.ini"
    file.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=WARN\nhandlers=\n"
    )
    before = list(logging.getLogger().handlers)
    with logs.keep_handlers():
        logging.config.fileConfig(str(file))
    assert logging.getLogger().handlers == before
    assert logging.config.fileConfig is fileConfig


def test_a_closed_stderr_fails_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    logging.getLogger("halftone.x").warning("nobody reads this")
    assert HANDLER.is_on_terminal() is False
