"""What the kernel says, as bytes, and what is read from them; captured forms and arbitrary ones."""

import errno
import socket
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware.model.failures import Failure
from firmware.net.kernel import (
    SCHED,
    SND,
    ClockOffset,
    TransmitStamp,
    clock_stepped,
    icmp_failure,
    parse_ancillary,
    parse_tcp_info,
)

STAMP = (socket.SOL_SOCKET, 65, struct.pack("=6q", 1_700_000_000, 5, 0, 0, 0, 0))


def error_entry(
    number: int,
    origin: int,
    icmp: tuple[int, int] = (0, 0),
    *,
    info: int = 0,
    data: int = 0,
    offender: bytes = b"",
) -> tuple[int, int, bytes]:
    level, kind = (socket.IPPROTO_IPV6, 25) if origin == 3 else (socket.IPPROTO_IP, 11)
    return level, kind, struct.pack("=IBBBBII", number, origin, *icmp, 0, info, data) + offender


def sockaddr(address: str) -> bytes:
    if ":" in address:
        packed = socket.inet_pton(socket.AF_INET6, address)
        return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, packed, 0)
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_pton(socket.AF_INET, address))


def test_a_receive_stamp_and_a_ttl() -> None:
    found = parse_ancillary([STAMP, (socket.IPPROTO_IP, 2, struct.pack("=i", 57))])
    assert found.stamp_ns == 1_700_000_000_000_000_005
    assert found.ttl == 57
    assert found.error is None


def test_a_zero_stamp_is_none() -> None:
    assert parse_ancillary([(socket.SOL_SOCKET, 65, bytes(48))]).stamp_ns is None


@pytest.mark.parametrize("kind", [SND, SCHED])
def test_a_transmit_stamp_is_no_error(kind: int) -> None:
    found = parse_ancillary([STAMP, error_entry(errno.ENOMSG, 4, info=kind, data=7)])
    assert found.transmit == TransmitStamp(7, kind)
    assert found.error is None


@pytest.mark.parametrize(
    ("origin", "icmp", "number", "failure", "offender"),
    [
        (2, (3, 0), errno.ENETUNREACH, Failure.NETWORK_UNREACHABLE, "10.0.0.1"),
        (2, (3, 1), errno.EHOSTUNREACH, Failure.HOST_UNREACHABLE, "10.0.0.1"),
        (2, (3, 3), errno.ECONNREFUSED, Failure.CONNECTION_REFUSED, "10.0.0.1"),
        (2, (3, 13), errno.EHOSTUNREACH, Failure.ADMINISTRATIVELY_PROHIBITED, "10.0.0.1"),
        (2, (3, 9), errno.ENETUNREACH, Failure.ADMINISTRATIVELY_PROHIBITED, "10.0.0.1"),
        (2, (11, 0), errno.EHOSTUNREACH, Failure.TTL_EXCEEDED, "10.0.0.1"),
        (2, (11, 1), errno.EHOSTUNREACH, Failure.HOST_UNREACHABLE, "10.0.0.1"),
        (2, (3, 4), errno.EMSGSIZE, Failure.MESSAGE_SIZE, "10.0.0.1"),
        (3, (1, 0), errno.ENETUNREACH, Failure.NETWORK_UNREACHABLE, "fd00::1"),
        (3, (1, 1), errno.EACCES, Failure.ADMINISTRATIVELY_PROHIBITED, "fd00::1"),
        (3, (1, 4), errno.ECONNREFUSED, Failure.CONNECTION_REFUSED, "fd00::1"),
        (3, (1, 6), errno.EACCES, Failure.ADMINISTRATIVELY_PROHIBITED, "fd00::1"),
        (3, (2, 0), errno.EMSGSIZE, Failure.MESSAGE_SIZE, "fd00::1"),
        (3, (3, 0), errno.EHOSTUNREACH, Failure.TTL_EXCEEDED, "fd00::1"),
    ],
)
def test_icmp_errors(origin: int, icmp: tuple[int, int], number: int, failure: str, offender: str) -> None:
    found = parse_ancillary([error_entry(number, origin, icmp, offender=sockaddr(offender))]).error
    assert found is not None
    assert found.failure == failure
    assert (found.icmp_type, found.icmp_code) == icmp
    assert found.offender == offender
    assert found.is_port_unreachable == (icmp in {(3, 3), (1, 4)})


def test_an_error_of_this_machine_has_no_icmp_type() -> None:
    found = parse_ancillary([error_entry(errno.EMSGSIZE, 1, info=1400)]).error
    assert found is not None
    assert found.icmp_type is None
    assert found.offender == ""
    assert found.is_local
    assert found.failure == Failure.MESSAGE_SIZE
    assert found.info == 1400


def test_no_icmp_error_is_without_a_word() -> None:
    assert icmp_failure(4, 3, 200, 0).startswith("unknown_failure: ")


@example([(0, 11, struct.pack("=IBBBBII", 2**32 - 1, 2, 3, 1, 0, 0, 0))])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 41]), st.sampled_from([2, 11, 25, 52, 65, 99]), st.binary(max_size=64)
        )
    )
)
def test_no_bytes_break_it(data: list[tuple[int, int, bytes]]) -> None:
    parse_ancillary(data)


@pytest.mark.parametrize(
    ("size", "rtt_us", "retransmissions"),
    [(0, None, None), (71, None, None), (72, 1234, None), (104, 1234, 2)],
)
def test_tcp_info_is_read_as_far_as_it_goes(
    size: int, rtt_us: int | None, retransmissions: int | None
) -> None:
    whole = bytearray(256)
    struct.pack_into("=I", whole, 68, 1234)
    struct.pack_into("=I", whole, 100, 2)
    found = parse_tcp_info(bytes(whole[:size]))
    assert (found.returned_bytes, found.rtt_us, found.total_retrans) == (size, rtt_us, retransmissions)


@given(
    start=st.integers(0, 10**18),
    elapsed=st.integers(0, 20 * 10**9),
    slew_ppm=st.integers(-900, 900),
    step=st.integers(0, 10**12),
)
def test_a_slew_is_no_step_and_a_step_is_found(start: int, elapsed: int, slew_ppm: int, step: int) -> None:
    before = ClockOffset(10**18, 200, start)
    slewed = 10**18 + elapsed * slew_ppm // 1_000_000
    assert not clock_stepped(before, ClockOffset(slewed, 200, start + elapsed))
    for sign in (1, -1):
        found = clock_stepped(before, ClockOffset(slewed + sign * step, 200, start + elapsed))
        if step > 2 * elapsed // 1000 + 400:
            assert found
