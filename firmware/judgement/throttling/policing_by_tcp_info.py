"""Policed or shaped, from what the kernel counts (TCP_INFO) every tenth of a second or less often: what makes do where no packet is seen. Pure.

Single losses are not seen, only how many there were between two points. A policer's come in heaps, since it lets a sender run ahead of the rate before it
drops; while it drops, round trips stay as they are; and what its bucket let through first is ahead of its rate ever after. These bounds are not of Flach et al.: they were chosen for
the drill (`python -m tests.policing`), which prints their errors beside those of the packets. This file must never look at a run's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Final

from firmware.judgement.throttling.policing import (
    BURST_SHARE,
    INFLATED_SHARE,
    LEAST_LOST,
    LEAST_SLICES,
    QUEUED_SHARE,
    Limit,
    LimitFinding,
    LimitWhy,
    ahead_of,
    is_steady,
    long_rtt_s,
)
from firmware.model.jsontypes import JsonValue

LEAST_POINTS: Final = 8
HEAP: Final = 4.0
"""So many losses, at least, a point that has any: a line that loses by chance has one or two."""
AHEAD_POINTS: Final = 2.5
"""By how much a burst must run ahead of a steady rate: by what comes at that rate between so many points."""

_NAMES: Final = ("elapsed_us", "BytesSent", "BytesAcked", "BytesRetrans", "TotalRetrans", "RTT", "MinRTT")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPoint:
    """What the kernel had counted at a moment."""

    at_s: float
    sent_bytes: int
    acked_bytes: int
    resent_bytes: int
    resent: int
    rtt_s: float
    least_rtt_s: float


def kernel_points(line: Mapping[str, JsonValue]) -> tuple[KernelPoint, ...]:
    """Return the points of a time line as a server's half has it: those that have all that is asked; none if a kernel lacks something."""
    names, rows = line.get("names"), line.get("points")
    if not isinstance(names, list) or not isinstance(rows, list) or not set(_NAMES) <= {*map(str, names)}:
        return ()
    places = [names.index(name) for name in _NAMES]
    found = []
    for row in rows:
        values = [row[place] for place in places] if isinstance(row, list) and len(row) == len(names) else []
        whole = [one for one in values if isinstance(one, int)]
        if len(whole) == len(_NAMES):
            at_us, sent, acked, resent_bytes, resent, rtt_us, least_us = whole
            found.append(
                KernelPoint(
                    at_s=at_us / 1e6,
                    sent_bytes=sent,
                    acked_bytes=acked,
                    resent_bytes=resent_bytes,
                    resent=resent,
                    rtt_s=rtt_us / 1e6,
                    least_rtt_s=least_us / 1e6,
                )
            )
    return tuple(found)


def limit_by_tcp_info(points: Sequence[KernelPoint]) -> LimitFinding:
    """Return what held a transfer to its rate, as far as the kernel's counts tell."""
    moving = _while_it_moved(points)
    if len(moving) < LEAST_POINTS:
        return LimitFinding(limit=Limit.UNTOLD, why=LimitWhy.TOO_SHORT)
    lossy = [(one, two) for one, two in pairwise(moving) if two.resent > one.resent]
    lost = moving[-1].resent - moving[0].resent
    rate, burst, queued = _queue(moving)
    inflated = fmean(_is_long(two) for _, two in lossy) if lossy else 0.0
    why = _against_policer(lossy, lost=lost, inflated=inflated)
    if why is None and queued < QUEUED_SHARE:
        first, last = lossy[0][0], lossy[-1][1]
        rate = (last.acked_bytes - first.acked_bytes) / (last.at_s - first.at_s)
        burst = first.acked_bytes
        if (
            ahead_of([(one.at_s, one.acked_bytes) for one in moving], rate)
            >= BURST_SHARE * moving[-1].acked_bytes
        ):
            limit = Limit.POLICED
        else:
            limit, why, burst = Limit.UNTOLD, LimitWhy.LOST_WITHOUT_BURST, None
    elif queued >= QUEUED_SHARE and burst is not None:
        limit, why = Limit.SHAPED, why or LimitWhy.QUEUE_BEFORE_LOSS
    elif queued >= QUEUED_SHARE:
        limit, why = Limit.UNTOLD, LimitWhy.QUEUE_WITHOUT_BURST
    else:
        limit, burst = (Limit.UNTOLD if why is LimitWhy.FEW_LOST else Limit.NEITHER), None
    return LimitFinding(
        limit=limit,
        why=why,
        bytes_per_s=rate,
        burst_bytes=burst,
        lost=lost,
        slices=len(lossy),
        inflated=inflated,
        queued=queued,
    )


def _against_policer(
    lossy: Sequence[tuple[KernelPoint, KernelPoint]], *, lost: int, inflated: float
) -> LimitWhy | None:
    if not lost:
        return LimitWhy.NOTHING_LOST
    if lost < LEAST_LOST or len(lossy) < LEAST_SLICES:
        return LimitWhy.FEW_LOST
    if inflated > INFLATED_SHARE:
        return LimitWhy.QUEUE_BEFORE_LOSS
    if lost / len(lossy) < HEAP:
        return LimitWhy.LOST_WITH_TOKENS
    return None


def _while_it_moved(points: Sequence[KernelPoint]) -> list[KernelPoint]:
    """Return the points from the last before anything was acknowledged to the first with all that ever was."""
    if not points:
        return []
    begins = [place for place, one in enumerate(points) if one.acked_bytes <= points[0].acked_bytes]
    ends = next(place for place, one in enumerate(points) if one.acked_bytes == points[-1].acked_bytes)
    return list(points[begins[-1] : ends + 1])


def _is_long(point: KernelPoint) -> bool:
    return point.rtt_s >= long_rtt_s(point.least_rtt_s)


def _queue(points: Sequence[KernelPoint]) -> tuple[float, int | None, float]:
    """Return the rate of the second half, the first burst beyond it (None: none), and how often a queue stood in its way."""
    began, end = points[0], points[-1]
    half = _when(points, (began.acked_bytes + end.acked_bytes) / 2)
    three = _when(points, (began.acked_bytes + 3 * end.acked_bytes) / 4)
    quarter = (end.acked_bytes - began.acked_bytes) / 4
    rate = 2 * quarter / max(end.at_s - half, 1e-6)
    early, late = quarter / max(three - half, 1e-6), quarter / max(end.at_s - three, 1e-6)
    behind = [_is_long(one) for one in points if one.at_s >= half]
    most = ahead_of([(one.at_s, one.acked_bytes) for one in points], rate)
    gaps = median(two.at_s - one.at_s for one, two in pairwise(points))
    total = end.acked_bytes - began.acked_bytes
    is_burst = is_steady(early, late) and most >= max(rate * AHEAD_POINTS * gaps, BURST_SHARE * total)
    return rate, most if is_burst else None, fmean(behind) if behind else 0.0


def _when(points: Sequence[KernelPoint], amount: float) -> float:
    """Return when so much was acknowledged, between two points in proportion."""
    for one, two in pairwise(points):
        if two.acked_bytes >= amount > one.acked_bytes:
            share = (amount - one.acked_bytes) / (two.acked_bytes - one.acked_bytes)
            return one.at_s + share * (two.at_s - one.at_s)
    return points[-1].at_s
