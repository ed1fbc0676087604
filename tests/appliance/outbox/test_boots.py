"""Boots in their order, sync points of each: kept across restarts of the daemon and damage to the database."""

from pathlib import Path

from appliance.outbox import boots
from appliance.outbox.boots import BootStart
from appliance.outbox.box import Outbox
from firmware.clock.retiming import SyncPoint
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
FIRST, SECOND = "1" * 36, "2" * 36
POINT = SyncPoint(boottime_ns=5, utc_ns=1_790_000_000_000_000_000, error_ns=7)


def test_a_boot_knows_the_one_before_it_however_often_the_daemon_starts(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.sqlite3", device=DEVICE) as outbox:
        assert boots.begin(outbox, FIRST) == BootStart(is_new=True)
        assert boots.begin(outbox, FIRST) == BootStart()
        assert boots.begin(outbox, SECOND) == BootStart(previous=FIRST, is_new=True)
        assert boots.begin(outbox, SECOND) == BootStart(previous=FIRST)


def test_points_of_a_boot_are_there_after_a_restart_and_after_damage(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    with Outbox.open(path, device=DEVICE) as outbox:
        boots.begin(outbox, FIRST)
        boots.add_point(outbox, FIRST, POINT)
        outbox.append([tcp_record(1)])
    with Outbox.open(path, device=DEVICE) as outbox:
        assert boots.points(outbox, FIRST) == (POINT,)
        assert boots.points(outbox, SECOND) == ()
    path.write_bytes(bytes(100) + path.read_bytes()[100:])
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is not None
        assert boots.points(outbox, FIRST) == (POINT,)
        assert boots.begin(outbox, SECOND) == BootStart(previous=FIRST, is_new=True)
