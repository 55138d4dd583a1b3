"""What must hold of trainings on GPUs, judged from their records. Without a GPU nothing is ok."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from gpu_cards import Observation

OK, FAILED, NOT_CHECKED = "ok", "FAILED", "not checked"
TOLERANCE = 1e-3  # of a metric, absolute
_TIMES = ("epoch", "secs", "images_per_sec")


class Check(NamedTuple):
    name: str
    status: str  # OK, FAILED or NOT_CHECKED
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.status}: {self.detail}"


class RankRecord(NamedTuple):
    """What a rank wrote at its end."""

    rank: int
    pid: int
    cards: Sequence[int]  # that TensorFlow may use in it
    peak_bytes: int  # the most that its tensors took on them


def without_gpu(check: Check) -> Check:
    """Return the check as a machine without a GPU may report it: it says nothing about GPUs."""
    if check.status == FAILED:
        return check
    return Check(check.name, NOT_CHECKED, f"no GPU. On the CPU: {check.detail}")


def check_own_cards(
    trainings: Mapping[str, tuple[Sequence[RankRecord], Observation]], num_cards: int
) -> Check:
    """Check that each rank used one card, and that no two ranks shared one unless there is 1 card.

    Args:
        trainings: by name.
        num_cards: of the machine; 0: the ranks must have none.
    """
    name = "every rank took its own card"
    if not trainings:
        return Check(name, NOT_CHECKED, "no training has ended well")
    for training, (records, observation) in trainings.items():
        problem = _wrong_cards(records, observation, num_cards)
        if problem:
            return Check(name, FAILED, f"{training}: {problem}")
    num_ranks = sum(len(records) for records, _ in trainings.values())
    return Check(name, OK, f"{num_ranks} ranks of {len(trainings)} trainings, {num_cards} cards")


def _wrong_cards(
    records: Sequence[RankRecord], observation: Observation, num_cards: int
) -> Optional[str]:
    for record in records:
        if len(record.cards) != min(1, num_cards):
            return f"rank {record.rank} has the cards {list(record.cards)}"
        if num_cards and not record.peak_bytes:
            return f"rank {record.rank} put nothing into the memory of card {record.cards[0]}"
    if not num_cards:
        return None
    needed = min(num_cards, len(records))
    own = {number for record in records for number in record.cards}
    if len(own) != needed:
        return f"{len(records)} ranks use the cards {sorted(own)}, of {num_cards}"
    # nvidia-smi lists no process of a container, or those of other numbers.
    seen = [observation.cards[record.pid] for record in records if record.pid in observation.cards]
    if len(seen) == len(records) and len(frozenset().union(*seen)) != needed:
        return f"nvidia-smi: {len(records)} ranks use {len(frozenset().union(*seen))} cards"
    return None


def check_driver(trainings: Mapping[str, Observation]) -> Check:
    """Check that no driver opened a card, in trainings whose ranks were seen with one."""
    name = "the driver took no card"
    num_seen, num_ranks = 0, 0
    for training, seen in trainings.items():
        used = [*seen.files.get(seen.driver_pid, ()), *seen.cards.get(seen.driver_pid, ())]
        if used:
            return Check(name, FAILED, f"{training}: it used {', '.join(sorted(used))}")
        num_ranks += len(seen.rank_pids)
        num_seen += any(pid in seen.files or pid in seen.cards for pid in seen.rank_pids)
    if num_seen < len(trainings) or not trainings:
        return Check(
            name,
            NOT_CHECKED,
            f"of {num_ranks} ranks, some were seen with a card in {num_seen} of {len(trainings)} "
            "trainings",
        )
    return Check(name, OK, f"{num_seen} trainings, whose ranks were seen with a card")


def check_equal_metrics(
    name: str, epochs: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]
) -> Check:
    """Check that two histories have the same metrics, up to TOLERANCE."""
    if len(epochs) != len(expected):
        return Check(name, FAILED, f"{len(epochs)} epochs instead of {len(expected)}")
    largest, where = 0.0, ""
    for number, (entry, other) in enumerate(zip(epochs, expected), 1):
        names = sorted({*entry, *other} - {*_TIMES})
        for metric in names:
            value, wanted = entry.get(metric), other.get(metric)
            if value is None or wanted is None:
                return Check(name, FAILED, f"epoch {number}: {metric} is {value}, not {wanted}")
            if not abs(value - wanted) <= largest:  # also if it is not a number
                largest, where = abs(value - wanted), f" ({metric} of epoch {number})"
    status = OK if largest <= TOLERANCE else FAILED
    detail = f"largest difference {largest:.1e}{where} in {len(epochs)} epochs"
    return Check(name, status, detail)


def check_compared(
    network: str,
    on_gpu: tuple[Sequence[Mapping[str, Any]], Sequence[RankRecord]],
    on_cpu: tuple[Sequence[Mapping[str, Any]], Sequence[RankRecord]],
    num_cards: int,
) -> Check:
    """Check that a training on a GPU has the metrics of the same training on the CPU.

    Args:
        on_gpu: the epochs of its history, and the records of its ranks.
        on_cpu: the same.
    """
    name = f"{network}: metrics equal the CPU's to {TOLERANCE:g}"
    if num_cards and not all(record.peak_bytes for record in on_gpu[1]):
        return Check(name, FAILED, "the training to compare put nothing into a card's memory")
    if any(record.cards for record in on_cpu[1]):
        return Check(name, FAILED, "the training on the CPU had a card")
    return check_equal_metrics(name, on_gpu[0], on_cpu[0])


def verdict(checks: Sequence[Check], is_dry_run: bool) -> tuple[str, bool]:
    """Return the last line of the output, and whether no check failed."""
    names = {
        status: [check.name for check in checks if check.status == status]
        for status in (OK, FAILED, NOT_CHECKED)
    }
    if names[FAILED]:
        return f"verdict: FAILED: {'; '.join(names[FAILED])}", False
    if is_dry_run:
        return (
            f"verdict: no GPU: none of {len(checks)} checks failed on the CPU, and nothing is "
            "known about GPUs",
            True,
        )
    if names[NOT_CHECKED]:
        return f"verdict: not checked: {'; '.join(names[NOT_CHECKED])}; the others hold", True
    return f"verdict: ok: all {len(checks)} checks hold", True
