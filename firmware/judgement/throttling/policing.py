"""Policed or shaped, from the packets of the sender: after Flach et al., "An Internet-Wide Analysis of Traffic Policing" (SIGCOMM 2016).

A policer drops what exceeds its rate and delays nothing: losses begin when the bucket is empty, and what passes passes as if it was
not there. Its rate is what got through between the first and the last loss. Tokens are counted anew from there: with each loss they must be
near none, with each segment that passes not below that, and round trips must not have grown before losses, as they do where a queue runs over.

A shaper delays what exceeds its rate. So does every full line: what tells them apart is that a shaper's bucket is full at first, and lets bytes through faster
than ever after. Where no such burst is seen the answer is `untold`. This file must never look at a run's name.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from statistics import fmean, median
from typing import Final

from firmware.judgement.throttling.sent_packets import SenderTrace, SentSegment
from firmware.model.jsontypes import JsonObject

LEAST_LOST: Final = 15
LEAST_PASSED: Final = 15
SKIPPED: Final = 2
"""So many losses at either end are not gone by: they may be the line's own (as in the authors' second run)."""
LEAST_SLICES: Final = 3
"""In so many round trips, at least, something must be lost."""
LATEST_FIRST_LOSS_BYTES: Final = 2_000_000
LOST_RTTS: Final = 2.0
"""A loss is with an empty bucket where tokens are within what the rate brings in so many round trips."""
PASSED_RTTS: Final = 0.75
LOST_OUTSIDE_SHARE: Final = 0.10
PASSED_OUTSIDE_SHARE: Final = 0.03
INFLATED: Final = 1.3
"""All of these are the authors' (section 3 of the paper, and their published program)."""

LEAST_APART: Final = 0.87
"""So often a segment that passes must have had more tokens than one that is lost; 0.5 is chance. Chosen on lines that lose by lot."""
INFLATED_LEAST_S: Final = 0.020
INFLATED_SHARE: Final = 0.5
"""Of round trips with losses, in so many a queue may have stood: in all of them where it runs over, in the first ones behind a policer."""

QUEUED_SHARE: Final = 0.8
"""Of round trips in the second half, so many must be longer than the line's by `INFLATED` and `INFLATED_LEAST_S`."""
STEADY: Final = 1.25
BURST_SEGMENTS: Final = 8
"""A burst is more than acknowledgements that come in lumps make of a steady rate."""
BURST_SHARE: Final = 0.05
"""And more than an error of the rate by a few parts in a hundred makes of all that came."""
LEAST_SEGMENTS: Final = 40


class Limit(StrEnum):
    """What holds a transfer to its rate."""

    POLICED = "policed"
    SHAPED = "shaped"
    NEITHER = "neither"
    UNTOLD = "untold"


class LimitWhy(StrEnum):
    """What speaks against a policer, or why nothing can be said."""

    TOO_SHORT = "too_short"
    NOTHING_LOST = "nothing_lost"
    FEW_LOST = "few_lost"
    LATE_LOSS = "late_loss"
    EMPTY_AT_FIRST = "empty_at_first"
    MORE_TOKENS_AT_LOSS = "more_tokens_at_loss"
    LOST_WITH_TOKENS = "lost_with_tokens"
    PASSED_WITHOUT_TOKENS = "passed_without_tokens"
    LOST_BY_CHANCE = "lost_by_chance"
    """Losses have hardly fewer tokens than passes."""
    LOST_WITHOUT_BURST = "lost_without_burst"
    """By the kernel's counts: losses by chance, or a policer with a small bucket."""
    QUEUE_BEFORE_LOSS = "queue_before_loss"
    QUEUE_WITHOUT_BURST = "queue_without_burst"
    """A shaper whose bucket was empty, or a line that is full: both look alike."""


class Overturned(StrEnum):
    """What would overturn an answer."""

    OTHER_FLOWS = "other_flows_behind_it"
    """Losses without a bucket of this flow's own: several flows share what drops."""
    ANOTHER_RATE = "another_rate_when_repeated"
    """A policer and a shaper have a rate; a line that is full has another an hour later."""
    A_LONGER_RUN = "a_longer_run"
    LOSSES_WITH_EMPTY_BUCKET = "losses_with_an_empty_bucket"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFinding:
    """What holds a transfer to its rate. Rates are of payload. `why` is what speaks against a policer; None for one.

    Shares are of losses, of passes, of pairs of both (`apart`), of round trips with losses, of all; those that were not come to are None.
    """

    limit: Limit
    why: LimitWhy | None
    bytes_per_s: float | None = None
    burst_bytes: int | None = None
    sent: int = 0
    lost: int = 0
    slices: int = 0
    lost_outside: float | None = None
    passed_outside: float | None = None
    apart: float | None = None
    inflated: float | None = None
    queued: float | None = None

    def to_json(self) -> JsonObject:
        """Return it as data."""
        return {
            **asdict(self),
            "limit": self.limit.value,
            "why": self.why and self.why.value,
            "overturned_by": self.overturned_by.value,
        }

    @property
    def overturned_by(self) -> Overturned:
        """What would overturn it."""
        match self.limit:
            case Limit.POLICED:
                return Overturned.OTHER_FLOWS
            case Limit.SHAPED:
                return Overturned.ANOTHER_RATE
            case Limit.NEITHER:
                return Overturned.LOSSES_WITH_EMPTY_BUCKET
        return Overturned.A_LONGER_RUN


def limit_of(trace: SenderTrace) -> LimitFinding:
    """Return what held the transfer of a trace to its rate."""
    found = _bucket(trace)
    bytes_per_s, burst, queued = _queue(trace)
    limit, why = _limit(found.why, burst_bytes=burst, queued=queued)
    if limit is Limit.POLICED:
        bytes_per_s, burst = found.bytes_per_s, found.burst_bytes
    elif limit is not Limit.SHAPED:
        burst = None
    return replace(
        found,
        limit=limit,
        why=why,
        bytes_per_s=bytes_per_s,
        burst_bytes=burst,
        sent=len(trace.segments),
        lost=sum(one.lost for one in trace.segments),
        queued=queued,
    )


def _limit(
    why: LimitWhy | None, *, burst_bytes: int | None, queued: float | None
) -> tuple[Limit, LimitWhy | None]:
    is_queued = queued is not None and queued >= QUEUED_SHARE
    if why is None and not is_queued:
        return Limit.POLICED, None
    if why is LimitWhy.TOO_SHORT:
        return Limit.UNTOLD, why
    if is_queued:
        if burst_bytes is not None:
            return Limit.SHAPED, why or LimitWhy.QUEUE_BEFORE_LOSS
        return Limit.UNTOLD, LimitWhy.QUEUE_WITHOUT_BURST
    if why in (LimitWhy.FEW_LOST, LimitWhy.LATE_LOSS):
        return Limit.UNTOLD, why
    return Limit.NEITHER, why


def _bucket(trace: SenderTrace) -> LimitFinding:
    """Look for a policer alone: `why` is None where there is one, and `limit` is not concluded yet."""
    segments = trace.segments
    rtts = [one.rtt_s for one in segments if one.rtt_s is not None]
    if len(segments) < LEAST_SEGMENTS or len(rtts) < 3:
        return LimitFinding(limit=Limit.UNTOLD, why=LimitWhy.TOO_SHORT)
    places = [place for place, one in enumerate(segments) if one.lost]
    if not places:
        return LimitFinding(limit=Limit.UNTOLD, why=LimitWhy.NOTHING_LOST)
    if segments[places[0]].start > LATEST_FIRST_LOSS_BYTES:
        return LimitFinding(limit=Limit.UNTOLD, why=LimitWhy.LATE_LOSS)
    if len(places) < LEAST_LOST:
        return LimitFinding(limit=Limit.UNTOLD, why=LimitWhy.FEW_LOST)
    begins, ends = places[SKIPPED], places[-1 - SKIPPED]
    first, last = segments[begins], segments[ends]
    rtt_s, over_s = median(rtts), last.at_s - first.at_s
    if over_s <= 0:
        return LimitFinding(limit=Limit.UNTOLD, why=LimitWhy.FEW_LOST)
    passing = segments[begins:ends]
    rate = sum(one.payload_bytes for one in passing if not one.lost) / over_s
    burst = sum(one.payload_bytes for one in segments[: places[0]])
    slices = _slices([segments[place].at_s for place in places], rtt_s)
    at_loss, at_pass = _tokens(segments[begins:], rate)
    if slices < LEAST_SLICES or len(at_pass) < LEAST_PASSED:
        return LimitFinding(limit=Limit.UNTOLD, why=LimitWhy.FEW_LOST, slices=slices)
    none = median(at_loss)
    lost_outside = fmean(abs(one - none) > LOST_RTTS * rtt_s * rate for one in at_loss)
    passed_outside = fmean(one - none < -PASSED_RTTS * rtt_s * rate for one in at_pass)
    inflated = _inflated(segments, rtt_s)
    apart = _apart(at_loss, at_pass)
    used = sum(one.payload_bytes for one in segments[:begins] if not one.lost)
    found = LimitFinding(
        limit=Limit.UNTOLD,
        why=None,
        bytes_per_s=rate,
        burst_bytes=burst,
        slices=slices,
        lost_outside=lost_outside,
        passed_outside=passed_outside,
        apart=apart,
        inflated=inflated,
    )
    if used - rate * (first.at_s - segments[0].at_s) < -PASSED_RTTS * rtt_s * rate:
        return replace(found, why=LimitWhy.EMPTY_AT_FIRST)
    if fmean(at_loss) >= fmean(at_pass) or none >= median(at_pass):
        return replace(found, why=LimitWhy.MORE_TOKENS_AT_LOSS)
    return replace(found, why=_against(found))


def _against(found: LimitFinding) -> LimitWhy | None:
    """Return what in a bucket's shares speaks against a policer."""
    for share, bound, why in (
        (found.lost_outside, LOST_OUTSIDE_SHARE, LimitWhy.LOST_WITH_TOKENS),
        (found.passed_outside, PASSED_OUTSIDE_SHARE, LimitWhy.PASSED_WITHOUT_TOKENS),
        (found.inflated, INFLATED_SHARE, LimitWhy.QUEUE_BEFORE_LOSS),
    ):
        if share is not None and share > bound:
            return why
    return LimitWhy.LOST_BY_CHANCE if (found.apart or 0) < LEAST_APART else None


def _slices(at_s: Sequence[float], rtt_s: float) -> int:
    """Return in how many round trips something was lost."""
    count, ends_s = 0, float("-inf")
    for one in at_s:
        if one > ends_s:
            count, ends_s = count + 1, one + rtt_s
    return count


def _tokens(segments: Sequence[SentSegment], rate: float) -> tuple[list[float], list[float]]:
    """Return how many tokens there were with each loss and each pass, if there were none with the first loss."""
    used, at_loss, at_pass = 0, [], []
    for one in segments:
        tokens = rate * (one.at_s - segments[0].at_s) - used
        if one.lost:
            at_loss.append(tokens)
        else:
            at_pass.append(tokens)
            used += one.payload_bytes
    return at_loss, at_pass


def _apart(at_loss: Sequence[float], at_pass: Sequence[float]) -> float:
    """Return how often one that passes had more tokens than one that was lost, of all pairs."""
    passed = sorted(at_pass)
    return fmean(1 - bisect_right(passed, one) / len(passed) for one in at_loss)


def _inflated(segments: Sequence[SentSegment], rtt_s: float) -> float:
    """Return before which share of the losses a queue stood, by round trips with losses: each counts once.

    (The authors count each loss. A burst that a policer lets through may stand in the line's own queue when the first losses come, which are the most.)
    """
    known = sorted(one.rtt_s for one in segments if one.rtt_s is not None)
    low = known[len(known) // 10]
    slices, inflated, last, ends_s = 0, 0, 0.0, float("-inf")
    for one in segments:
        if one.rtt_s is not None:
            last = one.rtt_s
        if one.lost and one.at_s > ends_s:
            ends_s = one.at_s + rtt_s
            slices += 1
            inflated += last > long_rtt_s(low)
    return inflated / slices


def _queue(trace: SenderTrace) -> tuple[float | None, int | None, float | None]:
    """Return the rate of the second half, the first burst beyond it (None: none), and how often a queue stood in its way."""
    rtts = [(one.at_s, one.rtt_s) for one in trace.segments if one.rtt_s is not None]
    if len(trace.delivered) < LEAST_SEGMENTS // 2 or len(rtts) < LEAST_PASSED:
        return None, None, None
    total = trace.delivered[-1][1]
    half, three = (next(one for one in trace.delivered if one[1] >= total * part) for part in (0.5, 0.75))
    end = trace.delivered[-1]
    if not half[0] < three[0] < end[0]:
        return None, None, None
    rate = (end[1] - half[1]) / (end[0] - half[0])
    early = (three[1] - half[1]) / (three[0] - half[0])
    late = (end[1] - three[1]) / (end[0] - three[0])
    least_s = min(one for _, one in rtts)
    behind = [one for at_s, one in rtts if at_s + one >= half[0]]
    long_s = long_rtt_s(least_s)
    queued = fmean(one >= long_s for one in behind) if behind else 0.0
    segment = max(one.payload_bytes for one in trace.segments)
    burst = ahead_of(trace.delivered, rate)
    is_burst = is_steady(early, late) and burst >= max(BURST_SEGMENTS * segment, BURST_SHARE * total)
    return rate, burst if is_burst else None, queued


def long_rtt_s(least_s: float) -> float:
    """Return from what on a round trip is longer than the line's, whose shortest take `least_s`."""
    return max(INFLATED * least_s, least_s + INFLATED_LEAST_S)


def is_steady(early: float, late: float) -> bool:
    """Return whether two rates, of one quarter of a transfer and the next, are the same."""
    return max(early, late) <= STEADY * min(early, late)


def ahead_of(delivered: Sequence[tuple[float, int]], rate: float) -> int:
    """Return by how many bytes the second half of what came is ahead of the rate that it came at: what a full bucket let through first.

    Where a line stood still for a moment it is behind, and is no further ahead afterwards.
    """
    began_s, first = delivered[0]
    late = [amount - first - rate * (at_s - began_s) for at_s, amount in delivered[len(delivered) // 2 :]]
    return round(median(late))
