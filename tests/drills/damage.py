"""Bytes of the outbox overwritten on the disk, while nobody has it open and while it is in use.

Zeroed headers, garbage in pages, single bits, a tail cut off. After each, measuring must go on, no record may arrive
changed or twice, and whatever is neither salvaged nor delivered must be under a tombstone; only where the counters
themselves were destroyed may the collector be left with a gap, which it names.
"""

import contextlib
import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.storage.errors import OutboxError
from firmware.model.record import Record, to_json
from tests.drills import told as log
from tests.drills.exchange import Collector, deliver
from tests.firmware.records import tcp_record

DEVICE: Final = "a1b2c3d4e5f6g7h8"
PAGE: Final = 4096


def damage(rng: random.Random, path: Path) -> str:
    """Overwrite something of the file; return what was done."""
    content = bytearray(path.read_bytes())
    kind = rng.choice(["header", "pages", "bits", "tail", "zeroes"])
    pages = max(1, len(content) // PAGE)
    if kind == "header":
        content[:100] = bytes(100)
    elif kind == "pages":
        for _ in range(rng.randint(1, max(1, pages // 5))):
            at = rng.randrange(pages) * PAGE
            content[at : at + PAGE] = rng.randbytes(PAGE)
    elif kind == "bits":
        for _ in range(rng.randint(1, 200)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "tail":
        del content[-rng.randint(1, len(content) // 2) :]
    else:
        for _ in range(rng.randint(1, 5)):
            at = rng.randrange(pages) * PAGE
            content[at : at + PAGE] = bytes(len(content[at : at + PAGE]))
    with path.open("r+b") as file:
        file.truncate(len(content))
        file.write(content)
    return kind


def account(count: int, reason: str) -> Record:
    return tcp_record(0, test="gap", failure="result_lost")


def measured_before(rng: random.Random, outbox: Outbox, collector: Collector, odds: float) -> int:
    """Store records, deliver some, give up some; return how many were made."""
    made = 0
    for _ in range(rng.randint(2, 12)):
        count = rng.randint(1, 60)
        failures = [rng.choice([None, "connection_reset"]) for _ in range(count)]
        outbox.append([tcp_record(made + n + 1, failure=failure) for n, failure in enumerate(failures)])
        made += count
        if rng.random() < 0.4:
            deliver(outbox, collector, lost=lambda: rng.random() < odds, rng=rng, rounds=1)
        if rng.random() < 0.2:
            outbox.evict(rng.randint(1, 30))
    return made


def measured_after(rng: random.Random, outbox: Outbox, collector: Collector, odds: float, made: int) -> int:
    """Go on as a device does; return how many were made by then."""
    store = GroupCommit(outbox, account=account)
    for _ in range(6):
        for _ in range(rng.randint(1, 20)):
            made += 1
            store.add(tcp_record(made), 0)
        store.commit(0)
        with contextlib.suppress(OutboxError):
            deliver(outbox, collector, lost=lambda: rng.random() < odds, rng=rng, rounds=2)
    assert not store.fault, store.fault
    return made


def opened(path: Path) -> Outbox:
    """Open the outbox with a log of what it tells beside it."""
    outbox = Outbox.open(path, device=DEVICE)
    log.log_appends(outbox, path.parent)
    return outbox


def trial(rng: random.Random, folder: Path) -> tuple[str, int, int, list[str]]:
    """Return what was done, how many records were made, how many are a gap, and what was wrong after."""
    path = folder / "outbox.sqlite3"
    collector = Collector(folder)
    odds = rng.choice([0.0, 0.3])
    outbox = opened(path)
    made = measured_before(rng, outbox, collector, odds)
    given_up = outbox.counts().given_up
    running = rng.random() < 0.4
    if running:
        outbox._handle.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        outbox.close()
    kind = damage(rng, path) + (" while in use" if running else "")
    if not running:
        outbox = opened(path)
    made = measured_after(rng, outbox, collector, odds, made)
    outbox.close()
    wrong: list[str] = []
    for _ in range(2):
        with opened(path) as again:
            store = GroupCommit(again, account=account)
            for _ in range(3):
                # What nobody has read before may still turn out to be damaged: the next commit then recovers it.
                made += 1
                store.add(tcp_record(made), 0)
                store.commit(0)
                with contextlib.suppress(OutboxError):
                    deliver(again, collector)
            if store.fault or again.counts().waiting:
                wrong.append(f"{again.counts().waiting} still wait ({store.fault})")
    missing, more = judged(collector, made, given_up)
    collector.close()
    return kind, made, missing, wrong + more


def judged(collector: Collector, made: int, given_up: int) -> tuple[int, list[str]]:
    """Return how many records are a gap at the collector, and what is wrong there."""
    wrong: list[str] = []
    records = [json.loads(body) for body in collector.bodies()]
    measured = [record for record in records if record["test"] == "tcp"]
    counted = Counter(record["round_id"] for record in measured)
    if twice := [number for number, count in counted.items() if count > 1]:
        wrong.append(f"twice: {twice[:5]}")
    changed = [
        record["round_id"]
        for record in measured
        if record != to_json(tcp_record(record["round_id"], failure=record["failure"]))
    ]
    if changed:
        wrong.append(f"changed: {changed[:5]}")
    wrong += log.differing(log.read(collector.directory / log.NAME), collector.stored())[:5]
    found = collector.completeness(DEVICE)
    if found.produced != found.stored + found.tombstoned + found.rejected + found.missing:
        wrong.append(f"figures do not add up: {found}")
    unknown = made - len(counted) - given_up
    if unknown > found.tombstoned + found.missing:
        wrong.append(f"{unknown} records are nowhere: {found}")
    return found.missing, wrong


def drill(*, times: int, seed: int) -> bool:
    """Damage `times` outboxes and print what became of their records."""
    rng = random.Random(seed)
    ok, made_ever, missing_ever = True, 0, 0
    kinds: Counter[str] = Counter()
    for number in range(times):
        with tempfile.TemporaryDirectory() as name:
            kind, made, missing, wrong = trial(rng, Path(name))
        kinds[kind] += 1
        made_ever += made
        missing_ever += missing
        for line in wrong:
            print(f"  trial {number + 1} ({kind}): {line}")
            ok = False
    for kind, count in sorted(kinds.items()):
        print(f"  {count:>5} × {kind}")
    print(f"{times} damaged, {made_ever:,} records; {missing_ever} left as a gap that the collector names")
    return ok
