from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.locking import lock
from halftone.locking.lock import Lock, LockLostError
from halftone.retrain.state import journal
from halftone.retrain.state.journal import BEGIN, ENDED, STEPS, Journal


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Lock]:
    with lock.hold_lock(str(tmp_path), "retrain", 600.0, print) as held_lock:
        yield held_lock


def test_a_step_is_done_once(tmp_path: Path, held: Lock) -> None:
    calls: list[str] = []

    def train() -> journal.JournalEntry:
        calls.append("train")
        return {"model": "m"}

    for _ in range(2):
        entry = Journal(str(tmp_path), 12, held).run_step("train", train)
    assert calls == ["train"]
    assert (entry["model"], entry["fence"]) == ("m", 1)
    assert [path.name for path in (tmp_path / "nights" / "000012").iterdir()] == ["06-train.json"]


def test_failed_step_is_not_recorded(tmp_path: Path, held: Lock) -> None:
    run_journal = Journal(str(tmp_path), 1, held)
    with pytest.raises(ZeroDivisionError):
        run_journal.run_step("train", lambda: {"model": 1 // 0})
    assert run_journal.read("train") is None
    assert run_journal.run_step("train", lambda: {"model": 5})["model"] == 5


def test_entry_of_another_process_is_not_overwritten(tmp_path: Path, held: Lock) -> None:
    run_journal, other = (Journal(str(tmp_path), 1, held) for _ in range(2))
    other.record("gate", {"action": "keep"})
    with pytest.raises(LockLostError) as caught:
        run_journal.record("gate", {"action": "promote"})
    path = f"{tmp_path}/nights/000001/09-gate.json"
    assert str(caught.value) == f"{path}: another process has written it and continues the run"
    entry = run_journal.read("gate")
    assert entry is not None
    assert entry["action"] == "keep"


def test_nothing_is_recorded_after_the_lock_is_lost(tmp_path: Path, held: Lock) -> None:
    path = tmp_path / "_lock" / "000001.json"
    (tmp_path / "_lock" / "000002.json").write_bytes(path.read_bytes())
    run_journal = Journal(str(tmp_path), 1, held)
    with pytest.raises(LockLostError, match="has taken the lock over"):
        run_journal.run_step("gate", dict)
    assert run_journal.read("gate") is None


def test_attempts_are_counted_by_progress(tmp_path: Path, held: Lock) -> None:
    progress = [{"step": "begin"}, {"step": "train", "checkpoints": []}]
    progress.append({**progress[1], "checkpoints": ["epoch-0001.npz"]})
    run_journal = Journal(str(tmp_path), 3, held)
    counts = [run_journal.add_attempt(progress[number]) for number in (0, 0, 1, 1, 1, 2, 2)]
    # The process that reached a point from an earlier one counts as an attempt at that point.
    assert counts == [1, 2, 2, 3, 4, 2, 3]


def test_next_step_follows_the_last_completed_step(tmp_path: Path, held: Lock) -> None:
    run_journal = Journal(str(tmp_path), 3, held)
    assert run_journal.next_step() == "begin"
    for step, next_step in ((BEGIN, "preprocess"), ("drift", "start"), ("tidy", ENDED)):
        run_journal.record(step, {})
        run_journal.add_attempt({})
        assert run_journal.next_step() == next_step


def test_last_run_is_unfinished_until_it_has_ended(tmp_path: Path, held: Lock) -> None:
    root = str(tmp_path)
    assert journal.list_runs(root) == []
    assert journal.find_unfinished_run(root, held) is None
    assert journal.new_run(root, held).run_number == 1
    for number in (1, 2):
        Journal(root, number, held).record(BEGIN, {})
    assert journal.list_runs(root) == [1, 2]
    unfinished = journal.find_unfinished_run(root, held)
    assert unfinished is not None
    assert unfinished.run_number == 2
    assert journal.new_run(root, held).run_number == 3
    unfinished.record(ENDED, {})
    assert journal.find_unfinished_run(root, held) is None


class Killed(BaseException):
    pass


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, len(STEPS)), st.booleans()), max_size=12))
def test_each_step_is_completed_once_however_often_the_run_is_killed(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, bool]]
) -> None:
    """Kills come during the work of a step (False), or right after its entry was written (True)."""
    root = str(tmp_path_factory.mktemp("kills"))
    finished: list[str] = []

    def run(kill: tuple[int, bool]) -> dict[str, int]:
        values = {}
        with lock.hold_lock(root, "retrain", 600.0, print) as held:
            run_journal = Journal(root, 1, held)
            for number, name in enumerate(STEPS):

                def work(number: int = number, name: str = name) -> journal.JournalEntry:
                    if kill == (number, False):
                        raise Killed
                    if kill == (number, True):
                        run_journal.record(name, {"value": number})
                        finished.append(name)
                        raise Killed
                    finished.append(name)
                    return {"value": number}

                values[name] = run_journal.run_step(name, work)["value"]
        return values

    for kill in kills:
        try:
            run(kill)
        except Killed:
            continue
    assert run((-1, False)) == {name: number for number, name in enumerate(STEPS)}
    assert finished == list(STEPS)
