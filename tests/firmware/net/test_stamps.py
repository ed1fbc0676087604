"""When it left, when it came, and whose time that is: classes are never mixed, and never span a step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.record import Phase, Stamp
from firmware.net import stamps
from firmware.net.kernel import SCHED, SND, Ancillary, ClockOffset
from firmware.net.stamps import ArrivalStamp, Departure

OFFSET = ClockOffset(10**18, 200, 0)
STEPPED = ClockOffset(10**18 + 10**9, 200, 0)
USER_NS = 1_000_000
WALL_NS = 10**18

moments = st.integers(0, 10**9)


def left(**kinds: int) -> Departure:
    """Return a departure that this process saw at 1 ms; the kernel's stamps as given, in ns of CLOCK_REALTIME."""
    numbers = {"snd": SND, "sched": SCHED}
    return Departure(USER_NS, OFFSET, {numbers[name]: WALL_NS + ns for name, ns in kinds.items()})


def came(user_ns: int, stamp_ns: int | None, offset: ClockOffset = OFFSET) -> ArrivalStamp:
    return ArrivalStamp(USER_NS + user_ns, None if stamp_ns is None else WALL_NS + stamp_ns, offset)


@pytest.mark.parametrize(
    ("sent", "arrival", "phase"),
    [
        (left(snd=5, sched=2), came(90, 35), Phase(ns=30, stamp=Stamp.SND)),
        (left(sched=2), came(90, 35), Phase(ns=33, stamp=Stamp.SCHED)),
        (left(), came(90, 35), Phase(ns=90, stamp=Stamp.USER)),
        (left(snd=5), came(90, None), Phase(ns=90, stamp=Stamp.USER)),
        (left(snd=5), came(90, 35, STEPPED), Phase(ns=90, stamp=Stamp.USER)),
        (left(snd=50), came(90, 35), Phase(ns=90, stamp=Stamp.USER)),  # before it was sent: cannot be
    ],
)
def test_the_time_between_is_of_the_best_class_both_ends_have(
    sent: Departure, arrival: ArrivalStamp, phase: Phase
) -> None:
    assert stamps.between(sent, arrival) == phase


def test_a_stamp_later_than_the_reading_is_no_stamp() -> None:
    assert stamps.arrive(Ancillary(stamp_ns=2_000), 1_999).stamp_ns is None
    assert stamps.arrive(Ancillary(stamp_ns=2_000), 2_000).stamp_ns == 2_000


@given(
    st.lists(st.tuples(moments, st.none() | moments), max_size=8), st.sampled_from(["snd", "sched", "none"])
)
def test_a_series_is_all_of_one_class(pairs: list[tuple[int, int | None]], kind: str) -> None:
    sent = left() if kind == "none" else left(**{kind: 0})
    times, stamp = stamps.offsets(sent, [came(user, wall) for user, wall in pairs])
    if kind == "none" or any(wall is None for _, wall in pairs):
        assert (times, stamp) == ([user for user, _ in pairs], Stamp.USER)
    else:
        assert (times, stamp) == ([wall for _, wall in pairs], Stamp(kind))


def test_a_series_of_sends_and_arrivals() -> None:
    sent = left(snd=10, sched=0)
    later = Departure(USER_NS + 70, OFFSET, {SND: WALL_NS + 60})
    assert stamps.offsets(sent, [sent, came(50, 30), later]) == ([0, 20, 50], Stamp.SND)
    later.stamps.clear()
    assert stamps.offsets(sent, [sent, came(50, 30), later]) == ([0, 50, 70], Stamp.USER)


def test_a_series_across_a_step_is_this_processs() -> None:
    assert stamps.offsets(left(snd=0), [came(5, 1), came(9, 10**9 + 2, STEPPED)]) == ([5, 9], Stamp.USER)


def test_lateness_is_of_the_packet_where_the_kernel_tells() -> None:
    slot_ns = USER_NS - 40
    assert left(snd=9, sched=3).late(slot_ns) == Phase(ns=49, stamp=Stamp.SND)
    assert left(sched=3).late(slot_ns) == Phase(ns=43, stamp=Stamp.SCHED)
    assert left().late(slot_ns) == Phase(ns=40, stamp=Stamp.USER)


def test_the_wait_in_our_own_queue() -> None:
    assert left(snd=9, sched=3).egress_queue_ns == 6
    assert left(snd=9).egress_queue_ns is None


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        (came(90, 35), (35, True)),  # the kernel's arrival, less our reading of its clock at the send
        (came(90, None), (90, False)),
        (came(90, 35, STEPPED), (90, False)),
        (came(90, -5), (90, False)),  # before it was sent: cannot be
    ],
)
def test_what_has_no_stamp_as_it_leaves_may_have_one_as_its_answer_comes(
    arrival: ArrivalStamp, expected: tuple[int, bool]
) -> None:
    assert stamps.since_call(left(), arrival) == expected


def test_a_sends_cost_is_from_when_it_was_to_begin_until_the_kernel_had_it() -> None:
    def cost_ns(aim_ns: int, **kinds: int) -> int | None:
        sent = left(**kinds)
        return Departure(sent.user_ns, sent.offset, sent.stamps, aim_ns=aim_ns).cost_ns

    assert cost_ns(USER_NS - 10, sched=20, snd=5000) == 30  # the wait in its own queue is no cost of ours
    assert cost_ns(USER_NS - 10, snd=20) is None
    assert cost_ns(0, sched=20) is None
