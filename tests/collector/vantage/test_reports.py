"""What a batch says of its device's platforms at present: the last round of now, and nothing of a dark or an old one."""

import pytest

from collector.store.arrivals import BatchArrived
from collector.vantage.reports import LIVE_NS, report_of
from tests.collector.vantage.reported import batch


def test_platforms_that_failed_and_those_that_were_reached() -> None:
    report = report_of(batch(("x", "tls"), ("y", "page"), ("z", "handshake"), ("w", "dns")))
    assert report is not None
    assert report.failed == {"x", "w"}
    assert report.reached == {"y", "z"}


@pytest.mark.parametrize(
    ("families", "proven"), [((4,), {"x"}), ((4, 6), {"x"}), ((6,), set()), ((), set())], ids=str
)
def test_only_what_is_reached_over_ipv4_tells_of_others(families: tuple[int, ...], proven: set[str]) -> None:
    """A platform that refuses a country's IPv4 networks may well be had over IPv6; older software does not say."""
    report = report_of(batch(("x", "handshake"), rule_id="site-proven", families=families))
    assert report is not None
    assert report.proven == proven
    assert report.reached == {"x"}


def test_what_is_reached_through_a_tunnel_tells_nothing_of_the_country() -> None:
    """A platform that refuses the country does not refuse where the tunnel ends."""
    told = batch(
        ("x", "page"), rule_id="page-proven", verdict="inconclusive", round_rule_id="through-a-tunnel"
    )
    report = report_of(told)
    assert report is not None
    assert report.reached == {"x"}
    assert not report.proven


@pytest.mark.parametrize(
    "verdict", ["international_cut", "isp_or_wider_outage", "local_fault", "captive_portal"]
)
def test_in_the_dark_no_platform_failed_by_itself(verdict: str) -> None:
    assert report_of(batch(("x", "tls"), verdict=verdict)) is None


def test_a_round_that_arrives_late_says_nothing_of_now() -> None:
    assert report_of(batch(("x", "tls"), late_ns=LIVE_NS + 60 * 1_000_000_000)) is None


def test_a_round_that_came_before_it_began_has_no_time() -> None:
    """Its device's clock is fast: what it reached before a failure would pass for reached in the midst of it."""
    for late_ns, is_timed in ((20 * 1_000_000_000, True), (-300 * 1_000_000_000, False)):
        report = report_of(batch(("x", "handshake"), rule_id="site-proven", late_ns=late_ns))
        assert report is not None
        assert (report.began_utc_ns is not None) is is_timed


def test_a_batch_without_a_round_and_one_of_other_software_say_nothing() -> None:
    assert report_of(batch(detail={"targets": [{"name": 3}]})) is None
    whole = batch(("x", "tls"))
    assert (
        report_of(
            BatchArrived(device=whole.device, epoch=whole.epoch, received_ns=whole.received_ns, topic="")
        )
        is None
    )
