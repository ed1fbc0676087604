"""What the kill drill's device told of records that were durable, and whether the collector has exactly those.

The log of what it told is `tests.drills.told`'s.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.measuring.sentinel import PREFIX
from appliance.outbox.box import Outbox
from tests.drills import told as log

KILLED: Final = ["worker-ended", {"how": "killed by SIGKILL"}]
"""Why nothing came of a killed worker's tasks, as a gap tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was found: `faults` in words, "" if there are none, and how many records were told of."""

    faults: str
    told: int


def compare(folder: Path, *, outbox: Path, collector: Path, said: str, worker_deaths: int) -> Compared:
    """Return what is wrong with the account; `said` is what the collector's own audit printed."""
    told = log.read(folder / log.NAME)
    with Outbox.open_read_only(outbox) as device:
        counts, epoch = device.counts(), device.epoch
    connection = sqlite3.connect(f"file:{collector}?mode=ro", uri=True)
    rows = connection.execute("SELECT epoch, seq, body FROM record").fetchall()
    connection.close()
    records = [((row[0], row[1]), json.loads(row[2])) for row in rows]
    stored = {identity: log.digest(record) for identity, record in records}
    wrong: list[tuple[str, Collection[object]]] = [
        ("durable at the device and not stored", told.keys() - stored.keys()),
        (
            "stored otherwise than told",
            [one for one in told if stored.get(one, told[one][0]) != told[one][0]],
        ),
        (
            "stored more than once",
            [one for one, count in Counter(one for one, _ in records).items() if count > 1],
        ),
        ("of another epoch", [one for one in stored if one[0] != epoch]),
        ("a hole", {(epoch, seq) for seq in range(1, counts.produced + 1)} - stored.keys()),
    ]
    faults = [f"{len(which)} {what}: {list(which)[:3]}" for what, which in wrong if which]
    if (
        len(stored) != counts.produced
        or f" {counts.produced:,} produced = {counts.produced:,} stored" not in said
    ):
        faults.append(f"{counts} at the device, {len(stored)} stored: {said}")
    return Compared(
        faults="; ".join((*faults, *_deaths([record for _, record in records], worker_deaths))),
        told=len(told),
    )


def _deaths(records: Sequence[Mapping[str, Any]], killed: int) -> Iterator[str]:
    """Find a worker's death that left no gap, and a task that was with it and left no record."""
    died = [record for record in records if record["failure"] == "worker_died"]
    gaps = [record for record in died if record["test"] == "gap"]
    if len(gaps) != killed:
        yield f"{killed} workers were killed, {len(gaps)} gaps tell of it"
    reasons = [reason for gap in gaps if (reason := gap["detail"]["reason"]) != KILLED]
    if reasons:
        yield f"workers are said to have ended otherwise than killed: {reasons}"
    # The sentinel's probes make no records (`appliance.measuring.sentinel`).
    named = [name for gap in gaps for name in gap["detail"]["tasks"] if not name.startswith(PREFIX)]
    if len(named) != len(died) - len(gaps):
        yield f"{len(named)} tasks were with workers that died, {len(died) - len(gaps)} records tell of one"
