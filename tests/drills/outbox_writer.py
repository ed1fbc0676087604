"""A device's storing in a process of its own, to be killed: it appends, acknowledges and gives up at random.

    python -m tests.drills.outbox_writer FOLDER SEED STEP [TICKS]

On its output, a line for each thing that is durable by then: `made N` (records 1 to N were appended). STEP is where
it kills itself: `any` (its parent does, when it likes), or one of `STEPS`, the third time it gets there.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from firmware.wire.messages import Ack
from tests.drills.exchange import Collector, deliver
from tests.drills.told import log_appends
from tests.firmware.records import tcp_record

DEVICE: Final = "a1b2c3d4e5f6g7h8"
STEPS: Final = (
    "after BEGIN of an append",
    "after INSERT of an append",
    "before COMMIT",
    "after COMMIT, before it is told",
    "after the collector's commit, before the ack",
    "in the middle of an acknowledgement",
    "in the middle of giving up",
    "between a hello and its answer",
    "in the middle of a checkpoint",
)


class Mine:
    """Kills this process the third time its step is reached."""

    def __init__(self, step: str, *, times: int = 3) -> None:
        self._step = step
        self._left = times

    def step(self, name: str) -> None:
        if name == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def watch(outbox: Outbox, mine: Mine) -> Callable[[str], None]:
    """Return a trace of the outbox's statements that finds the steps in them."""
    state = {"doing": ""}

    def seen(sql: str) -> None:
        if sql.startswith("BEGIN"):
            state["doing"] = ""
            mine.step("after BEGIN of an append")
        elif sql.startswith("INSERT INTO waiting"):
            if state["doing"] == "append":
                mine.step("after INSERT of an append")
            state["doing"] = "append"
        elif sql.startswith("DELETE FROM waiting"):
            mine.step(
                "in the middle of giving up"
                if state["doing"] == "give up"
                else "in the middle of an acknowledgement"
            )
        elif "given_up_to" in sql:
            state["doing"] = "give up"
        elif sql.startswith("COMMIT"):
            mine.step("before COMMIT")
        elif "wal_checkpoint" in sql:
            mine.step("in the middle of a checkpoint")

    outbox._handle.connection.set_trace_callback(seen)
    return seen


def main() -> None:
    """Work until killed, or for some hundred steps."""
    folder, seed, step = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    rng = random.Random(seed)
    mine = Mine(step)
    collector = Collector(folder)
    outbox = Outbox.open(folder / "outbox.sqlite3", device=DEVICE)
    store = GroupCommit(
        outbox, account=lambda count, reason: tcp_record(0, test="gap", failure="result_lost")
    )
    watch(outbox, mine)
    log_appends(outbox, folder)
    made = outbox.counts().produced
    orders = {"left": 10**9}

    def lost() -> bool:
        orders["left"] -= 1
        if orders["left"] == 0:
            mine.step("between a hello and its answer")
        return rng.random() < 0.2

    take = collector.take

    def taken(device: str, leaf: str, payload: bytes) -> Ack | None:
        ack = take(device, leaf, payload)
        if leaf != "hello":
            mine.step("after the collector's commit, before the ack")
        return ack

    collector.take = taken  # type: ignore[method-assign]
    ticks = int(sys.argv[4]) if len(sys.argv) > 4 else 400
    control = os.open(folder / "control", os.O_WRONLY | os.O_CREAT, 0o600)
    for _ in range(ticks):
        what = rng.random()
        if what < 0.6:
            count = rng.randint(1, 30)
            for number in range(made + 1, made + count + 1):
                store.add(tcp_record(number, failure=rng.choice([None, None, "generic_timeout_error"])), 0)
            assert store.commit(0)
            mine.step("after COMMIT, before it is told")
            made += count
            # The control: written as often, and never synced.
            os.pwrite(control, f"{made:>12}".encode(), 0)
            print(f"made {made}", flush=True)
        elif what < 0.85:
            orders["left"] = rng.randint(1, 4)
            deliver(outbox, collector, lost=lost, rng=rng, rounds=1)
        elif what < 0.95:
            outbox.evict(rng.randint(1, 40))
        else:
            outbox._handle.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    outbox.close()
    collector.close()


if __name__ == "__main__":
    main()
