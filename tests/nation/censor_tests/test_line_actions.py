"""Delay, loss, order, rates and outages, felt by real sockets. Times are only held against what cannot be quicker."""

import contextlib
import socket
import time
from typing import Any

import pytest

from tests import namespaces
from tests.nation.censor_tests import lab

pytestmark = pytest.mark.namespace


def echo_times(rules: str, count: int, gap_s: float = 0.0) -> list[Any]:
    """Send numbered datagrams to the server and return (number, seconds on the way), as they arrive."""
    lab.street()
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            server.bind((lab.SERVER4, 9))
        stack.enter_context(lab.censored(rules))
        client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.connect((lab.SERVER4, 9))
        sent = []
        for number in range(count):
            sent.append(time.monotonic())
            client.send(str(number).encode().ljust(1000))
            time.sleep(gap_s)
        found: list[Any] = []
        server.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while len(found) < 3 * count:
                number = int(server.recv(2000))
                found.append([number, time.monotonic() - sent[number]])
    return found


def test_a_delay_keeps_the_order() -> None:
    found = namespaces.call(echo_times, '[[rule]]\ndo = "impair"\ndelay_ms = 50\njitter_ms = 20', 50)
    assert [number for number, _ in found] == list(range(50))
    assert all(way_s >= 0.030 for _, way_s in found)
