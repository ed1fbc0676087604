"""Delay, loss, order, rates and outages as real sockets feel them. Times are held only against what cannot be quicker."""

import contextlib
import itertools
import os
import socket
import threading
import time
from typing import Any

import pytest

from tests import namespaces
from tests.nation.censor_tests import lab
from tests.servers.tcp import TcpServer

pytestmark = pytest.mark.namespace

COUNT = 400


def datagrams(rules: str, count: int, size: int = 100) -> list[Any]:
    """Send numbered datagrams up, then down; return for each way, as they arrive, [number, seconds on the way, and since the first]."""
    os.sched_setaffinity(
        0, {min(os.sched_getaffinity(0))}
    )  # on several processors the kernel itself reorders
    lab.street()
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            server.bind((lab.SERVER4, 9))
        client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.bind((lab.CLIENT4, 0))
        client.connect((lab.SERVER4, 9))
        server.connect(client.getsockname())
        censor = stack.enter_context(lab.censored(""))
        for sender, receiver in ((client, server), (server, client)):  # both learn where the other is
            sender.send(b"0")
            receiver.recv(1)
        censor.change(rules)
        return [_sent(client, server, count, size), _sent(server, client, count, size)]


def _sent(sender: socket.socket, receiver: socket.socket, count: int, size: int) -> list[Any]:
    found: list[Any] = []
    sent: list[float] = []
    receiver.settimeout(1)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def receive() -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                number = int(receiver.recv(2000))
                now = time.monotonic()
                found.append([number, now - sent[number], now - sent[0]])

    thread = threading.Thread(target=receive)
    thread.start()
    for number in range(count):
        sent.append(time.monotonic())
        sender.send(str(number).encode().ljust(size))
    thread.join()
    return found


def test_a_delay_with_jitter_keeps_the_order() -> None:
    for way in namespaces.call(datagrams, '[[rule]]\ndo = "impair"\ndelay_ms = 50\njitter_ms = 20', 50):
        assert [number for number, _, _ in way] == list(range(50))
        assert all(took_s >= 0.030 for _, took_s, _ in way)


def test_a_delay_of_one_direction() -> None:
    rules = '[[rule]]\ndo = "impair"\ndelay_ms = 200\nmatch = { direction = "down" }'
    up, down = namespaces.call(datagrams, rules, 5)
    assert len(up) == len(down) == 5
    assert min(took_s for _, took_s, _ in down) >= 0.2
    assert min(took_s for _, took_s, _ in up) < min(took_s for _, took_s, _ in down)


def test_losses_are_the_same_for_the_same_seed() -> None:
    rules = '[[rule]]\ndo = "impair"\nloss = 0.25\nseed = 7'
    first = _numbers(namespaces.call(datagrams, rules, COUNT))
    assert first == _numbers(namespaces.call(datagrams, rules, COUNT))
    assert first != _numbers(namespaces.call(datagrams, rules.replace("7", "8"), COUNT))
    assert all(0.6 * COUNT < len(way) < 0.9 * COUNT for way in first)


def test_losses_in_bursts() -> None:
    rules = '[[rule]]\ndo = "impair"\nburst_begin = 0.02\nburst_end = 0.1'
    for way in _numbers(namespaces.call(datagrams, rules, COUNT)):
        gaps = [later - earlier - 1 for earlier, later in itertools.pairwise(way) if later > earlier + 1]
        assert sum(gaps) / len(gaps) > 2  # lone losses would make that hardly more than 1


def test_order_and_duplicates() -> None:
    for way in _numbers(namespaces.call(datagrams, '[[rule]]\ndo = "impair"\nreorder = 0.1', COUNT)):
        assert sorted(way) == list(range(COUNT))
        assert way != sorted(way)
    for way in _numbers(namespaces.call(datagrams, '[[rule]]\ndo = "impair"\nduplicate = 0.5', COUNT)):
        assert set(way) == set(range(COUNT))
        assert 1.3 * COUNT < len(way) < 1.7 * COUNT


def _numbers(ways: list[Any]) -> list[list[int]]:
    return [[number for number, _, _ in way] for way in ways]


def test_a_policer_drops_what_is_above_the_rate() -> None:
    rules = (
        '[[rule]]\ndo = "throttle"\nrate_bit_s = 80_000\nburst_bytes = 10_000\nmatch = { direction = "up" }'
    )
    up, down = namespaces.call(datagrams, rules, 100, 972)  # 1000 bytes with headers
    assert len(down) == 100
    assert 10 <= len(up) < 50  # the burst, and what the few milliseconds of sending let in
    assert [number for number, _, _ in up][:10] == list(range(10))


def test_a_shaper_queues_and_then_drops() -> None:
    rules = (
        '[[rule]]\ndo = "throttle"\nhow = "shape"\nrate_bit_s = 80_000\nburst_bytes = 1500\n'
        'limit_bytes = 10_000\nmatch = { direction = "up" }'
    )
    up, down = namespaces.call(datagrams, rules, 100, 972)  # 1000 bytes with headers: 100 ms each
    assert len(down) == 100
    numbers = [number for number, _, _ in up]
    assert numbers == sorted(numbers)
    assert 10 <= len(up) < 100
    assert all(since_s >= 0.1 * place - 0.15 for place, (_, _, since_s) in enumerate(up, start=1))


def transfers(rules: str, names: list[str], size: int) -> list[Any]:
    """Download over one connection a name, after a request with that name; return the seconds each took."""
    lab.street()

    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(bytes(size))

    found = []
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            stack.enter_context(TcpServer(serve, address=lab.SERVER4, port=80))
        stack.enter_context(lab.censored(rules))
        for name in names:
            begin = time.monotonic()
            with lab.connect(lab.SERVER4, 80) as one:
                one.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                assert len(lab.read(one)) == size
            found.append(time.monotonic() - begin)
    return found


@pytest.mark.parametrize("how", ["police", "shape"])
def test_a_name_is_throttled_for_the_life_of_its_flow(how: str) -> None:
    rules = (
        f'[[rule]]\ndo = "throttle"\nhow = "{how}"\nrate_bit_s = 400_000\nburst_bytes = 20_000\nper = "flow"\n'
        'match = { host = "slow.com", direction = "down" }'
    )
    slow_s, fast_s = namespaces.call(transfers, rules, ["slow.com", "fast.com"], 100_000)
    assert slow_s >= (100_000 - 20_000) * 8 / 400_000
    assert fast_s < slow_s


def outage() -> list[Any]:
    """Send a datagram every 20 ms through outages of 0.3 s every 0.6 s; return which arrived, and the log."""
    lab.street()
    rules = '[[rule]]\nname = "dark"\ndo = "drop"\nfrom_s = 0.3\nuntil_s = 0.6\nevery_s = 0.6'
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            server.bind((lab.SERVER4, 9))
        client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.connect((lab.SERVER4, 9))
        censor = stack.enter_context(lab.censored(rules))
        sent = 0
        while len([event for event in censor.events() if event["did"] == "ends"]) < 3:
            client.send(str(sent).encode())
            sent += 1
            time.sleep(0.02)
        server.settimeout(0.2)
        arrived = []
        with contextlib.suppress(TimeoutError):
            while True:
                arrived.append(int(server.recv(100)))
        return [
            sent,
            arrived,
            [event["did"] for event in censor.events() if event["did"] in ("begins", "ends")],
        ]


def test_outages_come_and_go_by_the_timetable() -> None:
    sent, arrived, said = namespaces.call(outage)
    assert said[:6] == ["begins", "ends"] * 3
    missing = sorted(set(range(sent)) - set(arrived))
    assert len({number - place for place, number in enumerate(missing)}) >= 2  # apart from each other
    assert arrived
