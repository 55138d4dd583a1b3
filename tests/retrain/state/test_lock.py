"""The lock with owners that are threads, killed processes, and processes of other machines."""

from __future__ import annotations

import json
import re
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
from halftone.retrain.state import lock
with lock.hold_lock(sys.argv[1], 600.0, print) as held:
    print(held.fencing_number, flush=True)
    time.sleep(600)
"""


def ignore(error: LockLostError) -> None:
    pass


def take(folder: Path, timeout_secs: float = 600.0) -> int:
    with lock.hold_lock(str(folder), timeout_secs, ignore) as held:
        return held.fencing_number


def write_remote_holding(folder: Path, number: int, **fields: Any) -> Path:
    """Write the lock file of an owner on another machine, whose process cannot be checked."""
    path = folder / f"{number:06d}.json"
    folder.mkdir(exist_ok=True)
    holding = {
        "owner": {"host": "far", "pid": 7, "started": 1.0, "machine": "elsewhere"},
        "beat": 0,
        "at": time.time(),
        "is_released": False,
        "token": "t",
        **fields,
    }
    path.write_text(json.dumps(holding))
    return path


def test_each_owner_gets_the_next_number(tmp_path: Path) -> None:
    assert [take(tmp_path) for _ in range(3)] == [1, 2, 3]


def test_held_lock_is_refused_with_its_owner(tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path), 600.0, ignore), pytest.raises(LockHeldError) as caught:
        take(tmp_path)
    owner = lock_owner.this_process()
    assert str(caught.value).startswith(
        f"{owner} holds the lock {tmp_path}, and wrote its last heartbeat "
    )
    assert take(tmp_path) == 2


def test_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock.hold_lock(str(tmp_path), 600.0, ignore):
        raise KeyError
    assert take(tmp_path) == 2


def test_only_one_of_many_threads_gets_the_lock(tmp_path: Path) -> None:
    assert race(str(tmp_path), 8, timeout_secs=600.0) == [0] * 7 + [1]


def test_only_one_of_many_threads_takes_over_a_dead_lock(tmp_path: Path) -> None:
    write_remote_holding(tmp_path, 4, at=time.time() - 100)
    assert race(str(tmp_path), 4, timeout_secs=1.0) == [0, 0, 0, 5]


def test_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    with pytest.raises(LockHeldError, match=rf"^process {process.pid} on "):
        take(tmp_path)
    process.kill()
    process.communicate()
    assert take(tmp_path) == 2


def test_remote_owner_is_dead_after_the_timeout(tmp_path: Path) -> None:
    write_remote_holding(tmp_path, 1, at=time.time() - 50.2)
    with pytest.raises(LockHeldError) as caught:
        take(tmp_path, timeout_secs=60)
    age = re.fullmatch(
        rf"process 7 on far holds the lock {tmp_path}, and wrote its last heartbeat (\d+) s ago",
        str(caught.value),
    )
    assert age is not None
    assert int(age.group(1)) >= 50
    assert take(tmp_path, timeout_secs=1) == 2


def test_owner_with_a_slow_clock_keeps_the_lock(tmp_path: Path) -> None:
    """Its timestamps are old, but its file changes during the wait."""
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(0.05):
            count += 1
            path = write_remote_holding(tmp_path, 9, beat=count, at=1000.0)
            path.replace(tmp_path / "000001.json")

    write_remote_holding(tmp_path, 1, at=1000.0)
    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(LockHeldError, match=r"^process 7 on far holds the lock "):
        take(tmp_path, timeout_secs=6)
    ended.set()
    thread.join()


def test_suspended_owner_notices_that_it_has_lost_the_lock(tmp_path: Path) -> None:
    lost: list[LockLostError] = []
    with lock.hold_lock(str(tmp_path), 1.2, lost.append) as held:
        held.check()
        write_remote_holding(tmp_path, 2)
        with pytest.raises(LockLostError) as caught:
            held.check()
        assert str(caught.value) == (
            f"process 7 on far has taken over the lock {tmp_path}, because this process wrote no "
            "heartbeat for longer than retrain.lock_secs, and continues the run. No action is "
            "needed"
        )
        deadline = time.monotonic() + 30
        while not lost and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [str(error) for error in lost] == [str(caught.value)]
    assert json.loads((tmp_path / "000002.json").read_text())["is_released"] is False


def test_heartbeats_are_written(tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path), 0.6, ignore):
        deadline = time.monotonic() + 30
        while json.loads((tmp_path / "000001.json").read_text())["beat"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_old_lock_files_are_removed(tmp_path: Path) -> None:
    assert [take(tmp_path) for _ in range(12)][-1] == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{number:06d}.json" for number in range(5, 13)
    ]
