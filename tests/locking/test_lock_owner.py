"""The identity of processes, with real processes and a /proc of our own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from halftone.locking import lock_owner
from halftone.locking.lock_owner import LockOwner

PRINT_OWNER = """
import json, sys, time
from halftone.locking import lock_owner
print(json.dumps(lock_owner.this_process()), flush=True)
sys.stdin.read()
"""


def start_owner(*command: str) -> tuple[LockOwner, subprocess.Popen[str]]:
    """Start a process; return its identity as it sees itself."""
    process = subprocess.Popen(
        [*command, sys.executable, "-c", PRINT_OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return LockOwner(*json.loads(process.stdout.readline())), process


def test_this_process_is_not_gone() -> None:
    owner = lock_owner.this_process()
    assert owner.pid == os.getpid()
    assert owner.is_on_this_machine()
    assert not owner.is_gone()


def test_ended_process_is_gone_even_as_a_zombie() -> None:
    owner, process = start_owner()
    assert not owner.is_gone()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not reaped
    assert owner.is_gone()
    process.communicate()
    assert owner.is_gone()


def test_process_with_the_same_pid_is_another_one() -> None:
    owner = lock_owner.this_process()
    assert owner._replace(start_ticks=owner.start_ticks - 1).is_gone()


def test_start_is_counted_from_boot_and_so_does_not_move_with_the_clock() -> None:
    owner, process = start_owner()
    field = subprocess.check_output(["cut", "-d ", "-f22", f"/proc/{process.pid}/stat"], text=True)
    process.communicate()
    assert owner.start_ticks == int(field)


def test_start_is_read_after_a_program_name_with_spaces_and_parentheses(tmp_path: Path) -> None:
    program = tmp_path / "a ) R 1 (b"
    shutil.copy(shutil.which("sleep") or "", program)
    process = subprocess.Popen([str(program), "600"])
    try:
        expected = lock_owner._read_status(os.getpid())
        status = lock_owner._read_status(process.pid)
        assert status is not None
        assert expected is not None
        assert status[0] in "RSD"
        assert status[1] >= expected[1]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("machine", ["", "another-boot/4026531836"])
def test_process_of_another_machine_is_never_judged_by_its_pid(machine: str) -> None:
    assert not LockOwner("localhost", 2**22 + 1, 1, machine).is_gone()


def test_process_of_another_pid_namespace_is_never_judged_by_its_pid() -> None:
    """As in a container: the same host name and boot, and pids of its own."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this user may not create a pid namespace")
    owner, process = start_owner(*unshare)
    process.communicate()
    here = lock_owner.this_process()
    assert (owner.host, owner.pid) == (here.host, 1)
    assert owner.machine.split("/")[0] == here.machine.split("/")[0]
    assert not owner.is_on_this_machine()
    assert not owner.is_gone()
