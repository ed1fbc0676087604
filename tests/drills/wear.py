"""How many bytes reach the card in a day at the default cadence: the outbox's own file system calls, counted.

A process stores one day's rounds of the default plan as a device does (a commit a round) and has them acknowledged in
batches of 50, at once; /proc/self/io's write_bytes says what the kernel sent to storage (after a sync, so with the
file system's own pages where the folder is on a disk). Beside it the same without a collector.
"""

import os
import tempfile
from pathlib import Path

from appliance.outbox.box import Outbox
from firmware.exchange import Ack
from firmware.plans.load import load
from tests.firmware.records import tcp_record


def written_bytes() -> int:
    os.sync()
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


def drill(*, times: int, seed: int, rounds: int = 0) -> bool:
    """Print the figures of `times` days. `rounds` shortens the day."""
    plan = load("ir")
    a_round = len(plan.tasks) + 8
    rounds = rounds or 86_400 // plan.cadence.calm_s
    for _ in range(times):
        for words, acknowledges in (("with a collector", True), ("without one", False)):
            with tempfile.TemporaryDirectory() as name:
                report(Path(name), words, acknowledges, rounds=rounds, a_round=a_round)
    return True


def report(folder: Path, words: str, acknowledges: bool, *, rounds: int, a_round: int) -> None:
    with Outbox.open(folder / "outbox.sqlite3", device="a" * 16) as outbox:
        begun = written_bytes()
        body_bytes = 0
        for number in range(rounds):
            outbox.append([tcp_record(number) for _ in range(a_round)])
            if acknowledges:
                while rows := outbox.oldest(50):
                    body_bytes += sum(len(row.body) for row in rows)
                    outbox.acknowledge(Ack(epoch=outbox.epoch, upto=rows[-1].seq))
        written = written_bytes() - begun
        count = rounds * a_round
        print(
            f"  {words}: {rounds} rounds of {a_round} records, {written / 1e6:,.1f} MB written,"
            f" {written / count:,.0f} bytes a record",
            flush=True,
        )
