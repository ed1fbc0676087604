"""How many bytes reach the card in a day at the default cadence: the outbox's own file system calls, counted.

A process stores one day's records of Iran's plan as a device does (two commits a round on a line that is well, the
second with its conclusion, taken to have 4 kB) and has them acknowledged in batches of at most 50, at once; /proc/self/io's write_bytes says what the kernel sent to storage (after a sync, so with the
file system's own pages where the folder is on a disk). Beside it the same without a collector.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

from appliance.measuring.rounds import RunningRound
from appliance.outbox.box import Outbox
from appliance.storage import sidecar
from appliance.storage.tables.delivered import Receipt
from firmware.model.record import Outcome, Record
from firmware.plans.load import load
from firmware.wire.messages import Ack
from tests.firmware.records import tcp_record


def written_bytes() -> int:
    os.sync()
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


def drill(*, times: int, seed: int, rounds: int = 0) -> bool:
    """Print the figures of `times` days. `rounds` shortens the day."""
    plan = load("ir")
    beside = sum(plan.cadence.calm_s / task.every_s for task in plan.tasks)
    a_round = len(RunningRound(plan, round_id=1, slot_ns=0, start_ns=0).tasks) + round(beside)
    rounds = rounds or 86_400 // plan.cadence.calm_s
    for _ in range(times):
        for words, acknowledges, receipt in (
            ("with a collector", True, None),
            ("with one whose acks are signed", True, Receipt(key="a" * 16, number=1)),
            ("without one", False, None),
        ):
            with tempfile.TemporaryDirectory() as name:
                report(Path(name), words, acknowledges, receipt, rounds=rounds, a_round=a_round)
    return True


def conclusion(number: int) -> Record:
    record = tcp_record(number, test="ladder")
    return replace(record, outcome=Outcome(detail={"ladder": "x" * 3300}))


def report(
    folder: Path, words: str, acknowledges: bool, receipt: Receipt | None, *, rounds: int, a_round: int
) -> None:
    # Commits follow each other faster here than on a device, where each is seconds after the last and flushes the sidecar.
    with (
        mock.patch.object(sidecar, "SYNC_EVERY_S", 0.0),
        Outbox.open(folder / "outbox.sqlite3", device="a" * 16) as outbox,
    ):
        begun = written_bytes()
        for number in range(rounds):
            outbox.append([tcp_record(number) for _ in range(a_round)])
            outbox.append([conclusion(number)])
            if acknowledges:
                while rows := outbox.oldest(50):
                    outbox.acknowledge(
                        Ack(epoch=outbox.epoch, upto=rows[-1].seq, incarnation=outbox.incarnation), receipt
                    )
        written = written_bytes() - begun
        count = rounds * (a_round + 1)
        print(
            f"  {words}: {rounds} rounds of {a_round + 1} records, {written / 1e6:,.1f} MB written,"
            f" {written / count:,.0f} bytes a record",
            flush=True,
        )
