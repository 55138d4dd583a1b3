"""Cards as seen by scripts and functions in place of nvidia-smi and TensorFlow: no GPU is used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

import gpu_cards
import gpu_rank
from gpu_cards import Observation

SMI = """#!/bin/sh
case $1 in
--query-compute-apps=*) printf '%s, GPU-a\\n[N/A], GPU-b\\n' "$SEEN_PID" ;;
--query-gpu=memory.used) printf '500\\n2100\\n' ;;
esac
"""
# Opens a file, as CUDA opens those of cards, and starts a rank that opens another.
DRIVER = """
import subprocess, sys
file = open(sys.argv[1])
rank = "import sys, time; file = open(sys.argv[1]); time.sleep(60)"
subprocess.run([sys.executable, "-c", rank, sys.argv[2], "gpu_rank.py"])
"""


def test_a_watcher_tells_driver_and_ranks_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text(SMI)
    smi.chmod(0o755)
    for name in ("nvidia0", "nvidia1", "nvidia-uvm"):
        (tmp_path / name).write_text("")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(
        gpu_cards, "_CARD_FILE", re.compile(re.escape(str(tmp_path)) + r"/nvidia\d+$")
    )
    files = [str(tmp_path / "nvidia-uvm"), str(tmp_path / "nvidia1")]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *files], start_new_session=True)
    monkeypatch.setenv("SEEN_PID", str(driver.pid))
    watcher = gpu_cards.Watcher(driver.pid)
    try:
        for _ in range(100):
            time.sleep(0.1)
            if watcher._files and any(watcher._files.values()):
                break
    finally:
        seen = watcher.stop()
        os.killpg(driver.pid, 9)
        driver.wait()
    (rank_pid,) = seen.rank_pids
    assert seen.driver_pid == driver.pid != rank_pid
    assert seen.files == {rank_pid: {str(tmp_path / "nvidia1")}}
    assert seen.cards == {driver.pid: {"GPU-a"}}
    assert seen.card_peak_mib == 2100


def test_no_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    watcher = gpu_cards.Watcher(os.getpid())
    time.sleep(0.7)
    seen = watcher.stop()
    assert seen == Observation(os.getpid(), frozenset(), {}, {}, 0.0)


def test_card_files_are_those_of_cards() -> None:
    names = ["/dev/nvidia0", "/dev/nvidia12", "/dev/nvidia-uvm", "/dev/nvidiactl", "/dev/null"]
    assert [bool(gpu_cards._CARD_FILE.match(name)) for name in names] == [
        *(True, True),
        *(False, False, False),
    ]


def test_a_rank_describes_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    physical = [SimpleNamespace(name="/physical_device:GPU:3")]
    monkeypatch.setattr(tf.config, "get_visible_devices", {"GPU": physical}.get)
    logical = [SimpleNamespace(name="/device:GPU:0")]
    monkeypatch.setattr(tf.config, "list_logical_devices", {"GPU": logical}.get)
    usage = {"GPU:0": {"current": 1, "peak": 5}}
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", usage.get)
    monkeypatch.setenv("HOROVOD_RANK", "1")
    assert gpu_rank.describe_rank() == {
        "rank": 1,
        "pid": os.getpid(),
        "cards": [3],
        "peak_bytes": 5,
    }
