"""What an insert and a batch read cost at 10 thousand, 1 million and 10 million waiting rows.

The rows are made by the outbox's own SQL in large transactions without a sync (they are not what is measured), with
bodies of a device's usual length; then a round's commit and the reading of a batch from either end are timed.
"""

import json
import random
import shutil
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from appliance.outbox.box import Outbox
from appliance.storage.quota import Quota
from appliance.storage.tables import ledger
from firmware.model.record import to_json
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack
from tests.firmware.records import tcp_record

SIZES = (10_000, 1_000_000, 10_000_000)
A_ROUND = 60
REPEATS = 60


def grow(outbox: Outbox, size: int) -> None:
    """Fill the outbox up to `size` waiting rows."""
    connection = outbox._handle.connection
    made = outbox.counts().produced
    body = json.dumps(to_json(tcp_record(1)), separators=(",", ":"))
    crc = zlib.crc32(body.encode())
    connection.execute("PRAGMA synchronous = OFF")
    while made < size:
        count = min(200_000, size - made)
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO waiting (seq, body, test, start_utc_ns, stored_utc_ns, value, crc)"
            " VALUES (?, ?, 'tcp', 0, 0, 0, ?)",
            ((made + n, body, crc) for n in range(1, count + 1)),
        )
        made += count
        ledger.count(connection, replace(ledger.current(connection), produced=made))
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA synchronous = FULL")


def median_ms(do: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        do()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def drill(*, times: int, seed: int, sizes: tuple[int, ...] = SIZES) -> bool:
    """Print the table. `times` is how many tables."""
    for _ in range(times):
        with tempfile.TemporaryDirectory(dir=roomy()) as name:
            table(Path(name), random.Random(seed), sizes)
    return True


def roomy() -> str | None:
    """Return a folder with room for 10 GB, the system's own if it has it."""
    return None if shutil.disk_usage(tempfile.gettempdir()).free > 20 * 10**9 else "."


def table(folder: Path, rng: random.Random, sizes: tuple[int, ...]) -> None:
    path = folder / "outbox.sqlite3"
    print(
        f"{'rows waiting':>14} {'insert 60':>10} {'newest 200':>11} {'oldest 200':>11} {'ack 50':>8} {'hello':>7}   (median ms)"
    )
    with Outbox.open(path, device="a" * 16, quota=Quota(path=path, cap_bytes=2**40)) as outbox:
        for size in sizes:
            grow(outbox, size)
            records = [tcp_record(number) for number in range(A_ROUND)]
            insert = median_ms(lambda: outbox.append(records))  # noqa: B023 - called at once
            newest = median_ms(lambda: outbox.newest(200))
            oldest = median_ms(lambda: outbox.oldest(200))

            def ack() -> None:
                low = rng.randint(1, size - 50)  # noqa: B023 - called at once
                outbox.acknowledge(
                    Ack(
                        epoch=outbox.epoch,
                        upto=0,
                        ranges=SeqRanges(((low, low + 49),)),
                        incarnation=outbox.incarnation,
                    )
                )

            acked = median_ms(ack)
            hello = median_ms(lambda: outbox.hello(software="", country=""))
            print(
                f"{size:>14,} {insert:>10.2f} {newest:>11.2f} {oldest:>11.2f} {acked:>8.2f} {hello:>7.3f}",
                flush=True,
            )
