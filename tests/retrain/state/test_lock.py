"""The lock; its owners are threads, processes that were killed, and ones of other machines."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from halftone.retrain.state import lock, lock_owner
from halftone.retrain.state.lock import LockHeldError, LockLostError
from lock_race import race

HOLD = """
import sys, time
from halftone.retrain import lock
with lock.held(sys.argv[1], 600.0, print) as held:
    print(held.number, flush=True)
    time.sleep(600)
"""


def ignore(error: LockLostError) -> None:
    pass


def take(folder: Path, dead_secs: float = 600.0) -> int:
    with lock.hold_lock(str(folder), dead_secs, ignore) as held:
        return held.fencing_number


def of_another_machine(folder: Path, number: int, **more: Any) -> Path:
    """Leave the file of an owner that nobody here can look at."""
    path = folder / f"{number:06d}.json"
    folder.mkdir(exist_ok=True)
    holding = {
        "owner": {"host": "far", "pid": 7, "started": 1.0, "machine": "elsewhere"},
        "beat": 0,
        "at": time.time(),
        "is_released": False,
        "token": "t",
        **more,
    }
    path.write_text(json.dumps(holding))
    return path


def test_one_after_the_other_has_the_next_number(tmp_path: Path) -> None:
    assert [take(tmp_path) for _ in range(3)] == [1, 2, 3]


def test_who_is_second_is_told_who_is_first(tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path), 600.0, ignore), pytest.raises(LockHeldError) as caught:
        take(tmp_path)
    said = f"{lock_owner.this_process()} holds the lock {tmp_path}, and gave its last sign of life "
    assert str(caught.value).startswith(said)
    assert take(tmp_path) == 2


def test_it_is_released_by_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock.hold_lock(str(tmp_path), 600.0, ignore):
        raise KeyError
    assert take(tmp_path) == 2


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    assert race(str(tmp_path), 8, dead_secs=600.0) == [0] * 7 + [1]


def test_of_many_that_take_over_at_once_one_gets_it(tmp_path: Path) -> None:
    of_another_machine(tmp_path, 4, at=time.time() - 100)
    assert race(str(tmp_path), 4, dead_secs=1.0) == [0, 0, 0, 5]


def test_a_killed_owner_of_this_machine_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    with pytest.raises(LockHeldError, match=rf"^process {process.pid} on "):
        take(tmp_path)
    process.kill()
    process.communicate()
    assert take(tmp_path) == 2


def test_an_owner_elsewhere_is_dead_after_its_time(tmp_path: Path) -> None:
    of_another_machine(tmp_path, 1, at=time.time() - 50.2)
    with pytest.raises(LockHeldError) as caught:
        take(tmp_path, dead_secs=60)
    said = str(caught.value)
    assert said.startswith(f"process 7 on far holds the lock {tmp_path}, and gave its last sign ")
    assert said.endswith(("of life 50 s ago", "of life 51 s ago", "of life 52 s ago"))
    assert take(tmp_path, dead_secs=1) == 2


def test_an_owner_with_a_slow_clock_lives(tmp_path: Path) -> None:
    """Its times are long past, and its file changes while it is watched."""
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(0.05):
            count += 1
            path = of_another_machine(tmp_path, 9, beat=count, at=1000.0)
            path.replace(tmp_path / "000001.json")

    of_another_machine(tmp_path, 1, at=1000.0)
    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(LockHeldError, match=r"^process 7 on far holds the lock "):
        take(tmp_path, dead_secs=6)
    ended.set()
    thread.join()


def test_an_owner_that_wakes_up_after_it_was_taken_over_notices(tmp_path: Path) -> None:
    lost: list[LockLostError] = []
    with lock.hold_lock(str(tmp_path), 1.2, lost.append) as held:
        held.check()
        of_another_machine(tmp_path, 2)
        with pytest.raises(LockLostError) as caught:
            held.check()
        assert str(caught.value) == (
            f"process 7 on far has taken over the lock {tmp_path}: this process gave no sign of "
            "life for longer than retrain.lock_secs. It goes on there; nothing is to be done"
        )
        deadline = time.monotonic() + 30
        while not lost and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [str(error) for error in lost] == [str(caught.value)]
    assert json.loads((tmp_path / "000002.json").read_text())["is_released"] is False


def test_a_heartbeat_is_given(tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path), 0.6, ignore):
        deadline = time.monotonic() + 30
        while json.loads((tmp_path / "000001.json").read_text())["beat"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_few_files_of_the_past_are_left(tmp_path: Path) -> None:
    assert [take(tmp_path) for _ in range(12)][-1] == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{number:06d}.json" for number in range(5, 13)
    ]
