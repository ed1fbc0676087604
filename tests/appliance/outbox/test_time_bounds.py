"""What the outbox's sync points say of now, and of when something was at the latest."""

from pathlib import Path

import pytest

from appliance.outbox import boots
from appliance.outbox.box import Outbox
from appliance.outbox.time_bounds import TimeBounds
from appliance.storage.tables.delivered import Receipt
from firmware.clock.retiming import CEILING_UTC_NS, DRIFT, FLOOR_UTC_NS, SyncPoint
from firmware.wire.messages import Ack
from tests.firmware.records import tcp_record

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
FIRST, SECOND_BOOT = "1" * 36, "2" * 36
THEN = 1_800_000_000 * SECOND


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox.open(tmp_path / "outbox.sqlite3", device="a" * 16)


def moments(outbox: Outbox, boot: str, now_ns: int) -> TimeBounds:
    return TimeBounds(outbox, boot_id=boot, now_ns=lambda: now_ns)


def test_without_a_point_nothing_is_known(outbox: Outbox) -> None:
    with outbox:
        boots.begin(outbox, FIRST)
        found = moments(outbox, FIRST, HOUR)
        # But that no such device ran before its time: an hour of it has passed.
        assert FLOOR_UTC_NS <= found.now_low_ns() <= FLOOR_UTC_NS + HOUR
        assert found.latest_ns(FIRST, HOUR) == CEILING_UTC_NS
        assert found.latest_ns("never heard of", 0) == CEILING_UTC_NS


def test_a_point_bounds_its_boot_and_the_one_after(outbox: Outbox) -> None:
    with outbox:
        boots.begin(outbox, FIRST)
        boots.add_point(outbox, FIRST, SyncPoint(HOUR, THEN, SECOND))
        found = moments(outbox, FIRST, 3 * HOUR)
        drift = int(2 * HOUR * DRIFT) + 1
        assert found.now_low_ns() == pytest.approx(THEN + 2 * HOUR - SECOND - drift, abs=2)
        assert found.latest_ns(FIRST, 3 * HOUR) == pytest.approx(THEN + 2 * HOUR + SECOND + drift, abs=2)
        boots.begin(outbox, SECOND_BOOT)
        later = moments(outbox, SECOND_BOOT, HOUR)
        assert THEN - SECOND <= later.now_low_ns() <= THEN + HOUR


def test_an_ack_in_a_boot_without_a_clock_was_before_the_next_boots_first_point(outbox: Outbox) -> None:
    with outbox:
        boots.begin(outbox, FIRST)
        outbox.append([tcp_record(1)])
        receipt = Receipt(key="a" * 16, number=1, boot_id=FIRST, boottime_ns=5 * HOUR)
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=1, incarnation=outbox.incarnation), receipt)
        boots.begin(outbox, SECOND_BOOT)
        assert moments(outbox, SECOND_BOOT, HOUR).latest_ns(FIRST, 5 * HOUR) > CEILING_UTC_NS - 2 * HOUR
        boots.add_point(outbox, SECOND_BOOT, SyncPoint(HOUR, THEN, SECOND))
        latest = moments(outbox, SECOND_BOOT, HOUR).latest_ns(FIRST, 5 * HOUR)
        assert THEN - 2 * HOUR < latest <= THEN + SECOND
