"""The server's half of a test: what it says of transfers whose course is known, by the kernel's own view of real connections."""

import asyncio
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise

import pytest

from collector.measurement.http1 import HttpExchange
from collector.measurement.timeline import NAMES
from collector.store.half_log import HalfLog
from firmware.model import server_half
from firmware.model.server_half import Direction, HalfEnd, ServerHalf
from firmware.wire.envelope import unseal
from firmware.wire.server_halves import decode_half
from tests.collector.measurement.halves import SERVER, AskingCollector, points
from tests.collector.measurement.websocket_client import drain, websocket
from tests.collector.measurement.world import DEVICE, MeasurementWorld, RunningServer, nonce, send
from tests.waiting import LIMIT_S, until

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def asking(world: MeasurementWorld) -> AskingCollector:
    strangers(world)
    return AskingCollector(world)


@pytest.fixture(scope="module")
def server(world: MeasurementWorld, asking: AskingCollector) -> Iterator[RunningServer]:
    with world.server() as running:
        yield running


def reset(tls: ssl.SSLSocket) -> None:
    """End a connection by a reset."""
    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tls.close()


def slow(world: MeasurementWorld, server: RunningServer) -> ssl.SSLSocket:
    """Return a connection whose receiver takes little, and nothing unless it reads."""
    secured = world.client_tls().wrap_socket(socket.socket(), server_hostname="www.example.org")
    secured.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    secured.settimeout(LIMIT_S)
    secured.connect(("127.0.0.1", server.port))
    return secured


def test_a_download_is_told_with_all_that_was_acknowledged(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    before_ns, name = time.time_ns(), nonce()
    assert len(world.ask(server, "GET", f"/v1/download?bytes={3 * MIB}&nonce={name}").body) == 3 * MIB
    half = asking.half(server, name)
    assert (half.end, half.server, half.device) == (HalfEnd.DONE, SERVER, DEVICE)
    assert (half.test, half.direction) == ("download", Direction.DOWNLOAD)
    assert (half.asked_bytes, half.bytes_sent, half.bytes_received) == (3 * MIB, 3 * MIB, 0)
    assert before_ns <= half.start.utc_ns <= half.start.utc_ns + half.runtime_ns <= time.time_ns()
    acked, sent = points(half, "BytesAcked"), points(half, "BytesSent")
    assert acked[-1] >= 3 * MIB
    assert acked[0] < 3 * MIB
    assert acked[-1] + points(half, "BytesRetrans")[-1] <= sent[-1] + 1  # the SYN counts as one
    for values in (acked, sent, points(half, "elapsed_us"), points(half, "BusyTime")):
        assert all(one <= other for one, other in pairwise(values))
    assert points(half, "MinRTT")[-1] <= points(half, "RTT")[-1]
    assert half.tcp["names"] == ["elapsed_us", *NAMES]
    assert half.family == "ipv4"
    assert half.congestion_control == tcp_default()


def tcp_default() -> str:
    with closing(socket.socket()) as sock:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def test_an_upload_is_told_with_all_that_came(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    name = nonce()
    assert world.ask(server, "POST", f"/v1/upload?nonce={name}", body=bytes(2 * MIB + 1)).status == 200
    half = asking.half(server, name)
    assert (half.end, half.direction) == (HalfEnd.DONE, Direction.UPLOAD)
    assert (half.asked_bytes, half.bytes_sent, half.bytes_received) == (2 * MIB + 1, 0, 2 * MIB + 1)
    assert points(half, "BytesReceived")[-1] > 2 * MIB + 1


def test_no_half_holds_an_address_or_a_name_that_was_asked_for(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    name = nonce()
    world.ask(
        server, "GET", f"/v1/download?bytes=10&nonce={name}", headers=(("X-Forwarded-For", "192.0.2.7"),)
    )
    text = json.dumps(server_half.to_json(asking.half(server, name)))
    assert "127.0.0.1" not in text
    assert "192.0.2.7" not in text
    assert "example.org" not in text


def test_a_reset_in_a_download_is_told(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    name = nonce()
    tls = slow(world, server)
    send(tls, "GET", f"/v1/download?bytes={20 * MIB}&nonce={name}", token=world.token())
    assert tls.recv(1000)
    reset(tls)
    half = asking.half(server, name)
    assert half.end is HalfEnd.RESET_RECEIVED
    assert 0 < half.bytes_sent < 20 * MIB == half.asked_bytes
    assert points(half, "BytesAcked")[-1] < 20 * MIB


def test_a_close_in_an_upload_is_told_with_what_came_before_it(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    name = nonce()
    with world.connect(server) as tls:
        headers = (("Content-Length", str(MIB)),)
        send(tls, "POST", f"/v1/upload?nonce={name}", token=world.token(), headers=headers, body=bytes(1000))
    half = asking.half(server, name)
    assert (half.end, half.bytes_received) == (HalfEnd.CLOSED_EARLY, 1000)


def test_what_nobody_acknowledges_is_not_done(world: MeasurementWorld, asking: AskingCollector) -> None:
    with world.server(transfer_s=1) as server:
        for count in (90_000, 20 * MIB):  # one that the buffers take at once, one that they do not
            name = nonce()
            with closing(slow(world, server)) as tls:
                send(tls, "GET", f"/v1/download?bytes={count}&nonce={name}", token=world.token())
                half = asking.half(server, name)
            assert half.end is HalfEnd.TIMED_OUT
            assert points(half, "BytesAcked")[-1] < count
            assert half.runtime_ns >= 1_000_000_000


def test_an_upload_that_takes_too_long_is_told(world: MeasurementWorld, asking: AskingCollector) -> None:
    name = nonce()
    with world.server(transfer_s=1) as server, world.connect(server) as tls:
        headers = (("Content-Length", "5000"),)
        send(tls, "POST", f"/v1/upload?nonce={name}", token=world.token(), headers=headers, body=bytes(1000))
        half = asking.half(server, name)
    assert (half.end, half.status, half.bytes_received) == (HalfEnd.TIMED_OUT, 408, 1000)


def test_what_is_refused_is_told_with_the_reason(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    name = nonce()
    path = f"/v1/download?bytes=10&nonce={name}"
    assert world.ask(server, "GET", path).status == 200
    again = world.ask(server, "GET", path)
    assert again.status == 409

    def both() -> list[ServerHalf]:
        found = [one for one in asking.halves(server)[0] if one.nonce == name]
        return found if len(found) == 2 else []

    first, second = sorted(until(both, "two halves"), key=lambda one: one.status or 0)
    assert (first.end, first.status, first.bytes_sent) == (HalfEnd.DONE, None, 10)
    assert (second.end, second.status, second.reason) == (HalfEnd.REFUSED, 409, again.sentence)
    assert second.bytes_sent == 0


def test_of_those_without_a_token_or_a_nonce_nothing_is_written(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    _, before = asking.halves(server)
    assert world.ask(server, "GET", f"/v1/download?bytes=10&nonce={nonce()}", token="").status == 401
    assert world.ask(server, "GET", "/v1/download?bytes=10").status == 400
    name = nonce()
    world.ask(server, "GET", f"/v1/download?bytes=10&nonce={name}")
    half = asking.half(server, name)
    assert half.number == before.last + 1


def test_a_session_of_udp_is_told_with_its_counts(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    name = nonce()
    got = world.ask(server, "POST", f"/v1/udp?bytes=100000&nonce={name}")
    session = json.loads(got.body)["session"]
    counts = json.loads(world.ask(server, "DELETE", f"/v1/udp?session={session}").body)
    half = asking.half(server, name)
    assert (half.end, half.test, half.direction) == (HalfEnd.DONE, "udp", Direction.UDP)
    assert (half.udp, half.tcp, half.asked_bytes) == (counts, {}, 100_000)
    assert world.ask(server, "POST", f"/v1/udp?bytes=100000&nonce={name}").status == 409


def test_of_m_labs_tests_only_those_of_devices_are_written(
    world: MeasurementWorld, asking: AskingCollector
) -> None:
    theirs, ours = nonce(), nonce()
    with world.server(ndt7="anybody", throughput1="fleet") as server:
        with websocket(world, server, f"/ndt/v7/download?bytes=100000&nonce={theirs}") as channel:
            drain(channel)
        path = f"/ndt/v7/download?bytes=100000&nonce={ours}"
        with websocket(world, server, path, token=world.token()) as channel:
            sizes, _ = drain(channel)
        half = asking.half(server, ours)
        assert [one.nonce for one in asking.halves(server)[0]] == [ours]
    assert (half.test, half.direction, half.end) == ("ndt7", Direction.DOWNLOAD, HalfEnd.DONE)
    assert (half.device, half.bytes_sent) == (DEVICE, sum(sizes))


def test_a_writer_gives_asyncio_a_turn_to_tell_of_a_reset() -> None:
    async def turns() -> list[str]:
        told: list[str] = []
        ours, theirs = socket.socketpair()
        with closing(theirs):
            reader, writer = await asyncio.open_connection(sock=ours)
            asyncio.get_running_loop().call_soon(told.append, "a turn")
            await HttpExchange(reader, writer).drained()
            before_any_other = list(told)
            writer.close()
        return before_any_other

    assert asyncio.run(turns()) == ["a turn"]


def test_a_server_that_is_ended_tells_of_what_was_under_way(world: MeasurementWorld) -> None:
    name = nonce()
    with ExitStack() as after, world.server() as server:
        tls = after.enter_context(closing(slow(world, server)))
        send(tls, "GET", f"/v1/download?bytes={20 * MIB}&nonce={name}", token=world.token())
        assert tls.recv(1000)
    log = HalfLog.open(server.data, lambda payload: payload, most_bytes=MIB)
    with closing(log):
        (one,) = log.page(0).halves
    half = decode_half(unseal(one.payload).payload)
    assert (half.nonce, half.end) == (name, HalfEnd.STOPPED)
    assert 0 < half.bytes_sent < 20 * MIB


@pytest.mark.parametrize(
    "what", ["none", "rubbish", "a device's", "for another server", "another place", "another authority's"]
)
def test_only_a_collector_of_the_fleet_is_given_them(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector, what: str
) -> None:
    name = nonce()
    world.ask(server, "GET", f"/v1/download?bytes=10&nonce={name}")
    number = asking.half(server, name).number
    _, account = asking.halves(server)
    tokens: dict[str, Callable[[], str]] = {
        "none": lambda: "",
        "rubbish": lambda: "x" * 40,
        "a device's": world.token,
        "for another server": lambda: asking.token(epoch=account.epoch, upto=number, to="other"),
        "another place": lambda: asking.token(epoch=account.epoch, upto=number, leaf="ack"),
        "another authority's": lambda: strangers(world).token(epoch=account.epoch, upto=number),
    }
    assert asking.ask(server, tokens[what]()).status == 401
    assert number in [one.number for one in asking.halves(server)[0]]


def strangers(world: MeasurementWorld) -> AskingCollector:
    ca, identity = world.directory / "strangers", world.directory / "strangers-identity"
    if not identity.exists():
        world.provision("ca", str(ca))
        world.provision("collector", "--ca", str(ca), "--out", str(identity))
    return AskingCollector(world, identity)


def test_what_was_asked_long_ago_counts_no_longer(
    world: MeasurementWorld, server: RunningServer, asking: AskingCollector
) -> None:
    assert asking.ask(server, asking.token(early_s=2 * 3600)).status == 403


def test_what_a_collector_has_stored_is_let_go_of_and_nothing_else(
    world: MeasurementWorld, asking: AskingCollector
) -> None:
    with world.server() as server:
        names = [nonce() for _ in range(3)]
        for name in names:
            world.ask(server, "GET", f"/v1/download?bytes=10&nonce={name}")
            asking.half(server, name)
        halves, account = asking.halves(server)
        assert [(one.number, one.nonce) for one in halves] == list(enumerate(names, start=1))
        assert {one.epoch for one in halves} == {account.epoch}
        assert (account.last, account.evicted, account.unwritten, account.more) == (3, 0, 0, False)
        another = "0" * 16
        assert [one.number for one in asking.halves(server, epoch=another, upto=3)[0]] == [1, 2, 3]
        assert [one.number for one in asking.halves(server, epoch=account.epoch, upto=2)[0]] == [3]
        assert [one.number for one in asking.halves(server)[0]] == [3]


def test_a_download_says_what_held_it_to_its_rate_and_by_what(
    world: MeasurementWorld, asking: AskingCollector
) -> None:
    with world.server(capture=False) as server:
        name = nonce()
        assert world.ask(server, "GET", f"/v1/download?bytes=300000&nonce={name}").status == 200
        half = asking.half(server, name)
        assert (half.limit["by"], half.limit["limit"]) == ("tcp_info", "untold")
        name = nonce()
        assert world.ask(server, "POST", f"/v1/upload?nonce={name}", body=bytes(3000)).status == 200
        assert asking.half(server, name).limit == {}


def may_capture() -> bool:
    with ExitStack() as stack:
        try:
            stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0))
        except PermissionError:
            return False
    return True


def test_it_goes_by_its_packets_where_it_may_see_them(
    world: MeasurementWorld, asking: AskingCollector
) -> None:
    with world.server() as server:
        name = nonce()
        assert world.ask(server, "GET", f"/v1/download?bytes=300000&nonce={name}").status == 200
        half = asking.half(server, name)
    if may_capture():
        assert (half.limit["by"], half.limit["whole"]) == ("packets", True)
        assert isinstance(half.limit["packets"], int)
        assert half.limit["packets"] >= 2
    else:
        assert half.limit["by"] == "tcp_info"
