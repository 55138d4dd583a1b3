from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from halftone.training import stop_flag
from halftone.training.stop_flag import StopFlag


def wait_until_set(flag: StopFlag) -> bool:
    deadline = time.monotonic() + 60
    while not flag.is_set() and time.monotonic() < deadline:
        time.sleep(0.02)
    return flag.is_set()


def test_sigterm_sets_the_flag_and_the_previous_handler_is_restored() -> None:
    previous = signal.getsignal(signal.SIGTERM)
    with StopFlag(None) as flag:
        assert not flag.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert wait_until_set(flag)
    assert signal.getsignal(signal.SIGTERM) is previous


def test_file_created_later_sets_the_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_flag, "_POLL_INTERVAL_SECS", 0.01)
    with StopFlag(str(tmp_path / "stop")) as flag:
        assert not flag.is_set()
        (tmp_path / "stop").touch()
        assert wait_until_set(flag)


def test_existing_file_sets_the_flag_at_the_first_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_flag, "_POLL_INTERVAL_SECS", 3600.0)  # there is no second poll
    (tmp_path / "stop").touch()
    with StopFlag(str(tmp_path / "stop")) as flag:
        assert wait_until_set(flag)


def test_file_sets_the_flag_outside_the_main_thread(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    results = []

    def use_flag() -> None:
        with StopFlag(str(tmp_path / "stop")) as flag:
            results.append(wait_until_set(flag))

    thread = threading.Thread(target=use_flag)
    thread.start()
    thread.join()
    assert results == [True]
