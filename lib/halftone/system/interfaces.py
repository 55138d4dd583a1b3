"""Network interfaces of this machine, by name: Gloo and NCCL need the name of one to use."""

from __future__ import annotations

import socket
from typing import Optional

import psutil

from halftone.errors import InputError


def ipv4_addresses() -> dict[str, str]:
    """Return the IPv4 address of each interface, by name."""
    return {
        name: address.address
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family == socket.AF_INET
    }


def find_address(name: str) -> str:
    """Return the IPv4 address of an interface.

    Raises:
        InputError: there is no such interface.
    """
    addresses = ipv4_addresses()
    if name not in addresses:
        raise InputError(
            f"train.network_interface is {name}, which {socket.gethostname()} does not have; it "
            f"has {', '.join(sorted(addresses))}"
        )
    return addresses[name]


def find_interface_toward(host: str) -> tuple[str, str]:
    """Return name and IPv4 address of the interface through which this machine reaches `host`.

    Raises:
        InputError: `host` has no address, or there is no route to it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))  # UDP: chooses a route and sends nothing
        except OSError as error:
            raise InputError(
                f"{socket.gethostname()} cannot reach {host}: {error.strerror or error}"
            ) from None
        local_address = str(probe.getsockname()[0])
    addresses = ipv4_addresses()
    name = next((name for name, address in addresses.items() if address == local_address), None)
    if name is None:
        raise InputError(
            f"{socket.gethostname()} reaches {host} from {local_address}, which none of its "
            f"interfaces has; set train.network_interface to one of {', '.join(sorted(addresses))}"
        )
    return name, local_address


def is_this_machine(host: str) -> bool:
    """Whether the name or address `host` is that of this machine."""
    try:
        return socket.gethostbyname(host) in ipv4_addresses().values()
    except OSError:
        return False


def choose_interface(setting: Optional[str], peer: str) -> str:
    """Return the interface for ranks on this machine: `setting`, or by default the route to `peer`.

    Raises:
        InputError: there is no such interface, or no route to `peer`.
    """
    if setting is None:
        return find_interface_toward(peer)[0]
    find_address(setting)
    return setting
