"""How late scheduled sends leave, beside what the kernel can do at all here: cyclictest, in the same seconds.

Late is the captured time of the packet against the task's slot; cyclictest's is the time between a timer and the
thread it wakes, with nothing done yet.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.net.loop import boottime_ns
from firmware.task import OptionValue, Result
from tests.bench.timing.accuracy import Truth, capturing
from tests.bench.timing.figures import Spread, from_histogram, spread
from tests.bench.timing.lab import ADDRESS_OF, program
from tests.bench.timing.worker_client import WorkerClient

_INTERVAL_MS: Final = 20
_BATCH: Final = 25
_LEAD_NS: Final = 20_000_000
_MS: Final = 1_000_000
_LIMIT_US: Final = 20_000
"""What cyclictest's histogram counts up to; beyond is its overflow."""
_MATCH_NS: Final = 15 * _MS
_EARLY_NS: Final = _MS
_SINGLE: Final[Mapping[str, OptionValue]] = {"method": "icmp", "count": 1}
_TRAIN: Final[Mapping[str, OptionValue]] = {
    "method": "icmp",
    "count": _BATCH,
    "interval_ms": _INTERVAL_MS,
}
GRANTED_PRIORITY: Final = 5
CYCLICTEST_PRIORITY: Final = 80
POLICIES: Final = ("fifo", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Late by how much, in ns; None where it could not be measured.

    `wake` is of tasks, `first` of their first packets, `train` of the later packets of a train; `cyclictest` has
    it under each policy.
    """

    condition: str
    priority: str
    wake: Spread | None
    first: Spread | None
    train: Spread | None
    cyclictest: dict[str, Spread | None]


def measure(client: WorkerClient, condition: str, folder: Path, *, seconds: float) -> Lateness:
    """Schedule probes for `seconds` with cyclictest beside them."""
    singles: list[tuple[int, Result]] = []
    trains: list[tuple[int, Result]] = []
    address = ADDRESS_OF["lateness"]
    cyclictests: dict[str, Spread | None] = {}
    running = {policy: _start_cyclictest(policy, seconds) for policy in POLICIES}
    with capturing(folder) as truth:
        end_ns = boottime_ns() + round(seconds * 1e9)
        while boottime_ns() < end_ns or not singles:
            begin_ns = boottime_ns() + _LEAD_NS
            slots = [begin_ns + number * _INTERVAL_MS * _MS for number in range(_BATCH)]
            tasks = [client.task("ping", address, _SINGLE, start_ns=slot) for slot in slots]
            singles += zip(slots, client.run(tasks), strict=True)
            slot = boottime_ns() + _LEAD_NS
            trains += [(slot, client.run([client.task("ping", address, _TRAIN, start_ns=slot)])[0])]
    for policy, process in running.items():
        cyclictests[policy] = None if process is None else _read_cyclictest(process)
    first, train = _late(truth, singles, trains)
    return Lateness(
        condition=condition,
        priority=client.scheduling,
        wake=spread([result.start_boottime_ns - slot for slot, result in singles]),
        first=spread(first),
        train=spread(train),
        cyclictest=cyclictests,
    )


def _late(
    truth: Truth, singles: list[tuple[int, Result]], trains: list[tuple[int, Result]]
) -> tuple[list[float], list[float]]:
    sent = [exchange.sent_ns for exchange in truth.exchanges if exchange.address == ADDRESS_OF["lateness"]]
    first: list[float] = []
    later: list[float] = []
    for slot, result in singles:
        # The result has one moment on both clocks: that carries the slot over to the capture's.
        slot_utc = slot + result.start_utc_ns - result.start_boottime_ns
        first += [at - slot_utc for at in sent if -_EARLY_NS <= at - slot_utc < _MATCH_NS][:1]
    for slot, result in trains:
        slot_utc = slot + result.start_utc_ns - result.start_boottime_ns
        for number in range(1, _BATCH):
            due = slot_utc + number * _INTERVAL_MS * _MS
            later += [at - due for at in sent if -_EARLY_NS <= at - due < _MATCH_NS][:1]
    return first, later


def _start_cyclictest(policy: str, seconds: float) -> "subprocess.Popen[str] | None":
    path = program("cyclictest")
    if path is None:
        return None
    words = [path, "-q", "-t1", "-m", "--default-system", f"--policy={policy}"]
    words += ["-p", str(CYCLICTEST_PRIORITY)] if policy == "fifo" else []
    words += ["-i", str(_INTERVAL_MS * 1000), "-D", str(max(1, round(seconds))), "-h", str(_LIMIT_US)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _read_cyclictest(process: "subprocess.Popen[str]") -> Spread | None:
    told, _ = process.communicate(timeout=120)
    return read_histogram(told)


def read_histogram(text: str) -> Spread | None:
    """Read cyclictest's histogram, in µs; return it in ns. None where it ran for nothing, or was not allowed to."""
    counts = [(int(at), int(count)) for at, count in re.findall(r"^(\d+) (\d+)$", text, re.MULTILINE)]
    over = re.search(r"Histogram Overflows: (\d+)", text)
    if not counts or over is None:
        return None
    in_ns = [(at * 1000, count) for at, count in counts if count]
    return from_histogram(in_ns, int(over[1]), _LIMIT_US * 1000)
