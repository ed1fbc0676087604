"""Rounds of a device whose clock was wrong, placed by what arrived before and after them."""

from dataclasses import replace
from pathlib import Path

from collector.store.queries import Queries
from firmware.exchange import Batch, encode_batch
from firmware.jsontypes import JsonValue
from firmware.record import ClockQuality, ClockReading, Outcome, Record, to_json
from tests.drills.exchange import Collector
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
S = 1_000_000_000
NOON_NS = 1_789_990_000 * S


def ladder(boot: str, at_s: int, *, previous: str = "", points: tuple[tuple[int, int], ...] = ()) -> Record:
    """Return a conclusion of a device that thinks it is 1970; `points` are (boottime, seconds after noon)."""
    told: list[JsonValue] = [[at * S, NOON_NS + after * S, S // 100] for at, after in points]
    return replace(
        tcp_record(at_s, test="ladder"),
        boot_id=boot,
        slot_boottime_ns=at_s * S,
        start=ClockReading(boottime_ns=at_s * S, utc_ns=at_s * S, quality=ClockQuality.UNSYNCHRONISED),
        outcome=Outcome(detail={"sync_points": told, "previous_boot_id": previous}),
    )


def test_rounds_are_placed_by_points_that_came_later_and_by_the_boots_around_them(tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    told = [
        ladder("a" * 36, 100),
        ladder("a" * 36, 1000, points=((900, 900),)),
        ladder("b" * 36, 50, previous="a" * 36),
        ladder("c" * 36, 10, previous="b" * 36, points=((10, 3610),)),
    ]
    payload = encode_batch(
        Batch(device=DEVICE, epoch="0" * 16, seqs=(1, 2, 3, 4), records=tuple(to_json(one) for one in told))
    )
    assert collector.take(DEVICE, "live", payload) is not None
    queries = Queries(tmp_path / "collector.sqlite3")
    last, unsynced, second, first = queries.rounds(DEVICE, 10)
    queries.close()
    collector.close()
    for row, after_s in ((first, 100), (second, 1000), (last, 3610)):
        assert abs(row.start_utc_ns - (NOON_NS + after_s * S)) < S
        assert row.clock_quality == ClockQuality.SYNCHRONISED
        assert row.clock_error_ns is not None
        assert row.clock_error_ns < S
    # The boot that never had a point: after the first's last round, before the third began.
    assert unsynced.clock_quality == ClockQuality.UNSYNCHRONISED
    assert unsynced.clock_error_ns is not None
    assert unsynced.start_utc_ns - unsynced.clock_error_ns > NOON_NS + 1049 * S
    assert unsynced.start_utc_ns + unsynced.clock_error_ns < NOON_NS + 3602 * S
