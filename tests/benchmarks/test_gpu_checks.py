from __future__ import annotations

import math
from typing import Any, Optional

import pytest

import gpu_checks
from gpu_cards import Observation
from gpu_checks import FAILED, NOT_CHECKED, OK, Check, RankRecord

DRIVER, RANK_0, RANK_1 = 10, 11, 12


def seen(
    files: Optional[dict[int, set[str]]] = None, cards: Optional[dict[int, set[str]]] = None
) -> Observation:
    return Observation(
        driver_pid=DRIVER,
        rank_pids=frozenset({RANK_0, RANK_1}),
        files={pid: frozenset(names) for pid, names in (files or {}).items()},
        cards={pid: frozenset(names) for pid, names in (cards or {}).items()},
        card_peak_mib=0.0,
    )


def ranks(*cards: list[int], peak_bytes: int = 7) -> list[RankRecord]:
    return [RankRecord(n, RANK_0 + n, own, peak_bytes) for n, own in enumerate(cards)]


@pytest.mark.parametrize(
    ("records", "num_cards", "smi"),
    [
        (ranks([0], [1]), 2, {}),
        (ranks([0], [1]), 2, {RANK_0: {"a"}, RANK_1: {"b"}}),
        (ranks([0], [1]), 4, {RANK_0: {"a"}}),  # it does not list the other
        (ranks([0], [0]), 1, {RANK_0: {"a"}, RANK_1: {"a"}}),
        (ranks([3]), 4, {}),
        (ranks([], []), 0, {}),
    ],
)
def test_ranks_on_their_own_cards(
    records: list[RankRecord], num_cards: int, smi: dict[int, set[str]]
) -> None:
    check = gpu_checks.check_own_cards({"run": (records, seen(cards=smi))}, num_cards)
    assert check.status == OK


@pytest.mark.parametrize(
    ("records", "num_cards", "smi", "detail"),
    [
        (ranks([0], [0]), 2, {}, "run: 2 ranks use the cards [0], of 2"),
        (ranks([0], [0, 1]), 2, {}, "run: rank 1 has the cards [0, 1]"),
        (ranks([]), 1, {}, "run: rank 0 has the cards []"),
        (ranks([1]), 0, {}, "run: rank 0 has the cards [1]"),
        (
            ranks([1], peak_bytes=0),
            2,
            {},
            "run: rank 0 put nothing into the memory of card 1",
        ),
        (
            ranks([0], [1]),
            2,
            {RANK_0: {"a"}, RANK_1: {"a"}},
            "run: nvidia-smi: 2 ranks use 1 cards",
        ),
        (ranks([0]), 2, {RANK_0: {"a", "b"}}, "run: nvidia-smi: 1 ranks use 2 cards"),
    ],
)
def test_ranks_on_wrong_cards(
    records: list[RankRecord], num_cards: int, smi: dict[int, set[str]], detail: str
) -> None:
    good = (ranks(*[[0]] if num_cards else [[]]), seen())
    runs = {"good": good, "run": (records, seen(cards=smi))}
    check = gpu_checks.check_own_cards(runs, num_cards)
    assert (check.status, check.detail) == (FAILED, detail)


def test_no_training_is_not_checked() -> None:
    assert gpu_checks.check_own_cards({}, 1).status == NOT_CHECKED
    assert gpu_checks.check_driver({}).status == NOT_CHECKED


@pytest.mark.parametrize(
    ("observation", "status"),
    [
        (seen(files={RANK_0: {"/dev/nvidia0"}}), OK),
        (seen(cards={RANK_1: {"GPU-1"}}), OK),
        (seen(files={RANK_0: {"/dev/nvidia0"}, DRIVER: {"/dev/nvidia0"}}), FAILED),
        (seen(cards={RANK_0: {"GPU-1"}, DRIVER: {"GPU-1"}}), FAILED),
        # A driver without a card proves nothing where the cards of ranks cannot be seen.
        (seen(), NOT_CHECKED),
        (seen(cards={99: {"GPU-1"}}), NOT_CHECKED),
    ],
)
def test_the_driver_takes_no_card(observation: Observation, status: str) -> None:
    with_card = seen(files={RANK_0: {"/dev/nvidia0"}})
    check = gpu_checks.check_driver({"other": with_card, "run": observation})
    assert check.status == status


def epoch(**metrics: Any) -> dict[str, Any]:
    return {"epoch": 1, "loss": 0.5, "accuracy": 0.75, "secs": 3.0, "images_per_sec": 7, **metrics}


def test_equal_metrics() -> None:
    other = epoch(loss=0.5009, secs=9.0, images_per_sec=1)
    check = gpu_checks.check_equal_metrics("same", [epoch()], [other])
    detail = "largest difference 9.0e-04 (loss of epoch 1) in 1 epochs"
    assert check == Check("same", OK, detail)


@pytest.mark.parametrize(
    ("epochs", "detail"),
    [
        ([epoch(loss=0.5011)], "largest difference 1.1e-03 (loss of epoch 1) in 1 epochs"),
        ([epoch(loss=math.nan)], "largest difference nan (loss of epoch 1) in 1 epochs"),
        ([epoch(loss=None)], "epoch 1: loss is None, not 0.5"),
        ([epoch(val_loss=0.5)], "epoch 1: val_loss is 0.5, not None"),
        ([epoch(), epoch()], "2 epochs instead of 1"),
    ],
)
def test_unequal_metrics(epochs: list[dict[str, Any]], detail: str) -> None:
    check = gpu_checks.check_equal_metrics("same", epochs, [epoch()])
    assert check == Check("same", FAILED, detail)


def test_a_comparison_needs_a_gpu_on_one_side_only() -> None:
    on_gpu, on_cpu = ([epoch()], ranks([0])), ([epoch()], ranks([], peak_bytes=0))
    statuses = [
        gpu_checks.check_compared("net", *pair, num_cards=1).status
        for pair in ((on_gpu, on_cpu), (on_cpu, on_cpu), (on_gpu, on_gpu))
    ]
    assert statuses == [OK, FAILED, FAILED]


def test_nothing_is_ok_without_a_gpu() -> None:
    assert gpu_checks.without_gpu(Check("a", OK, "fine")) == Check(
        "a", NOT_CHECKED, "no GPU. On the CPU: fine"
    )
    assert gpu_checks.without_gpu(Check("a", FAILED, "bad")) == Check("a", FAILED, "bad")


def test_verdict() -> None:
    good, bad = Check("a", OK, ""), Check("b", FAILED, "")
    unknown = Check("c", NOT_CHECKED, "")
    assert gpu_checks.verdict([good, good], False) == ("verdict: ok: all 2 checks hold", True)
    assert gpu_checks.verdict([good, bad, unknown], True) == ("verdict: FAILED: b", False)
    assert gpu_checks.verdict([good, unknown], False) == (
        "verdict: not checked: c; the others hold",
        True,
    )
    assert gpu_checks.verdict([unknown], True) == (
        "verdict: no GPU: none of 1 checks failed on the CPU, and nothing is known about GPUs",
        True,
    )
