"""Where the ranks of an attempt find each other, and which place each of them has."""

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
    """Yield the environment variables that make a process rank 0, 1, ... of `ranks`.

    Args:
        slots: how many ranks each host takes; together at least `ranks`.
        address: of this machine, by which all ranks reach it.
    """
    hosts = [HostInfo(host, number) for host, number in slots.items()]
    places = get_host_assignments(hosts, num_ranks, num_ranks)
    server = RendezvousServer()
    port = server.start()
    server.init(places)
    shared = {
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": address,
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
    }
    try:
        yield [{**shared, **create_slot_env_vars(place)} for place in places]
    finally:
        server.stop()
