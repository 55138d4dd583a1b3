from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.retrain.state import journal, lock
from halftone.retrain.state.journal import BEGIN, ENDED, STEPS, Journal
from halftone.retrain.state.lock import Lock, LockLostError


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Lock]:
    with lock.hold_lock(str(tmp_path / "lock"), 600.0, print) as own:
        yield own


def test_a_step_is_done_once(tmp_path: Path, held: Lock) -> None:
    done: list[str] = []
    for _ in range(2):
        own = Journal(str(tmp_path), 12, held)
        entry = own.run_step("train", lambda: {"model": str(done.append("train"))})
    assert done == ["train"]
    assert (entry["model"], entry["fence"]) == ("None", 1)
    assert [path.name for path in (tmp_path / "nights" / "000012").iterdir()] == ["06-train.json"]


def test_a_step_that_failed_is_not_done(tmp_path: Path, held: Lock) -> None:
    own = Journal(str(tmp_path), 1, held)
    with pytest.raises(ZeroDivisionError):
        own.run_step("train", lambda: {"model": 1 // 0})
    assert own.read("train") is None
    assert own.run_step("train", lambda: {"model": 5})["model"] == 5


def test_what_another_has_written_is_not_written_over(tmp_path: Path, held: Lock) -> None:
    own, other = (Journal(str(tmp_path), 1, held) for _ in range(2))
    other.record("gate", {"action": "keep"})
    with pytest.raises(LockLostError) as caught:
        own.record("gate", {"action": "promote"})
    assert str(caught.value) == (
        f"{tmp_path}/nights/000001/09-gate.json: another process has written it; it goes on there"
    )
    entry = own.read("gate")
    assert entry is not None
    assert entry["action"] == "keep"


def test_who_has_lost_the_lock_writes_nothing(tmp_path: Path, held: Lock) -> None:
    path = tmp_path / "lock" / "000001.json"
    (tmp_path / "lock" / "000002.json").write_bytes(path.read_bytes())
    own = Journal(str(tmp_path), 1, held)
    with pytest.raises(LockLostError, match="has taken over the lock"):
        own.run_step("gate", dict)
    assert own.read("gate") is None


def test_attempts_are_counted_by_place(tmp_path: Path, held: Lock) -> None:
    places = [{"step": "begin"}, {"step": "train", "checkpoints": []}]
    places.append({**places[1], "checkpoints": ["epoch-0001.npz"]})
    own = Journal(str(tmp_path), 3, held)
    counts = [own.add_attempt(places[number]) for number in (0, 0, 1, 1, 1, 2, 2)]
    # Who leaves a place to another one has tried to pass that.
    assert counts == [1, 2, 2, 3, 4, 2, 3]


def test_the_open_step_is_behind_the_last_one_that_is_done(tmp_path: Path, held: Lock) -> None:
    own = Journal(str(tmp_path), 3, held)
    assert own.next_step() == "begin"
    for step, open_step in ((BEGIN, "preprocess"), ("drift", "start"), ("tidy", ENDED)):
        own.record(step, {})
        own.add_attempt({})
        assert own.next_step() == open_step


def test_the_last_night_is_open_until_it_has_ended(tmp_path: Path, held: Lock) -> None:
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


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(STEPS)), st.booleans()), max_size=12))
def test_whatever_kills_there_are_each_finished_step_is_done_once(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, bool]]
) -> None:
    """A kill comes in the middle of a step's work, or behind it and before its entry."""
    root = str(tmp_path_factory.mktemp("kills"))
    finished: list[str] = []

    def run(kill: tuple[int, bool]) -> dict[str, int]:
        seen = {}
        with lock.hold_lock(f"{root}/lock", 600.0, print) as held:
            own = Journal(root, 1, held)
            for number, name in enumerate(STEPS):

                def work(number: int = number, name: str = name) -> journal.JournalEntry:
                    if kill == (number, False):
                        raise Killed
                    if kill == (number, True):
                        own.record(name, {"value": number})
                        finished.append(name)
                        raise Killed
                    finished.append(name)
                    return {"value": number}

                seen[name] = own.run_step(name, work)["value"]
        return seen

    for kill in kills:
        try:
            run(kill)
        except Killed:
            continue
    assert run((-1, False)) == {name: number for number, name in enumerate(STEPS)}
    assert finished == list(STEPS)
