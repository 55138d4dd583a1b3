from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from halftone.config import TrainSettings
from halftone.errors import InputError
from halftone.launch import local_ranks, rank
from halftone.system import interfaces

LOOPBACK, _ = interfaces.find_interface_toward("127.0.0.1")


def settings(ranks: int, **others: str) -> TrainSettings:
    return TrainSettings(ranks=ranks, batch_size=8, **others)


@pytest.mark.parametrize(
    ("ranks", "hosts", "slots"),
    [
        (4, None, {"localhost": 4}),
        (2, "localhost:1,127.0.0.1:1", {"localhost": 1, "127.0.0.1": 1}),
        (2, "localhost:8", {"localhost": 8}),
        (4, "localhost:1,localhost:3", {"localhost": 4}),
    ],
)
def test_slots_by_host(ranks: int, hosts: str | None, slots: dict[str, int]) -> None:
    assert local_ranks.slots_by_host(settings(ranks, hosts=hosts)) == slots  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        (
            "localhost:1,127.0.0.1:2",
            "train.ranks is 4, but train.hosts (localhost:1,127.0.0.1:2) has 3 slots; use "
            "train.ranks=3, or name more hosts or slots",
        ),
        (
            "localhost:1",
            "train.ranks is 4, but train.hosts (localhost:1) has 1 slot; use train.ranks=1, or "
            "name more hosts or slots",
        ),
    ],
)
def test_too_few_slots_are_refused(hosts: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        local_ranks.slots_by_host(settings(4, hosts=hosts))
    assert str(caught.value) == text


def test_unknown_host_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot reach nowhere\.invalid: "):
        local_ranks.slots_by_host(settings(2, hosts="localhost:1,nowhere.invalid:1"))


def test_loopback_interface_with_a_remote_host_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        local_ranks.slots_by_host(
            settings(2, hosts="localhost:1,nowhere.invalid:1", network_interface=LOOPBACK)
        )
    assert str(caught.value) == (
        f"train.network_interface is {LOOPBACK}, but nowhere.invalid of train.hosts cannot be "
        f"reached over it; use another one of {', '.join(sorted(interfaces.ipv4_addresses()))}"
    )


def test_unknown_interface_is_refused() -> None:
    with pytest.raises(InputError, match=r"^train\.network_interface is eth77, which "):
        local_ranks.slots_by_host(settings(2, network_interface="eth77"))


def test_machine_without_a_network_for_ranks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "rank_network_problem", lambda: "no network")
    for hosts in (None, "localhost:2"):
        with pytest.raises(InputError, match=r"^no network$"):
            local_ranks.slots_by_host(settings(2, hosts=hosts))  # type: ignore[arg-type]
    assert local_ranks.slots_by_host(settings(1)) == {"localhost": 1}


@pytest.mark.odd_folder
def test_a_rank_on_another_host_starts_in_the_same_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    print_places = "import os, sys; print(ascii([os.getcwd(), os.environ['PYTHONPATH']]))"
    monkeypatch.setattr(sys, "path", [str(tmp_path / "lib"), *sys.path])
    monkeypatch.setattr(rank, "PYTHON_ARGUMENTS", ("-c", print_places))
    shell = ["sh", "-c", local_ranks._remote_command()]  # as on the other host
    done = subprocess.run(shell, cwd="/", capture_output=True, text=True, check=True)
    folder, python_path = ast.literal_eval(done.stdout)
    assert folder == str(tmp_path)
    assert python_path.startswith(f"{tmp_path}/lib:")
    # Temporary files of this process' children are in the folder, too.
    temporary = [sys.executable, "-c", "import tempfile; print(ascii(tempfile.gettempdir()))"]
    done = subprocess.run(temporary, capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == f"{tmp_path}/tmp"
