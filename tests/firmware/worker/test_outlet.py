"""The way to the daemon never blocks, keeps order, and owns up to what it dropped."""

import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from firmware.model.jsontypes import JsonObject
from firmware.model.task import Result
from firmware.net.loop import Loop, boottime_ns
from firmware.worker import framing
from firmware.worker.framing import Decoder, FramingError
from firmware.worker.outlet import Outlet
from tests.waiting import LIMIT_S

FAR_NS = int(LIMIT_S * 1e9)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, daemon = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    daemon.settimeout(0)
    yield near, daemon
    near.close()
    daemon.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def read(daemon: socket.socket, decoder: Decoder) -> list[JsonObject]:
    found: list[JsonObject] = []
    while True:
        try:
            data = daemon.recv(65536)
        except BlockingIOError:
            return found
        if not data:
            return found
        found.extend(one for one in decoder.feed(data) if not isinstance(one, Result))


async def looks(loop: Loop) -> AsyncIterator[None]:
    """Let the daemon look now and then, until it has what it looks for. Raises `AssertionError` at the end."""
    end_ns = boottime_ns() + FAR_NS
    while boottime_ns() < end_ns:
        yield
        await loop.sleep_until(boottime_ns() + 100_000)
    raise AssertionError("it did not come")


def message(number: int) -> JsonObject:
    return {"number": number, "padding": "x" * 500}


def test_a_message_goes_at_once_where_there_is_room(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    outlet = Outlet(loop, pair[0])
    outlet.put(message(1))
    assert read(pair[1], Decoder()) == [message(1)]


def test_what_does_not_fit_at_once_goes_when_the_daemon_reads_in_order(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, daemon = pair
    outlet, decoder = Outlet(loop, near), Decoder()

    async def main() -> list[JsonObject]:
        loop.spawn(outlet.run())
        await loop.sleep_until(boottime_ns() + 1_000_000)  # it is parked by now
        for number in range(200):
            outlet.put(message(number))
        found: list[JsonObject] = []
        async for _ in looks(loop):
            found += read(daemon, decoder)
            if len(found) >= 200:
                break
        return found

    assert loop.run(main()) == [message(number) for number in range(200)]


def test_beyond_the_bound_it_drops_whole_messages_and_tells_how_many(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, daemon = pair
    outlet, decoder = Outlet(loop, near, max_unsent_bytes=4000), Decoder()

    async def main() -> list[JsonObject]:
        loop.spawn(outlet.run())
        for number in range(500):  # the daemon is stalled
            outlet.put(message(number))
        found: list[JsonObject] = []
        async for _ in looks(loop):
            found += read(daemon, decoder)
            if found and found[-1].get("number") == "last":
                break
            if any(one.get("type") == "dropped" for one in found):
                outlet.put({"number": "last"})
        return found

    found = loop.run(main())
    arrived = [one["number"] for one in found if isinstance(one.get("number"), int)]
    dropped = sum(count for one in found if isinstance(count := one.get("count"), int))
    assert arrived == list(range(len(arrived)))  # the first ones, whole
    assert 0 < len(arrived) < 500
    assert len(arrived) + dropped == 500
    assert found[-1] == {"number": "last"}


def test_what_may_be_left_out_is_where_the_daemon_does_not_read_and_is_no_loss(
    pair: tuple[socket.socket, socket.socket], loop: Loop
) -> None:
    near, daemon = pair
    outlet = Outlet(loop, near)
    assert outlet.offer(message(0))
    number = 0
    while outlet.offer(message(number := number + 1)):
        pass
    assert not outlet.offer(message(number + 1))
    found = [one for one in read(daemon, Decoder()) if one.get("type") == "dropped"]
    assert found == []


def test_the_loss_is_told_with_the_next_message_that_fits(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, daemon = pair
    size = len(framing.encode({"number": 1}))
    outlet = Outlet(loop, near, max_unsent_bytes=size)
    outlet.put(message(1))  # larger than the bound: dropped
    outlet.put({"number": 1})  # with the notice before it, also too large
    outlet._max_unsent_bytes = 1000
    outlet.put({"number": 2})
    assert read(daemon, Decoder()) == [{"type": "dropped", "count": 2}, {"number": 2}]


def test_drain_waits_for_the_daemon_but_not_for_ever(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, daemon = pair
    outlet, decoder = Outlet(loop, near), Decoder()

    async def main() -> None:
        loop.spawn(outlet.run())
        for number in range(200):
            outlet.put(message(number))
        await outlet.drain(deadline_ns=boottime_ns() + 1_000_000)
        assert outlet._unsent
        drained = loop.spawn(outlet.drain(deadline_ns=boottime_ns() + FAR_NS))
        async for _ in looks(loop):
            read(daemon, decoder)
            if drained.done:
                break
        assert not outlet._unsent

    loop.run(main())


def test_a_daemon_that_is_gone_is_no_error_here(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    outlet = Outlet(loop, pair[0])
    pair[1].close()
    for number in range(3):
        outlet.put(message(number))
    assert not outlet._unsent


def test_a_message_too_large_for_any_frame_is_refused(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    with pytest.raises(FramingError):
        Outlet(loop, pair[0]).put({"padding": "x" * framing.MAX_FRAME_BYTES})
