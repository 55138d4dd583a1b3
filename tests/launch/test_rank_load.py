from __future__ import annotations

from typing import Optional

import pytest

from halftone.launch.rank_load import load_notes
from halftone.system import cores, machine


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "num_usable_cores", lambda: 2)
    monkeypatch.setattr(machine, "usable_memory_bytes", lambda: 8 * 2**30)


@pytest.mark.usefixtures("small_machine")
def test_ranks_beyond_cores_and_memory_are_named_with_both_numbers() -> None:
    assert load_notes(2, None) == []
    (note,) = load_notes(3, None)
    assert note == (
        "train.ranks starts 3 ranks on this machine, which has 2 cores for them: they take turns, "
        "and more ranks than cores are slower. Use train.ranks=2"
    )
    of_cores, of_memory = load_notes(100, None)
    assert of_cores.startswith("train.ranks starts 100 ranks on this machine, which has 2 cores ")
    assert of_memory == (
        "train.ranks starts 100 ranks on this machine, which take at least 24.4 GiB; it has 8.0 "
        "GiB of memory, and a rank that gets none is killed. Use train.ranks=32 at most"
    )


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    ("hosts", "num_local"),
    [("localhost:2,other.invalid:20", None), ("other.invalid:20,localhost:9", None),
     ("other.invalid:2,localhost:9", 8)],
)  # fmt: skip
def test_ranks_on_other_hosts_do_not_count(hosts: str, num_local: Optional[int]) -> None:
    notes = load_notes(10, hosts)
    assert [note.split(" on ")[0] for note in notes] == (
        [] if num_local is None else [f"train.ranks starts {num_local} ranks"]
    )
