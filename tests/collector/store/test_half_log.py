"""A measurement server's log of halves: numbered without gaps, durable, bounded with fairness, and let go of only as told."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collector.errors import MeasurementServerError
from collector.store.half_log import FILE_NAME, HalfLog
from firmware.model.record import ClockQuality, ClockReading
from firmware.model.server_half import Direction, HalfEnd, ServerHalf
from firmware.wire.server_halves import decode_half

MANY = 2**40
DEVICES = ("abcd0123efgh4567", "wxyz0123efgh4567")


def half(nonce: int, device: str = DEVICES[0], *, end: HalfEnd = HalfEnd.DONE) -> ServerHalf:
    return ServerHalf(
        server="measurement",
        software="tidegauge 1",
        device=device,
        nonce=f"{nonce:032x}",
        test="download",
        direction=Direction.DOWNLOAD,
        boot_id="b",
        start=ClockReading(boottime_ns=1, utc_ns=2, quality=ClockQuality.UNSYNCHRONISED),
        end=end,
    )


def opened(directory: Path, most_bytes: int = MANY) -> HalfLog:
    """Return a log that is not signed: what a signature is worth is others' affair."""
    return HalfLog.open(directory, lambda payload: payload, most_bytes=most_bytes)


def written(log: HalfLog, one: ServerHalf) -> None:
    log.end(log.begin(one), one)


def kept(log: HalfLog, after: int = 0) -> list[ServerHalf]:
    return [decode_half(one.payload) for one in log.page(after).halves]


def test_halves_are_numbered_in_the_order_in_which_they_ended_and_survive(tmp_path: Path) -> None:
    log = opened(tmp_path)
    first, second = log.begin(half(1)), log.begin(half(2))
    log.end(second, half(2))
    log.end(first, half(1))
    log.close()
    with closing(opened(tmp_path)) as again:
        assert [(one.number, int(one.nonce, 16)) for one in kept(again)] == [(1, 2), (2, 1)]
        assert {one.epoch for one in kept(again)} == {again.epoch} == {log.epoch}
        written(again, half(3))
        assert kept(again)[-1].number == 3


def test_what_was_under_way_when_the_server_died_is_lost_and_told(tmp_path: Path) -> None:
    dead = opened(tmp_path)
    dead.begin(half(7))
    with closing(opened(tmp_path)) as log:  # the other was never closed
        (one,) = kept(log)
        assert (int(one.nonce, 16), one.end, one.number) == (7, HalfEnd.LOST, 1)
    with closing(opened(tmp_path)) as log:
        assert len(kept(log)) == 1


def test_only_what_was_collected_of_this_very_log_goes(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as log:
        for number in range(1, 5):
            written(log, half(number))
        log.collected("0" * 16, 4)
        assert len(kept(log)) == 4
        log.collected(log.epoch, 2)
        assert [one.number for one in kept(log)] == [3, 4]
        account = log.page(0).account
        assert (account.last, account.evicted) == (4, 0)
        written(log, half(5))
        assert kept(log)[-1].number == 5


def test_past_its_room_the_oldest_of_whoever_has_the_most_are_given_up_and_counted(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as log:
        written(log, half(1))
        size = len(log.page(0).halves[0].payload)
    room = 40 * size
    with closing(opened(tmp_path, room)) as log:
        for number in range(2, 6):
            written(log, half(number))
        for number in range(1000, 1500):
            written(log, half(number, DEVICES[1]))
        found, account = kept(log), log.page(0).account
        assert sum(len(one.payload) for one in log.page(0).halves) <= room
        assert [int(one.nonce, 16) for one in found if one.device == DEVICES[0]] == [1, 2, 3, 4, 5]
        flood = [int(one.nonce, 16) for one in found if one.device == DEVICES[1]]
        assert flood == list(range(1500 - len(flood), 1500))
        assert len(flood) >= 10
        assert account.last == 505 == account.evicted + len(found)


def test_a_page_ends_and_says_that_there_is_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.store.half_log.PAGE_BYTES", 1000)
    with closing(opened(tmp_path)) as log:
        for number in range(30):
            written(log, half(number))
        numbers: list[int] = []
        pages = 0
        more = True
        while more:
            page = log.page(numbers[-1] if numbers else 0)
            numbers += [decode_half(one.payload).number for one in page.halves]
            more = page.account.more
            pages += 1
        assert numbers == list(range(1, 31))
        assert pages > 1


def test_what_could_not_be_written_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as log:
        begun = log.begin(half(1))
        other = sqlite3.connect(tmp_path / FILE_NAME)
        with closing(other):
            other.execute("CREATE TRIGGER no BEFORE INSERT ON half BEGIN SELECT raise(ABORT, 'full'); END")
            other.commit()
            with pytest.raises(sqlite3.Error):
                log.end(begun, half(1))
            other.execute("DROP TRIGGER no")
            other.commit()
        written(log, half(2))
        assert [(one.number, int(one.nonce, 16)) for one in kept(log)] == [(1, 2)]


def test_a_file_that_is_no_log_is_said_so(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"something else entirely, and long enough" * 100)
    with pytest.raises(MeasurementServerError, match="move it away"):
        opened(tmp_path)
