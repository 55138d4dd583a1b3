"""Promotions by hand that are killed at any point, and the commands after them.

The registry is in memory, so that all points can be tried; journal and lock are real.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone import config as configs
from halftone.errors import InputError
from halftone.locking import lock
from halftone.locking.lock import Lock
from halftone.retrain import attempts, manual, page
from halftone.retrain import job as jobs
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import CHAMPION, ModelVersion
from halftone.retrain.state import history, journal
from halftone.retrain.state.journal import BEGIN, Journal, JournalEntry
from retrained import write_config

VERSIONS = ("1", "2", "3", "4")


class Killed(BaseException):
    """The process ends here."""


class MemoryRegistry:
    """Four versions, and the alias of the champion."""

    name = "stripes"

    def __init__(self) -> None:
        self.current: Optional[str] = None
        self.moves: list[str] = []  # versions that became champion
        self.points = 0  # at which a process may be killed, so far
        self.kill_at: Optional[int] = None

    def point(self) -> None:
        if self.points == self.kill_at:
            raise Killed
        self.points += 1

    def champion(self) -> Optional[ModelVersion]:
        return self.version(self.current) if self.current else None

    def version(self, number: str) -> Optional[ModelVersion]:
        aliases = (CHAMPION,) if number == self.current else ()
        return ModelVersion(number, "", "", aliases) if number in VERSIONS else None

    def versions(self) -> list[ModelVersion]:
        return [found for number in VERSIONS for found in [self.version(number)] if found]

    def set_alias(self, alias: str, version: ModelVersion) -> None:
        assert alias == CHAMPION
        self.point()
        if self.current != version.number:
            self.moves.append(version.number)
        self.current = version.number
        self.point()


class Shop(MemoryRegistry):
    """Commands on a folder of retraining that has no images."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        loaded = configs.load_config(str(write_config(folder)))
        self.job: RetrainJob = jobs.create_job(loaded, pytest.fail)._replace(registry=self)  # type: ignore[arg-type]

    def call(self, name: str, kill_at: Optional[int] = None) -> bool:
        """Call a command: a version to promote, rollback, run or dry-run; return if it was killed.

        A mistake of the user is no kill.
        """
        self.points, self.kill_at = 0, kill_at
        try:
            with lock.hold_lock(self.job.root, "retrain", 600.0, print) as held, self._watched():
                self._command(name, held)
        except Killed:
            return True
        except InputError:
            pass
        finally:
            self.kill_at = None
        return False

    def _command(self, name: str, held: Lock) -> None:
        if name == "rollback":
            manual.rollback(self.job, held)
        elif name in ("run", "dry-run"):
            job = self.job._replace(dry_run=name == "dry-run")
            attempts.continue_or_start_run(job, held)
        else:
            manual.promote(self.job, held, name)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        record = Journal.record

        def watched(entries: Journal, name: str, entry: JournalEntry) -> JournalEntry:
            self.point()
            recorded = record(entries, name, entry)
            self.point()
            return recorded

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Journal, "record", watched)
            patch.setattr(page, "write_page", lambda job: "")  # which would take most of the time
            yield

    def outcomes(self) -> list[dict[str, Any]]:
        return history.read_outcomes(self.job.root)

    def promotions(self) -> list[tuple[str, str]]:
        """Return (kind, version) of the promotions on record."""
        return [
            (outcome["kind"], outcome["champion"])
            for outcome in self.outcomes()
            if outcome["outcome"] == "promoted"
        ]


NewShop = Callable[[], Shop]


@pytest.fixture(scope="module")
def first_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    for version in ("1", "2", "3"):
        assert not shop.call(version)
    return shop


@pytest.fixture
def new_shop(first_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> NewShop:
    """Return a shop in which 1, 2 and 3 have become champion one after the other."""

    def build() -> Shop:
        shop = Shop(tmp_path_factory.mktemp("shop"))
        shutil.copytree(first_shop.job.root, shop.job.root)
        shop.current = first_shop.current
        return shop

    return build


BEFORE = [("hand", "1"), ("hand", "2"), ("hand", "3")]
# The points of a promotion: before and after it records that it begins, moves the alias, and
# records its outcome; then those of page, notify, tidy and ended, of which the last has no effect.
NUM_POINTS = 14
ALIAS_MOVED = 3  # at this point


def test_a_promotion_has_these_points(new_shop: NewShop) -> None:
    shop = new_shop()
    assert not shop.call("4")
    assert shop.points == NUM_POINTS


@pytest.mark.parametrize("after", ["run", "dry-run", "1", "again", "rollback"])
@pytest.mark.parametrize(
    ("command", "done"), [("4", ("hand", "4")), ("rollback", ("rollback", "2"))]
)
def test_the_next_command_records_a_killed_promotion_as_what_it_is(
    new_shop: NewShop, command: str, done: tuple[str, str], after: str
) -> None:
    next_command = command if after == "again" else after
    for kill_at in range(NUM_POINTS - 1):
        shop = new_shop()
        assert shop.call(command, kill_at)
        is_moved = kill_at >= ALIAS_MOVED
        assert shop.current == (done[1] if is_moved else "3")
        shop.call(next_command)
        killed = [done] if is_moved else []
        follow = {
            "run": [],
            "dry-run": [],
            "1": [("hand", "1")],
            "4": [] if is_moved else [("hand", "4")],
            # A rollback that is called again only completes the killed one.
            "rollback": [("rollback", "3" if killed else "2")]
            if command == "4"
            else ([] if is_moved else [("rollback", "2")]),
        }[next_command]
        assert (kill_at, shop.promotions()) == (kill_at, [*BEFORE, *killed, *follow])
        assert history.champion_lineage(shop.outcomes())[-1] == shop.current
        failed = [outcome for outcome in shop.outcomes() if outcome["outcome"] == "failed"]
        if not is_moved and kill_at > 0:  # it has begun
            assert failed[0]["kind"] == done[0]
            assert failed[0]["reason"].endswith("killed before it was done; run the command again")


commands = st.sampled_from(["1", "2", "3", "4", "rollback", "run", "dry-run"])


@settings(max_examples=15)
@given(st.lists(st.tuples(commands, st.one_of(st.none(), st.integers(0, 20))), max_size=6))
def test_each_change_of_the_champion_is_recorded_once(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, Optional[int]]]
) -> None:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    for command, kill_at in calls:
        shop.call(command, kill_at)
    shop.call("run")
    recorded = [version for _, version in shop.promotions()]
    changes = [version for before, version in zip([None, *recorded], recorded) if version != before]
    assert changes == shop.moves
    assert history.champion_lineage(shop.outcomes())[-1:] == recorded[-1:]
    assert shop.current == (recorded[-1] if recorded else None)


def leave_promoted_run(shop: Shop) -> None:
    """Leave a run that was killed after it made version 4 champion and before it recorded that."""
    with lock.hold_lock(shop.job.root, "retrain", 600.0, print) as held:
        entries: dict[str, JournalEntry] = {
            BEGIN: {"settings": "those of another config"},
            "preprocess": {"basis": "b", "new_images": 1, "new_rejects": 0},
            "snapshot": {"dataset": ""},
            "drift": {"level": "ok", "reason": ""},
            "start": {"champion": "3"},
            "train": {"model": ""},
            "register": {"version": "4"},
            "score": {"measures": {}},
            "gate": {"action": "promote", "reason": "better"},
        }
        run_journal = journal.new_run(shop.job.root, held)
        for name, entry in entries.items():
            run_journal.record(name, entry)
    shop.current = "4"


@pytest.mark.parametrize(
    ("command", "follow"),
    [
        ("run", []),
        ("dry-run", []),
        ("rollback", [("rollback", "3")]),
        ("2", [("hand", "2")]),
    ],
)
def test_the_next_command_records_the_promotion_of_a_killed_run(
    new_shop: NewShop, command: str, follow: list[tuple[str, str]]
) -> None:
    shop = new_shop()
    leave_promoted_run(shop)
    shop.call(command)
    assert shop.promotions() == [*BEFORE, ("night", "4"), *follow]
    assert shop.current == (follow[-1][1] if follow else "4")


def test_a_rollback_leaves_a_run_that_has_not_promoted_to_the_next_call_if_it_is_refused(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path)
    shop.call("1")
    leave_promoted_run(shop)
    shop.current = "1"
    shop.call("rollback")  # there is no champion before 1
    assert [outcome["outcome"] for outcome in shop.outcomes()] == ["promoted"]
