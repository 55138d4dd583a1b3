from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from halftone.errors import StoppedError
from halftone.launch import signals
from halftone.launch.signals import StopRequest


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """Python drops an exception, such as KeyboardInterrupt, that is raised in a gc callback."""
    gc.disable()
    yield
    gc.enable()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_signal_writes_the_stop_file_until_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    (tmp_path / "stop").touch()  # left behind by a killed job
    with signals.forward_signals(str(tmp_path)) as stop_request:
        assert not (tmp_path / "stop").exists()
        assert not stop_request.is_received()
        stop_request.raise_if_received()
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(tmp_path / "stop")
        assert stop_request.is_received()
        with pytest.raises(StoppedError) as caught:
            stop_request.raise_if_received()
    assert str(caught.value) == ("before training started; run the same command again to go on")
    assert not (tmp_path / "stop").exists()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert capsys.readouterr().err == "stopping: the ranks write a checkpoint\n"


@pytest.mark.parametrize(
    ("number", "error_type"), [(signal.SIGTERM, StoppedError), (signal.SIGINT, KeyboardInterrupt)]
)
def test_error_type_depends_on_the_signal(
    tmp_path: Path, number: signal.Signals, error_type: type[BaseException]
) -> None:
    def train() -> None:
        with signals.forward_signals(str(tmp_path)):
            os.kill(os.getpid(), number)
            wait_for(tmp_path / "stop")
            raise StoppedError("epoch 3")

    with pytest.raises(error_type, match=r"^epoch 3$"):
        train()
    assert not (tmp_path / "stop").exists()


def test_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    def train() -> None:
        with signals.forward_signals(str(tmp_path)):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("went on")

    with pytest.raises(KeyboardInterrupt):
        train()


def test_other_threads_install_no_handlers(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    requests: list[StopRequest] = []

    def body() -> None:
        with signals.forward_signals(str(tmp_path)) as stop_request:
            requests.append(stop_request)
            assert signal.getsignal(signal.SIGTERM) == handler

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert not requests[0].is_received()


SUBMITTED = """
import subprocess, sys, time
child = '''
import sys, time
from pathlib import Path
from halftone.launch import signals
from halftone.system import parent_watch
parent_watch.follow_spark_submit()
with signals.forward_signals(sys.argv[1]) as request:
    print(flush=True)
    while not request.is_received():
        time.sleep(0.02)
    while not Path(sys.argv[1], "stop").exists():
        time.sleep(0.02)
Path(sys.argv[1], "ended").touch()
'''
process = subprocess.Popen([sys.executable, "-c", child, sys.argv[1]], stdout=subprocess.PIPE)
process.stdout.readline()
print(flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's parent death signal")
def test_end_of_spark_submit_is_a_stop_request(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUBMITTED, str(tmp_path)]
    environment = {**os.environ, "PYSPARK_GATEWAY_PORT": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as submit:
        assert submit.stdout is not None
        submit.stdout.readline()
        submit.terminate()
    wait_for(tmp_path / "ended")
