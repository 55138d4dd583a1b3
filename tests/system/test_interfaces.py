from __future__ import annotations

import socket

import pytest

from halftone.errors import InputError
from halftone.system import interfaces

LOOPBACK = next(name for name, ip in interfaces.ipv4_addresses().items() if ip == "127.0.0.1")


def test_the_interface_to_this_machine_is_the_loopback() -> None:
    assert interfaces.find_interface_toward("127.0.0.1") == (LOOPBACK, "127.0.0.1")
    assert interfaces.choose_interface(None, "localhost") == LOOPBACK
    assert interfaces.choose_interface(LOOPBACK, "nowhere.invalid") == LOOPBACK


def test_an_unknown_interface() -> None:
    names = ", ".join(sorted(interfaces.ipv4_addresses()))
    with pytest.raises(InputError) as caught:
        interfaces.choose_interface("eth77", "localhost")
    assert str(caught.value) == (
        f"train.network_interface is eth77, which {socket.gethostname()} does not have; it has "
        f"{names}"
    )


def test_an_unreachable_host() -> None:
    with pytest.raises(InputError) as caught:
        interfaces.find_interface_toward("nowhere.invalid")
    assert str(caught.value).startswith(f"{socket.gethostname()} cannot reach nowhere.invalid: ")


def test_ranks_need_an_address_of_the_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert interfaces.rank_network_problem() == ""
    monkeypatch.setattr(socket, "gethostname", lambda: "nowhere.invalid")
    problem = interfaces.rank_network_problem()
    assert problem.startswith("the name of this machine, nowhere.invalid, has no address (")
    assert problem.endswith(
        "), so ranks cannot connect; add the line `127.0.1.1 nowhere.invalid` to its /etc/hosts"
    )
    # An address of the range for documentation: no machine has it.
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))],
    )
    assert interfaces.rank_network_problem() == (
        "the name of this machine, nowhere.invalid, has the address 192.0.2.1, which is another "
        "machine's, so ranks cannot connect; add the line `127.0.1.1 nowhere.invalid` to its "
        "/etc/hosts"
    )
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))],
    )
    assert interfaces.rank_network_problem() == ""


def test_ranks_need_an_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "ipv4_addresses", dict)
    assert interfaces.rank_network_problem() == (
        "this machine has no network interface with an IPv4 address, over which ranks could "
        "connect; run `ip link set lo up`, or use train.ranks=1"
    )


@pytest.mark.parametrize(
    ("host", "is_here"), [("localhost", True), ("127.0.0.1", True), ("nowhere.invalid", False)]
)
def test_is_this_machine(host: str, is_here: bool) -> None:
    assert interfaces.is_this_machine(host) is is_here
