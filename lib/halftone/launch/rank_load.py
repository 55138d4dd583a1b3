"""Compare the ranks that a job starts on this machine with its cores and memory."""

from __future__ import annotations

from typing import Optional

from halftone.system import cores, interfaces, machine

# What a rank has for itself before it caches rows: a process with TensorFlow 2.15, after a step of
# a small network on a CPU, has 570 MiB, of which it shares 320 MiB with the other ranks.
_RANK_MEMORY_BYTES = 250 * 2**20


def load_notes(num_ranks: int, hosts: Optional[str]) -> list[str]:
    """Return warnings if the ranks on this machine are more than it has cores or memory for.

    Args:
        num_ranks: of the training.
        hosts: setting `train.hosts`.
    """
    num_local = _count_local_ranks(num_ranks, hosts)
    notes = []
    num_cores = cores.num_usable_cores()
    if num_local > num_cores:
        notes.append(
            f"train.ranks starts {num_local} ranks on this machine, which has {num_cores} "
            f"core{'s' * (num_cores > 1)} for them: they take turns, and more ranks than cores are "
            f"slower. Use train.ranks={num_cores}"
        )
    needed, usable = num_local * _RANK_MEMORY_BYTES, machine.usable_memory_bytes()
    if needed > usable:
        notes.append(
            f"train.ranks starts {num_local} ranks on this machine, which take at least "
            f"{_format_gib(needed)}; it has {_format_gib(usable)} of memory, and a rank that gets "
            f"none is killed. Use train.ranks={max(1, usable // _RANK_MEMORY_BYTES)} at most"
        )
    return notes


def _count_local_ranks(num_ranks: int, hosts: Optional[str]) -> int:
    """Return the ranks on this machine: hosts get them in their order, each up to its slots."""
    if hosts is None:
        return num_ranks
    num_local, num_left = 0, num_ranks
    for item in hosts.split(","):
        host, _, slots = item.rpartition(":")
        taken = min(int(slots), num_left)
        num_left -= taken
        num_local += taken * interfaces.is_this_machine(host)
    return num_local


def _format_gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
