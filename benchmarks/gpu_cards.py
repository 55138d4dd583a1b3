"""Which processes use which GPU, seen from outside: nvidia-smi, and the files that they opened."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import psutil

_SAMPLE_EVERY_SECS = 0.5
_CARD_FILE = re.compile(r"^/dev/nvidia\d+$")
_RANK_PROGRAMS = ("halftone.launch.rank", "gpu_rank.py")
_PROBE = """
import json, tensorflow as tf
cards = tf.config.list_physical_devices("GPU")
details = [tf.config.experimental.get_device_details(card) for card in cards]
print(json.dumps([entry.get("device_name", "unknown") for entry in details]))
"""
_MPS = "nvidia-cuda-mps-control"


class Observation(NamedTuple):
    """What was seen of a training while it ran."""

    driver_pid: int
    rank_pids: frozenset[int]
    files: Mapping[int, frozenset[str]]  # by process: card files that it had open
    cards: Mapping[int, frozenset[str]]  # by process: UUIDs of its cards, as nvidia-smi has them
    card_peak_mib: float  # the most that is in use on one card, by any process; 0: not known


def find_cards(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the GPUs that TensorFlow finds, asked in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-c", _PROBE],
        env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        capture_output=True,
        text=True,
    )
    return list(json.loads(process.stdout.splitlines()[-1]))


def sharing() -> str:
    """Return how processes share a card here."""
    names = {process.info["name"] for process in psutil.process_iter(["name"])}
    # Linux keeps 15 characters of a name.
    return "MPS" if {_MPS, _MPS[:15]} & names else "time slicing"


class Watcher:
    """Watches a training, its ranks and the cards, in a thread, until `stop`."""

    def __init__(self, driver_pid: int) -> None:
        self._driver_pid = driver_pid
        self._ranks: set[int] = set()
        self._files: dict[int, set[str]] = defaultdict(set)
        self._cards: dict[int, set[str]] = defaultdict(set)
        self._peak_mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> Observation:
        self._done.set()
        self._thread.join()
        return Observation(
            self._driver_pid,
            frozenset(self._ranks),
            {pid: frozenset(files) for pid, files in self._files.items() if files},
            {pid: frozenset(cards) for pid, cards in self._cards.items()},
            self._peak_mib,
        )

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLE_EVERY_SECS):
            for pid in self._processes():
                self._files[pid] |= card_files(pid)
            for pid, card in _compute_processes():
                self._cards[pid].add(card)
            self._peak_mib = max([self._peak_mib, *_used_mib()])

    def _processes(self) -> list[int]:
        with suppress(psutil.Error):
            driver = psutil.Process(self._driver_pid)
            ranks = find_ranks(driver)
            self._ranks.update(ranks)
            return [driver.pid, *ranks]
        return []


def find_ranks(driver: psutil.Process) -> list[int]:
    """Return the process ids of a driver's ranks."""
    pids = []
    for process in driver.children(recursive=True):
        with suppress(psutil.Error):
            if any(part.endswith(_RANK_PROGRAMS) for part in process.cmdline()):
                pids.append(process.pid)
    return pids


def card_files(pid: int) -> set[str]:
    """Return the files of cards, such as /dev/nvidia0, that a process has open."""
    files = set()
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):  # closed since the listing
                files.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return {file for file in files if _CARD_FILE.match(file)}


def _compute_processes() -> list[tuple[int, str]]:
    """Return process id and card of all processes that compute; in a container it may be none."""
    rows = _ask("--query-compute-apps=pid,gpu_uuid")
    return [(int(row[0]), row[1]) for row in rows if len(row) == 2 and row[0].isdigit()]


def _used_mib() -> list[float]:
    rows = _ask("--query-gpu=memory.used")
    return [float(row[0]) for row in rows if row[0].replace(".", "", 1).isdigit()]


def _ask(query: str) -> list[list[str]]:
    """Return the rows of an answer of nvidia-smi; none without it."""
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [[cell.strip() for cell in line.split(",")] for line in answer.splitlines() if line]
