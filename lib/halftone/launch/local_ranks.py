"""Start ranks as processes on this machine, or over ssh on others, in place of `horovodrun`.

Horovod's own horovodrun loads TensorFlow before it starts a rank, which takes seconds. It also
puts processes of its own between itself and the ranks, so that a launcher can neither tell the
ranks apart nor ask them to stop with a checkpoint.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from halftone.config import TrainSettings
from halftone.errors import InputError
from halftone.launch import rank, rendezvous
from halftone.system import exit_status, interfaces

_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15")
_SSH_FAILED = 255
# Environment variables that are forwarded to ranks on other machines.
_FORWARDED_PREFIXES = (
    *("HOROVOD_", "NCCL_", "TF_", "AWS_", "GOOGLE_", "AZURE_", "FSSPEC_", "HALFTONE_LOG_"),
)


def slots_by_host(settings: TrainSettings) -> dict[str, int]:
    """Return how many ranks each host takes.

    Raises:
        InputError: there are fewer slots than `train.ranks`, this machine is one of the hosts and
            has no network for ranks, or the network interface does not reach the hosts.
    """
    slots: dict[str, int] = {}
    for item in (settings.hosts or f"localhost:{settings.ranks}").split(","):
        host, _, number = item.rpartition(":")
        slots[host] = slots.get(host, 0) + int(number)
    total = sum(slots.values())
    if total < settings.ranks:
        raise InputError(
            f"train.ranks is {settings.ranks}, but train.hosts ({settings.hosts}) has {total} "
            f"slot{'s' * (total != 1)}; use train.ranks={total}, or name more hosts or slots"
        )
    has_local_ranks = settings.hosts is None or any(map(interfaces.is_this_machine, slots))
    problem = interfaces.rank_network_problem() if has_local_ranks and settings.ranks > 1 else ""
    if problem:
        raise InputError(problem)
    _driver_address(settings, slots)
    return slots


@contextmanager
def start_rank_processes(
    job: Mapping[str, Any], settings: TrainSettings
) -> Iterator[list[RankProcess]]:
    """Start the ranks and yield them, rank 0 first; kill those that still run at the end."""
    slots = slots_by_host(settings)
    with ExitStack() as stack:
        address = _driver_address(settings, slots)
        environments = stack.enter_context(
            rendezvous.start_rendezvous(slots, settings.ranks, address)
        )
        # The driver removes the temporary files: a killed rank cannot.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="halftone-"))
        ranks: list[RankProcess] = []
        try:
            for environment in environments:
                ranks.append(RankProcess(environment["HOROVOD_HOSTNAME"], folder))
            for process, environment in zip(ranks, environments):
                process.send_line(
                    rank.encode_job(job, {**process.forwarded_environment, **environment})
                )
            yield ranks
        finally:
            for process in ranks:
                process.close()


class RankProcess:
    """A rank as a process on this machine, or behind an ssh process on another host."""

    def __init__(self, host: str, temporary_folder: str) -> None:
        self._is_local = interfaces.is_this_machine(host)
        self._oom_kills_before = exit_status.count_oom_kills() if self._is_local else None
        if self._is_local:
            command = [sys.executable, *rank.PYTHON_ARGUMENTS]
            environment = {"TMPDIR": temporary_folder}
            self.forwarded_environment: dict[str, str] = {}
        else:
            command = [*_SSH, host, _remote_command()]
            environment = {}
            self.forwarded_environment = {
                name: value
                for name, value in os.environ.items()
                if name.startswith(_FORWARDED_PREFIXES)
            }
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the driver alone gets Ctrl-C, and forwards it
        )
        pid = f"pid {self._process.pid}"
        self.location = pid if self._is_local else f"{host}, by ssh with {pid}"

    def send_line(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:  # the rank has ended: describe_exit reports it
            pass

    def start_training(self) -> None:
        self.send_line(b"begin\n")

    def read_lines(self) -> Iterator[bytes]:
        assert self._process.stdout is not None
        yield from self._process.stdout

    def describe_exit(self) -> str:
        exit_code = self._process.wait()
        if not self._is_local and exit_code == _SSH_FAILED:
            return "was lost: its ssh ended with exit code 255"
        return exit_status.describe_exit(exit_code, self._oom_kills_before)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _remote_command() -> str:
    """Return the shell command that starts a rank on a host with the same paths as this one."""
    path = os.pathsep.join(path for path in sys.path if path)
    command = shlex.join(["env", f"PYTHONPATH={path}", sys.executable, *rank.PYTHON_ARGUMENTS])
    # `exit $?` keeps the shell alive: it reports a signal as 128 + N, where ssh would report 255.
    return f"cd {shlex.quote(os.getcwd())} && {command}; exit $?"


def _driver_address(settings: TrainSettings, hosts: Mapping[str, int]) -> str:
    """Return the address by which all hosts reach this machine.

    Raises:
        InputError: there is none.
    """
    interface = settings.network_interface
    remote_hosts = [host for host in hosts if not interfaces.is_this_machine(host)]
    if interface is not None:
        address = interfaces.find_address(interface)
        if remote_hosts and address.startswith("127."):
            raise InputError(
                f"train.network_interface is {interface}, but {remote_hosts[0]} of train.hosts "
                "cannot be reached over it; use another one of "
                f"{', '.join(sorted(interfaces.ipv4_addresses()))}"
            )
        return address
    return interfaces.find_interface_toward(remote_hosts[0])[1] if remote_hosts else "127.0.0.1"
