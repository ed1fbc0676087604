"""Runs one task to its result: at its slot, within its deadline, whatever happens. The worker's and `single`'s way.

A result always comes: a task that cannot be read, or code of ours that fails, is a result that says so. This
file must never know how tasks arrive or where results go.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from firmware.clock import moment
from firmware.measurements import EVERY_MEASUREMENT, Measurement
from firmware.model.failures import UNKNOWN_PREFIX, Failure
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Outcome, Phase
from firmware.model.task import Result, Task, TaskStep
from firmware.net import kernel
from firmware.net.access import Net
from firmware.net.host_view import Host
from firmware.net.job import CancelledJobError, Job
from firmware.net.kernel import IcmpError
from firmware.net.loop import Loop
from firmware.net.path_labels import error_label
from firmware.net.stamps import read_clock_offset
from firmware.net.targets import TargetError

_GRACE_NS = 250_000_000
"""Every wait of a measurement ends at its deadline by itself, and it reports what it had. One that has not
ended this long after is ended by force, with nothing to report."""

_LEAD_NS = 20_000_000
"""How long before its slot a task is begun, so that all is ready when its first packet is due."""


_QUIET_NS = 2_000_000_000
"""A task that ends sooner says how far it came by its result alone."""
_LOOK_NS = 1_000_000_000
"""How often one that is still out is looked at from then on."""


async def run_task(
    loop: Loop, task: Task, tell: Callable[[TaskStep], bool] | None = None, *, source: str = ""
) -> Result:
    """Run `task` at its slot and return its result. `CancelledJobError` passes through.

    `source`, where it is not "", is the address of this host that all it sends leaves from.

    `tell` is given how far it has come, a step at a time, once it has been out for `_QUIET_NS`: a measurement that ends
    sooner is not disturbed. It returns whether that could be told; if not, it is called again.
    """
    try:
        measurement = parse(task)
    except TargetError as error:
        failure = f"{UNKNOWN_PREFIX}TargetError: {error}"
        return failed_result(task.task_id, task.test, task.target, failure=failure, operation="parse")
    slot_ns = task.start_boottime_ns
    await loop.sleep_until(slot_ns - _LEAD_NS)
    ready_ns, ready_utc_ns = moment.now()
    net = Net(loop, deadline_ns=task.deadline_boottime_ns, slot_ns=slot_ns)
    net.source = source
    if ready_ns >= task.deadline_boottime_ns:
        outcome = Outcome(failure=Failure.MISSED_SLOT, failed_operation="start")
    else:
        before = read_clock_offset()
        outcome = await _measure(loop, measurement, net, tell)
        stepped = net.clock_stepped or kernel.clock_stepped(before, read_clock_offset())
        outcome = with_evidence(outcome, net.host, net.icmp_errors, stepped=stepped)
        if net.first_sent is not None:
            outcome = _with_lateness(outcome, net.first_sent.late(slot_ns))
    start_boottime_ns = net.began_ns or ready_ns
    return Result(
        task_id=task.task_id,
        test_version=measurement.version,
        target=task.target,
        uplink=net.uplink(),
        start_boottime_ns=start_boottime_ns,
        start_utc_ns=start_boottime_ns - ready_ns + ready_utc_ns,
        runtime_ns=net.now_ns() - start_boottime_ns,
        outcome=outcome,
    )


def parse(task: Task) -> Measurement:
    """Return the task's measurement. Raises `TargetError`, also for an unknown test."""
    kind = EVERY_MEASUREMENT.get(task.test)
    if kind is None:
        raise TargetError(f"found test {task.test!r}; allowed is one of {', '.join(EVERY_MEASUREMENT)}")
    return kind.parse(task.target, task.options)


def failed_result(task_id: str, test: str, target: str, *, failure: str, operation: str) -> Result:
    """Return the result of a task that could not be measured, as of now."""
    boottime_ns, utc_ns = moment.now()
    kind = EVERY_MEASUREMENT.get(test)
    return Result(
        task_id=task_id,
        test_version="" if kind is None else kind.version,
        target=target,
        uplink="",
        start_boottime_ns=boottime_ns,
        start_utc_ns=utc_ns,
        runtime_ns=0,
        outcome=Outcome(failure=failure, failed_operation=operation),
    )


def with_evidence(outcome: Outcome, host: Host, errors: Sequence[IcmpError], *, stepped: bool) -> Outcome:
    """Add to the detail what every test has: `clock_stepped`, and `icmp` where ICMP errors came back.

    Each of those has `failure`, `type`, `code`, `from` (a word for the host's own network), `info` (the MTU, for
    fragmentation needed) and `count`. Of an error about an open TCP stream the kernel keeps the word alone: `type`
    and `code` are null and `from` is empty.
    """
    icmp: list[JsonObject] = [
        {
            "failure": error.failure,
            "type": error.icmp_type,
            "code": error.icmp_code,
            "from": error_label(host, error.offender),
            "info": error.info,
            "count": count,
        }
        for error, count in Counter(errors).items()
    ]
    extra: JsonObject = {"clock_stepped": stepped, **({"icmp": [*icmp]} if icmp else {})}
    return replace(outcome, detail={**outcome.detail, **extra})


def _with_lateness(outcome: Outcome, late: Phase) -> Outcome:
    """Add to the detail how long after the slot the first packet left, `late_ns`, and whose time: `late_stamp`."""
    extra: JsonObject = {"late_ns": late.ns, "late_stamp": str(late.stamp)}
    return replace(outcome, detail={**outcome.detail, **extra})


async def _measure(
    loop: Loop, measurement: Measurement, net: Net, tell: Callable[[TaskStep], bool] | None
) -> Outcome:
    """Measure as a job of its own, so that the deadline can end it."""
    job = loop.spawn(measurement.measure(net), name=measurement.name)
    guard = loop.spawn(_guard(loop, job, net, tell), name="deadline")
    try:
        return await job
    except CancelledJobError:
        if not job.done:  # it is this task that is cancelled, and its children with it
            raise
        return _broken(net, Failure.TIMEOUT)
    except Exception as error:  # noqa: BLE001  # the outermost loop of a measurement: our fault becomes a result
        sys.excepthook(type(error), error, error.__traceback__)
        return _broken(net, f"{UNKNOWN_PREFIX}{type(error).__name__}: {error}")
    finally:
        guard.cancel()


def _broken(net: Net, failure: str) -> Outcome:
    return Outcome(
        failure=failure,
        failed_operation="measure",
        bytes_up=net.traffic.bytes_up,
        bytes_down=net.traffic.bytes_down,
    )


async def _guard(loop: Loop, job: Job[Outcome], net: Net, tell: Callable[[TaskStep], bool] | None) -> None:
    """Tell how far a measurement has come, and cancel it where it outlives its deadline."""
    end_ns = net.deadline_ns + _GRACE_NS
    if tell is not None:
        look_ns = net.slot_ns + _QUIET_NS
        told = _Told(net, tell, after_ns=look_ns)
        net.on_connect = told.look
        while look_ns < end_ns and told.step is not TaskStep.RECEIVING:
            await loop.sleep_until(look_ns)
            told.look()
            look_ns += _LOOK_NS
    await loop.sleep_until(end_ns)
    job.cancel()


class _Told:
    """How far a task was told to have come. Nothing is told before `after_ns`, and each step once."""

    __slots__ = ("_after_ns", "_net", "_tell", "step")

    def __init__(self, net: Net, tell: Callable[[TaskStep], bool], *, after_ns: int) -> None:
        self.step: TaskStep | None = None
        self._net = net
        self._tell = tell
        self._after_ns = after_ns

    def look(self) -> None:
        net = self._net
        if net.connected_after is None or net.now_ns() < self._after_ns:
            return
        has_more = net.traffic.bytes_down > net.connected_after
        step = TaskStep.RECEIVING if has_more else TaskStep.CONNECTED
        if step is not self.step and self._tell(step):
            self.step = step
