"""How fast the outbox takes records in, beside bare sqlite3, and what a record costs on the wire, in one run.

    python -m tests.appliance.rates

Bare sqlite3 has one table, WAL and FULL as the outbox, and writes a row `json.dumps` of each record: the least that does
the same. `ready` is the same with the text made before, which no outbox finds; `plain` is the outbox without packing
(decision 0027), so that what packing costs and saves can be read off. They take turns, so that a noisy machine hits all;
the median of five turns each is printed. Nothing is asserted: machines differ.
"""

import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.outbox.box import Outbox
from appliance.storage.tables import packed
from firmware.model.record import to_json
from firmware.wire.messages import Batch, encode_batch
from tests.firmware.records import tcp_record

TURNS: Final = 5
SECONDS_A_TURN: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Records/s of bare sqlite3, of it with the text ready, of the outbox and of it unpacked; bytes written a record by each of the two."""

    bare: float
    bare_ready: float
    outbox: float
    plain: float
    written_bytes: float
    plain_bytes: float


def main() -> None:
    """Print the table."""
    print("                                                       of             bytes written a record")
    print("a commit    ready/s     bare/s    plain/s   outbox/s  bare  plain       plain     outbox")
    for per_commit in (1, 20, 60):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), per_commit)
        print(
            f"{per_commit:>8} {found.bare_ready:>10,.0f} {found.bare:>10,.0f} {found.plain:>10,.0f} {found.outbox:>10,.0f}"
            f" {found.outbox / found.bare:>5.2f} {found.outbox / found.plain:>6.2f}"
            f" {found.plain_bytes:>11,.0f} {found.written_bytes:>10,.0f}"
        )
    told = [to_json(tcp_record(number)) for number in range(50)]
    batch = Batch(device="a" * 16, epoch="0" * 16, seqs=tuple(range(1, 51)), records=told)
    plain = sum(len(json.dumps(one).encode()) for one in told) / 50
    print(
        f"on the wire: {len(encode_batch(batch)) / 50:.0f} bytes a record in a batch of 50, {plain:.0f} as plain JSON"
    )


def measure(folder: Path, per_commit: int, *, turn_s: float = SECONDS_A_TURN) -> Rates:
    """Return the rates at so many records a commit, each turn `turn_s` long."""
    bare = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    bare.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (seq INTEGER PRIMARY KEY, body TEXT)"
    )
    outbox = Outbox.open(folder / "outbox.sqlite3", device="a" * 16)
    unpacked = Outbox.open(folder / "unpacked.sqlite3", device="a" * 16)
    records = [tcp_record(number) for number in range(per_commit)]
    ready = [json.dumps(to_json(record)) for record in records]

    def insert(bodies: list[str]) -> None:
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany("INSERT INTO t (body) VALUES (?)", [(body,) for body in bodies])
        bare.execute("COMMIT")

    def append_unpacked() -> None:
        with _without_packing():
            unpacked.append(records)

    ways: tuple[Callable[[], object], ...] = (
        lambda: insert([json.dumps(to_json(record)) for record in records]),
        lambda: insert(ready),
        lambda: outbox.append(records),
        append_unpacked,
    )
    turns = [[rate(way, turn_s) * per_commit for way in ways] for _ in range(TURNS)]
    written, plain_written = (_bytes_a_record(way, per_commit) for way in ways[2:])
    bare.close()
    outbox.close()
    unpacked.close()
    made, found_ready, kept, plain = (statistics.median(side) for side in zip(*turns, strict=True))
    return Rates(
        bare=made,
        bare_ready=found_ready,
        outbox=kept,
        plain=plain,
        written_bytes=written,
        plain_bytes=plain_written,
    )


@contextmanager
def _without_packing() -> Iterator[None]:
    pack = packed.pack
    packed.pack = _as_it_is
    try:
        yield
    finally:
        packed.pack = pack


def _as_it_is(body: str, *, test: str, failed: bool) -> str:
    """Stand in for `packed.pack`."""
    del test, failed
    return body


def _bytes_a_record(append: Callable[[], object], per_commit: int) -> float:
    begun = written_bytes()
    for _ in range(200):
        append()
    return (written_bytes() - begun) / (200 * per_commit)


def rate(do: Callable[[], object], turn_s: float) -> float:
    """Return how often a second `do` is done, over one turn."""
    began, count = time.monotonic(), 0
    while (taken := time.monotonic() - began) < turn_s:
        do()
        count += 1
    return count / taken


def written_bytes() -> int:
    """Return what this process has had written to storage (/proc/self/io, write_bytes)."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


if __name__ == "__main__":
    main()
