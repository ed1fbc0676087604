"""How fast the collector stores, beside its limits, in one run: `python -m tests.collector.rates`.

bare       sqlite3's executemany into the same table with the same indexes, same rows a commit
store      Store.commit: the same rows, with coverage, device and epoch
ingest     what a broker delivers, judged and committed, in one thread
delivered  from scripted devices through mosquitto to their acks, collector and broker as processes
"""

import gc
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from collector.messages import Delivery
from collector.receive.validation import validate
from collector.store.arrivals import BatchArrived
from collector.store.database import _INSERT_RECORD, Store, _record_values
from firmware.wire.messages import encode_batch, topic
from tests.collector.process import CollectorProcess
from tests.collector.scripted_device import ScriptedDevice, batch_of

BATCH = 50
BATCHES = 600
WINDOW = 20
DEVICES = tuple(f"device{number:010d}" for number in range(4))


def deliveries(batches: int = BATCHES) -> list[Delivery]:
    """Return the batches of all devices, in turn."""
    return [
        Delivery(
            topic=topic(device, "up", "bulk"),
            payload=encode_batch(batch_of(range(first, first + BATCH), device=device)),
            received_ns=time.time_ns(),
        )
        for first in range(1, batches * BATCH // len(DEVICES), BATCH)
        for device in DEVICES
    ]


def rate(what: str, count: int, work: Callable[[], None]) -> None:
    """Time `work` and print its rate."""
    began = time.perf_counter()
    work()
    print(f"{what:44} {count / (time.perf_counter() - began):10,.0f} records/s")


def stored_rates(made: list[Delivery], directory: Path, size: int) -> None:
    """Print the rates of one thread, `size` batches a commit."""
    count = len(made) * BATCH
    arrivals = [arrival for one in made if isinstance(arrival := validate(one).arrival, BatchArrived)]
    values = list(_record_values(arrivals))

    def bare() -> None:
        with sqlite3.connect(directory / f"bare{size}", isolation_level=None) as connection:
            for start in range(0, count, size * BATCH):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT_RECORD, values[start : start + size * BATCH])
                connection.execute("COMMIT")
        connection.close()

    Store.open(directory / f"bare{size}").close()
    rate(f"bare executemany, {size * BATCH} a commit", count, bare)
    store = Store.open(directory / f"store{size}")

    def commit_all() -> None:
        for start in range(0, len(arrivals), size):
            store.commit(arrivals[start : start + size])

    rate(f"Store.commit, {size * BATCH} a commit", count, commit_all)
    rate("Store.commit, all of it again", count, commit_all)
    store.close()
    fresh = Store.open(directory / f"ingest{size}")

    def ingest_all() -> None:
        for start in range(0, len(made), size):
            fresh.commit([validate(one).arrival for one in made[start : start + size]])

    rate(f"judged and committed, {size * BATCH} a commit", count, ingest_all)
    fresh.close()


def stored_beside_bare(
    made: list[Delivery], directory: Path, size: int, *, turns: int
) -> tuple[float, float]:
    """Return records/s of bare executemany and of judging and committing, `size` batches a commit, turn by turn.

    Each turn has databases of its own, and both of its halves the same records; the medians over the turns.
    """
    arrivals = [arrival for one in made if isinstance(arrival := validate(one).arrival, BatchArrived)]
    values = list(_record_values(arrivals))
    count = len(values)
    del arrivals
    gc.collect()
    gc.freeze()  # a collector does not hold this bench's records, which a collection would look through
    rates: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns):
        Store.open(directory / f"bare{size}.{turn}").close()
        with closing(sqlite3.connect(directory / f"bare{size}.{turn}", isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")  # as the store
            began = time.perf_counter()
            for start in range(0, count, size * BATCH):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT_RECORD, values[start : start + size * BATCH])
                connection.execute("COMMIT")
            rates[0].append(count / (time.perf_counter() - began))
        with closing(Store.open(directory / f"ingest{size}.{turn}")) as store:
            began = time.perf_counter()
            for start in range(0, len(made), size):
                store.commit([validate(one).arrival for one in made[start : start + size]])
            rates[1].append(count / (time.perf_counter() - began))
    return statistics.median(rates[0]), statistics.median(rates[1])


def delivered_rate(made: list[Delivery], directory: Path) -> None:
    """Print the rate from devices to their acks."""

    def send(collector: CollectorProcess, device: str) -> None:
        mine = [one for one in made if f"/{device}/" in one.topic]
        with ScriptedDevice(collector.host, collector.port, device=device) as scripted:
            for number, one in enumerate(mine):
                scripted.publish_unawaited("bulk", one.payload)
                if number >= WINDOW:
                    scripted.ack()
            upto = 0
            while upto < len(mine) * BATCH:
                upto = scripted.ack().upto

    with CollectorProcess(directory / "data", "--broker", "mosquitto") as collector:
        threads = [threading.Thread(target=send, args=(collector, device)) for device in DEVICES]

        def run() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        rate(f"delivered and acknowledged, {len(DEVICES)} devices", len(made) * BATCH, run)


def main() -> None:
    """Run all of it."""
    made = deliveries()
    sizes = [len(one.payload) for one in made]
    print(
        f"{len(made)} batches of {BATCH} records, {sum(sizes) / len(made) / BATCH:.0f} B a record on the wire"
    )
    with tempfile.TemporaryDirectory() as directory:
        for size in (1, 10, 100):
            stored_rates(made, Path(directory), size)
        delivered_rate(made, Path(directory))


if __name__ == "__main__":
    main()
