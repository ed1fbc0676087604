"""A UDP session never amplifies: whatever is sent by whom and replayed from where, who has not shown that he receives gets no more than he sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.measurement.udp_session import COOKIE_S, STALE_S, WINDOW, Reaction, UdpSession
from firmware.wire.measurement_udp import LEAST_ASKED_BYTES, DatagramKind, read, write

NAME, KEY = b"session1", b"k" * 32
HERE, VICTIM = ("192.0.2.1", 4000), ("198.51.100.9", 53)


def session(*, max_bytes: int = 10_000_000, ends_s: float = 1000.0) -> UdpSession:
    return UdpSession(
        device="abcd0123efgh4567",
        nonce="0" * 16,
        name=NAME,
        key=KEY,
        secret=b"s" * 32,
        max_bytes=max_bytes,
        max_rate=1_000_000,
        ends_s=ends_s,
    )


def said(kind: DatagramKind, *values: int | bytes, size: int = 0) -> bytes:
    return write(NAME, KEY, kind, *values, size=size)


def take(one: UdpSession, data: bytes, address: tuple[str, int] = HERE, *, now_s: float = 0.0) -> Reaction:
    return one.take(data, address, came_ns=5, now_ns=6, now_s=now_s)


def values_of(data: bytes | None) -> tuple[int | bytes, ...]:
    assert data is not None
    got = read(data, KEY)
    assert got is not None
    return got.values


def cookie(one: UdpSession, address: tuple[str, int] = HERE, *, now_s: float = 0.0) -> bytes:
    (found,) = values_of(take(one, said(DatagramKind.CONFIRM, size=100), address, now_s=now_s).answer)
    assert isinstance(found, bytes)
    return found


def order(
    found: bytes, number: int = 1, *, count: int = 100_000, size: int = 1200, rate: int = 50_000
) -> bytes:
    return said(DatagramKind.FLOW, found, number, count, size, rate)


def test_an_echo_is_answered_by_as_much_with_when_it_came_and_left() -> None:
    one = session()
    got = take(one, said(DatagramKind.ECHO, 3, size=500)).answer
    assert got is not None
    assert len(got) == 500
    assert values_of(got) == (3, 1, 5, 6)


@pytest.mark.parametrize("kind", [DatagramKind.ECHO, DatagramKind.ASK])
def test_one_that_is_too_small_for_its_answer_has_none(kind: DatagramKind) -> None:
    assert take(session(), said(kind, 1, size=LEAST_ASKED_BYTES - 1)) == Reaction()
    assert take(session(), said(kind, 1, size=LEAST_ASKED_BYTES)).answer is not None


def test_what_came_before_is_not_answered_again() -> None:
    one = session()
    first, late = said(DatagramKind.ECHO, 5, size=100), said(DatagramKind.ECHO, 4, size=100)
    assert [take(one, data).answer is not None for data in (first, first, late, late)] == [
        True,
        False,
        True,
        False,
    ]
    take(one, said(DatagramKind.ECHO, 5 + WINDOW, size=100))
    assert take(one, first).answer is None
    assert take(one, said(DatagramKind.ECHO, 6, size=100)).answer is not None
    assert one.echoes == 4


def test_a_flow_goes_to_who_has_shown_that_he_receives_and_to_nobody_else() -> None:
    one = session()
    own = cookie(one)
    assert take(one, order(own), VICTIM).flow is None
    assert take(one, order(b"\0" * 16)).flow is None
    flow = take(one, order(own)).flow
    assert flow is not None
    assert (flow.address, flow.count_bytes, flow.size, flow.rate) == (HERE, 100_000, 1200, 50_000)


def test_a_cookie_grows_old() -> None:
    one = session()
    own = cookie(one, now_s=COOKIE_S - 1.0)
    assert take(one, order(own), now_s=2 * COOKIE_S - 1.0).flow is not None
    other = session()
    assert take(other, order(cookie(other, now_s=COOKIE_S - 1.0)), now_s=2 * COOKIE_S + 0.0).flow is None


def test_one_flow_at_a_time_and_no_order_twice() -> None:
    one = session()
    own = cookie(one)
    assert take(one, order(own, 1)).flow is not None
    assert take(one, order(own, 2)).flow is None
    take(one, said(DatagramKind.GOT, 1, 0, 10, 1))
    assert take(one, order(own, 1)).flow is None
    assert take(one, order(own, 2)).flow is not None


@pytest.mark.parametrize("asked", [{"size": 20}, {"size": 1453}, {"rate": 0}, {"count": 1199}])
def test_a_flow_of_another_form_is_none(asked: dict[str, int]) -> None:
    one = session()
    assert take(one, order(cookie(one), **asked)).flow is None


def test_a_flow_ends_when_its_receiver_is_not_heard_and_no_replay_keeps_it_up() -> None:
    one = session()
    flow = take(one, order(cookie(one), count=10_000_000)).flow
    assert flow is not None
    heard = said(DatagramKind.GOT, 1, 0, 1, 0)
    assert one.data(flow, 0, now_ns=0, now_s=1.0) is not None
    take(one, heard, now_s=1.5)
    assert one.data(flow, 1, now_ns=0, now_s=1.5 + STALE_S) is not None
    take(one, heard, now_s=3.0)  # the same again
    take(one, said(DatagramKind.GOT, 1, 1, 1, 0), VICTIM, now_s=3.0)  # from elsewhere
    assert one.data(flow, 2, now_ns=0, now_s=1.6 + STALE_S) is None
    assert one.data(flow, 3, now_ns=0, now_s=1.0) is None


def test_a_flow_upwards_is_counted_once_each_and_told() -> None:
    one = session()
    for number in (0, 1, 1, 3):
        assert take(one, said(DatagramKind.SENT, number, size=1000)) == Reaction()
    assert values_of(take(one, said(DatagramKind.ASK, 0, size=100)).answer) == (0, 3, 3000, 3, 5, 5)


def test_nothing_is_done_past_its_bytes_or_its_time() -> None:
    one = session(max_bytes=1000)
    answered = [take(one, said(DatagramKind.ECHO, number, size=200)).answer for number in range(5)]
    assert [found is not None for found in answered] == [True, True, False, False, False]
    assert one.spent <= 1000
    assert take(session(ends_s=10.0), said(DatagramKind.ECHO, 0, size=100), now_s=10.0) == Reaction()
    two = session(max_bytes=10_000)
    flow = take(two, order(cookie(two))).flow
    assert flow is not None
    number = 0
    while two.data(flow, number, now_ns=0, now_s=0.0) is not None:
        number += 1
    assert two.spent <= 10_000
    assert number == 8


DATAGRAM = st.one_of(
    st.builds(lambda n, s: said(DatagramKind.ECHO, n, size=s), st.integers(0, 5), st.integers(0, 1452)),
    st.builds(lambda n, s: said(DatagramKind.ASK, n, size=s), st.integers(0, 5), st.integers(0, 1452)),
    st.builds(lambda s: said(DatagramKind.CONFIRM, size=s), st.integers(0, 1452)),
    st.builds(lambda n: said(DatagramKind.SENT, n, size=900), st.integers(0, 5)),
    st.builds(lambda n: said(DatagramKind.GOT, n, n, n, 0), st.integers(0, 5)),
    st.builds(lambda n: order(b"x" * 16, n), st.integers(0, 5)),
    st.builds(lambda n: said(DatagramKind.ECHOED, n, n, n, n), st.integers(0, 5)),
    st.binary(max_size=100),
    st.just(b"cookie"),  # stands for an order with the cookie of HERE
)


@given(st.lists(st.tuples(DATAGRAM, st.sampled_from([HERE, VICTIM]), st.floats(0.0, 20.0)), max_size=40))
def test_a_victim_never_gets_more_than_was_sent_in_its_name(
    steps: list[tuple[bytes, tuple[str, int], float]],
) -> None:
    one = session()
    own = cookie(one)
    sent, got, now_s = 0, 0, 0.0
    for number, (data, address, later_s) in enumerate(steps):
        now_s += later_s
        reaction = take(one, order(own, 100 + number) if data == b"cookie" else data, address, now_s=now_s)
        if reaction.flow is not None:
            assert reaction.flow.address == HERE == address
        if address == VICTIM:
            sent += len(data)
            got += len(reaction.answer or b"")
    assert got <= sent
