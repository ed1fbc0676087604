"""What a suspect's run leaves behind: whether innocuous runs after it are slower, where, and for how long. Pure.

Three comparisons: the control's run of a block where it went second
against those where it went first (on other addresses, seconds after the suspect); the control on addresses that had
carried a suspect a wash-out or longer ago against those that had not; and the control asked for on the suspect's address
at once, against the control elsewhere. The first two spoil a test, the third tells what kind of state is kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import log
from statistics import median
from typing import Final

from firmware.judgement.throttling.counted_run import CountedRun
from firmware.judgement.throttling.pace_of_run import RunPace
from firmware.judgement.throttling.runs import NameRole, Purpose

SLOWED: Final = log(1.5)
"""Innocuous runs slower by less than this are not taken for slowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryOver:
    """How much slower innocuous runs are after a suspect's, as logarithms of rates (None: not measured).

    `elsewhere` within a block on another address, `washed_out` on the same address a wash-out later, `at_once` on the same
    address without one.
    """

    elsewhere: float | None = None
    washed_out: float | None = None
    at_once: float | None = None

    def spreads(self, effect: float) -> bool:
        """Return whether the control is hit as well, elsewhere and at the same time."""
        return self.elsewhere is not None and self.elsewhere >= max(SLOWED, effect / 2)

    def lasts(self, effect: float) -> bool:
        """Return whether the wash-out was too short."""
        return self.washed_out is not None and self.washed_out >= max(SLOWED, effect / 2)

    def is_kept_for_address(self, effect: float) -> bool:
        """Return whether the address stays slow for the control at once after the suspect."""
        return self.at_once is not None and self.at_once >= max(SLOWED, effect / 2)


def carry_over(runs: Sequence[CountedRun]) -> CarryOver:
    """Return what the runs of a test, in the order in which they went, say of what a suspect's run leaves behind.

    The control is compared with itself; only where it did not go in both states are random names counted with it, since
    those may be slow by themselves.
    """
    by_control, by_all, after = _Places(), _Places(), list[float]()
    carried: set[int] = set()
    blocks_with_suspect: set[int] = set()
    for one in runs:
        run, pace = one.run, one.pace
        if run.role is NameRole.SUSPECT:
            carried.add(run.address)
            blocks_with_suspect.add(run.block)
        elif isinstance(pace, RunPace) and run.purpose is Purpose.AFTER:
            after.append(pace.bytes_per_s)
        elif isinstance(pace, RunPace):
            for places in (by_all, by_control)[: 1 + (run.role is NameRole.CONTROL)]:
                (places.tainted if run.address in carried else places.clean).append(one.early_bytes_per_s)
                if run.purpose is Purpose.PAIR:
                    went_second = run.block in blocks_with_suspect
                    (places.second if went_second else places.first).append(pace.bytes_per_s)
    controls = [*by_control.first, *by_control.second]
    return CarryOver(
        elsewhere=_first_known(_slower(one.first, one.second) for one in (by_control, by_all)),
        washed_out=_first_known(_slower(one.clean, one.tainted) for one in (by_control, by_all)),
        at_once=_slower(controls, after),
    )


@dataclass(slots=True)
class _Places:
    """Rates of innocuous runs by their turn in a block, and by whether their address had carried a suspect's run."""

    first: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    clean: list[float] = field(default_factory=list)
    tainted: list[float] = field(default_factory=list)


def _first_known(values: Iterable[float | None]) -> float | None:
    return next((one for one in values if one is not None), None)


def _slower(before: Sequence[float], after: Sequence[float]) -> float | None:
    return log(median(before) / median(after)) if before and after else None
