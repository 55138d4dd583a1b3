from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from halftone.training.stop_flag import StopFlag


def wait_until_made(wish: StopFlag) -> bool:
    deadline = time.monotonic() + 10
    while not wish.is_set() and time.monotonic() < deadline:
        time.sleep(0.02)
    return wish.is_set()


def test_sigterm_makes_the_wish_and_afterwards_does_what_it_did() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopFlag(None) as wish:
        assert not wish.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert wait_until_made(wish)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_file_makes_the_wish_when_it_comes(tmp_path: Path) -> None:
    with StopFlag(str(tmp_path / "stop")) as wish:
        time.sleep(0.2)
        assert not wish.is_set()
        (tmp_path / "stop").touch()
        assert wait_until_made(wish)


def test_a_file_that_is_there_already_makes_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    started = time.monotonic()
    with StopFlag(str(tmp_path / "stop")) as wish:
        assert wait_until_made(wish)
    assert time.monotonic() - started < 0.9


def test_outside_the_main_thread_the_file_still_works(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    made = []

    def ask() -> None:
        with StopFlag(str(tmp_path / "stop")) as wish:
            made.append(wait_until_made(wish))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert made == [True]
