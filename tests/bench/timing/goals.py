"""The goals, and whether a run met them. Pure: a run's findings in, lines out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.bench.timing.clock_change import ClockChange
from tests.bench.timing.connect_parts import ConnectParts
from tests.bench.timing.disturbance import Company
from tests.bench.timing.figures import Sample, errors
from tests.bench.timing.footprint import Memory
from tests.bench.timing.lateness import Lateness
from tests.bench.timing.loads import IDLE
from tests.bench.timing.stamps import control_found

OURS: Final = "worker"
_KERNEL_STAMPS: Final = {
    "icmp": ("hw", "snd"),
    "udp": ("hw", "snd"),
    "tcp": ("tcp_info",),
    "tls": ("hw", "snd"),
    "tls_long": ("hw", "snd"),
}
"""Kind → the stamp classes that need no apology."""
_FALSE_NS: Final = 1_000_000
"""A time that says it is the kernel's and is further off than this was taken at some other moment."""
_P99_US: Final = {"icmp": 10, "udp": 10, "tcp": 20, "tls": 25, "tls_long": 25}
_MEGABYTE: Final = 1_000_000


@dataclass(slots=True)
class Findings:
    """All that a run found. What was not tried is empty."""

    samples: list[Sample] = field(default_factory=list)
    unmatched: dict[str, int] = field(default_factory=dict)
    lateness: list[Lateness] = field(default_factory=list)
    connects: list[ConnectParts] = field(default_factory=list)
    company: list[Company] = field(default_factory=list)
    memory: Memory | None = None
    cpu_us: dict[str, float] = field(default_factory=dict)
    stamps: dict[str, dict[str, int]] = field(default_factory=dict)
    clock: ClockChange | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One promise: `found` against `limit`, or None where the run has no figure for it."""

    text: str
    found: float | None
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is met; None: not measured."""
        if self.found is None:
            return None
        return self.found >= self.limit if self.at_least else self.found <= self.limit


def judge(findings: Findings) -> list[Goal]:
    """Hold a run against every goal."""
    loaded = [sample for sample in findings.samples if sample.condition != IDLE]
    return [
        *_accuracy(loaded),
        *(
            Goal(
                text=f"median moved by {one.variant} (company)", found=one.moved_ns / 1000, limit=2, unit="µs"
            )
            for one in findings.company
            if one.variant != "alone"
        ),
        *_stamps(findings),
        *_lateness(findings.lateness),
        *_memory(findings.memory),
    ]


def select(samples: Sequence[Sample], prober: str, kind: str) -> list[Sample]:
    """Return one prober's samples of one kind."""
    return [sample for sample in samples if sample.prober == prober and sample.kind == kind]


def _accuracy(loaded: Sequence[Sample]) -> list[Goal]:
    goals = []
    p99 = {}
    for kind, limit in _P99_US.items():
        found = errors(select(loaded, OURS, kind))
        p99[kind] = None if found is None else found.p99 / 1000
        goals.append(Goal(text=f"{kind} error p99 under load", found=p99[kind], limit=limit, unit="µs"))
    for forgiven in (False, True):
        fping = errors(select(loaded, "fping", "icmp"), forgiven=forgiven)
        whose = "fping's p99, its rounding forgiven," if forgiven else "fping's p99"
        for kind in ("icmp", "udp"):
            ours = p99[kind]
            ratio = None if fping is None or not ours else fping.p99 / 1000 / ours
            goals.append(
                Goal(text=f"{whose} over our {kind} p99", found=ratio, limit=7, unit="×", at_least=True)
            )
    return goals


def coverage(samples: Sequence[Sample], kind: str) -> float | None:
    """Return the share of our answered probes of a kind that have the kernel's stamps, in percent."""
    answered = [one for one in select(samples, OURS, kind) if one.reported_ns is not None]
    if not answered:
        return None
    return 100 * sum(one.stamp in _KERNEL_STAMPS.get(kind, ()) for one in answered) / len(answered)


def falsely_stamped(samples: Sequence[Sample]) -> int:
    """Count our samples that say a kernel class and are too far off to be."""
    return sum(
        one.stamp not in ("", "user") and one.error_ns is not None and one.error_ns > _FALSE_NS
        for one in samples
        if one.prober == OURS
    )


def _stamps(findings: Findings) -> list[Goal]:
    goals = [
        Goal(
            text=f"{kind}: stamp coverage",
            found=coverage(findings.samples, kind),
            limit=99.9,
            unit="%",
            at_least=True,
        )
        for kind in _KERNEL_STAMPS
    ]
    false = falsely_stamped(findings.samples)
    goals.append(Goal(text="false stamps beside a capture", found=false, limit=0, unit=""))
    bare = [counts for name, counts in findings.stamps.items() if name.startswith(OURS)]
    tried = sum(sum(counts.values()) - counts.get("lost", 0) for counts in bare)
    if not control_found(findings.stamps):
        tried = 0
    goals += [
        Goal(
            text="false stamps without a capture",
            found=sum(counts.get("false", 0) for counts in bare) if tried else None,
            limit=0,
            unit="",
        ),
        Goal(
            text="stamp coverage without a capture",
            found=100 * sum(counts.get("true", 0) for counts in bare) / tried if tried else None,
            limit=99.9,
            unit="%",
            at_least=True,
        ),
    ]
    unlabelled = sum(
        one.prober == OURS and one.reported_ns is not None and not one.stamp for one in findings.samples
    )
    goals.append(Goal(text="times without a stamp class", found=unlabelled, limit=0, unit=""))
    return goals


def _lateness(found: Sequence[Lateness]) -> list[Goal]:
    goals = []
    for one in found:
        where = f"{one.condition}, worker {'at real time' if one.priority == 'fifo' else 'as usual'}"
        late = None if one.first is None else one.first.p90 / 1000
        goals.append(Goal(text=f"send lateness p90 ({where})", found=late, limit=50, unit="µs"))
        fifo = one.cyclictest.get("fifo")
        ratio = None if late is None or fifo is None or not fifo.p90 else late * 1000 / fifo.p90
        goals.append(Goal(text=f"… over cyclictest FIFO's p90 ({where})", found=ratio, limit=1.2, unit="×"))
    return goals


def _memory(found: Memory | None) -> list[Goal]:
    ready = None if found is None else found.ready["rss"] / _MEGABYTE
    plain = None if found is None else found.without_libraries["rss"] / _MEGABYTE
    every = None if found is None else found.every_test["rss"] / _MEGABYTE
    return [
        Goal(text="worker resident, ready", found=ready, limit=15, unit="MB"),
        Goal(text="worker resident, every test run that needs no library", found=plain, limit=15, unit="MB"),
        Goal(text="worker resident, every test run", found=every, limit=25, unit="MB"),
    ]
