from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest

EXIT_WITH_INPUT = """
import time
from halftone.system import parent_watch
parent_watch.exit_on_stdin_end()
print("alive", flush=True)
time.sleep(60)
"""
EXIT_WITH_PARENT = """
import signal, subprocess, sys, time
child = "import signal, time; from halftone.system import parent_watch; " \\
    "parent_watch.signal_on_parent_exit(signal.SIGKILL); print('alive', flush=True); time.sleep(60)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(60)
"""


def test_a_process_exits_when_its_input_ends() -> None:
    command = [sys.executable, "-c", EXIT_WITH_INPUT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"alive\n"
        process.stdin.write(b"more\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.stdin.close()
        assert process.wait(10) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this signal")
def test_a_stopped_process_is_killed_when_its_parent_dies() -> None:
    command = [sys.executable, "-c", EXIT_WITH_PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        child.send_signal(signal.SIGSTOP)
        parent.kill()
        deadline = time.monotonic() + 10
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)
