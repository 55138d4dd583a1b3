"""The lock with owners that are threads, killed processes, and processes of other machines."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import pytest

from halftone.errors import RunError
from halftone.locking import lock
from halftone.locking.lock import LockHeldError, LockLostError
from lock_race import race

HOLD = """
import sys, time
from halftone.locking import lock
with lock.hold_lock(sys.argv[1], "score", 600.0, print) as held:
    print(held.fencing_number, flush=True)
    time.sleep(600)
"""


def ignore(error: LockLostError) -> None:
    pass


def take(root: Path, timeout_secs: float = 600.0) -> int:
    with lock.hold_lock(str(root), "score", timeout_secs, ignore) as held:
        return held.fencing_number


def lock_file(root: Path, number: int) -> Path:
    return root / "_lock" / f"{number:06d}.json"


def write_remote_holding(root: Path, number: int, **fields: Any) -> Path:
    """Write the lock file of an owner on another machine, whose process cannot be checked."""
    path = lock_file(root, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    holding = {
        "owner": {"host": "far", "pid": 7, "start_ticks": 1, "machine": "elsewhere"},
        "job": "train",
        "since": 1790000000.0,
        "at": time.time(),
        "beat": 0,
        "is_released": False,
        "token": "t",
        **fields,
    }
    path.write_text(json.dumps(holding))
    return path


def test_each_owner_gets_the_next_number(tmp_path: Path) -> None:
    assert [take(tmp_path) for _ in range(3)] == [1, 2, 3]


def test_held_lock_is_refused_with_its_owner(tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path), "train", 600.0, ignore):
        with pytest.raises(LockHeldError) as caught:
            take(tmp_path)
        since = json.loads(lock_file(tmp_path, 1).read_text())["since"]
    expected = (
        f"{tmp_path}: is in use by process {os.getpid()} on {socket.gethostname()} (train job) "
        f"since {datetime.fromtimestamp(since, timezone.utc):%Y-%m-%d %H:%M:%S} UTC, with a "
        "heartbeat N s ago; wait until it has ended, end it, or use another folder"
    )
    assert re.sub(r"\d+ s ago", "N s ago", str(caught.value)) == expected
    assert take(tmp_path) == 2


def test_free_lock_is_reported_without_writing(tmp_path: Path) -> None:
    assert lock.check_free(str(tmp_path / "new"), 600.0) == 0
    assert not (tmp_path / "new").exists()
    with lock.hold_lock(str(tmp_path), "train", 600.0, ignore), pytest.raises(LockHeldError):
        lock.check_free(str(tmp_path), 600.0)
    assert lock.check_free(str(tmp_path), 600.0) == 1


def test_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock.hold_lock(str(tmp_path), "train", 600.0, ignore):
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
    with pytest.raises(LockHeldError, match=f" by process {process.pid} on "):
        take(tmp_path)
    process.kill()
    process.communicate()
    assert take(tmp_path) == 2


def test_remote_owner_is_dead_after_the_timeout(tmp_path: Path) -> None:
    write_remote_holding(tmp_path, 1, at=time.time() - 50.2)
    with pytest.raises(LockHeldError) as caught:
        take(tmp_path, timeout_secs=60)
    age = re.fullmatch(
        rf"{tmp_path}: is in use by process 7 on far \(train job\) since 2026-09-21 14:13:20 UTC, "
        r"with a heartbeat (\d+) s ago; wait until it has ended, end it, or use another "
        r"folder. If that process no longer runs, the folder is free 60 s after its last heartbeat",
        str(caught.value),
    )
    assert age is not None
    assert int(age.group(1)) >= 50
    assert take(tmp_path, timeout_secs=1) == 2


def test_heartbeat_in_the_future_does_not_hold_a_lock_for_ever(tmp_path: Path) -> None:
    write_remote_holding(tmp_path, 1, at=time.time() + 86400)
    assert take(tmp_path, timeout_secs=1) == 2


def test_owner_with_a_slow_clock_keeps_the_lock(tmp_path: Path) -> None:
    """Its timestamps are old, but its file changes during the wait."""
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(0.05):
            count += 1
            path = write_remote_holding(tmp_path, 9, beat=count, at=1000.0)
            path.replace(lock_file(tmp_path, 1))

    write_remote_holding(tmp_path, 1, at=1000.0)
    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(LockHeldError, match=r" by process 7 on far \(train job\) "):
        take(tmp_path, timeout_secs=6)
    ended.set()
    thread.join()


def test_suspended_owner_notices_that_it_has_lost_the_lock(tmp_path: Path) -> None:
    lost: list[LockLostError] = []
    with lock.hold_lock(str(tmp_path), "train", 1.2, lost.append) as held:
        held.check()
        write_remote_holding(tmp_path, 2)
        with pytest.raises(LockLostError) as caught:
            held.check()
        assert str(caught.value) == (
            f"{tmp_path}: process 7 on far has taken the lock over, because this process wrote no "
            "heartbeat for longer than 1.2 s (was it suspended?). It stops and publishes nothing; "
            "the other process goes on"
        )
        wait_until(lambda: bool(lost))
        assert [str(error) for error in lost] == [str(caught.value)]
    assert json.loads(lock_file(tmp_path, 2).read_text())["is_released"] is False


@pytest.mark.parametrize("is_made_again", [False, True])
def test_owner_notices_that_its_folder_was_removed(tmp_path: Path, is_made_again: bool) -> None:
    """Another job may hold a lock with the same number by then."""
    root = tmp_path / "out"
    with lock.hold_lock(str(root), "train", 600.0, ignore) as held:
        shutil.rmtree(root)
        if is_made_again:
            write_remote_holding(root, 1)
        with pytest.raises(LockLostError) as caught:
            held.check()
    assert str(caught.value) == (
        f"{root}: was removed while this train job was writing to it; the job stops and publishes "
        "nothing"
    )
    assert root.exists() == is_made_again


def test_heartbeats_are_written(tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path), "train", 0.6, ignore):
        wait_until(lambda: json.loads(lock_file(tmp_path, 1).read_text())["beat"] >= 3)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_half_written_lock_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_remote_holding(tmp_path, 1)
    content = path.read_bytes()
    path.write_bytes(content[:30])
    monkeypatch.setattr(time, "sleep", lambda secs: path.write_bytes(content))
    with pytest.raises(LockHeldError):
        take(tmp_path)
    path.write_text("{}")
    monkeypatch.setattr(time, "sleep", lambda secs: None)
    with pytest.raises(RunError) as caught:
        take(tmp_path)
    assert str(caught.value) == (
        f"{path}: not a lock file; remove it if no job writes to {tmp_path}"
    )


def test_old_lock_files_are_removed(tmp_path: Path) -> None:
    assert [take(tmp_path) for _ in range(12)][-1] == 12
    assert sorted(path.name for path in (tmp_path / "_lock").iterdir()) == [
        "000011.json",
        "000012.json",
    ]
