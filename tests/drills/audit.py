"""What must hold of an outbox and its collector after whatever happened: every record accounted for, once."""

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from appliance.outbox.box import Outbox
from tests.drills import told as log
from tests.drills.exchange import Collector, deliver


def audit(
    folder: Path, *, device: str, durable: int, may_be_gone: Collection[int] = (), last: int | None = None
) -> list[str]:
    """Bring all to the collector and return what is wrong with the account; empty when nothing is.

    Records 1 to `durable` were told to be on the disk; `last` is the highest that may have been made. Each carries
    its number as `round_id`; where the folder has a log of what was told, contents are held against it. Those `may_be_gone` may be under a tombstone although nobody chose to give them up.
    """
    wrong: list[str] = []
    collector = Collector(folder)
    with Outbox.open(folder / "outbox.sqlite3", device=device) as outbox:
        if outbox.recovered is not None and not may_be_gone:
            wrong.append(f"the outbox was found damaged ({outbox.recovered})")
        deliver(outbox, collector)
        counts = outbox.counts()
        if counts.waiting:
            wrong.append(f"{counts.waiting} records still wait")
        if counts.produced != counts.acknowledged + counts.quarantined + counts.given_up:
            wrong.append(f"the device's counters do not add up: {counts}")
        if counts.produced < durable:
            wrong.append(f"{durable} were durable, {counts.produced} are known")
    account = collector.completeness(device)
    if account.missing:
        wrong.append(f"missing at the collector: {account}")
    if account.produced != account.stored + account.tombstoned + account.rejected:
        wrong.append(f"the collector's figures do not add up: {account}")
    if account.produced != counts.produced:
        wrong.append(f"device says {counts.produced} produced, collector {account.produced}")
    if account.tombstoned > counts.given_up + counts.quarantined:
        wrong.append(f"{account.tombstoned} tombstoned, only {counts.given_up} given up")
    records = [json.loads(body) for body in collector.bodies()]
    numbers = Counter(record["round_id"] for record in records if record["test"] == "tcp")
    twice = [number for number, count in numbers.items() if count > 1]
    if twice:
        wrong.append(f"stored twice: {twice[:5]}")
    if last is not None and (beyond := [number for number in numbers if number > last]):
        wrong.append(f"never made: {beyond[:5]}")
    absent = set(range(1, durable + 1)) - set(numbers)
    if len(absent) > account.tombstoned:
        wrong.append(
            f"{len(absent)} durable records are not stored, only {account.tombstoned} are tombstoned"
        )
    wrong += _contents(folder, collector, tombstoned=account.tombstoned)
    collector.close()
    return wrong


def _contents(folder: Path, collector: Collector, *, tombstoned: int) -> list[str]:
    """Hold what is stored against the log of what was told, if there is one."""
    told, stored = log.read(folder / log.NAME), collector.stored()
    wrong = log.differing(told, stored)[:5]
    lost = told.keys() - dict(stored).keys()
    if len(lost) > tombstoned:
        wrong.append(f"{len(lost)} told durable are not stored, only {tombstoned} are tombstoned")
    return wrong
