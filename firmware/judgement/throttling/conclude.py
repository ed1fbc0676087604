"""What a paired test that has ended comes to: the answer, the effect, the rate, and what it rests on. Pure.

This file must never answer "slower" before eight blocks, without a p that may be spent, or where the control is hit as
well.
"""

from collections.abc import Sequence
from math import exp, log
from statistics import median
from typing import Final

from firmware.judgement.throttling.carry_over import SLOWED, CarryOver, carry_over
from firmware.judgement.throttling.findings import Answer, Estimate, PairedFinding, Why
from firmware.judgement.throttling.pace_of_run import RESOLUTION, RunPace
from firmware.judgement.throttling.paired_test import MOST_BROKEN, Block, PairedTest, Progress, progress_of
from firmware.judgement.throttling.randomisation import LOOKS, median_ranks, share_as_large
from firmware.judgement.throttling.region import (
    LEAST_TOLD_BYTES_PER_S,
    USUAL_SPREAD,
    burst_seen,
    needed_effect,
)
from firmware.judgement.throttling.runs import NameRole
from firmware.judgement.throttling.sizes import LEAST_EFFECT

LEAST_EITHER: Final = log(1.25)
"""The medians of the blocks with the control, and of those with the random name, must be this."""

LEAST_BLOCKS_OF_LISTS: Final = 6
"""So many blocks, half of them with each innocuous name, before the random name is called as slow as the suspect."""


def conclude(test: PairedTest) -> PairedFinding:
    """Return what a test comes to for which no run is wanted any more."""
    progress = progress_of(test)
    carried = carry_over(test.results)
    answer, why = _answer(progress, carried, _below(test))
    differences = progress.differences
    frozen = [
        one.suspect.frozen_after_bytes
        for one in progress.blocks
        if one.suspect.frozen_after_bytes is not None
    ]
    return PairedFinding(
        answer=answer,
        why=why,
        blocks=len(progress.blocks),
        p=float(share_as_large(differences)) if differences else None,
        factor=_factor(differences),
        suspect_bytes_per_s=rate_of([one.suspect for one in progress.blocks]),
        carry_over=carried,
        below_bytes_per_s=_below(test),
        burst_bytes=burst_seen(),
        frozen_after_bytes=round(median(frozen)) if 2 * len(frozen) > len(progress.blocks) else None,
        cost_bytes=test.cost_bytes,
    )


def _answer(progress: Progress, carried: CarryOver, below: float | None) -> tuple[Answer, Why | None]:
    if progress.screen_broken or progress.broken >= MOST_BROKEN:
        return Answer.INCONCLUSIVE, Why.RUNS_FAILED
    is_untold = below is not None and below < LEAST_TOLD_BYTES_PER_S
    if progress.is_clean:
        return (Answer.INCONCLUSIVE, Why.OUT_OF_REGION) if is_untold else (Answer.CLEAN, None)
    differences = progress.differences
    effect = median(differences) if differences else 0.0
    if carried.spreads(effect) and is_less_after_suspect(progress.blocks, effect):
        return Answer.INCONCLUSIVE, Why.CONTROL_SLOWED
    by_role = [_median_against(progress.blocks, role) for role in (NameRole.CONTROL, NameRole.RANDOM)]
    may = LOOKS.get(len(differences))
    if may is not None and share_as_large(differences) <= may:
        if effect < LEAST_EFFECT or min(by_role) < LEAST_EITHER:
            return Answer.INCONCLUSIVE, Why.NOT_SIGNIFICANT
        if not is_swapped(progress.blocks):
            return Answer.INCONCLUSIVE, Why.NOT_SWAPPED
        return _slower(progress.blocks)
    if carried.lasts(effect):
        return Answer.INCONCLUSIVE, Why.WASH_OUT_TOO_SHORT
    if is_untold:
        return Answer.INCONCLUSIVE, Why.OUT_OF_REGION
    if by_role[0] >= LEAST_EFFECT and by_role[1] < LEAST_EITHER and len(differences) >= LEAST_BLOCKS_OF_LISTS:
        return Answer.INCONCLUSIVE, Why.RANDOM_NAME_SLOW
    if len(differences) >= 3 and effect < LEAST_EITHER:
        return Answer.ALIKE, None
    return Answer.INCONCLUSIVE, Why.NOT_SIGNIFICANT


def is_less_after_suspect(blocks: Sequence[Block], effect: float) -> bool:
    """Return whether blocks in which the suspect went first show so much less that the innocuous run was hit as well."""
    first = [one.difference for one in blocks if one.suspect_first]
    second = [one.difference for one in blocks if not one.suspect_first]
    return bool(first and second) and median(second) - median(first) >= max(SLOWED, effect / 2)


def is_swapped(blocks: Sequence[Block]) -> bool:
    """Return whether suspects' runs went to two addresses, and in both turns.

    Where the lots never swapped the roles, an address or a turn that is slow by itself explains all of it.
    """
    return len({one.suspect_address for one in blocks}) > 1 and len({one.suspect_first for one in blocks}) > 1


def _slower(blocks: Sequence[Block]) -> tuple[Answer, Why | None]:
    frozen = sum(one.suspect.frozen_after_bytes is not None for one in blocks)
    others = sum(one.innocuous.frozen_after_bytes is not None for one in blocks)
    return (Answer.FROZEN if 2 * frozen > len(blocks) and not others else Answer.SLOWER), None


def _median_against(blocks: Sequence[Block], role: NameRole) -> float:
    found = [one.difference for one in blocks if one.innocuous_role is role]
    return median(found) if found else 0.0


def _below(test: PairedTest) -> float | None:
    """Return the fastest throttle that the runs would have shown: so much slower than innocuous runs are on this line."""
    rates = [
        one.early_bytes_per_s
        for one in test.results
        if one.is_innocuous and isinstance(one.pace, RunPace) and one.pace.frozen_after_bytes is None
    ]
    return median(rates) * exp(-needed_effect(USUAL_SPREAD)) if rates else None


def _factor(differences: Sequence[float]) -> Estimate | None:
    found = _median_of(differences)
    return found and Estimate(value=exp(found.value), low=exp(found.low), high=exp(found.high))


def rate_of(paces: Sequence[RunPace]) -> Estimate | None:
    """Return the median rate of those runs that converged, in bytes a second; None for fewer than six, or than half of all.

    The interval is that of the median over runs, widened by what a packet more or less makes of a run's rate, and to what
    one run says of itself.
    """
    told = [one for one in paces if one.converged]
    found = _median_of([log(one.bytes_per_s) for one in told]) if 2 * len(told) > len(paces) else None
    if found is None:
        return None
    # What runs have in common, a policer's saw teeth above all, does not show between them: within one it does.
    low = min(found.low - RESOLUTION, median(log(one.low_bytes_per_s) for one in told))
    high = max(found.high + RESOLUTION, median(log(one.high_bytes_per_s) for one in told))
    return Estimate(value=exp(found.value), low=exp(low), high=exp(high))


def _median_of(values: Sequence[float]) -> Estimate | None:
    ranks = median_ranks(len(values))
    if ranks is None:
        return None
    ordered = sorted(values)
    return Estimate(value=median(ordered), low=ordered[ranks[0]], high=ordered[ranks[1]])
