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
    "verdict", ["international_cut", "isp_or_wider_outage", "local_fault", "captive_portal"]
)
def test_in_the_dark_no_platform_failed_by_itself(verdict: str) -> None:
    assert report_of(batch(("x", "tls"), verdict=verdict)) is None


def test_a_round_that_arrives_late_says_nothing_of_now() -> None:
    assert report_of(batch(("x", "tls"), late_ns=LIVE_NS + 60 * 1_000_000_000)) is None


def test_a_batch_without_a_round_and_one_of_other_software_say_nothing() -> None:
    assert report_of(batch(detail={"targets": [{"name": 3}]})) is None
    whole = batch(("x", "tls"))
    assert (
        report_of(
            BatchArrived(device=whole.device, epoch=whole.epoch, received_ns=whole.received_ns, topic="")
        )
        is None
    )
