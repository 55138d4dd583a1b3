from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from halftone.system import job_process

START = """
import gc, logging, os, signal, subprocess, sys, threading, time
from halftone.system import job_process
job_process.start()
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
"""
AGAIN = "run the same command again to go on\n"


def run(body: str, *numbers: signal.Signals) -> tuple[int, str]:
    """Run a job that has a child process, and send it signals after its second line.

    Returns:
        Its exit code, and what it printed to stderr. The child process must have ended.
    """
    command = [sys.executable, "-c", START + body]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        if numbers:
            assert process.stdout.readline() == "ready\n"
        for number in numbers:
            process.send_signal(number)
        _, err = process.communicate(timeout=30)
    # An ended child of an ended process stays as a zombie until the system takes it over.
    has_ended = not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    if not has_ended:
        child.kill()
    assert has_ended
    return process.returncode, err


WAIT = "print('ready', flush=True); time.sleep(60)"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGINT, (130, f"interrupted; {AGAIN}")),
        (signal.SIGTERM, (143, f"stopped; {AGAIN}")),
    ],
)
def test_signal_ends_the_job_and_its_children_with_one_line(
    number: signal.Signals, expected: tuple[int, str]
) -> None:
    assert run(WAIT, number) == expected


@pytest.mark.parametrize(
    "body",
    [
        # An error that the interruption causes is not reported.
        f"try:\n    {WAIT}\nfinally:\n    raise ConnectionError('broken')",
        # Nor are those of other threads and of libraries.
        "def fail():\n"
        "    while job_process.received_signal() is None: time.sleep(0.01)\n"
        "    logging.error('broken'); failed.set(); raise ConnectionError\n"
        "failed = threading.Event(); thread = threading.Thread(target=fail); thread.start()\n"
        f"try:\n    {WAIT}\nfinally:\n    thread.join()",
        # Python drops an exception that a finalizer raises, and the job would go on.
        f"class Box:\n    def __del__(self):\n        {WAIT}\nBox()\ntime.sleep(60)",
    ],
    ids=["error", "threads", "finalizer"],
)
def test_interruption_is_all_that_is_reported(body: str) -> None:
    assert run(body, signal.SIGINT) == (130, f"interrupted; {AGAIN}")


def test_job_that_does_not_end_is_ended() -> None:
    body = f"job_process._CLEAN_UP_SECS = 0.1\ntry:\n    {WAIT}\nfinally:\n    time.sleep(60)"
    assert run(body, signal.SIGTERM) == (143, f"stopped; {AGAIN}")


def test_unlimited_clean_up_ends_by_itself_or_by_a_second_interrupt() -> None:
    body = (
        "job_process._CLEAN_UP_SECS = 0.0\n"
        f"with job_process.unlimited_clean_up():\n    try:\n        {WAIT}\n"
        "    finally:\n        time.sleep(0.3); print('cleaned up', file=sys.stderr)\n"
    )
    assert run(body, signal.SIGINT) == (130, f"cleaned up\ninterrupted; {AGAIN}")
    body = (
        "with job_process.unlimited_clean_up():\n"
        "    try:\n        print('ready', flush=True); time.sleep(60)\n"
        "    finally:\n        os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
    )
    assert run(body, signal.SIGINT) == (130, f"interrupted; {AGAIN}")


def test_spark_submit_that_ends_by_the_same_signal_does_not_change_the_outcome() -> None:
    body = f"try:\n    {WAIT}\nfinally:\n    os.kill(os.getpid(), signal.SIGTERM)"
    assert run(body, signal.SIGINT) == (130, f"interrupted; {AGAIN}")


def test_ignored_signal_stays_ignored() -> None:
    script = (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from halftone.system import job_process\njob_process.start()\n"
        "assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_uncaught_error_keeps_its_traceback() -> None:
    script = "from halftone.system import job_process\njob_process.start()\n1 / 0\n"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_job_leaves_after_the_functions_at_exit_and_without_finalization(tmp_path: Path) -> None:
    script = (
        "import atexit, os, sys, time\n"
        "from halftone.system import job_process\njob_process.start()\n"
        f"atexit.register(lambda: open({str(tmp_path / 'done')!r}, 'w').close())\n"
        # Only a finalized interpreter destroys its modules.
        "class Box:\n    def __del__(self): print('finalized')\n"
        "sys.box = Box()\n"
        "print('last line')\n"
        "job_process.leave(2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "last line\n", "")
    assert (tmp_path / "done").exists()


def test_signals_of_a_process_that_is_no_job_change_nothing() -> None:
    job_process.record_signal(signal.SIGTERM)
    job_process.silence_libraries()
    assert job_process.received_signal() is None
    job_process.raise_if_interrupted(ValueError())
