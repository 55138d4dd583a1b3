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


@pytest.mark.parametrize(
    ("host", "is_here"), [("localhost", True), ("127.0.0.1", True), ("nowhere.invalid", False)]
)
def test_is_this_machine(host: str, is_here: bool) -> None:
    assert interfaces.is_this_machine(host) is is_here
