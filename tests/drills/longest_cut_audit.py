"""What became of every record of the longest cut: the outbox held against the drill's own log of digests.

The log was written outside of the card by whoever saw the outbox say that a record was durable. Each is to wait, unchanged,
or to be under a tombstone, and not both. It must never believe a counter of the product without counting.
"""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.outbox.box import Outbox, WaitingRow
from appliance.storage.datadir import DataDir
from appliance.storage.tables.priority import Priority

_PAGE: Final = 2000
_CONCLUSION: Final = "c"


@dataclass(slots=True)
class Tally:
    """What came of records, by when they were made: counts by (day, value), and of conclusions by day."""

    made: Counter[tuple[int, int]] = field(default_factory=Counter)
    kept: Counter[tuple[int, int]] = field(default_factory=Counter)
    conclusions: Counter[int] = field(default_factory=Counter)
    conclusions_kept: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    changed: int = 0
    doubly: int = 0
    beyond: int = 0
    """Records that wait and that nobody saw made."""


def device_of(data: Path) -> str:
    with DataDir.open(data) as found:
        return found.device


def audit(data: Path, log: Path) -> tuple[list[str], Tally]:
    """Return what is wrong, and what became of all; print the sums."""
    wrong: list[str] = []
    with Outbox.open(data / "outbox.sqlite3", device=device_of(data)) as outbox:
        if outbox.recovered is not None or outbox.past():
            wrong.append(f"the outbox was found damaged: {outbox.recovered}")
        gone = [(one.low, one.high) for one in outbox.tombstones(2**40)]
        counts = outbox.counts()
        if counts.produced != counts.waiting + counts.given_up:
            wrong.append(f"the counters do not add up: {counts}")
        if sum(high - low + 1 for low, high in gone) != counts.given_up:
            wrong.append(f"tombstones do not name the {counts.given_up} that were given up")
        tally = _compare(_waiting(outbox), log, gone)
    made, kept = sum(tally.made.values()), sum(tally.kept.values())
    print(
        f"  {made:,} records durable: {kept:,} wait, {made - kept - tally.lost:,} under {len(gone):,} tombstones;"
        f" {tally.lost} lost, {tally.changed} changed, {tally.doubly} both, {tally.beyond} that nobody made",
        flush=True,
    )
    if tally.lost or tally.changed or tally.doubly or tally.beyond:
        wrong.append("the account is not exact")
    return wrong, tally


def _waiting(outbox: Outbox) -> Iterator[WaitingRow]:
    above = 0
    while page := outbox.oldest(_PAGE, above=above):
        yield from page
        above = page[-1].seq


def _digest(row: WaitingRow) -> str:
    return hashlib.blake2b(row.body.encode(), digest_size=12).hexdigest()


def _compare(waiting: Iterator[WaitingRow], log: Path, gone: list[tuple[int, int]]) -> Tally:
    """Go through log and outbox side by side, by their seqs."""
    maybe = log.with_suffix(".maybe")
    may_be = {line.split()[4] for line in maybe.read_text().splitlines()} if maybe.exists() else set()
    lows = [low for low, _ in gone]
    tally = Tally()
    row = next(waiting, None)
    with log.open() as told:
        for line in told:
            word, day, value, kind, digest = line.split()
            seq, of_day = int(word), (int(day), int(value))
            tally.made[of_day] += 1
            tally.conclusions[int(day)] += kind == _CONCLUSION
            while row is not None and row.seq < seq:
                # Between the last that was told durable and a cut, a commit may have been.
                tally.beyond += _digest(row) not in may_be
                row = next(waiting, None)
            at = bisect_right(lows, seq) - 1
            is_gone = at >= 0 and gone[at][1] >= seq
            if row is None or row.seq != seq:
                tally.lost += not is_gone
                continue
            tally.changed += _digest(row) != digest
            tally.doubly += is_gone
            tally.kept[of_day] += 1
            tally.conclusions_kept[int(day)] += kind == _CONCLUSION
            row = next(waiting, None)
    return tally


def show(tally: Tally) -> None:
    """Print what was made and kept, by tenths of the time."""
    last = max(day for day, _ in tally.made)
    width = last // 10 + 1
    names = "".join(f"{value.name.lower() + ' kept of made':>28}" for value in Priority)
    print(f"  days      {names}     conclusions", flush=True)
    for first in range(0, last + 1, width):
        span = range(first, min(first + width, last + 1))
        cells = []
        for value in Priority:
            kept, made = (sum(count[day, int(value)] for day in span) for count in (tally.kept, tally.made))
            cells.append(f"{kept:>14,} of {made:>10,}")
        kept, made = (
            sum(count[day] for day in span) for count in (tally.conclusions_kept, tally.conclusions)
        )
        print(f"  {span[0]:>3} to {span[-1]:>3}{''.join(cells)}{kept:>9,} of {made:,}", flush=True)
