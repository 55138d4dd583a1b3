"""Network interfaces of this machine, by name: Gloo and NCCL must be told which one to use."""

from __future__ import annotations

import socket
from typing import Optional

import psutil

from halftone.errors import InputError


def ipv4_addresses() -> dict[str, str]:
    """The IPv4 address of each interface."""
    return {
        name: found.address
        for name, all_found in psutil.net_if_addrs().items()
        for found in all_found
        if found.family == socket.AF_INET
    }


def find_address(name: str) -> str:
    """Raises InputError where there is no such interface."""
    known = ipv4_addresses()
    if name not in known:
        raise InputError(
            f"train.network_interface is {name}, which {socket.gethostname()} does not have; it "
            f"has {', '.join(sorted(known))}"
        )
    return known[name]


def find_interface_toward(host: str) -> tuple[str, str]:
    """Name and IPv4 address of the interface over which this machine reaches `host`.

    Raises:
        InputError: `host` has no address, or no interface leads there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))  # sends nothing, yet the system chooses the way
        except OSError as error:
            raise InputError(
                f"{socket.gethostname()} cannot reach {host}: {error.strerror or error}"
            ) from None
        own = str(probe.getsockname()[0])
    name = next((name for name, address in ipv4_addresses().items() if address == own), None)
    if name is None:
        raise InputError(
            f"{socket.gethostname()} reaches {host} from {own}, which none of its interfaces has; "
            f"set train.network_interface to one of {', '.join(sorted(ipv4_addresses()))}"
        )
    return name, own


def is_this_machine(host: str) -> bool:
    """Whether `host` is this machine."""
    try:
        return socket.gethostbyname(host) in ipv4_addresses().values()
    except OSError:
        return False


def choose_interface(setting: Optional[str], peer: str) -> str:
    """The interface that ranks on this machine use: as set, else the one that leads to `peer`.

    Raises:
        InputError: there is no such interface, or none leads there.
    """
    if setting is None:
        return find_interface_toward(peer)[0]
    find_address(setting)
    return setting
