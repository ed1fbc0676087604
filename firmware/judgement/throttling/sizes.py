"""How large runs are, and what a test may cost: the figures, and the windows of the screen. Pure."""

from collections.abc import Sequence
from math import log
from typing import Final

from firmware.judgement.throttling.pace_of_run import rate_between
from firmware.judgement.throttling.runs import KIB

CLEAN_MOST_BYTES: Final = 300_000
"""What a test may cost that ends clean."""
CONFIRMATION_MOST_BYTES: Final = 4 * KIB * KIB
"""What one test may cost, its screen included: one confirmation of one way."""
RUN_MOST_BYTES: Final = 256 * KIB

SCREEN_PAYLOAD: Final = 132 * KIB
"""Each of the screen's two runs: with what both cost beside it, less than `CLEAN_MOST_BYTES`."""
PAYLOADS: Final = (88 * KIB, 176 * KIB)
"""A run's payload in a block: the smaller where the throttle shows early, for sixteen blocks; the larger for eight. A still
larger one would leave fewer than eight blocks within `CONFIRMATION_MOST_BYTES`, and seven cannot come to 1/256."""
MOST_BLOCKS: Final = {PAYLOADS[0]: 16, PAYLOADS[1]: 8}
MOST_RUN_S: Final = 20.0
SCREEN_GO: Final = 0.20
"""A suspect's run of the screen that is slower by more than this logarithm (1.22 times) is not clean."""
LEAST_EFFECT: Final = log(1.5)
"""The median of the blocks must be this, for a name to be called slower."""
EARLY: Final = (44 * KIB, 88 * KIB)
"""The part that every run has: the second half of the smallest."""
LATE: Final = (88 * KIB, SCREEN_PAYLOAD)
"""The part that both runs of the screen have beyond it."""

Points = Sequence[tuple[float, int]]


def slower_in_screen(control: tuple[float, float | None], suspect: tuple[float, float | None]) -> float:
    """Return the logarithm of how much slower the suspect's run of the screen is, of the (early, late) rates, where it is more."""
    early = log(control[0] / suspect[0])
    return early if control[1] is None or suspect[1] is None else max(early, log(control[1] / suspect[1]))


def early_rate(points: Points) -> float:
    """Return the rate in the part that every run has, or in the second half of a run that got no further."""
    received = points[-1][1]
    low, high = EARLY if received >= EARLY[1] else (received / 2, received)
    return rate_between(points, low, high)


def late_rate(points: Points) -> float | None:
    """Return the rate in the part beyond, as far as the run got; None where that is nothing."""
    received = min(points[-1][1], LATE[1])
    return rate_between(points, LATE[0], received) if received > LATE[0] + 8 * KIB else None
