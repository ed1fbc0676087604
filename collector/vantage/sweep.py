"""One sweep of the vantage: a measuring process of its own is started, given the tasks, and ended with them.

A process for each sweep, since a sweep is short and rare: nothing is looked after in between, and one that dies
takes one sweep with it, which is a gap. It must never outlive its time, nor the collector: its end of the socket
then reads as closed, and it ends.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Final

from collector.vantage.course import TASK_S, Course
from collector.vantage.own_line import OwnLine
from collector.vantage.targets import VantageTarget
from firmware import __version__
from firmware.clock import clocks
from firmware.model.jsontypes import RecordError
from firmware.model.record import ClockQuality, ClockReading, Record
from firmware.model.statement import Statement, stated
from firmware.model.task import Result, Task, to_json
from firmware.net.loop import boottime_ns
from firmware.worker import framing

NS: Final = 1_000_000_000
LASTS_S: Final = 60
"""A sweep may last so long: samples of sweeps that follow at once are no closer together, however short the setting."""
_LATE_NS: Final = 10 * NS
_STOP_S: Final = 5.0
_LOOK_S: Final = 0.5
_LEAST_S: Final = 0.01
_READ_BYTES: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What one sweep brought: the vantage's own records, how its line was, and why it ended early where it did.

    `again` is what was asked once more, to see how the line is.
    """

    records: Sequence[Record]
    again: Sequence[Record]
    line: OwnLine
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
    course, fault = Course(targets), None
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
            _converse(ours, course, stopping)
        except (OSError, framing.FramingError, RecordError) as error:
            fault = stated("sweep-failed", message=str(error))
        finally:
            ours.close()
            _end(process)
    if fault is None and course.unanswered and not stopping.is_set():
        fault = stated("sweep-unanswered", unanswered=course.unanswered, tried=len(targets))
    return sweep_of(course, fault)


def sweep_of(course: Course, fault: Statement | None = None) -> Sweep:
    """Return what a course brought."""
    return Sweep(records=tuple(course.records), again=tuple(course.again), line=course.line(), fault=fault)


def take(course: Course, result: Result) -> None:
    """Give a course a result. Raises `RecordError`."""
    task = course.task(result.task_id)
    if task is not None:
        course.end(result.task_id, _record(task, result))


def _converse(sock: socket.socket, course: Course, stopping: Event) -> None:
    """Hand over the tasks as the course has them and take results until it is over or their time is up."""
    decoder = framing.Decoder()
    while not course.is_over and not stopping.is_set():
        now_ns = boottime_ns()
        tasks = course.begin(now_ns)
        if now_ns > course.until_ns + _LATE_NS:
            break
        sock.settimeout(TASK_S)
        sock.sendall(b"".join(framing.encode({"type": "task", "task": to_json(task)}) for task in tasks))
        due_ns = course.due_ns(now_ns)
        until_due_s = _LOOK_S if due_ns is None else (due_ns - now_ns) / NS
        sock.settimeout(max(_LEAST_S, min(_LOOK_S, until_due_s)))
        try:
            data = sock.recv(_READ_BYTES)
        except TimeoutError:
            continue
        if not data:
            break
        for message in decoder.feed(data):
            if isinstance(message, Result):
                take(course, message)
    with contextlib.suppress(OSError):
        sock.sendall(framing.encode({"type": "stop"}))


def _end(process: "subprocess.Popen[bytes]") -> None:
    with process:
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


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
