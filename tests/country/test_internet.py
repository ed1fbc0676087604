"""The networks: what the kernel's timers make of losses, and what a rule does to whom."""

from dataclasses import replace

import pytest

from firmware.model.failures import Failure
from firmware.plans.load import load
from tests.country import hosts as far
from tests.country.hosts import Hosts
from tests.country.internet import Internet
from tests.country.lines import QUALITIES, Line, LineQuality
from tests.country.passages import VANTAGE
from tests.country.rules import Act, Kind, Place, Rule

HOSTS = Hosts(load("ir"))
ABROAD = "130.89.148.77"
AT_HOME = "185.147.179.11"
STILL = LineQuality(name="still", delay_up_ms=10, delay_down_ms=10, jitter_ms=0)


def internet(*rules: Rule, quality: LineQuality = STILL) -> Internet:
    lines = {number: Line(quality=quality, seed=f"test/{number}") for number in (VANTAGE, 0, 1)}
    return Internet(HOSTS, lines, rules, seed="test")


def stopped(**more: object) -> Rule:
    return Rule(place=Place.BORDER, act=Act.DROP, homes=frozenset({0}), abroad=True, **more)  # type: ignore[arg-type]


def test_a_connect_on_a_line_that_is_well_takes_one_round_trip() -> None:
    told, flow = internet().connect(0, AT_HOME, 443, 5.0, 25.0)
    assert flow is not None
    assert told.failure is None
    assert told.retransmissions == 0
    assert 0.02 < told.at_s - 5.0 < 0.06


@pytest.mark.parametrize(
    ("until_s", "arrives_s", "again"), [(0.5, 1, 1), (2, 3, 2), (6.9, 7, 3), (14, 15, 4)]
)
def test_a_syn_is_sent_again_when_the_kernel_sends_it(until_s: float, arrives_s: float, again: int) -> None:
    told, _ = internet(stopped(until_s=until_s)).connect(0, ABROAD, 443, 0.0, 20.0)
    assert told.failure is None
    assert told.retransmissions == again
    assert arrives_s < told.at_s < arrives_s + 0.5


def test_what_is_dropped_is_a_time_out_and_what_is_reset_is_refused() -> None:
    told, _ = internet(stopped()).connect(0, ABROAD, 443, 0.0, 20.0)
    assert (told.failure, told.at_s) == (Failure.TIMEOUT, 20.0)
    late = Rule(place=Place.BORDER, act=Act.RESET, homes=frozenset({0}), abroad=True, late_s=12.2)
    told, _ = internet(late).connect(0, ABROAD, 443, 0.0, 20.0)
    assert (told.failure, round(told.at_s, 1)) == (Failure.CONNECTION_REFUSED, 12.2)


def test_a_rule_is_about_its_homes_and_its_side_of_the_border_alone() -> None:
    net = internet(stopped())
    assert net.connect(0, AT_HOME, 443, 0.0, 20.0)[1] is not None
    assert net.connect(1, ABROAD, 443, 0.0, 20.0)[1] is not None
    assert net.connect(VANTAGE, ABROAD, 443, 0.0, 20.0)[1] is not None


def test_a_line_of_some_seconds_connects_after_its_syn_went_out_again() -> None:
    told, flow = internet(quality=QUALITIES["very-slow"]).connect(0, ABROAD, 443, 0.0, 20.0)
    assert flow is not None
    assert told.retransmissions == 2
    assert 5.5 < told.at_s < 6.9
    assert told.rtt_s == pytest.approx(told.at_s, abs=0.01)


def test_what_is_larger_than_the_path_takes_never_comes_and_what_is_smaller_does() -> None:
    hole = Rule(place=Place.PROVIDER, act=Act.DROP, homes=frozenset({0}), up=False, larger_than=1_300)
    net = internet(hole)
    _, flow = net.connect(0, ABROAD, 443, 0.0, 20.0)
    assert flow is not None
    asked = net.ask(flow, Kind.HELLO, 560, name="www.debian.org", now_s=1.0, deadline_s=11.0)
    assert asked.arrives_s is not None
    assert not net.answer(flow, (1_448, 1_448, 1_100), asked.arrives_s, 11.0).segments
    assert net.answer(flow, (400,), asked.arrives_s, 11.0).complete


def test_losses_have_the_share_that_the_line_has_also_where_packets_are_taken_at_once() -> None:
    quality = LineQuality(name="lossy", delay_up_ms=1, delay_down_ms=1, loss_up=0.05)
    line = Line(quality=quality, seed="share")
    lost = passed = 0
    for _ in range(20_000):
        if line.passes(3, 0, since_s=0.0, until_s=1.0):
            passed += 3
        elif line.loses(0.0, up=True):
            lost += 1
        else:
            passed += 1
    assert lost / (lost + passed) == pytest.approx(0.05, rel=0.1)


def test_nothing_passes_at_once_what_meets_a_burst() -> None:
    line = Line(quality=QUALITIES["bursty"], seed="bursts")
    lost = [now_s / 10 for now_s in range(36_000) if line.loses(now_s / 10, up=True)]
    taken = [now_s for now_s in lost if line.passes(1, 1, since_s=now_s - 2, until_s=now_s + 2)]
    assert len(lost) > 100
    assert taken == []
    assert line.passes(1, 1, since_s=0.0, until_s=1.0)


def test_a_name_is_answered_and_a_forged_answer_leads_elsewhere() -> None:
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x09instagram\x03com\x00\x00\x01\x00\x01"
    assert far.question_of(query) == ("www.instagram.com", "A")
    ((_, reply),) = internet().datagram(0, far.RESOLVER_ADDRESS, 53, query, 0.0)
    true = HOSTS.values("www.instagram.com", "A")
    assert reply == far.answer_to(query, true)
    lie = Rule(
        place=Place.RESOLVER, act=Act.FORGE, homes=frozenset({0}), names=frozenset({"www.instagram.com"})
    )
    ((_, reply),) = internet(lie).datagram(0, far.RESOLVER_ADDRESS, 53, query, 0.0)
    assert reply == far.answer_to(query, (far.STRANGER_ADDRESS,))
    other = query.replace(b"\x09instagram", b"\x08telegram")
    ((_, reply),) = internet(replace(lie, names=frozenset({"www.telegram.com"}))).datagram(
        0, far.RESOLVER_ADDRESS, 53, other, 0.0
    )
    assert reply == far.answer_to(other, (far.UNROUTED_ADDRESS,))
    told, flow = internet().connect(0, far.UNROUTED_ADDRESS, 443, 0.0, 20.0)
    assert (told.failure, told.at_s < 1.0, flow) == (Failure.NETWORK_UNREACHABLE, True, None)
