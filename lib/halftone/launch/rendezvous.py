"""Horovod's rendezvous server, and the environment variables that make a process a rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from horovod.runner.common.util.hosts import HostInfo, get_host_assignments
from horovod.runner.gloo_run import create_slot_env_vars
from horovod.runner.http.http_server import RendezvousServer


@contextmanager
def start_rendezvous(
    slots: Mapping[str, int], num_ranks: int, address: str
) -> Iterator[list[dict[str, str]]]:
    """Run the server; yield the environment variables of rank 0, 1, ... `num_ranks` - 1.

    Args:
        slots: how many ranks each host takes; together at least `num_ranks`.
        address: by which all ranks reach this machine.
    """
    hosts = [HostInfo(host, num_slots) for host, num_slots in slots.items()]
    assignments = get_host_assignments(hosts, num_ranks, num_ranks)
    server = RendezvousServer()
    port = server.start()
    server.init(assignments)
    shared = {
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": address,
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
    }
    try:
        yield [{**shared, **create_slot_env_vars(slot)} for slot in assignments]
    finally:
        server.stop()
