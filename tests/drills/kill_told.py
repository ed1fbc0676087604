"""What the kill drill's device told of records that were durable, and whether the collector has exactly those.

A line is the record's identity, a digest of its content, and whether it tells of a worker's death. A line that a kill
cut off counts as never told.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.outbox.box import Outbox

_LINE = re.compile(r"([0-9a-f]{16}) (\d+) ([0-9a-f]{32}) ([wr])")


def line_of(epoch: str, seq: int, record: Mapping[str, Any]) -> str:
    """Return the line of a record that is durable under this identity."""
    death = record["test"] == "gap" and record["failure"] == "worker_died"
    return f"{epoch} {seq} {_digest(record)} {'w' if death else 'r'}"


def read_told(path: Path) -> dict[tuple[str, int], tuple[str, bool]]:
    """Return what was told: digest, and whether it was a worker's death, by epoch and seq.

    Two contents told under one identity are kept as one that nothing stored can match.
    """
    told: dict[tuple[str, int], tuple[str, bool]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        identity = (found[1], int(found[2]))
        told[identity] = ("told twice", False) if identity in told else (found[3], found[4] == "w")
    return told


def compare(folder: Path, *, outbox: Path, collector: Path, said: str, worker_deaths: int) -> str:
    """Return what is wrong with the account, "" if nothing is. `said` is what the collector's own audit printed."""
    told = read_told(folder / "told")
    with Outbox.look(outbox) as device:
        counts, epoch = device.counts(), device.epoch
    connection = sqlite3.connect(f"file:{collector}?mode=ro", uri=True)
    rows = connection.execute("SELECT epoch, seq, body FROM record").fetchall()
    connection.close()
    stored = {(row[0], row[1]): _digest(json.loads(row[2])) for row in rows}
    wrong = [
        (f"{len(told.keys() - stored.keys())} lost", told.keys() - stored.keys()),
        (f"{len(rows) - len(stored)} stored twice", () if len(rows) == len(stored) else ("?",)),
        (
            "stored otherwise than told",
            [one for one, (digest, _) in told.items() if stored.get(one) != digest],
        ),
        ("of another epoch", [one for one in stored if one[0] != epoch]),
        ("a hole", {(epoch, seq) for seq in range(1, counts.produced + 1)} - stored.keys()),
    ]
    faults = [f"{what}: {sorted(which)[:3]}" for what, which in wrong if which]
    if (
        len(stored) != counts.produced
        or f" {counts.produced:,} produced = {counts.produced:,} stored" not in said
    ):
        faults.append(f"{counts} at the device, {len(stored)} stored: {said}")
    deaths = [json.loads(body) for _, _, body in rows if '"worker_died"' in body]
    gaps = sum(body["test"] == "gap" for body in deaths)
    if gaps != worker_deaths:
        faults.append(f"{worker_deaths} workers were killed, {gaps} gaps tell of it")
    return "; ".join(faults)


def _digest(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
