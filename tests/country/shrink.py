"""Makes a truth that shows something false smaller: fewer things wrong, fewer homes, a shorter time.

Each step is played; it stays if the same kind of false verdict is said. This file must never change what is false.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from tests.country.play import play
from tests.country.tally import Finding, tally_of
from tests.country.truth import Truth, Wrong

_LEAD_S: Final = 2_400.0
_TAIL_S: Final = 1_800.0


def shrink(truth: Truth, *, showing: Callable[[Truth], tuple[Finding, ...]] | None = None) -> Iterator[str]:
    """Yield what is tried, and at the end the smallest truth that shows the first false verdict of `truth`."""
    shown = showing or _findings
    found = shown(truth)
    if not found:
        yield "nothing false is said in it"
        return
    kind = min(found, key=lambda one: one.at_s).kind
    yield f"looking for: {' | '.join(kind)}"
    for smaller in _steps(truth, lambda one: any(it.kind[:4] == kind[:4] for it in shown(one))):
        truth = smaller
        yield f"still with {len(truth.homes)} devices, {len(truth.wrongs)} wrong, {truth.hours:.1f} h"
    yield from truth.lines()


def _findings(truth: Truth) -> tuple[Finding, ...]:
    return tuple(tally_of(truth, play(truth)).findings)


def _steps(truth: Truth, shows: Callable[[Truth], bool]) -> Iterator[Truth]:
    """Yield ever smaller truths that still show it."""
    earlier = _earlier(truth)
    if earlier.hours < truth.hours and shows(earlier):
        truth = earlier
        yield truth
    for wrong in truth.wrongs:
        smaller = truth.without(wrong=wrong)
        if shows(smaller):
            truth = smaller
            yield truth
    for home in truth.homes:
        if len(truth.homes) > 1:
            smaller = truth.without(home=home.number)
            if shows(smaller):
                truth = smaller
                yield truth
    earlier = _earlier(truth)
    if earlier.hours < truth.hours and shows(earlier):
        yield earlier


def _earlier(truth: Truth) -> Truth:
    """Return the same with all that is wrong as early as it may be, and the end soon after."""
    if not truth.wrongs:
        return replace(truth, hours=min(truth.hours, 2.0))
    by_s = max(0.0, min(one.since_s for one in truth.wrongs) - _LEAD_S)

    def moved(one: Wrong) -> Wrong:
        return replace(one, since_s=one.since_s - by_s, until_s=one.until_s - by_s)

    wrongs = tuple(map(moved, truth.wrongs))
    until_s = max(one.until_s for one in wrongs) + _TAIL_S
    return replace(truth, wrongs=wrongs, hours=min(truth.hours, until_s / 3600))
