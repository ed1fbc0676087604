"""How late scheduled sends leave, beside what the kernel can do at all here: cyclictest, in the same seconds.

Late is the captured time of the packet against the task's slot; cyclictest's is the time between a timer and the
thread it wakes, with nothing done yet.
"""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.model.task import OptionValue
from firmware.net.loop import boottime_ns
from firmware.net.send_compensation import MAX_LEAD_NS
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
_EARLY_NS: Final = MAX_LEAD_NS
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

    `first` is of tasks' first packets, `train` of the later packets of a train; `cyclictest` has
    it under each policy. `early` of all packets left before their time, the first of them by `earliest` ns.
    """

    condition: str
    priority: str
    first: Spread | None
    train: Spread | None
    early: int
    earliest: float
    cyclictest: dict[str, Spread | None]


def measure(client: WorkerClient, condition: str, folder: Path, *, seconds: float) -> Lateness:
    """Schedule probes for `seconds` with cyclictest beside them."""
    firsts: list[int] = []
    others: list[int] = []
    address = ADDRESS_OF["lateness"]
    cyclictests: dict[str, Spread | None] = {}
    running = {policy: _start_cyclictest(policy, seconds) for policy in POLICIES}
    with capturing(folder) as truth:
        end_ns = boottime_ns() + round(seconds * 1e9)
        while boottime_ns() < end_ns or not firsts:
            to_capture_ns = realtime_ahead_ns()
            slots = _slots()
            client.run([client.task("ping", address, _SINGLE, start_ns=slot) for slot in slots])
            firsts += [slot + to_capture_ns for slot in slots]
            slots = _slots()
            client.run([client.task("ping", address, _TRAIN, start_ns=slots[0])])
            others += [slot + to_capture_ns for slot in slots[1:]]
    for policy, process in running.items():
        cyclictests[policy] = None if process is None else _read_cyclictest(process)
    first, train = _late(truth, firsts), _late(truth, others)
    return Lateness(
        condition=condition,
        priority=client.scheduling,
        first=spread(first),
        train=spread(train),
        early=sum(late < 0 for late in (*first, *train)),
        earliest=-min((0.0, *first, *train)),
        cyclictest=cyclictests,
    )


def _slots() -> list[int]:
    begin_ns = boottime_ns() + _LEAD_NS
    return [begin_ns + number * _INTERVAL_MS * _MS for number in range(_BATCH)]


def _late(truth: Truth, slots: Sequence[int]) -> list[float]:
    """Return how long after each slot (CLOCK_REALTIME) the capture saw a packet leave."""
    sent = [exchange.sent_ns for exchange in truth.exchanges if exchange.address == ADDRESS_OF["lateness"]]
    late: list[float] = []
    for slot in slots:
        late += [at - slot for at in sent if -_EARLY_NS <= at - slot < _MATCH_NS][:1]
    return late


def realtime_ahead_ns() -> int:
    """Return CLOCK_REALTIME − CLOCK_BOOTTIME, from the quickest of several readings."""
    found = []
    for _ in range(20):
        before_ns = boottime_ns()
        realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        after_ns = boottime_ns()
        found.append((after_ns - before_ns, realtime_ns - (before_ns + after_ns) // 2))
    return min(found)[1]


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
