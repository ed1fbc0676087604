"""Bytes of the outbox overwritten on the disk, while nobody has it open and while it is in use.

Zeroed headers, garbage in pages, single bits, a tail cut off. After each, measuring must go on, no record may arrive
changed or twice, and whatever is neither salvaged nor delivered must be under a tombstone; only where the counters
themselves were destroyed may the collector be left with a gap, which it names.
"""

import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from appliance.outbox.box import Outbox
from appliance.outbox.file import OutboxError
from appliance.outbox.storing import Store
from firmware.record import Record, to_json
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


def trial(rng: random.Random, folder: Path) -> tuple[str, int, int, list[str]]:
    """Return what was done, how many records waited and were saved, and what was wrong after."""
    wrong: list[str] = []
    path = folder / "outbox.sqlite3"
    collector = Collector(folder)
    odds = rng.choice([0.0, 0.3])
    outbox = Outbox.open(path, device=DEVICE)
    made = 0
    for _ in range(rng.randint(2, 12)):
        count = rng.randint(1, 60)
        outbox.append(
            [
                tcp_record(made + n, failure=rng.choice([None, "connection_reset"]))
                for n in range(1, count + 1)
            ]
        )
        made += count
        if rng.random() < 0.4:
            deliver(outbox, collector, lost=lambda: rng.random() < odds, rng=rng, rounds=1)
        if rng.random() < 0.2:
            outbox.give_up(rng.randint(1, 30))
    before = outbox.counts()
    running = rng.random() < 0.4
    if running:
        outbox._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        outbox.close()
    kind = damage(rng, path)
    if not running:
        outbox = Outbox.open(path, device=DEVICE)
    store = Store(outbox, account=account)
    for _ in range(6):
        for _ in range(rng.randint(1, 20)):
            made += 1
            store.add(tcp_record(made), 0)
        store.commit(0)
        try:
            deliver(outbox, collector, lost=lambda: rng.random() < odds, rng=rng, rounds=2)
        except OutboxError:
            continue
    if store.fault:
        wrong.append(f"it does not store: {store.fault}")
    outbox.close()
    for _ in range(2):
        with Outbox.open(path, device=DEVICE) as again:
            again.append([tcp_record(made + 1)])
            made += 1
            deliver(again, collector)
            if again.counts().waiting:
                wrong.append(f"{again.counts().waiting} still wait")
    records = [json.loads(body) for body in collector.bodies()]
    measured = [record for record in records if record["test"] == "tcp"]
    twice = [n for n, count in Counter(record["round_id"] for record in measured).items() if count > 1]
    if twice:
        wrong.append(f"twice: {twice[:5]}")
    for record in measured:
        expected = to_json(tcp_record(record["round_id"], failure=record["failure"]))
        if record != expected:
            wrong.append(f"changed: record {record['round_id']}")
            break
    found = collector.completeness(DEVICE)
    if found.produced != found.stored + found.tombstoned + found.rejected + found.missing:
        wrong.append(f"figures do not add up: {found}")
    saved = len({record["round_id"] for record in measured})
    unknown = made - saved - before.given_up
    if unknown > found.tombstoned + found.missing:
        wrong.append(f"{unknown} records are nowhere: {found}")
    collector.close()
    return f"{kind}{' while in use' if running else ''}", made, found.missing, wrong


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
