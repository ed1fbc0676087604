"""What the figures are: quantiles, errors against the truth, ratios. Pure; times in ns.

It must never drop a sample silently: what could not be matched is counted where it is dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

KINDS: Final = ("icmp", "udp", "tcp", "tls", "tls_long", "tls_handshake")
"""`tls` is the first flight, ClientHello to the server's first bytes: one segment; `tls_long` the same with a flight
of three segments, which the kernel joins for a reader that is late; `tls_handshake` the whole of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One probe: what the prober said and what the capture saw. `reported_ns` None: it said "lost".

    `half_step_ns` is half of the last digit that the prober prints: how far its rounding alone may be off.
    `joined`: the prober itself said that its time may be a later segment's.
    """

    prober: str
    kind: str
    condition: str
    reported_ns: int | None
    true_ns: int | None
    stamp: str = ""
    half_step_ns: int = 0
    joined: bool = False

    @property
    def error_ns(self) -> int | None:
        """How far the reported time is from the captured one, as an absolute value."""
        if self.reported_ns is None or self.true_ns is None:
            return None
        return abs(self.reported_ns - self.true_ns)

    @property
    def forgiven_ns(self) -> int | None:
        """The error with all of the prober's rounding forgiven: no more than its own part in it."""
        return None if self.error_ns is None else max(0, self.error_ns - self.half_step_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Quantiles of some figures, by nearest rank (no value that did not occur)."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


def quantile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile. Raises `ValueError` for no values."""
    if not values:
        raise ValueError("no values have no quantile")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> Spread | None:
    """Return the quantiles, None for no values."""
    if not values:
        return None
    return Spread(
        count=len(values),
        p50=quantile(values, 0.5),
        p90=quantile(values, 0.9),
        p99=quantile(values, 0.99),
        max=max(values),
    )


def errors(samples: Sequence[Sample], *, forgiven: bool = False) -> Spread | None:
    """Return the spread of the errors of those that have one."""
    found = [sample.forgiven_ns if forgiven else sample.error_ns for sample in samples]
    return spread([error for error in found if error is not None])


def from_histogram(counts: Sequence[tuple[int, int]], overflows: int, limit: int) -> Spread | None:
    """Return the quantiles of a histogram of (value, count); what overflowed counts as `limit`."""
    total = sum(count for _, count in counts) + overflows
    if not total:
        return None
    ordered = [*sorted(counts), (limit, overflows)]

    def at(share: float) -> float:
        rank, seen = max(1, math.ceil(share * total)), 0
        for value, count in ordered:
            seen += count
            if seen >= rank:
                return value
        return limit

    highest = max(value for value, count in ordered if count)
    return Spread(count=total, p50=at(0.5), p90=at(0.9), p99=at(0.99), max=highest)
