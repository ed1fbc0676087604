"""Policed, shaped or neither: senders whose every packet is put through a bucket, a queue or a lot that is built here."""

import random
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from firmware.judgement.throttling import policing
from firmware.judgement.throttling.policing import Limit, LimitWhy, limit_of
from firmware.judgement.throttling.sent_packets import SenderTrace, SentSegment
from firmware.model.jsontypes import JsonObject

SIZE = 1000
RTT_S = 0.04

Network = Callable[[float], float | None]
"""When what is sent then arrives beyond the delay of the line, in seconds; None: it is lost."""


def bucket(rate: float, burst: float) -> Network:
    """Return a policer: tokens come at `rate`, there is room for `burst` of them, it is full at first."""
    state: dict[str, float] = {"tokens": burst, "at_s": 0.0}

    def passes(at_s: float) -> float | None:
        state["tokens"] = min(burst, state["tokens"] + rate * (at_s - state["at_s"]))
        state["at_s"] = at_s
        if state["tokens"] < SIZE:
            return None
        state["tokens"] -= SIZE
        return 0.0

    return passes


def queue(rate: float, burst: float, room: float) -> Network:
    """Return a shaper: what is above `rate` waits, if there is room; `burst` passes first."""
    state = {"free_s": -burst / rate}

    def passes(at_s: float) -> float | None:
        begins = max(state["free_s"], at_s - burst / rate)
        waits = max(0.0, begins - at_s)
        if waits * rate > room:
            return None
        state["free_s"] = begins + SIZE / rate
        return waits

    return passes


def lots(share: float, seed: int = 1) -> Network:
    """Return a line that loses by lot."""
    drawn = random.Random(seed)
    return lambda _: None if drawn.random() < share else 0.0


def sender(network: Network, packets: int = 1500, pace_s: float = 0.002) -> SenderTrace:
    """Return what a sender sees that sends eight packets at a time, faster and faster, and slows down after losses."""
    at_s, segments, answers, gap, slow_until_s = 0.0, [], [], pace_s, 0.0
    for number in range(packets):
        waits = network(at_s)
        one = SentSegment(at_s=at_s, start=number * SIZE, payload_bytes=SIZE, lost=waits is None)
        if waits is not None:
            one.rtt_s = RTT_S + waits
            answers.append(at_s + one.rtt_s)
        elif at_s >= slow_until_s:
            gap, slow_until_s = min(gap * 1.6, 4 * pace_s), at_s + 2 * RTT_S
        segments.append(one)
        if number % 8 == 7:
            at_s += 8 * gap
            gap = max(gap * 0.97, pace_s / 4)
        else:
            at_s += 0.0001
    answers.sort()
    return SenderTrace(
        segments=tuple(segments),
        delivered=tuple((at, SIZE * (place + 1)) for place, at in enumerate(answers)),
    )


def test_a_policer_is_found_with_its_rate_and_burst() -> None:
    found = limit_of(sender(bucket(200_000, 100_000)))
    assert (found.limit, found.why) == (Limit.POLICED, None)
    assert found.bytes_per_s == pytest.approx(200_000, rel=0.05)
    assert found.burst_bytes is not None
    assert found.burst_bytes >= 100_000
    assert found.overturned_by.value == "other_flows_behind_it"


@pytest.mark.parametrize("room", [60_000, 10_000_000])
def test_a_shaper_is_found_with_its_rate_and_burst(room: float) -> None:
    found = limit_of(sender(queue(200_000, 100_000, room)))
    assert found.limit is Limit.SHAPED
    assert found.bytes_per_s == pytest.approx(200_000, rel=0.05)
    assert found.burst_bytes == pytest.approx(100_000, rel=0.1)


def test_a_queue_without_a_burst_may_be_any_line() -> None:
    found = limit_of(sender(queue(200_000, 1000, 10_000_000)))
    assert (found.limit, found.why) == (Limit.UNTOLD, LimitWhy.QUEUE_WITHOUT_BURST)
    assert found.burst_bytes is None


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_losses_by_lot_are_no_policer(share: float) -> None:
    assert limit_of(sender(lots(share))).limit is Limit.NEITHER


def test_nothing_lost_and_nothing_queued_is_neither() -> None:
    found = limit_of(sender(lots(0)))
    assert (found.limit, found.why, found.lost) == (Limit.NEITHER, LimitWhy.NOTHING_LOST, 0)


def test_few_packets_or_few_losses_tell_nothing() -> None:
    assert limit_of(sender(lots(0), packets=30)).why is LimitWhy.TOO_SHORT
    assert limit_of(SenderTrace(segments=(), delivered=())).limit is Limit.UNTOLD
    few = limit_of(sender(lots(0.005)))
    assert 0 < few.lost < policing.LEAST_LOST
    assert (few.limit, few.why) == (Limit.UNTOLD, LimitWhy.FEW_LOST)


def test_a_first_loss_after_two_megabytes_is_too_late() -> None:
    assert limit_of(sender(bucket(200_000, 2_100_000), packets=4000)).why is LimitWhy.LATE_LOSS


@pytest.mark.parametrize(
    ("bounds", "network", "said"),
    [
        (
            {"LEAST_APART": 0.0, "LOST_OUTSIDE_SHARE": 2.0, "PASSED_OUTSIDE_SHARE": 2.0},
            lots(0.05),
            Limit.POLICED,
        ),
        ({"QUEUED_SHARE": 2.0, "INFLATED_SHARE": 2.0}, queue(200_000, 1000, 40_000), Limit.POLICED),
        ({"BURST_SEGMENTS": -9, "BURST_SHARE": -9.0}, queue(200_000, 1000, 10_000_000), Limit.SHAPED),
    ],
)
def test_without_a_bound_somebody_is_accused_falsely(
    bounds: dict[str, Any], network: Network, said: Limit
) -> None:
    trace = sender(network)
    assert limit_of(trace).limit in (Limit.NEITHER, Limit.UNTOLD)
    with patch.multiple(policing, **bounds):
        assert limit_of(trace).limit is said


def test_it_is_told_as_data() -> None:
    told: JsonObject = limit_of(sender(bucket(200_000, 100_000))).to_json()
    assert (told["limit"], told["why"], told["overturned_by"]) == ("policed", None, "other_flows_behind_it")
    assert told["lost_outside"] == pytest.approx(0, abs=0.1)
