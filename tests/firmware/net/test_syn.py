"""The moment before a connect: it waits for its time, and what it sends to make the way warm stays on loopback."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.net import syn
from firmware.net.access import Net
from firmware.net.loop import Loop, boottime_ns
from firmware.net.send_compensation import MAX_LEAD_NS
from tests import namespaces
from tests.probing import probe

MS = 1_000_000
FAMILIES = (socket.AF_INET, socket.AF_INET6)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def net_of(loop: Loop, *, slot_ns: int) -> Net:
    return Net(loop, deadline_ns=slot_ns + 60_000 * MS, slot_ns=slot_ns)


def test_connects_begin_before_their_slots_by_what_the_way_to_the_call_has_cost(loop: Loop) -> None:
    for _ in range(8):
        lead_ns = loop.lead("connect").ns
        net = net_of(loop, slot_ns=boottime_ns() + 50 * MS)  # so soon that no busy machine makes it late
        departure = loop.run(syn.depart(net, socket.AF_INET))
        assert departure.aim_ns == net.slot_ns - lead_ns
        assert departure.user_ns >= net.slot_ns - MAX_LEAD_NS
        assert net.first_sent is departure
        assert net.began_ns >= net.slot_ns
    assert 0 < loop.lead("connect").ns <= MAX_LEAD_NS


def test_a_connect_that_is_late_waits_for_nothing_and_teaches_nothing(loop: Loop) -> None:
    net = net_of(loop, slot_ns=boottime_ns() - MS)
    assert loop.run(syn.depart(net, socket.AF_INET)).aim_ns == 0
    assert loop.lead("connect").ns == 0


def test_a_later_connect_of_a_task_has_a_moment_of_its_own() -> None:
    async def use(net: Net) -> None:
        first = await syn.depart(net, socket.AF_INET)
        due_ns = boottime_ns() + 3 * MS
        second = await syn.depart(net, socket.AF_INET, due_ns=due_ns)
        assert second.user_ns >= due_ns - MAX_LEAD_NS
        assert net.first_sent is first

    probe(use)


@pytest.mark.parametrize("family", FAMILIES)
def test_making_the_way_warm_leaves_no_descriptor(family: socket.AddressFamily) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        syn.warm(family)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def beside_a_wire() -> int:
    """Return how many frames leave by the wire, with loopback and without."""
    namespaces.node("there")
    namespaces.wire("eth0", "there", near="10.0.0.1/24 fd00::1/64", far="10.0.0.2/24 fd00::2/64")
    namespaces.ip("route add default via 10.0.0.2")
    with namespaces.inside("there"):
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    with capture:
        capture.bind(("eth0", 3))
        for _ in range(2):
            for family in FAMILIES:
                syn.warm(family)
            namespaces.ip("link set lo down")
        capture.settimeout(0.3)
        frames = 0
        try:
            while True:
                packet, address = capture.recvfrom(2048)
                is_tcp = packet[9 if packet[0] >> 4 == 4 else 6] == socket.IPPROTO_TCP
                frames += address[2] == socket.PACKET_HOST and is_tcp
        except TimeoutError:
            return frames


@pytest.mark.namespace
def test_nothing_of_it_leaves_the_machine() -> None:
    assert namespaces.call(beside_a_wire) == 0
