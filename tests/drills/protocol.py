"""The ack protocol against everything that may happen to it: broker and collector real, the line between at its worst.

In each trial a device delivers what it measured, some of it poison, through `tests.drills.meddler` (acks lost, doubled,
reordered, repeated long after; PUBACKs lost or negative; messages taken and forgotten or doubled; connections broken), and
the broker is killed and starts again knowing nothing. In the end everything is stored once or quarantined with its reason,
on both sides, and the audit is exact.
"""

import random
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path

from click.testing import CliRunner

from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.sender import Sync
from appliance.outbox.box import Outbox
from appliance.transports import Ports
from collector.command import collector
from tests.collector.process import CollectorProcess
from tests.drills.kill_device import hurried
from tests.drills.meddler import Meddler
from tests.firmware.records import tcp_record
from tests.mosquitto import Mosquitto

DEVICE = "p1q2r3s4t5u6v7w8"
RECORDS = 1500
PARTS = 100
POISON = "a_word_that_is_on_no_list"
LIMIT_S = 240.0


def drill(*, times: int, seed: int, records: int = RECORDS) -> bool:
    """Deliver `times` times; print what was done to it."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    began_s, ok = time.monotonic(), True
    for number in range(1, times + 1):
        with tempfile.TemporaryDirectory() as name, hurried():
            wrong = _trial(Path(name), rng, records, done)
        if wrong:
            print(f"  trial {number}: {wrong}")
            ok = False
    for what, count in done.most_common():
        print(f"  {count:>6,} × {what}")
    print(
        f"{times} trials in {time.monotonic() - began_s:.0f} s: every account {'exact' if ok else 'NOT exact'}"
    )
    return ok


def _trial(folder: Path, rng: random.Random, records: int, done: Counter[str]) -> str:
    (folder / "broker").mkdir()
    broker = Mosquitto(folder / "broker")
    broker.start()
    line = Meddler(broker.port, rng)
    try:
        with (
            CollectorProcess(folder / "collector", "--broker", f"127.0.0.1:{broker.port}"),
            Outbox.open(folder / "outbox.sqlite3", device=DEVICE) as outbox,
        ):
            poisoned = _deliver(broker, line, outbox, rng, records)
            if poisoned is None:
                return f"it did not all arrive: {outbox.counts()}"
            done.update(line.counts)
            done.update({"brokers that forgot": 2, "poisoned records": len(poisoned), "records": records})
            return _wrong(folder, outbox, records, poisoned)
    finally:
        line.close()
        broker.stop()


def _deliver(
    broker: Mosquitto, line: Meddler, outbox: Outbox, rng: random.Random, records: int
) -> set[int] | None:
    """Measure and deliver; return which seqs were poison, None if it did not all leave in time."""
    sync = Sync(
        SyncSettings(host="127.0.0.1", ports=Ports(mqtt=line.port), connect_timeout_s=5.0, retry_max_s=0.2),
        outbox,
        software="drill",
        country="xx",
        notify=lambda _: None,
        random=rng.random,
    )
    poisoned: set[int] = set()
    forgets = sorted(rng.sample(range(1, PARTS), k=2))
    sync.start()
    try:
        for part in range(PARTS):
            made = []
            for number in range(part * records // PARTS, (part + 1) * records // PARTS):
                bad = rng.random() < 0.01
                made.append(tcp_record(number + 1, failure=POISON if bad else None))
                poisoned |= {number + 1} if bad else set()
            outbox.append(made)
            sync.wake()
            if part in forgets:
                broker.kill()
                broker.start()
            time.sleep(0.03)
        end_s = time.monotonic() + LIMIT_S
        while outbox.counts().waiting:
            if time.monotonic() > end_s:
                return None
            time.sleep(0.02)
        return poisoned
    finally:
        sync.stop()


def _wrong(folder: Path, outbox: Outbox, records: int, poisoned: set[int]) -> str:
    """Return what is wrong on either side, "" if nothing is."""
    counts = outbox.counts()
    if (counts.produced, counts.acknowledged, counts.quarantined) != (
        records,
        records - len(poisoned),
        len(poisoned),
    ):
        return f"the device: {counts}, {len(poisoned)} poisoned"
    aside = _rows(folder / "outbox.sqlite3", "SELECT seq, reason FROM quarantine")
    if {seq for seq, _ in aside} != poisoned or not all(POISON in str(reason) for _, reason in aside):
        return f"quarantined at the device: {aside[:5]}"
    database = folder / "collector" / "collector.sqlite3"
    kept = _rows(database, "SELECT seq, reason FROM reject WHERE seq IS NOT NULL")
    if {seq for seq, _ in kept} != poisoned or not all(POISON in str(reason) for _, reason in kept):
        return f"refused at the collector: {kept[:5]}"
    stored = [seq for (seq,) in _rows(database, "SELECT seq FROM record ORDER BY seq")]
    if stored != sorted(set(range(1, records + 1)) - poisoned):
        return f"{len(stored)} stored"
    done = CliRunner().invoke(collector, ["audit", "--data", str(folder / "collector")])
    return "" if done.exit_code == 0 else done.output


def _rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows
