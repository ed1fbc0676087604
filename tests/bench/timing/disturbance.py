"""Whether company moves the median: fifty other probes, a thread that holds the daemon's interpreter, a full memory.

The variants take turns, block by block, so that whatever else changes on the machine changes for all.
"""

import contextlib
import statistics
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.model.record import ClockQuality, ClockReading, Outcome, Phase, Record, Stamp, Zone
from firmware.model.task import OptionValue, Result
from firmware.net.loop import boottime_ns
from tests.bench.timing.accuracy import Truth, capturing
from tests.bench.timing.readings import readings_of
from tests.bench.timing.worker_client import WorkerClient

CONCURRENT: Final = 50
RECORDS: Final = 300_000
_WATCHED: Final = "10.77.1.0"
_COMPANY: Final = tuple(f"10.77.1.{number}" for number in range(1, CONCURRENT + 1))
_PROBES: Final = 20
_INTERVAL_MS: Final = 20
_FEW: Final = 4
_LEAD_NS: Final = 50_000_000
_SLOW_LEAD_NS: Final = 400_000_000
"""With a thread that holds the interpreter, handing over fifty tasks takes its time."""

VARIANTS: Final = ("alone", "concurrent", "thread", "records", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """One variant: its median error in ns, how far that is from the median of `alone`, and of how many probes."""

    variant: str
    median_error_ns: float
    moved_ns: float
    probes: int


def measure(
    client: WorkerClient, folder: Path, *, blocks: int, tell: Callable[[str], None], records: int = RECORDS
) -> list[Company]:
    """Probe in every kind of company, and compare."""
    results: list[tuple[str, Result]] = []
    with capturing(folder) as truth:
        for block in range(blocks):
            shift = block % len(VARIANTS)
            turns = (*VARIANTS[shift:], *VARIANTS[:shift])
            results += [(variant, _block(client, variant, records)) for variant in turns]
            tell(f"… company: block {block + 1} of {blocks}")
    return _compare(truth, results)


def _block(client: WorkerClient, variant: str, records: int) -> Result:
    """Probe the watched address."""
    options: dict[str, OptionValue] = {"method": "icmp", "count": _PROBES, "interval_ms": _INTERVAL_MS}
    with contextlib.ExitStack() as stack:
        if variant in ("records", "all"):
            kept = [_record(number) for number in range(records)]
            stack.callback(kept.clear)
        if variant in ("thread", "all"):
            stack.enter_context(_hogging())
        start_ns = boottime_ns() + (_SLOW_LEAD_NS if variant in ("thread", "all") else _LEAD_NS)
        tasks = [client.task("ping", _WATCHED, options, start_ns=start_ns)]
        if variant in ("concurrent", "all"):
            few: dict[str, OptionValue] = {
                "method": "icmp",
                "count": _FEW,
                "interval_ms": _INTERVAL_MS * _PROBES // _FEW,
            }
            tasks += [client.task("ping", address, few, start_ns=start_ns) for address in _COMPANY]
        return client.run(tasks)[0]


def _compare(truth: Truth, results: list[tuple[str, Result]]) -> list[Company]:
    errors: dict[str, list[int]] = {variant: [] for variant in VARIANTS}
    for variant, result in results:
        told = [reading.ns for reading in readings_of("icmp", result.outcome) if reading.ns is not None]
        end_ns = result.start_utc_ns + result.runtime_ns
        true = truth.between("icmp", _WATCHED, result.start_utc_ns, end_ns)
        if len(told) == len(true):
            errors[variant] += [ns - seen.rtt_ns for ns, seen in zip(told, true, strict=True)]
    alone = statistics.median(errors["alone"] or [0])
    return [
        Company(
            variant=variant,
            median_error_ns=statistics.median(found),
            moved_ns=abs(statistics.median(found) - alone),
            probes=len(found),
        )
        for variant, found in errors.items()
        if found
    ]


@contextlib.contextmanager
def _hogging() -> Iterator[None]:
    """Keep a thread of this process, which is the daemon's part here, at work without a pause."""
    end = threading.Event()

    def work() -> None:
        number = 0
        while not end.is_set():
            for _ in range(10_000):
                number += 1

    thread = threading.Thread(target=work, name="hog")
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _record(number: int) -> Record:
    return Record(
        boot_id="",
        test="ping",
        test_version="0",
        target=str(number),
        zone=Zone.LOCAL,
        slot_boottime_ns=number,
        start=ClockReading(boottime_ns=number, utc_ns=number, quality=ClockQuality.UNSYNCHRONISED),
        runtime_ns=number,
        outcome=Outcome(phases={"rtt": Phase(ns=number, stamp=Stamp.SND)}),
    )
