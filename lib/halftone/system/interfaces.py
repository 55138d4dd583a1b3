"""Network interfaces of this machine, by name: Gloo and NCCL need the name of one to use."""

from __future__ import annotations

import socket
from typing import Optional, Union

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


def rank_network_problem() -> str:
    """Return why a rank on this machine cannot connect to others, with the cure; "" if it can.

    Gloo looks up the machine's own name, and aborts the process unless that gives an address of
    this machine.
    """
    if not ipv4_addresses():
        return (
            "this machine has no network interface with an IPv4 address, over which ranks could "
            "connect; run `ip link set lo up`, or use train.ranks=1"
        )
    name = socket.gethostname()
    try:
        addresses = {info[4][0]: info[0] for info in socket.getaddrinfo(name, None)}
    except OSError as error:
        problem = f"has no address ({error.strerror or error})"
    else:
        if any(_is_own_address(address, family) for address, family in addresses.items()):
            return ""
        problem = f"has the address {', '.join(map(str, addresses))}, which is another machine's"
    return (
        f"the name of this machine, {name}, {problem}, so ranks cannot connect; add the line "
        f"`127.0.1.1 {name}` to its /etc/hosts"
    )


def _is_own_address(address: Union[str, int], family: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


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
