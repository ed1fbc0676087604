"""How fast records go in, over and into the store, each beside its limit, in one run: `python -m tests.rates`.

outbox     records made durable on the device       beside bare sqlite3: one table, WAL and FULL, a row `json.dumps` of
           what a record says; and, harder, beside the same when all text lies ready
sync       records from an outbox through mosquitto  beside `mosquitto_pub -l` to that broker: a record a line, QoS 1,
           to the collector's commit and its acks    no collector, no database, no answer to wait for but the broker's
collector  batches judged and committed              beside bare executemany (the same table, indexes and pragmas)

What is compared takes turns, so that a noisy machine hits both; the median is told. Nothing is asserted: machines differ.
"""

import json
import queue
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.sender import Sync
from appliance.events import Event, OutboxChanged
from appliance.outbox.box import Outbox
from appliance.transports import Ports
from firmware.model.record import to_json
from tests.appliance import rates as outbox_rates
from tests.collector import rates as collector_rates
from tests.collector.process import CollectorProcess
from tests.firmware.records import tcp_record
from tests.needs import program

GOAL: Final = 0.5
TURNS: Final = 3
SYNCED: Final = 20_000
LIMIT_S: Final = 120.0


def show(what: str, limit: float, found: float, *, goal: float | None = GOAL) -> None:
    """Print one line."""
    verdict = "" if goal is None else f"   goal {goal}: {'met' if found / limit >= goal else 'missed'}"
    print(f"{what:48}{limit:12,.0f}{found:12,.0f}{found / limit:8.2f}{verdict}", flush=True)


def synced(collector: CollectorProcess, folder: Path, count: int) -> float:
    """Return records/s of a device's own sender, from an outbox of `count` to the last ack."""
    events: queue.Queue[Event] = queue.Queue()
    device = f"rates{time.monotonic_ns() % 10**11:011d}"
    with Outbox.open(folder / f"{device}.sqlite3", device=device) as outbox:
        for start in range(0, count, 1000):
            outbox.append([tcp_record(number) for number in range(start, start + 1000)])
        settings = SyncSettings(host=collector.host, ports=Ports(mqtt=collector.port))
        sync = Sync(settings, outbox, software="rates", country="xx", notify=events.put, random=lambda: 0.0)
        began = time.perf_counter()
        sync.start()
        try:
            while True:
                event = events.get(timeout=LIMIT_S)
                if isinstance(event, OutboxChanged) and event.waiting == 0:
                    return count / (time.perf_counter() - began)
        finally:
            sync.stop(timeout_s=LIMIT_S)


def published(collector: CollectorProcess, count: int) -> float:
    """Return records/s of `mosquitto_pub -l`, each record a line and a message."""
    lines = "".join(json.dumps(to_json(tcp_record(number))) + "\n" for number in range(count)).encode()
    words = [program("mosquitto_pub"), "-h", collector.host, "-p", str(collector.port)]
    began = time.perf_counter()
    subprocess.run([*words, "-t", "rates", "-q", "1", "-l"], input=lines, check=True, timeout=LIMIT_S)
    return count / (time.perf_counter() - began)


def run(*, turns: int = TURNS, turn_s: float = 1.0, records: int = SYNCED, batches: int = 600) -> None:
    """Print the table: so many turns, of `turn_s` where time is what is given, else of so many records or batches."""
    print(f"{'records/s':48}{'limit':>12}{'ours':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for per_commit in (1, 20, 60):
            place = folder / str(per_commit)
            place.mkdir()
            found = outbox_rates.measure(place, per_commit, turn_s=turn_s)
            show(f"outbox, {per_commit} a commit; bare sqlite3", found.bare, found.outbox)
            show("  where bare sqlite3 finds the text ready", found.bare_ready, found.outbox, goal=None)
        with CollectorProcess(folder / "data", "--broker", "mosquitto") as collector:
            pairs = [
                (published(collector, records), synced(collector, folder, records)) for _ in range(turns)
            ]
        limit, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
        show("sync, to the collector's ack; mosquitto_pub -l", limit, ours)
        made = collector_rates.deliveries(batches)
        for size in (1, 10, 100):
            bare, stored = collector_rates.stored_beside_bare(made, folder, size, turns=turns)
            show(f"collector, {size * collector_rates.BATCH} a commit; bare executemany", bare, stored)


if __name__ == "__main__":
    run()
