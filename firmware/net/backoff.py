"""How long to wait before trying again: exponential back-off with full jitter. Pure.

M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015: uniform between 0 and the exponential bound, so
that a fleet that lost its broker at one moment does not return at one moment.
"""

from collections.abc import Callable
from typing import Final

_MAX_EXPONENT: Final = 16
"""Keeps the power small after months of failures."""


def delay_s(failures: int, random: Callable[[], float], *, base_s: float, cap_s: float) -> float:
    """Return the wait in seconds after `failures` >= 1 in a row; `random` gives numbers in [0, 1), the bound stops at `cap_s`."""
    return random() * min(cap_s, base_s * 2.0 ** min(failures - 1, _MAX_EXPONENT))
