"""Waits for a condition, never for a length of time, and every wait has an end.

`until(condition, what)` returns as soon as the condition holds. `LIMIT_S` is the end of any one wait in the tests: reached
only by what never comes, so it is generous, and no test may be quicker or slower for it. Nothing here measures.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

LIMIT_S: Final = 180.0
"""How long anything may take before a test gives it up; the machine may be slow and busy."""


def until(
    condition: Callable[[], T | None],
    what: str | Callable[[], object],
    *,
    limit_s: float = LIMIT_S,
    pause_s: float = 0.02,
) -> T:
    """Return the first true value of `condition`. Raises `AssertionError` with `what` (asked for then) at the end.

    `condition` is asked once more after the end: a process that was not let run meanwhile is not late.
    """
    end_s = time.monotonic() + limit_s
    over = False
    while not (value := condition()):
        if over:
            raise AssertionError(f"after {limit_s:g} s: not {what() if callable(what) else what}")
        over = time.monotonic() > end_s
        time.sleep(pause_s)
    return value
