"""Ranks as processes on this machine, or by ssh on others: what `horovodrun` does.

Horovod's own horovodrun loads TensorFlow before any rank does, which takes seconds, and puts
processes of its own between itself and the ranks, which can neither be told apart nor be stopped
in good order through them.
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
# Settings in the environment that ranks on other machines get too.
_FORWARDED_PREFIXES = ("HOROVOD_", "NCCL_", "TF_", "AWS_", "GOOGLE_", "AZURE_", "FSSPEC_")


def slots_by_host(settings: TrainSettings) -> dict[str, int]:
    """How many ranks each host takes.

    Raises:
        InputError: too few for `train.ranks`, or the network interface does not reach the hosts.
    """
    found: dict[str, int] = {}
    for item in (settings.hosts or f"localhost:{settings.ranks}").split(","):
        host, _, number = item.rpartition(":")
        found[host] = found.get(host, 0) + int(number)
    total = sum(found.values())
    if total < settings.ranks:
        raise InputError(
            f"train.ranks is {settings.ranks}, but train.hosts ({settings.hosts}) has {total} "
            f"slot{'s' * (total != 1)}; use train.ranks={total}, or name more hosts or slots"
        )
    _driver_address(settings, found)
    return found


@contextmanager
def start_rank_processes(
    job: Mapping[str, Any], settings: TrainSettings
) -> Iterator[list[RankProcess]]:
    """Start the ranks; yield them from rank 0 on. Those that still run at the end are killed."""
    hosts = slots_by_host(settings)
    with ExitStack() as stack:
        address = _driver_address(settings, hosts)
        places = stack.enter_context(rendezvous.start_rendezvous(hosts, settings.ranks, address))
        # A rank that is killed cannot clear up after itself.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="halftone-"))
        ranks: list[RankProcess] = []
        try:
            for place in places:
                ranks.append(RankProcess(place["HOROVOD_HOSTNAME"], folder))
            for process, place in zip(ranks, places):
                process.send_line(rank.encode_job(job, {**process.forwarded_environment, **place}))
            yield ranks
        finally:
            for process in ranks:
                process.close()


class RankProcess:
    """A rank that is a process here, or by way of an ssh here one on another host."""

    def __init__(self, host: str, temporary_folder: str) -> None:
        self._is_local = interfaces.is_this_machine(host)
        self._out_of_memory_before = exit_status.count_oom_kills() if self._is_local else None
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
            start_new_session=True,  # Ctrl-C is for the driver, who hands it on
        )
        where = f"pid {self._process.pid}"
        self.location = where if self._is_local else f"{host}, by ssh with {where}"

    def send_line(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:  # it is gone: its end says more
            pass

    def start_training(self) -> None:
        self.send_line(b"begin\n")

    def read_lines(self) -> Iterator[bytes]:
        assert self._process.stdout is not None
        yield from self._process.stdout

    def describe_exit(self) -> str:
        code = self._process.wait()
        if not self._is_local and code == _SSH_FAILED:
            return "was lost: its ssh ended with exit code 255"
        return exit_status.describe_exit(code, self._out_of_memory_before)

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
    """What ssh has the other host's shell do, where all is at the same paths as here."""
    path = os.pathsep.join(path for path in sys.path if path)
    command = shlex.join(["env", f"PYTHONPATH={path}", sys.executable, *rank.PYTHON_ARGUMENTS])
    # The shell stays to tell of a signal, of which ssh alone would say 255.
    return f"cd {shlex.quote(os.getcwd())} && {command}; exit $?"


def _driver_address(settings: TrainSettings, hosts: Mapping[str, int]) -> str:
    """This machine's address for all hosts. Raises InputError where there is none."""
    chosen = settings.network_interface
    away = [host for host in hosts if not interfaces.is_this_machine(host)]
    if chosen is not None:
        address = interfaces.find_address(chosen)
        if away and address.startswith("127."):
            raise InputError(
                f"train.network_interface is {chosen}, over which {away[0]} of train.hosts cannot "
                f"be reached; name another one of {', '.join(sorted(interfaces.ipv4_addresses()))}"
            )
        return address
    return interfaces.find_interface_toward(away[0])[1] if away else "127.0.0.1"
