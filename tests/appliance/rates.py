"""How fast the outbox takes records in, beside bare sqlite3, and what a record costs on the wire, in one run.

    python -m tests.appliance.rates

Bare sqlite3 writes ready-made JSON into one table, WAL and FULL as the outbox: the limit. The two take turns, so
that a noisy machine hits both; the median of five turns each is printed. Nothing is asserted: machines differ.
"""

import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.outbox.box import Outbox
from firmware.exchange import Batch, encode_batch
from firmware.record import to_json
from tests.firmware.records import tcp_record

TURNS: Final = 5
SECONDS_A_TURN: Final = 1.0
RECORDS: Final = 12_000


def main() -> None:
    """Print the table."""
    bodies = [json.dumps(to_json(tcp_record(number))) for number in range(RECORDS)]
    print("records a commit   bare sqlite3/s   outbox/s   ratio   bytes written a record (outbox)")
    for per_commit in (1, 20, 60):
        with tempfile.TemporaryDirectory() as folder:
            bare, kept, written = measure(Path(folder), bodies, per_commit)
        print(f"{per_commit:>16} {bare:>16,.0f} {kept:>10,.0f} {kept / bare:>7.2f} {written:>12,.0f}")
    batch = Batch(
        device="a" * 16,
        epoch="0" * 16,
        seqs=tuple(range(1, 51)),
        records=tuple(to_json(tcp_record(number)) for number in range(50)),
    )
    plain = sum(len(body.encode()) for body in bodies[:50]) / 50
    print(
        f"on the wire: {len(encode_batch(batch)) / 50:.0f} bytes a record in a batch of 50, {plain:.0f} as plain JSON"
    )


def measure(folder: Path, bodies: list[str], per_commit: int) -> tuple[float, float, float]:
    """Return records/s of bare sqlite3 and of the outbox, and bytes that the outbox had written a record."""
    bare = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    bare.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (seq INTEGER PRIMARY KEY, body TEXT)"
    )
    outbox = Outbox.open(folder / "outbox.sqlite3", device="a" * 16)
    records = [tcp_record(number) for number in range(per_commit)]

    def one_bare(turn: int) -> None:
        start = turn * per_commit % (RECORDS - per_commit)
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(
            "INSERT INTO t (body) VALUES (?)", [(body,) for body in bodies[start : start + per_commit]]
        )
        bare.execute("COMMIT")

    def one_outbox(_turn: int) -> None:
        outbox.append(records)

    bare_rates, outbox_rates = [], []
    for _ in range(TURNS):
        bare_rates.append(rate(one_bare) * per_commit)
        outbox_rates.append(rate(one_outbox) * per_commit)
    begun = written_bytes()
    for turn in range(200):
        one_outbox(turn)
    written = (written_bytes() - begun) / (200 * per_commit)
    bare.close()
    outbox.close()
    return statistics.median(bare_rates), statistics.median(outbox_rates), written


def rate(do: Callable[[int], None]) -> float:
    """Return how often a second `do` is done, over one turn."""
    began, count = time.monotonic(), 0
    while (taken := time.monotonic() - began) < SECONDS_A_TURN:
        do(count)
        count += 1
    return count / taken


def written_bytes() -> int:
    """Return what this process has had written to storage (/proc/self/io, write_bytes)."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


if __name__ == "__main__":
    main()
