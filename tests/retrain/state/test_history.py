from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import pytest

from halftone.errors import InputError
from halftone.locking import lock
from halftone.retrain.state import history
from halftone.retrain.state.journal import BEGIN, OUTCOME, Journal
from retrain_outcomes import outcome

PAST = [
    outcome(1, "promoted", "1"),
    outcome(2, "kept", "1"),
    outcome(3, "promoted", "3"),
    outcome(4, "promoted", "4"),
    outcome(5, "promoted", "3", by="rollback"),
    outcome(6, "nothing", "3"),
]


def test_champion_lineage() -> None:
    assert history.champion_lineage(PAST) == ["1", "3"]
    assert history.champion_lineage([*PAST, outcome(7, "promoted", "2", by="hand")]) == [
        "1",
        "3",
        "2",
    ]


def test_promoting_the_champion_again_does_not_repeat_it_in_the_lineage() -> None:
    past = [*PAST, outcome(7, "promoted", "3", by="hand")]
    assert history.champion_lineage(past) == ["1", "3"]
    assert history.previous_champion(past, "3") == "1"


def test_rollbacks_go_back_one_champion_each() -> None:
    assert history.previous_champion(PAST[:4], "4") == "3"
    assert history.previous_champion(PAST, "3") == "1"
    again = [*PAST, outcome(7, "promoted", "1", by="rollback")]
    with pytest.raises(InputError) as caught:
        history.previous_champion(again, "1")
    assert str(caught.value) == (
        "--rollback: version 1 is the first champion; there is none before it"
    )


@pytest.mark.parametrize(
    ("past", "champion", "message"),
    [
        (PAST, "9", "the champion is version 9, but the last one in the history is version 3"),
        ([], None, "the champion is none, but the last one in the history is none"),
    ],
)
def test_champion_that_was_set_elsewhere_is_not_rolled_back(
    past: list[dict[str, Any]], champion: Optional[str], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        history.previous_champion(past, champion)
    assert str(caught.value) == f"--rollback: {message}; choose a version with --promote VERSION"


def test_last_decided_outcome() -> None:
    last_decided = history.last_decided_outcome(PAST)
    assert last_decided is not None
    assert last_decided["night"] == 4
    assert history.last_decided_outcome(PAST[5:]) is None
    assert history.last_champion(PAST) == "3"
    assert history.last_champion([]) is None


def test_history_table() -> None:
    measures = {
        "champion": {"accuracy": 0.91, "f1": 0.905, "loss": 1},
        "challenger": {"accuracy": 0.95, "f1": 0.9512, "loss": 1},
    }
    past = [
        outcome(
            3, "promoted", "3", new_images=1200, new_rejects=3, champion_before="1",
            challenger="3", measures=measures,
        ),
        outcome(4, "nothing", "3"),
        outcome(5, "promoted", "1", by="rollback"),
    ]  # fmt: skip
    assert history.format_history(past) == "\n".join(
        [
            "run       ended (UTC)    new  rejects  champion: accuracy, F1"
            "  challenger: accuracy, F1               outcome  reason",
            "---  ----------------  -----  -------  ----------------------"
            "  ------------------------  --------------------  ---",
            "3    2026-03-03 02:11  1,200        3       1: 0.9100, 0.9050"
            "         3: 0.9500, 0.9512              promoted  reason 3",
            "4    2026-03-04 02:11      0        0                        "
            "                                         nothing  reason 4",
            "5    2026-03-05 02:11      0        0                        "
            "                            promoted by rollback  reason 5",
            "",
            "champion: version 1",
        ]
    )


def test_history_table_before_the_first_champion() -> None:
    assert history.format_history([outcome(1, "nothing")]).endswith(
        "  reason 1\n\nchampion: none yet"
    )


def test_runs_without_an_outcome_are_left_out(tmp_path: Path) -> None:
    with lock.hold_lock(str(tmp_path), "retrain", 600.0, print) as held:
        for number in (1, 2):
            Journal(str(tmp_path), number, held).record(BEGIN, {})
        Journal(str(tmp_path), 1, held).record(OUTCOME, outcome(1, "kept"))
    assert [entry["night"] for entry in history.read_outcomes(str(tmp_path))] == [1]
