"""TCP on real sockets: how a connect went and who timed it, what ends a stream, and every way to be refused."""

import contextlib
import fcntl
import socket
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.record import Phase, Stamp
from firmware.net import kernel
from firmware.net.access import ConnectAttempt, Net, TcpStream
from firmware.net.kernel import TcpInfo
from firmware.net.loop import Loop, boottime_ns
from firmware.net.streams import connect_phase
from firmware.net.timestamp_keepalive import TimestampKeepalive
from tests import namespaces
from tests.probing import probe
from tests.servers.tcp import TcpServer


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connect_is_timed_by_the_kernel(address: str) -> None:
    with TcpServer(lambda connection: connection.sendall(b"hello"), address=address) as server:

        async def use(net: Net) -> bytes:
            with await net.connect_tcp(address, server.port) as stream:
                assert stream.remote == (address, server.port)
                assert stream.local[0] == address
                assert stream.connect.stamp is Stamp.TCP_INFO
                (attempt,) = net.attempts
                assert 0 < stream.connect.ns <= attempt.elapsed_ns
                assert attempt.failure is None
                assert attempt.tcp_info.total_retrans == 0
                data = await stream.receive()
                assert stream.last_arrival is not None
                assert stream.last_arrival.user_ns <= net.now_ns()
                while more := await stream.receive():
                    data += more
                assert net.traffic.bytes_down == len(data)
                return data

        assert probe(use) == b"hello"


@pytest.mark.parametrize(
    ("info", "phase"),
    [
        (
            TcpInfo(returned_bytes=104, rtt_us=500, total_retrans=0),
            Phase(ns=500_000, stamp=Stamp.TCP_INFO),
        ),
        (TcpInfo(returned_bytes=104, rtt_us=500, total_retrans=1), Phase(ns=9, stamp=Stamp.USER)),
        (TcpInfo(returned_bytes=72, rtt_us=500, total_retrans=None), Phase(ns=9, stamp=Stamp.USER)),
        (TcpInfo(returned_bytes=104, rtt_us=0, total_retrans=0), Phase(ns=9, stamp=Stamp.USER)),
        (TcpInfo(returned_bytes=0, rtt_us=None, total_retrans=None), Phase(ns=9, stamp=Stamp.USER)),
    ],
)
def test_the_kernels_sample_counts_only_when_it_is_sound(info: TcpInfo, phase: Phase) -> None:
    assert connect_phase(info, 9) == phase


def test_a_large_send_waits_for_the_reader_and_arrives_whole() -> None:
    size = 8 * 1024 * 1024
    received = bytearray()

    def read_all(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            received.extend(data)
        connection.sendall(b"got it")

    with TcpServer(read_all) as server:

        async def use(net: Net) -> bytes:
            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                await stream.send_all(b"x" * size)
                assert net.traffic.bytes_up == size
                socket.socket(fileno=stream.fileno()).detach()  # still open
                stream._socket.shutdown(socket.SHUT_WR)
                return await stream.receive()

        assert probe(use) == b"got it"
    assert len(received) == size


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_reset_is_told_from_an_end() -> None:
    with TcpServer(reset) as server:

        async def use(net: Net) -> str:
            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                with pytest.raises(MeasurementFailedError) as caught:
                    await stream.receive()
                assert caught.value.operation == "read"
                return caught.value.failure

        assert probe(use) == Failure.CONNECTION_RESET


def test_a_reset_that_comes_before_we_look_is_no_failure_to_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def use(net: Net) -> str:
            job = net.loop.spawn(net.connect_tcp("127.0.0.1", listener.getsockname()[1]))
            await net.loop.sleep_until(0)
            while job.token == 0:  # until it has sent its SYN and waits
                other = net.loop.spawn(net.loop.sleep_until(0))
                await other
            reset(listener.accept()[0])  # and all the while our loop stands still
            with await job as stream:
                assert net.attempts[0].failure is None
                assert stream.connect.stamp is Stamp.TCP_INFO
                with pytest.raises(MeasurementFailedError) as caught:
                    await stream.receive()
                assert await stream.receive() == b""
                return str(caught.value)

        assert probe(use) == "read: connection_reset"


def test_a_silent_server_times_out_at_the_callers_or_the_tasks_deadline() -> None:
    done = threading.Event()

    def stay_silent(_: socket.socket) -> None:
        done.wait(60)

    with TcpServer(stay_silent) as server:

        async def use(net: Net) -> list[str]:
            words = []
            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                for deadline_ns in (net.now_ns() + 1_000_000, None):
                    with pytest.raises(MeasurementFailedError) as caught:
                        await stream.receive(deadline_ns=deadline_ns)
                    words.append(str(caught.value))
                with pytest.raises(MeasurementFailedError) as caught:
                    await stream.send_all(bytes(64 * 1024 * 1024))
                words.append(str(caught.value))
            return words

        assert probe(use, deadline_s=0.5) == [
            "read: generic_timeout_error",
            "read: generic_timeout_error",
            "write: generic_timeout_error",
        ]
        done.set()


def test_sending_on_what_the_other_side_reset_is_a_failure_word() -> None:
    with TcpServer(reset) as server:

        async def use(net: Net) -> str:
            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                with pytest.raises(MeasurementFailedError, match="read: connection_reset"):
                    await stream.receive()
                with pytest.raises(MeasurementFailedError) as caught:
                    await stream.send_all(b"x")
                return str(caught.value)

        assert probe(use) == "write: connection_already_closed"


async def attempt(net: Net, address: str, port: int, *, timeout_s: float = 20.0) -> dict[str, Any]:
    """Connect, and tell how it went."""
    try:
        (await net.connect_tcp(address, port, timeout_s=timeout_s)).close()
    except MeasurementFailedError as error:
        return {**told(net.attempts[-1]), "failure": error.failure}
    return told(net.attempts[-1])


def told(found: ConnectAttempt) -> dict[str, Any]:
    icmp = found.icmp
    return {
        "failure": found.failure,
        "icmp": None if icmp is None else [icmp.icmp_type, icmp.icmp_code, icmp.offender],
    }


def refusals_across_a_router() -> dict[str, Any]:
    """Device — router — server: what each kind of refusal on the router, and the server's own, looks like."""
    router, server = namespaces.node("router"), namespaces.node("server")
    namespaces.wire("eth0", router, near="10.0.0.2/24 fd01::2/64", far="10.0.0.1/24 fd01::1/64")
    namespaces.wire(
        "eth1", server, near="10.1.0.1/24 fd02::1/64", far="10.1.0.2/24 fd02::2/64", near_node=router
    )
    with namespaces.inside(router):
        namespaces.sysctl("net.ipv4.ip_forward", 1)
        namespaces.sysctl("net.ipv6.conf.all.forwarding", 1)
        namespaces.sysctl("net.ipv4.icmp_ratelimit", 0)  # else the third error within a second is not sent
    for kind, third in (("prohibit", 3), ("unreachable", 4), ("blackhole", 5)):
        namespaces.ip(f"route add {kind} 10.{third}.0.0/24", node=router)
        namespaces.ip(f"route add {kind} fd0{third}::/64", node=router)
    namespaces.ip("route add default via 10.0.0.1")
    namespaces.ip("route add default via fd01::1")
    namespaces.ip("route add default via 10.1.0.1", node=server)
    namespaces.ip("route add default via fd02::1", node=server)
    namespaces.ip("route add prohibit 10.6.0.0/24")

    async def use(net: Net) -> dict[str, Any]:
        return {
            name: await attempt(net, address, 80, timeout_s=1.5)
            for name, address in {
                "refused": "10.1.0.2",
                "refused_6": "fd02::2",
                "prohibited": "10.3.0.1",
                "prohibited_6": "fd03::1",
                "unreachable": "10.4.0.1",
                "unreachable_6": "fd04::1",
                "no_route_on_router": "198.51.100.1",
                "silence": "10.5.0.1",
                "prohibited_here": "10.6.0.1",
            }.items()
        }

    return probe(use)


@pytest.mark.namespace
def test_every_way_to_be_refused_has_its_word() -> None:
    assert namespaces.call(refusals_across_a_router) == {
        "refused": {"failure": "connection_refused", "icmp": None},
        "refused_6": {"failure": "connection_refused", "icmp": None},
        "prohibited": {"failure": "administratively_prohibited", "icmp": [3, 13, "10.0.0.1"]},
        "prohibited_6": {"failure": "administratively_prohibited", "icmp": [1, 1, "fd01::1"]},
        "unreachable": {"failure": "host_unreachable", "icmp": [3, 1, "10.0.0.1"]},
        "unreachable_6": {"failure": "network_unreachable", "icmp": [1, 0, "fd01::1"]},
        "no_route_on_router": {"failure": "network_unreachable", "icmp": [3, 0, "10.0.0.1"]},
        "silence": {"failure": "generic_timeout_error", "icmp": None},
        "prohibited_here": {"failure": "permission_denied", "icmp": None},
    }


def connects_after_a_lost_answer() -> list[Any]:
    """Lose the server's first answer, so that the SYN is sent twice."""
    server = namespaces.node("server")
    namespaces.wire("eth0", server, near="10.0.0.2/24", far="10.0.0.1/24")
    with namespaces.inside(server):
        listener = socket.create_server(("10.0.0.1", 80))
    # A blackhole on the way back: the SYN arrives, its answer does not.
    namespaces.ip("route add blackhole 10.0.0.2/32", node=server)

    async def use(net: Net) -> list[Any]:
        job = net.loop.spawn(net.connect_tcp("10.0.0.1", 80))
        await net.loop.sleep_until(net.now_ns() + 300_000_000)
        namespaces.ip("route del blackhole 10.0.0.2/32", node=server)
        with await job as stream:
            retransmissions = net.attempts[0].tcp_info.total_retrans or 0
            return [str(stream.connect.stamp), retransmissions > 0, stream.connect.ns > 300_000_000]

    with listener:
        return probe(use)


@pytest.mark.namespace
def test_a_retransmitted_syn_is_timed_here_and_said() -> None:
    assert namespaces.call(connects_after_a_lost_answer) == ["user", True, True]


def survives_an_icmp_error_once_connected() -> str:
    """Have a router say unreachable in the middle of a stream: a hint, as it is to every browser."""
    router, server = namespaces.node("router"), namespaces.node("server")
    namespaces.wire("eth0", router, near="10.0.0.2/24", far="10.0.0.1/24")
    namespaces.wire("eth1", server, near="10.1.0.1/24", far="10.1.0.2/24", near_node=router)
    with namespaces.inside(router):
        namespaces.sysctl("net.ipv4.ip_forward", 1)
    namespaces.ip("route add default via 10.0.0.1")
    namespaces.ip("route add default via 10.1.0.1", node=server)
    with namespaces.inside(server):
        listener = socket.create_server(("10.1.0.2", 80))

    async def use(net: Net) -> str:
        with await net.connect_tcp("10.1.0.2", 80) as stream:
            peer, _ = listener.accept()
            with peer:
                namespaces.ip("route add unreachable 10.1.0.2/32", node=router)
                await stream.send_all(b"question")
                with pytest.raises(MeasurementFailedError, match="read: generic_timeout_error"):
                    await stream.receive(deadline_ns=net.now_ns() + 200_000_000)
                namespaces.ip("route del unreachable 10.1.0.2/32", node=router)
                peer.sendall(b"answer")
                return (await stream.receive()).decode()

    with listener:
        return probe(use)


@pytest.mark.namespace
def test_an_icmp_error_does_not_end_a_stream() -> None:
    assert namespaces.call(survives_an_icmp_error_once_connected) == "answer"


def test_a_connect_that_the_tasks_deadline_cuts_short_is_no_time_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        crowd = [socket.socket() for _ in range(4)]  # the backlog is full: a SYN more is not answered
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(full.getsockname())

        async def use(net: Net) -> dict[str, Any]:
            return await attempt(net, "127.0.0.1", full.getsockname()[1])

        async def use_briefly(net: Net) -> dict[str, Any]:
            return await attempt(net, "127.0.0.1", full.getsockname()[1], timeout_s=0.2)

        assert probe(use, deadline_s=0.2) == {"failure": "interrupted", "icmp": None}
        assert probe(use_briefly, deadline_s=5) == {"failure": "generic_timeout_error", "icmp": None}
        for one in crowd:
            one.close()


@pytest.fixture
def keeper() -> Iterator[TimestampKeepalive]:
    """Return the socket that a worker holds: without it the kernel stamps receives by chance."""
    with contextlib.closing(TimestampKeepalive()) as held:
        loop = Loop()
        assert loop.run(held.confirm(loop, deadline_ns=boottime_ns() + 10_000_000_000))
        loop.close()
        yield held


async def arrived(net: Net, stream: TcpStream, size: int) -> None:
    """Wait until `size` bytes are there to be read, and read none."""
    raw = bytearray(4)
    while int.from_bytes(raw, sys.byteorder) < size:
        await net.loop.sleep_until(net.now_ns() + 1_000_000)
        fcntl.ioctl(stream.fileno(), termios.FIONREAD, raw)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.usefixtures("keeper")
def test_an_answer_is_timed_by_the_kernel_however_late_it_is_read(address: str) -> None:
    with TcpServer(lambda connection: connection.sendall(connection.recv(99) * 2), address=address) as server:

        async def use(net: Net) -> None:
            with await net.connect_tcp(address, server.port) as stream:
                for size in (5, 7):  # the second send's stamps are not taken for the first's
                    await stream.send_all(b"x" * size)
                    if size == 5:
                        sent = stream.sent
                        await arrived(net, stream, 10)
                        ready_ns = net.now_ns()
                        assert await stream.receive() == b"x" * 10
                        first = stream.first_arrival
                assert sent is not None
                assert first is not None
                assert set(sent.stamps) == {kernel.SND, kernel.SCHED}
                assert sent.egress_queue_ns is not None
                assert sent.egress_queue_ns >= 0
                found = stream.elapsed(sent, first)
                assert found.stamp is Stamp.SND
                assert 0 < found.ns < ready_ns - sent.user_ns
                assert stream.segments == 1

        probe(use)


@pytest.mark.usefixtures("keeper")
def test_the_first_of_an_answer_has_its_own_time() -> None:
    looked = threading.Event()

    def answer_twice(connection: socket.socket) -> None:
        connection.recv(99)
        connection.sendall(b"first")
        looked.wait(60)
        connection.sendall(b"second")

    with TcpServer(answer_twice) as server:

        async def use(net: Net) -> None:
            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                await stream.send_all(b"x")
                assert await stream.receive() == b"first"
                first = stream.first_arrival
                looked.set()
                assert await stream.receive() == b"second"
                assert stream.first_arrival is first
                assert stream.sent is not None
                assert stream.last_arrival is not None
                assert first is not None
                early, late = (stream.elapsed(stream.sent, one) for one in (first, stream.last_arrival))
                assert early.stamp is late.stamp is Stamp.SND
                assert 0 < early.ns < late.ns

        probe(use)


@pytest.mark.usefixtures("keeper")
def test_segments_that_came_before_we_looked_are_counted() -> None:
    """The kernel joins them, and the stamp is then the last one's: the record must be able to say so."""

    def answer_twice(connection: socket.socket) -> None:
        connection.recv(99)
        connection.sendall(b"first")
        connection.sendall(b"second")

    with TcpServer(answer_twice) as server:

        async def use(net: Net) -> int:
            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                await stream.send_all(b"x")
                await arrived(net, stream, 11)
                assert await stream.receive() == b"firstsecond"
                return stream.segments

        assert probe(use) == 2


def test_stamps_that_come_end_no_wait_and_nothing_spins() -> None:
    done = threading.Event()

    def stay_silent(_: socket.socket) -> None:
        done.wait(60)

    with TcpServer(stay_silent) as server:

        async def use(net: Net) -> int:
            wakes = 0
            real = net.loop.wait

            async def counted(fd: int, events: int, *, deadline_ns: int | None) -> int:
                nonlocal wakes
                wakes += 1
                return await real(fd, events, deadline_ns=deadline_ns)

            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                net.loop.wait = counted  # type: ignore[method-assign]
                for _ in range(20):
                    await stream.send_all(b"x")
                with pytest.raises(MeasurementFailedError, match="read: generic_timeout_error"):
                    await stream.receive(deadline_ns=net.now_ns() + 50_000_000)
            return wakes

        try:
            assert 1 <= probe(use) <= 1 + 2 * 20
        finally:
            done.set()


def test_a_kernel_without_stamps_leaves_this_processs_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "SO_TIMESTAMPING_NEW", 9999)  # as a kernel before 5.1 sees 65: unknown
    with TcpServer(lambda connection: connection.sendall(connection.recv(99))) as server:

        async def use(net: Net) -> Phase:
            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                await stream.send_all(b"x")
                assert await stream.receive() == b"x"
                assert stream.sent is not None
                assert stream.first_arrival is not None
                return stream.elapsed(stream.sent, stream.first_arrival)

        found = probe(use)
        assert found.stamp is Stamp.USER
        assert found.ns > 0


@pytest.mark.usefixtures("keeper")
def test_a_clock_that_steps_is_told_and_not_timed_by() -> None:
    with TcpServer(lambda connection: connection.sendall(connection.recv(99))) as server:

        async def use(net: Net) -> tuple[bool, bool, Stamp]:
            with await net.connect_tcp("127.0.0.1", server.port) as stream:
                await stream.send_all(b"x")
                await stream.receive()
                sent, first = stream.sent, stream.first_arrival
                assert sent is not None
                assert first is not None
                before = net.clock_stepped
                moved = replace(first.offset, offset_ns=first.offset.offset_ns + 1_000_000)
                found = stream.elapsed(sent, replace(first, offset=moved))
                return before, net.clock_stepped, found.stamp

        assert probe(use) == (False, True, Stamp.USER)
