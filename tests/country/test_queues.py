"""Queues of lines: packets wait for each other, what finds no room is dropped, and one flow fills a queue as a sawtooth."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.plans.load import load
from tests.country.faults import crosses_of
from tests.country.hosts import Hosts
from tests.country.internet import Internet
from tests.country.lines import Line, LineQuality, Taken
from tests.country.queues import Cross, Queue, Sawtooth, sawtooth
from tests.country.rules import Act, Kind, Place, Rule
from tests.country.truth import Direction, Home, Ill, Provider, Truth, Wrong

HOSTS = Hosts(load("ir"))
ABROAD = "130.89.148.77"
THIN = LineQuality(
    name="thin", delay_up_ms=10, delay_down_ms=10, jitter_ms=0, rate_up_kbit=80, rate_down_kbit=160,
    buffer_up_ms=1_000, buffer_down_ms=1_000,
)  # fmt: skip
"""10 bytes a millisecond up, 20 down."""


def queue(*crosses: Cross, buffer_bytes: float = 3_000, burst_bytes: int = 0) -> Queue:
    """Return a queue that lets 10 bytes a millisecond pass."""
    full = sawtooth(rate_kbit=80, buffer_bytes=buffer_bytes, rtt_s=0.06)
    return Queue(
        rate_kbit=80, buffer_bytes=buffer_bytes, burst_bytes=burst_bytes, crosses=crosses, sawtooth=full
    )


def test_packets_leave_in_the_order_in_which_they_come_and_each_waits_for_those_before_it() -> None:
    """1,000 bytes take 100 ms: the second comes at 50 ms and waits for 50, the third at 120 and waits for 80."""
    line = queue()
    left_s = [
        line.leaves_s(size, at_s) for size, at_s in ((1_000, 0.0), (1_000, 0.05), (500, 0.12), (100, 1.0))
    ]
    assert left_s == pytest.approx([0.1, 0.2, 0.25, 1.01])


def test_what_finds_no_room_is_dropped_and_what_is_small_enough_still_fits() -> None:
    """Of three packets of 1,000 bytes two fit into 2,500, with the one that is on its way; then 500 do, and 400 no more."""
    line = queue(buffer_bytes=2_500)
    left_s = [line.leaves_s(size, 0.0) for size in (1_000, 1_000, 1_000, 500, 400)]
    assert left_s == [pytest.approx(0.1), pytest.approx(0.2), None, pytest.approx(0.25), None]
    # At 60 ms 600 bytes have left, and 1,900 wait.
    assert line.leaves_s(700, 0.06) is None
    assert line.leaves_s(600, 0.06) == pytest.approx(0.31)
    assert queue(buffer_bytes=100).leaves_s(1_500, 0.0) == pytest.approx(0.15), (
        "an empty queue takes any packet"
    )


def test_a_packet_that_is_told_late_takes_its_place_in_time() -> None:
    """What comes at 300 ms is known first; what comes at 10 ms does not wait for it, and what comes at 310 ms for both."""
    line = queue()
    assert line.leaves_s(1_000, 0.3) == pytest.approx(0.4)
    assert line.leaves_s(1_000, 0.01) == pytest.approx(0.11)
    assert line.leaves_s(2_500, 0.09) == pytest.approx(0.36)
    # The first has 60 ms to wait now, for the third.
    assert line.leaves_s(100, 0.31) == pytest.approx(0.47)


def test_a_shaper_lets_its_burst_pass_after_a_silence_and_no_more() -> None:
    line = queue(burst_bytes=1_500)
    left_s = [line.leaves_s(1_000, 5.0) for _ in range(3)]
    assert left_s == pytest.approx([5.0, 5.05, 5.15])
    assert line.leaves_s(1_500, 9.0) == pytest.approx(9.0)


def test_the_queue_forgets_what_is_long_past_and_stays_right() -> None:
    line = queue()
    for number in range(2_000):
        assert line.leaves_s(100, number * 0.02) == pytest.approx(number * 0.02 + 0.01)


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(40, 1_500)), min_size=2, max_size=60),
    st.sampled_from([(), (Cross(since_s=2, until_s=14, up=True),)]),
)
def test_no_packet_overtakes_another_whatever_else_is_sent(
    packets: list[tuple[float, int]], crosses: tuple[Cross, ...]
) -> None:
    line = queue(*crosses)
    left_s = [left for size, at_s in packets_of(packets) if (left := line.leaves_s(size, at_s)) is not None]
    assert left_s == sorted(left_s)


def packets_of(packets: list[tuple[float, int]]) -> list[tuple[int, float]]:
    return [(size, at_s) for at_s, size in sorted(packets)]


def shape() -> Sawtooth:
    """Return what one flow makes of a DSL line's way up: 130 kB of room at 800 kbit/s, which is 1.3 s."""
    return sawtooth(rate_kbit=800, buffer_bytes=130_000, rtt_s=0.027)


def test_one_flow_fills_a_queue_to_its_brim_loses_and_backs_off_by_three_tenths() -> None:
    of = shape()
    times_s = [number / 1_000 for number in range(round(of.period_s * 1_000))]
    waits_s = [of.wait_s(at_s) for at_s in times_s]
    assert max(waits_s) == pytest.approx(1.3)
    # A round trip of 1.367 s while the queue is full, of which three tenths are given up.
    assert min(waits_s) == pytest.approx(1.3 - 0.015 - 0.3 * 1.367, abs=0.005)
    full = sum(one > 1.3 - 0.016 for one in waits_s) / 1_000
    assert 1.3 < full < 2.2, "it stays full until the sender hears of a loss"
    # 91 segments, of which 27 are given up: CUBIC has them back after the cube root of 27 / 0.4.
    assert of.period_s == pytest.approx(1.38 + 0.41 + 4.09, abs=0.05)


def test_a_wait_never_falls_faster_than_time_goes_by() -> None:
    of, step_s = shape(), 0.0005
    waits_s = [of.wait_s(number * step_s) for number in range(round(3 * of.period_s / step_s))]
    assert min(after - before for before, after in pairwise(waits_s)) >= -step_s - 1e-9


def test_in_a_full_queue_large_packets_are_dropped_and_small_ones_wait() -> None:
    """While it is full there is room for less than a segment: 1,500 bytes never fit, 60 do in 24 of 25 cases."""
    for size, least, most in ((1_500, 0, 2), (60, 180, 199)):
        taken = [
            queue(Cross(since_s=0, until_s=600, up=True), buffer_bytes=8_000).leaves_s(size, number * 0.0041)
            for number in range(200)
        ]
        assert least <= sum(one is not None for one in taken) <= most
    assert all(one is None or one - number * 0.0041 > 0.6 for number, one in enumerate(taken))


def test_a_queue_is_filled_from_when_to_when_it_is_said_to_be_and_empty_at_the_end() -> None:
    line = queue(Cross(since_s=100, until_s=200, up=True), buffer_bytes=8_000)
    waits_s = {at_s: (line.leaves_s(60, at_s) or 0) - at_s - 0.006 for at_s in (99.0, 150.0, 199.9, 201.0)}
    assert waits_s[99.0] == pytest.approx(0)
    assert waits_s[150.0] > 0.3
    assert 0.05 < waits_s[199.9] <= 0.1
    assert waits_s[201.0] == pytest.approx(0)


def internet(*rules: Rule, quality: LineQuality = THIN, crosses: tuple[Cross, ...] = ()) -> Internet:
    lines = {0: Line(quality=quality, seed="queues", crosses=crosses)}
    return Internet(HOSTS, lines, rules, seed="queues")


def rtt_s(net: Internet, at_s: float) -> float:
    told, flow = net.connect(0, ABROAD, 443, at_s, at_s + 20)
    assert flow is not None
    return told.at_s - at_s


def test_flows_of_a_home_wait_for_each_other_and_other_homes_do_not() -> None:
    """Five SYNs of 60 bytes at once: each waits 6 ms longer up the line; their answers come apart and do not wait."""
    net = internet()
    times_s = [rtt_s(net, 1.0) for _ in range(5)]
    steps_s = [after - before for before, after in pairwise(times_s)]
    assert steps_s == pytest.approx([0.006] * 4)
    assert rtt_s(internet(), 1.0) == pytest.approx(times_s[0])


def test_a_servers_flight_takes_the_line_and_who_asks_meanwhile_waits_for_it() -> None:
    """3 × 1,500 bytes take 225 ms down the line; a SYN's answer that comes behind them waits for the rest of that."""
    net = internet()
    alone_s = rtt_s(net, 1.0)
    _, flow = net.connect(0, ABROAD, 443, 5.0, 25.0)
    assert flow is not None
    answered = net.answer(flow, (1_448,) * 3, 6.0, 16.0)
    assert answered.complete
    apart_s = [after[0] - before[0] for before, after in pairwise(answered.segments)]
    assert apart_s == pytest.approx([0.075, 0.075])
    assert rtt_s(net, 6.0) - alone_s == pytest.approx(0.225 - (alone_s - 0.029), abs=0.04)


def test_what_waits_longer_than_a_senders_time_out_goes_out_twice() -> None:
    """Who has waited three round trips, half a second here, sends again; a question waits for 600 ms of what is before it."""
    net = internet()
    _, flow = net.connect(0, ABROAD, 443, 1.0, 21.0)
    assert flow is not None
    line = net.line(0)
    line.takes([(0.0, 6_000, True)], 5.0)
    taken: list[Taken] = []
    line.taken = taken
    net.ask(flow, Kind.HELLO, 560, name="www.debian.org", now_s=5.0, deadline_s=15.0)
    assert sum(size == 612 and up for _, size, up in taken) == 2


def test_a_censors_reset_waits_in_the_queue_too() -> None:
    reset = Rule(place=Place.BORDER, act=Act.RESET, homes=frozenset({0}), abroad=True)

    def met_s(*crosses: Cross) -> float:
        return internet(reset, crosses=crosses).connect(0, ABROAD, 443, 5.0, 25.0)[0].at_s - 5.0

    assert met_s() < 0.1
    assert met_s(Cross(since_s=1, until_s=60, up=False)) > 0.4
    assert met_s(Cross(since_s=1, until_s=60, up=True)) > 0.4


def test_a_full_line_is_late_by_its_buffer_and_loses_and_is_well_before_and_after() -> None:
    net = internet(crosses=(Cross(since_s=100, until_s=700, up=True),))
    before_s, during_s, after_s = ([rtt_s(net, at_s + n) for n in range(50)] for at_s in (10, 300, 800))
    assert max(before_s) < 0.2
    assert max(after_s) < 0.2
    assert min(during_s) > 0.5
    assert max(during_s) > 1.0
    line = net.line(0)
    lost = sum(line.leaves_s(1_500, 400 + n / 2, up=True) is None for n in range(200))
    assert 10 < lost < 150


def test_what_a_truth_says_of_full_lines_is_what_fills_them() -> None:
    def full(direction: Direction, since_s: float, until_s: float, home: int = 0) -> Wrong:
        return Wrong(
            ill=Ill.LINE_FULL, since_s=since_s, until_s=until_s, homes=frozenset({home}), direction=direction
        )

    one = Home(number=0, provider=Provider(name="AS64500", kind="fixed"), province="Fars", line="dsl")
    wrongs = (
        full(Direction.UP, 10, 30),
        full(Direction.UP, 20, 25),
        full(Direction.DOWN, 20, 40),
        full(Direction.UP, 50, 60),
        full(Direction.UP, 0, 99, 1),
    )
    assert crosses_of(Truth(seed=1, hours=1, homes=(one,), wrongs=wrongs), 0) == (
        Cross(since_s=10, until_s=30, up=True),
        Cross(since_s=50, until_s=60, up=True),
        Cross(since_s=20, until_s=40, up=False),
    )


def test_what_is_told_again_takes_its_places_in_the_queues() -> None:
    line = Line(quality=THIN, seed="again")
    line.takes([(0.0, 700, True), (0.5, 1_400, False)], 10.0)
    assert line.leaves_s(60, 10.0, up=True) == pytest.approx(10.0 + 0.07 + 0.006)
    assert line.leaves_s(60, 10.52, up=False) == pytest.approx(10.57 + 0.003)
