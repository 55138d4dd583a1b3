"""Which cores are whose."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.system import cores


@pytest.mark.parametrize(
    ("machine", "local_size", "expected"),
    [
        ([0, 1], 2, [[0], [1]]),
        ([0, 1, 2, 3], 2, [[0, 1], [2, 3]]),
        ([7, 3, 5], 2, [[3], [5]]),
        ([0, 1], 1, [[0, 1]]),
        ([0, 1], 3, [[0, 1], [0, 1], [0, 1]]),
    ],
)
def test_shares(machine: list[int], local_size: int, expected: list[list[int]]) -> None:
    assert [cores.rank_cores(machine, rank, local_size) for rank in range(local_size)] == expected


@given(st.sets(st.integers(0, 255), min_size=1), st.integers(1, 64))
def test_no_core_is_in_two_shares_as_long_as_there_are_enough(
    machine: set[int], local_size: int
) -> None:
    shares = [cores.rank_cores(list(machine), rank, local_size) for rank in range(local_size)]
    assert set().union(*shares) <= machine
    assert len({len(share) for share in shares}) == 1
    if local_size <= len(machine):
        assert sum(map(len, shares)) == len(set().union(*shares)) > len(machine) - local_size


def test_a_process_and_its_threads_keep_to_their_share() -> None:
    machine = sorted(os.sched_getaffinity(0))
    job = (
        "import os, threading; from halftone.system import cores\n"
        f"cores.pin_to_rank_cores({len(machine) - 1}, {len(machine)})\n"
        "seen = []\n"
        "thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))\n"
        "thread.start(); thread.join(); print(seen[0], cores.num_threads(1))"
    )
    done = subprocess.run([sys.executable, "-c", job], capture_output=True, text=True, check=True)
    assert done.stdout == f"{{{machine[-1]}}} 1\n"


@pytest.mark.parametrize(
    ("machine", "own", "local_size", "expected"),
    [(8, 8, 1, 8), (8, 8, 2, 4), (8, 4, 2, 4), (8, 1, 1, 1), (2, 2, 3, 1)],
)
def test_threads_whether_or_not_it_was_kept_to_its_share(
    machine: int, own: int, local_size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(own)))
    assert cores.num_threads(local_size) == expected
