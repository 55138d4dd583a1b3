"""The distribution of cores among ranks."""

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
def test_cores_of_each_rank(machine: list[int], local_size: int, expected: list[list[int]]) -> None:
    assert [cores.rank_cores(machine, rank, local_size) for rank in range(local_size)] == expected


@given(st.sets(st.integers(0, 255), min_size=1), st.integers(1, 64))
def test_no_core_belongs_to_two_ranks_if_there_are_enough(
    machine: set[int], local_size: int
) -> None:
    shares = [cores.rank_cores(list(machine), rank, local_size) for rank in range(local_size)]
    assert set().union(*shares) <= machine
    assert len({len(share) for share in shares}) == 1
    if local_size <= len(machine):
        assert sum(map(len, shares)) == len(set().union(*shares)) > len(machine) - local_size


def test_a_process_and_its_threads_are_pinned() -> None:
    machine = sorted(os.sched_getaffinity(0))
    job = (
        "import os, threading; from halftone.system import cores\n"
        f"cores.pin_to_rank_cores({len(machine) - 1}, {len(machine)})\n"
        "affinities = []\n"
        "thread = threading.Thread(target=lambda: affinities.append(os.sched_getaffinity(0)))\n"
        "thread.start(); thread.join(); print(affinities[0], cores.num_threads(1))"
    )
    process = subprocess.run(
        [sys.executable, "-c", job], capture_output=True, text=True, check=True
    )
    assert process.stdout == f"{{{machine[-1]}}} 1\n"


@pytest.mark.parametrize(
    ("machine", "usable", "local_size", "expected"),
    [(8, 8, 1, 8), (8, 8, 2, 4), (8, 4, 2, 4), (8, 1, 1, 1), (2, 2, 3, 1)],
)
def test_number_of_threads_with_and_without_pinning(
    machine: int, usable: int, local_size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(usable)))
    assert cores.num_threads(local_size) == expected


def test_pinning_leaves_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[list[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5, 3})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, c: pinned.append(c))
    monkeypatch.setattr(cores, "_CAN_PIN", True)
    assert cores.pin_to_one_core() is True
    assert pinned == [[5]]
    monkeypatch.setattr(cores, "_CAN_PIN", False)
    assert cores.pin_to_one_core() is False
    assert pinned == [[5]]
