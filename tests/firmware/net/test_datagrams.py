"""Datagrams and the kernel's stamps, on real sockets: what is timed, what is an error, and that nothing spins."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.record import Phase, Stamp
from firmware.net import datagrams, kernel
from firmware.net.access import Datagram, DatagramFlow, Net
from firmware.net.loop import Loop, boottime_ns
from firmware.net.send_compensation import MAX_LEAD_NS
from firmware.net.stamps import ArrivalStamp, Departure, read_clock_offset
from firmware.net.timestamp_keepalive import TimestampKeepalive
from firmware.paths import options as path_options
from tests import namespaces, ports
from tests.probing import probe
from tests.waiting import until

FAR_NS = 60 * 1_000_000_000
ADDRESSES = ("127.0.0.1", "::1")


def far() -> int:
    return boottime_ns() + FAR_NS


@contextmanager
def echo_server(address: str) -> Iterator[int]:
    """Answer every datagram with itself; yield the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))

        def answer() -> None:
            while True:
                data, sender = sock.recvfrom(65536)
                if not data:
                    return
                sock.sendto(data, sender)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            with socket.socket(family, socket.SOCK_DGRAM) as last:
                last.sendto(b"", sock.getsockname())
            thread.join()


@pytest.fixture(scope="module")
def keeper() -> Iterator[TimestampKeepalive]:
    keeper, loop = TimestampKeepalive(), Loop()
    assert loop.run(keeper.confirm(loop, deadline_ns=far()))
    loop.close()
    yield keeper
    keeper.close()


async def exchange(net: Net, flow: DatagramFlow, data: bytes = b"x" * 40) -> tuple[int, Datagram]:
    sent_id = await flow.send(data)
    datagram = await flow.receive(deadline_ns=far())
    assert datagram is not None
    assert datagram.data == data
    return sent_id, datagram


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_sample_on_loopback_has_the_kernels_stamps(address: str, keeper: TimestampKeepalive) -> None:
    count = 200

    async def use(net: Net) -> list[tuple[Phase, int | None, int | None, int]]:
        found = []
        with echo_server(address) as port, net.open_udp(address, port) as flow:
            for _ in range(count):
                before_ns = boottime_ns()
                sent_id, datagram = await exchange(net, flow)
                user_ns = boottime_ns() - before_ns
                found.append(
                    (flow.rtt(sent_id, datagram), flow.egress_queue_ns(sent_id), datagram.ttl, user_ns)
                )
        assert net.traffic.bytes_up == net.traffic.bytes_down == 40 * count
        assert not net.clock_stepped
        assert net.icmp_errors == []
        return found

    for rtt, egress_ns, ttl, user_ns in probe(use):
        assert rtt.stamp is Stamp.SND
        assert 0 < rtt.ns < user_ns  # the kernel's times lie within this process's
        assert egress_ns is not None
        assert egress_ns >= 0
        assert ttl == 64


@pytest.mark.parametrize("address", ADDRESSES)
def test_port_unreachable_is_refused_and_timed(
    address: str, keeper: TimestampKeepalive, closed_port: int
) -> None:
    async def use(net: Net) -> Phase:
        with net.open_udp(address, closed_port) as flow:
            sent_id = await flow.send(b"anyone?")
            with pytest.raises(MeasurementFailedError) as caught:
                await flow.receive(deadline_ns=far())
            assert (caught.value.failure, caught.value.operation) == (Failure.CONNECTION_REFUSED, "read")
            assert flow.last_error is not None
            error, arrival = flow.last_error
            assert error.is_port_unreachable
            assert error.offender == address
            assert arrival.data == b"anyone?"
            assert net.icmp_errors == [error]
            return flow.rtt(sent_id, arrival)

    assert probe(use).stamp is Stamp.SND


@pytest.fixture
def closed_port() -> int:
    """Return a UDP port that is refused and stays so: one that the kernel would hand out may become another test's server."""
    return ports.take_one()


def test_an_error_about_an_earlier_datagram_does_not_fail_the_next_send(closed_port: int) -> None:
    async def use(net: Net) -> list[str]:
        words = []
        with net.open_udp("127.0.0.1", closed_port) as flow:
            for _ in range(3):
                await flow.send(b"x")
                await net.loop.sleep_until(net.now_ns() + 1_000_000)
            for _ in range(3):
                with pytest.raises(MeasurementFailedError) as caught:
                    await flow.receive(deadline_ns=far())
                words.append(str(caught.value))
            assert await flow.receive(deadline_ns=net.now_ns() + 1_000_000) is None
        return words

    assert probe(use) == ["read: connection_refused"] * 3


def test_a_datagram_that_is_there_comes_before_an_error(keeper: TimestampKeepalive) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        async def use(net: Net) -> None:
            with net.open_udp("127.0.0.1", server.getsockname()[1]) as flow:
                await flow.send(b"first")
                server.sendto(b"answer", flow.local)
                server.close()
                await flow.send(b"second")
                await net.loop.sleep_until(net.now_ns() + 5_000_000)
                datagram = await flow.receive(deadline_ns=far())
                assert datagram is not None
                assert datagram.data == b"answer"
                with pytest.raises(MeasurementFailedError, match="connection_refused"):
                    await flow.receive(deadline_ns=far())

        probe(use)


def test_an_error_queue_of_stamps_only_neither_fails_nor_spins(keeper: TimestampKeepalive) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))

        async def use(net: Net) -> float:
            with net.open_udp("127.0.0.1", silent.getsockname()[1]) as flow:
                for _ in range(50):
                    await flow.send(b"x")
                before_s = time.thread_time()
                assert await flow.receive(deadline_ns=net.now_ns() + 1_000_000_000) is None
                return time.thread_time() - before_s

        assert probe(use) < 0.5  # of a second's wait; a spin would burn all of it


def test_nothing_until_the_deadline_is_none_and_the_tasks_own_comes_first() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))

        async def use(net: Net) -> bool:
            with net.open_udp("127.0.0.1", silent.getsockname()[1]) as flow:
                assert await flow.receive(deadline_ns=far()) is None
                return net.now_ns() >= net.deadline_ns

        assert probe(use, deadline_s=0.05)


def test_a_failed_send_leaves_later_stamps_with_their_own_sends(keeper: TimestampKeepalive) -> None:
    async def use(net: Net) -> list[Stamp]:
        with echo_server("127.0.0.1") as port, net.open_udp("127.0.0.1", port) as flow:
            await exchange(net, flow)
            with pytest.raises(MeasurementFailedError, match="write: message_size"):
                await flow.send(bytes(70_000))
            stamps = []
            for _ in range(3):
                sent_id, datagram = await exchange(net, flow)
                assert flow.rtt(sent_id, datagram).ns > 0
                stamps.append(flow.rtt(sent_id, datagram).stamp)
            return stamps

    assert probe(use) == [Stamp.SND] * 3


def test_a_stamp_later_than_its_reading_is_false_and_thrown_away() -> None:
    """While receive stamping is being switched on, the kernel hands out the time of the read."""
    late = kernel.Ancillary(stamp_ns=2_000)
    assert datagrams._arrival(b"", late, ready_realtime_ns=1_999).stamp_ns is None
    assert datagrams._arrival(b"", late, ready_realtime_ns=2_000).stamp_ns == 2_000


def flow_with(net: Net, sent_stamps: dict[int, int], *, step_ns: int = 0) -> tuple[DatagramFlow, Datagram]:
    """Return a flow with one send, 10 µs before its arrival, whose stamps are given; the clock steps between."""
    flow = net.open_udp("127.0.0.1", 9)
    offset = read_clock_offset()
    flow._sent[0] = Departure(user_ns=1_000, offset=offset, stamps=sent_stamps)
    after = kernel.ClockOffset(offset.offset_ns + step_ns, offset.error_ns, offset.raw_ns + 10_000)
    return flow, Datagram(
        data=b"", ttl=64, arrival=ArrivalStamp(user_ns=11_000, stamp_ns=50_000, offset=after)
    )


@pytest.mark.parametrize(
    ("stamps", "step_ns", "phase"),
    [
        ({kernel.SND: 45_000, kernel.SCHED: 44_000}, 0, Phase(ns=5_000, stamp=Stamp.SND)),
        ({kernel.SCHED: 44_000}, 0, Phase(ns=6_000, stamp=Stamp.SCHED)),
        ({}, 0, Phase(ns=10_000, stamp=Stamp.USER)),
        ({kernel.SND: 45_000}, 1_000_000, Phase(ns=10_000, stamp=Stamp.USER)),
        ({kernel.SND: 45_000}, -1_000_000, Phase(ns=10_000, stamp=Stamp.USER)),
    ],
)
def test_the_best_class_there_is_and_never_across_a_step(
    stamps: dict[int, int], step_ns: int, phase: Phase
) -> None:
    async def use(net: Net) -> None:
        flow, arrival = flow_with(net, stamps, step_ns=step_ns)
        with flow:
            assert flow.rtt(0, arrival) == phase
            assert net.clock_stepped == (step_ns != 0)
            both = {kernel.SND, kernel.SCHED} <= stamps.keys()
            assert flow.egress_queue_ns(0) == (1_000 if both else None)

    probe(use)


def test_a_kernel_without_stamps_leaves_this_processs_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "SO_TIMESTAMPING_NEW", 9999)  # as a kernel before 5.1 sees 65: unknown

    async def use(net: Net) -> Stamp:
        with echo_server("127.0.0.1") as port, net.open_udp("127.0.0.1", port) as flow:
            sent_id, datagram = await exchange(net, flow)
            return flow.rtt(sent_id, datagram).stamp

    assert probe(use) is Stamp.USER
    without = TimestampKeepalive()
    loop = Loop()
    assert not loop.run(without.confirm(loop, deadline_ns=boottime_ns() + 10_000_000))
    without.close()
    loop.close()


def test_the_keeper_gives_up_at_its_deadline() -> None:
    keeper, loop = TimestampKeepalive(), Loop()
    assert not loop.run(keeper.confirm(loop, deadline_ns=0))
    keeper.close()
    loop.close()


def test_closing_twice_does_nothing_and_a_failed_open_leaves_no_descriptor() -> None:
    async def use(net: Net) -> None:
        flow = net.open_udp("127.0.0.1", 9)
        flow.close()
        flow.close()
        before = sorted(Path("/proc/self/fd").iterdir())
        with pytest.raises(MeasurementFailedError, match="connect: unknown_failure: EINVAL"):
            net.open_udp("fe80::1", 9)  # link-local is nothing without its interface
        with pytest.raises(MeasurementFailedError, match="connect: "):
            net.open_udp("fe80::1%nosuch", 9)
        with pytest.raises(ValueError, match="'localhost' is not a literal address"):
            net.open_udp("localhost", 9)
        assert sorted(Path("/proc/self/fd").iterdir()) == before

    probe(use)


def too_big_for_the_link() -> list[Any]:
    """Send what the link does not take, after an error of the network about an earlier send."""
    server = namespaces.node("server")
    namespaces.wire("eth0", server, near="10.0.0.1/24", far="10.0.0.2/24")

    async def use(net: Net) -> list[Any]:
        with net.open_udp("10.0.0.2", 9) as flow:
            flow.set_option(*path_options.MTU_DISCOVER[4], path_options.PMTUDISC_PROBE)
            await flow.send(b"to a closed port")
            until(lambda: flow._drain() > 0 and bool(flow._pending), "told of it")
            try:
                await flow.send(bytes(1473))
            except MeasurementFailedError as error:
                told = [error.failure, error.operation]
            assert flow.last_error is not None
            own = flow.last_error[0]
            with pytest.raises(MeasurementFailedError, match="connection_refused"):
                await flow.receive(deadline_ns=far())
            return [*told, own.is_local, own.info, flow.get_option(*path_options.MTU[4])]

    return probe(use)


@pytest.mark.namespace
def test_what_is_too_big_for_the_link_is_said_of_that_send_alone() -> None:
    assert namespaces.call(too_big_for_the_link) == ["message_size", "write", True, 1500, 1500]


def test_a_send_is_begun_before_its_moment_by_what_sends_have_cost_and_leaves_after_it(
    keeper: TimestampKeepalive,
) -> None:
    async def use(net: Net) -> None:
        with echo_server("127.0.0.1") as port, net.open_udp("127.0.0.1", port) as flow:
            assert flow.lead_ns == 0
            for _ in range(20):
                due_ns, lead_ns = boottime_ns() + 3_000_000, flow.lead_ns
                sent_id = await flow.send(b"x", due_ns=due_ns)
                assert await flow.receive(deadline_ns=far()) is not None
                departure = flow.departure(sent_id)
                assert departure.aim_ns == due_ns - lead_ns
                assert departure.user_ns >= departure.aim_ns
                assert departure.cost_ns is not None
            assert 0 < flow.lead_ns < MAX_LEAD_NS
            await flow.send(b"x")
            assert flow.departure(20).aim_ns == 0  # nothing to wait for, and nothing learned

    probe(use)


def test_tasks_of_one_loop_share_what_was_learned_and_begin_at_their_slots(
    keeper: TimestampKeepalive,
) -> None:
    loop = Loop()

    async def one_task() -> int:
        net = Net(loop, deadline_ns=far(), slot_ns=boottime_ns() + 3_000_000)
        with net.open_udp("127.0.0.1", 9) as flow:
            sent_id = await flow.send(b"x")
            assert net.began_ns >= net.slot_ns
            flow.departure(sent_id)
            return flow.lead_ns

    try:
        assert [loop.run(one_task()) for _ in range(6)][-1] > 0
    finally:
        loop.close()
