"""An outbox as a kill leaves it on the disk, with a log of what it was told outside of it, and what became of that.

The log is not closed: what a copy of the open files holds is what the kernel has, which is what stays after a kill.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from appliance.outbox.box import Outbox
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome, Record, to_json
from firmware.wire.messages import Ack
from tests.firmware.records import tcp_record

DEVICE: Final = "a1b2c3d4e5f6g7h8"
NAME: Final = "outbox.sqlite3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an outbox said was durable: the content by (epoch, seq); `acknowledged` of it left before the kill."""

    contents: dict[tuple[str, int], JsonValue]
    acknowledged: frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the outbox gives of it afterwards: contents that wait, numbers in tombstones, epochs that hellos name."""

    waiting: dict[tuple[str, int], JsonValue]
    buried: frozenset[tuple[str, int]]
    highest: dict[str, int]


def make(
    folder: Path, *, commits: int, per_commit: int, acknowledged: int = 0, checkpoint_at: int = -1
) -> Told:
    """Fill an outbox in `folder`, leave the log open, and return what it told.

    After commit number `checkpoint_at` the log so far is taken into the database, and begins anew.
    """
    folder.mkdir(parents=True)
    draft = folder / "draft" / NAME
    draft.parent.mkdir()
    contents: dict[tuple[str, int], JsonValue] = {}
    with Outbox.open(draft, device=DEVICE) as outbox:
        for commit in range(commits):
            records = [record(commit * per_commit + number) for number in range(per_commit)]
            for identity, one in zip(outbox.append(records), records, strict=True):
                contents[identity.epoch, identity.seq] = to_json(one)
            if commit == checkpoint_at:
                with outbox.transaction():
                    pass
                outbox._handle.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        if acknowledged:
            outbox.acknowledge(Ack(epoch=outbox.epoch, upto=acknowledged, incarnation=outbox.incarnation))
        gone = frozenset((outbox.epoch, seq) for seq in range(1, acknowledged + 1))
        for part in draft.parent.glob(f"{NAME}*"):
            if not part.name.endswith(
                "-shm"
            ):  # made anew from the log by whoever opens it first after a kill
                shutil.copy(part, folder / part.name)
    shutil.rmtree(draft.parent)
    return Told(contents=contents, acknowledged=gone)


def record(number: int) -> Record:
    """Return one that no other equals, long enough that a page holds only a few."""
    padding = f"{number:06}" * (40 + number % 60)
    return replace(tcp_record(number), outcome=Outcome(detail={"padding": padding}))


def copy(source: Path, folder: Path) -> Path:
    """Copy the files of `source` into a new folder; return the database's path there."""
    shutil.copytree(source, folder)
    return folder / NAME


def look(outbox: Outbox) -> Found:
    """Return what an outbox gives to its collector, over all its epochs."""
    waiting: dict[tuple[str, int], JsonValue] = {}
    buried: set[tuple[str, int]] = set()
    highest: dict[str, int] = {}
    for epoch in (*outbox.past(), outbox):
        hello = epoch.hello(software="t", country="zz")
        highest[epoch.epoch] = hello.high
        highest |= dict(hello.ended)
        for row in epoch.oldest(1_000_000):
            waiting[epoch.epoch, row.seq] = json.loads(row.body)
        for one in epoch.tombstones(1_000_000):
            buried |= {(epoch.epoch, seq) for seq in range(one.low, one.high + 1)}
    return Found(waiting=waiting, buried=frozenset(buried), highest=highest)


def start(path: Path, told: Told) -> Found:
    """Open an outbox as a device's start does, and return what it gives; no number may be given again."""
    with Outbox.open(path, device=DEVICE, patient=True) as outbox:
        assert outbox.is_open
        found = look(outbox)
        (identity,) = outbox.append([tcp_record(0)])
        assert (identity.epoch, identity.seq) not in told.contents, "a number was given again"
    return found


def lost(told: Told, found: Found) -> int:
    """Return how many of the records that were told durable are in tombstones; fail where one has no account.

    What waits must be what was told, under its own number, and nothing else.
    """
    changed = [key for key, content in found.waiting.items() if told.contents.get(key) != content]
    assert not changed, f"never told, or not like this: {changed[:5]}"
    here = found.waiting.keys() | found.buried | told.acknowledged
    missing = told.contents.keys() - here
    assert not missing, f"{len(missing)} of {len(told.contents)} without account: {sorted(missing)[:5]}"
    return len(told.contents.keys() - found.waiting.keys() - told.acknowledged)
