"""A device's data directory with something in every table, and beside it the truth: what was made, and what became of it.

Two epochs (the card was copied once), records that wait, were delivered, quarantined, given up; rounds, starts, boots, sync
points, age marks. Made by the device's own parts, read back by plain sqlite3 before anything is damaged.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from appliance.outbox import boots
from appliance.outbox.box import Outbox
from appliance.storage.datadir import DataDir
from appliance.storage.quota import Quota
from firmware.clock.retiming import SyncPoint
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Record, Verdict, to_json
from firmware.model.statement import stated
from firmware.wire.messages import Ack
from tests.firmware.records import tcp_record

Name: TypeAlias = "tuple[str, int]"
"""A record's epoch and seq."""
BOOTS: Final = ("7d0c9a52-0e0f-4f0d-8a39-3f2b1c9e5d11", "c1a7e6b4-52f3-4d6a-b1f8-90e2d3c4b5a6")
SPAN: Final = 2**44
_HOUR_NS: Final = 3_600_000_000_000
LAST_SHARED: Final = 120


def made(number: int) -> Record:
    """Return record `number`, each different; every second is a round's conclusion."""
    if number % 2:
        return tcp_record(number, failure="connection_reset" if number % 6 == 1 else None)
    verdict = Verdict(
        verdict="international_cut" if number % 20 == 0 else "ok",
        rule_id="r1",
        evidence=(stated("rung", rung="international", reached=number % 5, tried=5),),
    )
    return replace(tcp_record(number, test="ladder"), verdict=verdict)


@dataclass(slots=True)
class Truth:
    """What was made, by name; of it what waits, was given up, quarantined; what was delivered is the rest."""

    device: str
    every: dict[Name, JsonObject] = field(default_factory=dict)
    waiting: set[Name] = field(default_factory=set)
    given_up: set[Name] = field(default_factory=set)
    quarantined: set[Name] = field(default_factory=set)
    rounds: dict[int, Name] = field(default_factory=dict)
    epochs: list[str] = field(default_factory=list)

    def name(self, key: int) -> Name:
        """Return which record stands at a key."""
        return self.epochs[key // SPAN], key % SPAN

    def high(self, epoch: str) -> int:
        """Return the highest seq that an epoch gave."""
        return max(seq for name, seq in self.every if name == epoch)


def build(folder: Path) -> Truth:
    """Make the directory, with everything in the database's own file, and return the truth about it."""
    with DataDir.open(folder) as data:
        quota = Quota(path=data.outbox, max_age_s=365 * 86_400)
        with _opened(data, quota) as outbox:
            truth = Truth(device=data.device)
            first = outbox.epoch
            _start(outbox, BOOTS[0])
            _append(outbox, truth, range(1, 91))
            outbox.acknowledge(Ack(epoch=first, upto=10, incarnation=outbox.incarnation))
            outbox.quarantine(15, "too large to send")
            outbox.evict(5)
        with _opened(data, quota) as outbox:
            _start(outbox, BOOTS[0])
            _append(outbox, truth, range(91, 141))
            outbox.acknowledge(Ack(epoch=first, upto=0, conflict=LAST_SHARED, incarnation=outbox.incarnation))
            second = outbox.epoch
            for seq in range(LAST_SHARED + 1, 141):
                truth.every[second, seq - LAST_SHARED] = truth.every.pop((first, seq))
            _append(outbox, truth, range(141, 201))
            outbox.quarantine(30, "too large to send")
            outbox.evict(4)
        with _opened(data, quota) as outbox:
            _start(outbox, BOOTS[1])
            for hours in (1, 3):
                outbox.space.keep_age(hours * _HOUR_NS)
            outbox.acknowledge(Ack(epoch=second, upto=7, incarnation=outbox.incarnation))
    truth.epochs = [first, second]
    _read_back(folder / "outbox.sqlite3", truth)
    return truth


def _opened(data: DataDir, quota: Quota) -> Outbox:
    return Outbox.open(data.outbox, device=data.device, quota=quota)


def _start(outbox: Outbox, boot_id: str) -> None:
    boots.begin(outbox, boot_id)
    for number in range(3):
        boots.add_point(
            outbox,
            boot_id,
            SyncPoint(boottime_ns=10**12 + number, utc_ns=1_763_700_000 * 10**9, error_ns=10**7),
        )
    outbox.note_incarnation()


def _append(outbox: Outbox, truth: Truth, numbers: range) -> None:
    for number in numbers:
        record = made(number)
        (identity,) = outbox.append([record])
        truth.every[identity.epoch, identity.seq] = to_json(record)


def _read_back(path: Path, truth: Truth) -> None:
    assert not path.with_name(path.name + "-wal").exists(), "not all of it is in the database's own file"
    with closing(sqlite3.connect(path)) as connection:
        keys: Callable[[str], list[int]] = lambda sql: [key for (key,) in connection.execute(sql)]  # noqa: E731
        truth.waiting = {truth.name(key) for key in keys("SELECT seq FROM waiting")}
        truth.quarantined = {truth.name(key) for key in keys("SELECT seq FROM quarantine")}
        ranges = connection.execute("SELECT low, high FROM tombstone").fetchall()
        truth.given_up = {truth.name(key) for low, high in ranges for key in range(low, high + 1)}
        for table in ("state", "round", "run", "boot", "sync_point", "age_mark", "given_up_to", "tombstone"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, f"{table} is empty"
