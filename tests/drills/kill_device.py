"""The device of the kill drill: the real one, with the steps at which it may be killed.

    python -m tests.drills.kill_device ORDERS OPTION…      (the options of `tidegauge device`)

What is durable it writes to ORDERS/told, one record a line, as soon as the outbox has said so. While ORDERS/quiet is there,
no slot is due; ORDERS/rests appears once nothing is being measured or held. Waits are shortened, so that a thousand
kills take minutes. Nothing else differs from the device that users run, and nothing here may decide what it does.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.command import device
from appliance.delivery.network import policy, sender
from appliance.delivery.network.mqtt import MqttLink
from appliance.device import Device
from appliance.measuring import worker
from appliance.measuring.schedule import Schedule
from appliance.measuring.slots import Due
from appliance.measuring.worker import Worker
from appliance.outbox import group_commit
from appliance.outbox.box import Outbox
from firmware.model.record import to_json
from firmware.net.loop import boottime_ns
from tests.drills.orders import HELLO_SENT, Orders, after, before, watch_sql, write_pid
from tests.drills.told import line_of

SQL = {
    "INSERT INTO waiting": "device: in the transaction that stores records",
    "COMMIT": "device: before its commit",
    "DELETE FROM waiting": "device: in the transaction that lets records go",
}
LOOK_NS = 50_000_000
SHORTER: tuple[tuple[Any, str, Any], ...] = (
    (group_commit, "COMMIT_NS", 100_000_000),
    (worker, "RESTART_WAITS_S", (0.05, 0.2)),
    (policy, "RECONNECT_BASE_S", 0.1),
)


def report_steps(orders: Orders) -> None:
    """Put the steps where they are."""
    watch_sql(SQL, orders)
    after(Outbox, "append", lambda *_: orders.step("device: after its commit"))
    before(Outbox, "acknowledge", lambda: orders.step("device: ack received"))
    after(Outbox, "acknowledge", lambda *_: orders.step("device: records let go"))

    def sent(arguments: tuple[Any, ...], _: Any) -> None:
        if arguments[1] == "hello":
            orders.step(HELLO_SENT)
        elif arguments[1] in tuple(policy.BatchKind):
            orders.step("device: batch sent")

    after(MqttLink, "publish", sent)

    def taken(arguments: tuple[Any, ...], _: Any) -> None:
        if arguments[2]:  # 0 is the broker's answer to something that is no batch
            orders.step("device: batch at the broker")

    after(policy.SyncPolicy, "batch_at_broker", taken)


def tell(folder: Path) -> None:
    """Have what is durable told, and who the worker is."""
    told = os.open(folder / "told", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def appended(arguments: tuple[Any, ...], identities: Any) -> None:
        lines = (
            line_of(one.epoch, one.seq, to_json(record))
            for one, record in zip(identities, arguments[1], strict=True)
        )
        # A line that a kill cut off is ended by the next one's beginning.
        os.write(told, ("\n" + "\n".join(lines) + "\n").encode())

    after(Outbox, "append", appended)
    after(Worker, "start", lambda arguments, _: write_pid(folder, "worker", arguments[0].pid))


def rest_when_told(folder: Path) -> None:
    """Hold back what is due while the driver wants to look, and say when nothing is on its way to the outbox."""
    quiet, rests = folder / "quiet", folder / "rests"
    look, next_due_ns = Schedule.look, Schedule.next_due_ns

    def look_unless_quiet(self: Schedule, now_ns: int) -> list[Due]:
        return [] if quiet.exists() else look(self, now_ns)

    def due_unless_quiet(self: Schedule) -> int:
        return boottime_ns() + LOOK_NS if quiet.exists() else next_due_ns(self)

    vars_of: Any = Schedule
    vars_of.look, vars_of.next_due_ns = look_unless_quiet, due_unless_quiet

    def ticked(arguments: tuple[Any, ...], _: Any) -> None:
        here: Device = arguments[0]
        held = here._round or here._worker.open_tasks or here._journal.due_ns() is not None
        if quiet.exists() and not held:
            rests.touch()

    after(Device, "_tick", ticked)


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
    """Run it."""
    folder = Path(sys.argv[1])
    tell(folder)  # before the steps: what is killed just after its commit has told what was in it
    report_steps(Orders(folder))
    rest_when_told(folder)
    for module, name, value in SHORTER:
        assert hasattr(module, name), name
        setattr(module, name, value)
    device.main(args=sys.argv[2:], prog_name="device")


if __name__ == "__main__":
    with hurried():
        main()
