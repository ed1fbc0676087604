"""One sweep of the vantage: a measuring process of its own is started, given the tasks, and ended with them.

A process for each sweep, since a sweep is short and rare: nothing is looked after in between, and one that dies
takes one sweep with it, which is a gap. It must never outlive its time, nor the collector: its end of the socket
then reads as closed, and it ends.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from collector.vantage.targets import VantageTarget
from firmware import __version__
from firmware.clock import clocks
from firmware.model.jsontypes import RecordError
from firmware.model.record import ClockQuality, ClockReading, Record, Zone
from firmware.model.statement import Statement, stated
from firmware.model.task import Result, Task, to_json
from firmware.net.loop import boottime_ns
from firmware.worker import framing

NS: Final = 1_000_000_000
STAGGER_NS: Final = 100_000_000
"""Between two starts, so that the vantage's own line is no bottleneck."""
TASK_S: Final = 40
LASTS_S: Final = 60
"""A sweep may last so long: samples of sweeps that follow at once are no closer together, however short the setting."""
_LATE_S: Final = 10.0
_STOP_S: Final = 5.0
_LOOK_S: Final = 0.5
_READ_BYTES: Final = 65536


@dataclass(slots=True, kw_only=True)
class Sweep:
    """What one sweep brought: the vantage's own records, and why it ended early where it did."""

    records: list[Record] = field(default_factory=list)
    fault: Statement | None = None


def measure_from(
    sources: Sequence[str], targets: Sequence[VantageTarget], stopping: Event
) -> tuple[Sweep, ...]:
    """Measure every target once from each of `sources` ("": as the routes have it), all at once; see `measure`."""
    with ThreadPoolExecutor(max_workers=len(sources)) as pool:
        sweeps = [pool.submit(measure, targets, stopping, source=source) for source in sources]
        return tuple(one.result() for one in sweeps)


def measure(
    targets: Sequence[VantageTarget],
    stopping: Event,
    *,
    source: str = "",
    command: Sequence[str] = (sys.executable, "-m", "firmware.worker.process"),
) -> Sweep:
    """Measure every target once. Returns early, with what there is, when `stopping` is set.

    `source`, where it is not "", is the address of this host that all leaves from.
    """
    start_ns = boottime_ns() + NS
    tasks = {str(number): _task(number, one, start_ns) for number, one in enumerate(targets)}
    sweep = Sweep()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [*command, "--fd", str(theirs.fileno()), *(("--source", source) if source else ())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
            )
        try:
            results = _converse(ours, tasks, stopping)
            sweep.records = [_record(tasks[one.task_id], one) for one in results]
        except (OSError, framing.FramingError, RecordError) as error:
            sweep.fault = stated("sweep-failed", message=str(error))
        finally:
            ours.close()
            _end(process)
    if sweep.fault is None and len(sweep.records) < len(tasks) and not stopping.is_set():
        sweep.fault = stated("sweep-unanswered", unanswered=len(tasks) - len(sweep.records), tried=len(tasks))
    return sweep


def _converse(sock: socket.socket, tasks: dict[str, Task], stopping: Event) -> list[Result]:
    """Hand over the tasks and take results until all are in or their time is up."""
    sock.settimeout(TASK_S)
    sock.sendall(b"".join(framing.encode({"type": "task", "task": to_json(task)}) for task in tasks.values()))
    sock.settimeout(_LOOK_S)
    decoder = framing.Decoder()
    results: list[Result] = []
    last_ns = max((task.deadline_boottime_ns for task in tasks.values()), default=0)
    until_s = time.monotonic() + max(0.0, (last_ns - boottime_ns()) / NS) + _LATE_S
    while len(results) < len(tasks) and time.monotonic() < until_s and not stopping.is_set():
        try:
            data = sock.recv(_READ_BYTES)
        except TimeoutError:
            continue
        if not data:
            break
        results += [
            message
            for message in decoder.feed(data)
            if isinstance(message, Result) and message.task_id in tasks
        ]
    with contextlib.suppress(OSError):
        sock.sendall(framing.encode({"type": "stop"}))
    return results


def _end(process: "subprocess.Popen[bytes]") -> None:
    with process:
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _task(number: int, target: VantageTarget, start_ns: int) -> Task:
    begin_ns = start_ns + number * STAGGER_NS
    return Task(
        task_id=str(number),
        test=target.key.test,
        target=target.key.target,
        target_name=target.key.target_name,
        options=target.options,
        zone=Zone.INTERNATIONAL,
        start_boottime_ns=begin_ns,
        deadline_boottime_ns=begin_ns + TASK_S * NS,
    )


def _record(task: Task, result: Result) -> Record:
    """Return the vantage's own record of a result."""
    return Record(
        boot_id=clocks.read_boot_id(),
        test=task.test,
        test_version=result.test_version,
        target=task.target,
        target_name=task.target_name,
        zone=task.zone,
        slot_boottime_ns=task.start_boottime_ns,
        start=ClockReading(
            boottime_ns=result.start_boottime_ns,
            utc_ns=result.start_utc_ns,
            quality=ClockQuality.UNSYNCHRONISED,
        ),
        runtime_ns=result.runtime_ns,
        outcome=result.outcome,
        software=f"tidegauge {__version__}",
    )
