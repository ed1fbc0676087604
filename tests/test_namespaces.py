"""The namespaces that tests run in are apart from the machine, and say what went wrong in them."""

import socket
import threading
from pathlib import Path

import pytest

from tests import namespaces

pytestmark = pytest.mark.namespace


def names_of_interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def fails(message: str) -> None:
    raise ValueError(message)


def talks_to_another_host() -> str:
    server = namespaces.node("server")
    namespaces.wire("eth0", server, near="10.0.0.2/24 fd01::2/64", far="10.0.0.1/24 fd01::1/64")
    namespaces.ip("route add default via 10.0.0.1")
    with namespaces.inside(server):
        listener = socket.create_server(("10.0.0.1", 80))
    with listener:

        def answer() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.sendall(b"from the server")

        thread = threading.Thread(target=answer)
        thread.start()
        with socket.create_connection(("10.0.0.1", 80)) as stream:
            said = stream.recv(100).decode()
        thread.join()
    return said


def covers(path: str) -> str:
    namespaces.write_file(path, "nameserver 10.0.0.1\n")
    return Path(path).read_text()


def test_a_fresh_namespace_has_loopback_and_what_the_kernel_makes_itself() -> None:
    found = namespaces.call(names_of_interfaces)
    assert "lo" in found
    assert not {"eth0", "wlan0"} & set(found)


def test_what_goes_wrong_inside_is_told() -> None:
    with pytest.raises(AssertionError, match="ValueError: the reason"):
        namespaces.call(fails, "the reason")


def test_two_hosts_on_a_wire() -> None:
    assert namespaces.call(talks_to_another_host) == "from the server"


def test_a_file_is_covered_only_inside() -> None:
    assert namespaces.call(covers, "/etc/resolv.conf") == "nameserver 10.0.0.1\n"
    assert Path("/etc/resolv.conf").read_text() != "nameserver 10.0.0.1\n"
