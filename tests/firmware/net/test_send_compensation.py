"""How long before its moment a send is begun: never longer than sends have taken, and not for ever what they once took."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.net.send_compensation import FEWEST, KEPT, MAX_LEAD_NS, SHARE, SendCompensation, lead_ns

costs = st.integers(1, 10 * MAX_LEAD_NS)


def learned(*given: int) -> SendCompensation:
    lead = SendCompensation()
    for cost_ns in given:
        lead.learn(cost_ns)
    return lead


@given(st.lists(costs, max_size=100))
def test_it_is_bounded_and_a_send_as_costly_as_any_remembered_is_not_early(known: list[int]) -> None:
    lead = learned(*known)
    assert 0 <= lead.ns <= MAX_LEAD_NS
    assert all(lead.ns < cost_ns for cost_ns in known[-KEPT:])


@given(st.lists(costs, min_size=FEWEST), costs)
def test_a_shorter_way_is_believed_at_once(known: list[int], cost_ns: int) -> None:
    assert learned(*known, cost_ns).ns < cost_ns


@given(st.lists(costs, max_size=100), st.integers(1, MAX_LEAD_NS))
def test_a_longer_way_is_believed_after_so_many_packets(known: list[int], cost_ns: int) -> None:
    assert learned(*known, *[cost_ns] * KEPT).ns == int(SHARE * cost_ns)


def test_one_slow_packet_changes_nothing() -> None:
    assert learned(*[30_000] * 8, 5_000_000).ns == learned(*[30_000] * 8).ns == int(SHARE * 30_000)


def test_there_is_none_before_it_is_known() -> None:
    assert lead_ns([30_000] * (FEWEST - 1)) == 0


def test_what_took_less_than_nothing_was_a_clock_set_meanwhile() -> None:
    assert learned(*[30_000] * 8, -3_000_000).ns == int(SHARE * 30_000)
