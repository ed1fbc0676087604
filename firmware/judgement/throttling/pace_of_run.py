"""What one run says: the rate that it converged to, how sure, what came fast at first, or why it says nothing. Pure.

The rate is that of the second half of what came: start-up and a token bucket's first fast bytes are in the first half,
unless there were more of them than `burst_bytes_seen` can hold, which is half of the payload. This file must never look
at a run's name: what is left out is left out whatever the run was for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import exp, log, sqrt
from statistics import fmean, stdev
from typing import Final

from firmware.judgement.throttling.runs import KIB, Ending, RunResult

FROZEN_S: Final = 8.0
"""Silence this long at the end of a run that got something is a freeze."""
OTHER_SHARE: Final = 0.05
"""More traffic of others on the line than this, and a run says nothing."""
LEAST_BYTES: Final = 16 * KIB
"""A run that got less says nothing, unless it froze."""
SLICES: Final = 4
_T_95_OF_SLICES: Final = 3.182
"""Student's t for a two-sided 95 % with three degrees of freedom."""
RESOLUTION: Final = 0.02
"""What a packet more or less at either end of a window makes of a rate: no interval is narrower."""
CONVERGED: Final = 1.25
"""The third and the last quarter of what came differ by less than this factor in a run that converged."""

Points = Sequence[tuple[float, int]]


class Invalid(StrEnum):
    """Why a run says nothing of the line."""

    FAILED = "failed"
    TOO_SHORT = "too_short"
    RECEIVER_LIMITED = "receiver_limited"
    OTHER_TRAFFIC = "other_traffic"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPace:
    """What a run says: the rate of its second half with an interval, and of what came before.

    `burst_bytes` is what came beyond that rate in the first half, `frozen_after_bytes` after how many bytes nothing more
    came (None: it did not freeze).
    """

    bytes_per_s: float
    low_bytes_per_s: float
    high_bytes_per_s: float
    burst_bytes: int
    converged: bool
    frozen_after_bytes: int | None = None


def pace_of(result: RunResult) -> RunPace | Invalid:
    """Return what a run says, or why it says nothing."""
    if result.receiver_limited:
        return Invalid.RECEIVER_LIMITED
    if result.other_share > OTHER_SHARE:
        return Invalid.OTHER_TRAFFIC
    if result.ending is Ending.FAILED or not result.received_bytes:
        return Invalid.FAILED
    received = result.received_bytes
    is_frozen = result.ending is Ending.TIME and result.ended_s - time_of(result.points, received) >= FROZEN_S
    if is_frozen:
        # The silence counts: what came before it was fast, and is not what the run converged to.
        over_s = max(result.ended_s - time_of(result.points, received / 2), 1e-3)
        rate = received / 2 / over_s
        return RunPace(
            bytes_per_s=rate,
            low_bytes_per_s=0.0,
            high_bytes_per_s=rate,
            burst_bytes=received,
            converged=False,
            frozen_after_bytes=received,
        )
    if received < LEAST_BYTES:
        return Invalid.TOO_SHORT
    return _flowing(result.points, received)


def rate_between(points: Points, low_bytes: float, high_bytes: float) -> float:
    """Return the rate at which the bytes from `low_bytes` to `high_bytes` came, in bytes a second."""
    return (high_bytes - low_bytes) / max(time_of(points, high_bytes) - time_of(points, low_bytes), 1e-6)


def time_of(points: Points, amount: float) -> float:
    """Return when so many bytes had come, between two points in proportion; when the last had, if there were fewer."""
    before_s, before = 0.0, 0
    for at_s, got in points:
        if got >= amount:
            if got == before:
                return at_s
            return before_s + (at_s - before_s) * max(0.0, amount - before) / (got - before)
        before_s, before = at_s, got
    return before_s


def _flowing(points: Points, received: int) -> RunPace:
    edges = [received * (SLICES + number) / (2 * SLICES) for number in range(SLICES + 1)]
    rate = rate_between(points, edges[0], edges[-1])
    logs = [log(rate_between(points, low, high)) for low, high in pairwise(edges)]
    half = max(_T_95_OF_SLICES * stdev(logs) / sqrt(SLICES), RESOLUTION)
    middle = SLICES // 2
    step = abs(fmean(logs[:middle]) - fmean(logs[middle:]))
    first_s, half_s = time_of(points, 1), time_of(points, edges[0])
    return RunPace(
        bytes_per_s=rate,
        low_bytes_per_s=rate * exp(-half),
        high_bytes_per_s=rate * exp(half),
        burst_bytes=max(0, round(edges[0] - rate * (half_s - first_s))),
        converged=step < log(CONVERGED),
    )
