"""The device of the kill drill: a real worker process, the real outbox and the real sender, over TLS and signed.

    python -m tests.drills.kill_device DATA ORDERS BROKER_PORT TARGET_PORT

It has TCP connects measured on the loopback as fast as they come, each under a number of its own (`round_id`), and writes
to ORDERS/told the numbers that are durable. While ORDERS/quiet is there it measures nothing. Back-offs and time-outs are
shortened, so that a thousand kills take minutes; nothing else differs from a device.
"""

import os
import random
import selectors
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

from appliance.identity.files import IdentityFiles
from appliance.identity.identity import Identity
from appliance.measuring.worker import Died, Measured, Unanswered, Worker
from appliance.outbox.box import Outbox
from appliance.outbox.datadir import DataDir
from appliance.outbox.storing import Store
from appliance.sync import policy, sender
from appliance.sync.link import SyncSettings, Taken
from appliance.sync.mqtt import MqttLink
from appliance.sync.sender import Sync
from appliance.sync.ways import Ports
from firmware.clock import read_boot_id
from firmware.failures import Failure
from firmware.net.loop import boottime_ns
from firmware.record import Zone
from firmware.task import Task
from tests.drills.orders import Orders, watch_sql, write_pid
from tests.firmware.records import tcp_record

AT_ONCE = 8
TURN_S = 0.02
SQL = {
    "INSERT INTO waiting": "device: in the transaction that stores records",
    "COMMIT": "device: before its commit",
    "DELETE FROM waiting": "device: in the transaction that lets records go",
}


def after(cls: Any, method: str, then: Callable[[tuple[Any, ...], Any], None]) -> None:
    """Have `then` called with arguments and result whenever `cls.method` returns."""
    real = getattr(cls, method)

    @wraps(real)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        then(arguments, result)
        return result

    setattr(cls, method, wrapped)


def before(cls: Any, method: str, then: Callable[[], None]) -> None:
    real = getattr(cls, method)

    @wraps(real)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        then()
        return real(*arguments, **options)

    setattr(cls, method, wrapped)


def mine(orders: Orders) -> None:
    """Put the steps where they are."""
    watch_sql(SQL, orders)
    after(Outbox, "append", lambda *_: orders.step("device: after its commit"))
    before(Outbox, "acknowledge", lambda: orders.step("device: ack received"))
    after(Outbox, "acknowledge", lambda *_: orders.step("device: records let go"))

    def sent(arguments: tuple[Any, ...], _: Any) -> None:
        leaf = arguments[1]
        orders.step("device: hello sent" if leaf == "hello" else "device: batch sent")

    after(MqttLink, "publish", sent)

    def stepped(_: tuple[Any, ...], events: Any) -> None:
        if any(isinstance(event, Taken) for event in events):
            orders.step("device: batch at the broker")

    after(MqttLink, "step", stepped)


@contextmanager
def hurried() -> Iterator[None]:
    """Shorten what a sender waits for."""
    shorter = {"LINGER_S": 0.05, "TIMEOUT_MIN_S": 0.4, "TIMEOUT_MAX_S": 1.0}
    before = {name: getattr(policy, name) for name in shorter}
    real = policy.SyncPolicy

    def quick(*arguments: Any, **options: Any) -> policy.SyncPolicy:
        made = real(*arguments, **options)
        made.timeout_s = 0.5
        return made

    assert "SyncPolicy" in vars(sender)
    try:
        vars(policy).update(shorter)
        vars(sender)["SyncPolicy"] = quick
        yield
    finally:
        vars(policy).update(before)
        vars(sender)["SyncPolicy"] = real


def main() -> None:
    """Measure, store and send until killed."""
    folder = Path(sys.argv[2])
    orders = Orders(folder)
    mine(orders)
    data = DataDir.open(Path(sys.argv[1]))
    outbox = Outbox.open(data.outbox, device=data.device)
    store = Store(outbox, account=lambda count, reason: tcp_record(0, test="gap", failure="result_lost"))
    sync = Sync(
        SyncSettings(
            host="localhost",
            ports=Ports(wss=0, mqtts=int(sys.argv[3]), https=0),
            connect_timeout_s=5.0,
            retry_max_s=0.2,
        ),
        outbox,
        software="drill",
        country="xx",
        notify=lambda _: None,
        identity=lambda: Identity.load(IdentityFiles(data=data.path), device=data.device),
    )
    sync.start()
    told = os.open(folder / "told", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    measuring = _Measuring(folder, store)
    while True:
        numbers = measuring.turn()
        if store.commit(boottime_ns()):
            os.write(told, "".join(f"{number}\n" for number in numbers).encode())
            sync.wake()
        elif measuring.rests:
            counts = outbox.counts()
            draft = folder / "state.new"
            draft.write_text(f"{counts.waiting} {counts.produced}")
            draft.replace(folder / "state")


class _Measuring:
    """The worker, and what it is given to do."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._boot_id = read_boot_id()
        self._selector = selectors.DefaultSelector()
        self._worker = Worker(self._selector, clock_ns=boottime_ns)
        self._worker.start()
        self._pid: int | None = None
        self.rests = False

    def turn(self) -> list[int]:
        """Take what was measured into the store; return its numbers."""
        worker = self._worker
        if worker.pid != self._pid and worker.pid is not None:
            self._pid = worker.pid
            write_pid(self._folder, "worker", worker.pid)
        quiet = (self._folder / "quiet").exists()
        if not quiet and worker.is_ready:
            worker.submit([_task() for _ in range(AT_ONCE - len(worker.open_tasks))])
        self._selector.select(TURN_S)
        numbers: list[int] = []
        for news in worker.tend():
            match news:
                case Measured(task=task, result=result):
                    numbers.append(self._keep(task, result.outcome.failure, result.runtime_ns))
                case Died(tasks=tasks) | Unanswered(tasks=tasks):
                    numbers += [self._keep(task, str(Failure.WORKER_DIED), 0) for task in tasks]
        self.rests = quiet and not worker.open_tasks
        return numbers

    def _keep(self, task: Task, failure: str | None, runtime_ns: int) -> int:
        assert task.round_id is not None
        made = replace(
            tcp_record(1, failure=failure),
            round_id=task.round_id,
            boot_id=self._boot_id,
            runtime_ns=runtime_ns,
        )
        self._store.add(made, boottime_ns())
        return task.round_id


def _task() -> Task:
    number, now_ns = random.getrandbits(52), boottime_ns()
    return Task(
        task_id=f"t/{number}",
        test="tcp",
        target=f"127.0.0.1:{sys.argv[4]}",
        target_name="loopback",
        options={},
        zone=Zone.DOMESTIC,
        round_id=number,
        start_boottime_ns=now_ns,
        deadline_boottime_ns=now_ns + 5_000_000_000,
    )


if __name__ == "__main__":
    with hurried():
        main()
