"""Address translation: what leaves has one address, answers find back, nothing else comes in."""

import contextlib
import socket
import struct
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import namespaces
from tests.nation.censor import forge
from tests.nation.censor.carriage import Translate
from tests.nation.censor.packets import ICMP, UDP, Packet, parse
from tests.nation.censor.translation import Translator
from tests.nation.censor_tests import lab
from tests.nation.censor_tests.checksums import is_sound
from tests.servers.tcp import TcpServer

_S = 10**9
MACS = bytes.fromhex("020000000002020000000001")
OUTER, FAR = bytes((203, 0, 113, 9)), bytes((192, 0, 2, 7))


def datagram(source: bytes, target: bytes, sport: int, dport: int, data: bytes = b"data") -> bytes:
    body = struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data
    total = forge.transport_checksum(source, target, UDP, body) or 0xFFFF
    return forge.frame(MACS, source, target, UDP, body[:6] + struct.pack(">H", total) + body[8:])


def packet(frame: bytes | None) -> Packet:
    assert frame is not None
    found = parse(frame, True)
    assert found is not None
    return found


@given(st.lists(st.tuples(st.integers(2, 5), st.integers(1, 65535)), min_size=1, max_size=50))
def test_every_source_has_a_port_of_its_own_and_answers_find_it(sources: list[tuple[int, int]]) -> None:
    nat = Translator(Translate(address="203.0.113.9"))
    used: dict[int, tuple[int, int]] = {}
    for host, sport in sources:
        inside = bytes((192, 168, 1, host))
        frame = nat.out(datagram(inside, FAR, sport, 53), 0)
        left = packet(frame)
        assert (left.source, left.target, left.dport) == (OUTER, FAR, 53)
        assert is_sound(left.frame)
        assert used.setdefault(left.sport, (host, sport)) == (host, sport)
        back = packet(nat.back(datagram(FAR, OUTER, 53, left.sport), 1))
        assert (back.target, back.dport, back.source) == (inside, sport, FAR)
        assert is_sound(back.frame)


def test_what_nobody_asked_for_does_not_come_in_nor_what_comes_too_late() -> None:
    nat = Translator(Translate(address="203.0.113.9", idle_s=30))
    assert nat.back(datagram(FAR, OUTER, 53, 1024), 0) is None
    left = packet(nat.out(datagram(bytes((192, 168, 1, 2)), FAR, 5000, 53), 0))
    assert nat.back(datagram(FAR, OUTER, 53, left.sport), 30 * _S) is not None
    assert nat.back(datagram(FAR, OUTER, 53, left.sport), 31 * _S) is None


def test_when_all_ports_are_in_use_what_is_new_is_swallowed_until_one_is_idle() -> None:
    nat = Translator(Translate(address="203.0.113.9", most=2, idle_s=30))
    made = [datagram(bytes((192, 168, 1, 2)), FAR, sport, 53) for sport in (1, 2, 3)]
    assert [nat.out(frame, 0) is not None for frame in made] == [True, True, False]
    assert nat.out(made[2], 31 * _S) is not None


def test_an_error_about_what_left_finds_its_sender() -> None:
    nat = Translator(Translate(address="203.0.113.9"))
    inside = bytes((192, 168, 1, 2))
    left = packet(nat.out(datagram(inside, FAR, 5000, 33434), 0))
    body = bytes((11, 0, 0, 0)) + bytes(4) + left.frame[left.network : left.network + 28]
    total = forge.checksum(body)
    router = bytes((10, 0, 9, 1))
    error = forge.frame(MACS, router, OUTER, ICMP, body[:2] + struct.pack(">H", total) + body[4:])
    found = packet(nat.back(error, 1))
    assert (found.source, found.target) == (router, inside)
    quoted = found.frame[found.transport + 8 :]
    assert quoted[12:20] == inside + FAR
    assert struct.unpack_from(">HH", quoted, 20) == (5000, 33434)
    assert is_sound(found.frame)


def test_ipv6_is_left_alone() -> None:
    nat = Translator(Translate(address="203.0.113.9"))
    ends = (
        bytes.fromhex("2a04d01000000000") + bytes(7) + b"\x02",
        bytes.fromhex("2a06c41000000000") + bytes(8),
    )
    frame = datagram(*ends, 5000, 53)
    assert nat.out(frame, 0) == frame
    assert nat.back(frame, 0) == frame


def peers(rules: str) -> list[Any]:
    """Return what the server sees of a client behind a translation: over TCP, UDP and ping; and what finds its way in."""
    namespaces.open_ping()
    lab.street()
    namespaces.ip("route add 203.0.113.0/24 dev eth0", node=lab.SERVER)
    # Who has the outer address is asked on the link, where no router stands here: it is told.
    mac = namespaces.ip("-o link show dev eth0").split("link/ether ")[1].split()[0]
    namespaces.ip(f"neigh add 203.0.113.9 lladdr {mac} dev eth0", node=lab.SERVER)
    found: list[Any] = []

    def tell(connection: socket.socket) -> None:
        connection.sendall(connection.getpeername()[0].encode() + connection.recv(100))

    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            stack.enter_context(TcpServer(tell, address=lab.SERVER4, port=80))
        stack.enter_context(lab.censored(rules))
        with lab.connect(lab.SERVER4, 80) as one:
            one.sendall(b"!" * 100)
            found.append(one.recv(200).decode().rstrip("!"))
        echo = lab.on_server(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        stack.enter_context(echo)
        echo.bind((lab.SERVER4, 9))
        echo.settimeout(30)
        thread = threading.Thread(target=_tell_once, args=(echo,))
        thread.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.connect((lab.SERVER4, 9))
            sock.send(b"?")
            found.append(sock.recv(100).decode())
        thread.join()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
            sock.settimeout(30)
            sock.connect((lab.SERVER4, 0))
            sock.send(struct.pack(">BBHHH", 8, 0, 0, 0, 7) + b"payload")
            found.append(sock.recv(100)[8:].decode())
    return found


def _tell_once(echo: socket.socket) -> None:
    _, sender = echo.recvfrom(100)
    echo.sendto(sender[0].encode(), sender)


@pytest.mark.namespace
def test_kernels_talk_through_it() -> None:
    plain = namespaces.call(peers, "")
    assert plain == [lab.CLIENT4, lab.CLIENT4, "payload"]
    behind = namespaces.call(peers, '[[rule]]\ndo = "translate"\naddress = "203.0.113.9"')
    assert behind == ["203.0.113.9", "203.0.113.9", "payload"]
    both = '[[rule]]\ndo = "impair"\ndelay_ms = 20\n[[rule]]\ndo = "translate"\naddress = "203.0.113.9"'
    assert namespaces.call(peers, both) == behind
