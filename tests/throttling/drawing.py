"""Made lines drawn from a seed, of a kind. Nothing here knows the rules."""

from collections.abc import Callable
from dataclasses import replace
from math import exp, log
from random import Random
from typing import Final

from tests.throttling.lines import Line, Made, Scope, Throttle
from tests.throttling.world import log_spread

MBIT = 125_000.0


def draw(seed: int, kind: str | None = None) -> Made:
    """Return the line of a seed: of this kind, or of the kind that is the seed's turn."""
    kind = kind or tuple(KINDS)[seed % len(KINDS)]
    lot = Random(f"line {seed} {kind}")
    made = KINDS[kind](lot)
    return replace(made, seed=seed, kind=kind, begins_s=lot.uniform(0, 86_400))


def _between(lot: Random, low: float, high: float) -> float:
    """Return a number between two, each factor as likely as another."""
    return exp(lot.uniform(log(low), log(high)))


def _quiet(lot: Random) -> Line:
    return Line(
        rate_bytes_per_s=_between(lot, 1 * MBIT, 200 * MBIT),
        rtt_s=_between(lot, 0.01, 0.2),
        loss=lot.choice((0.0, 0.0, 1e-4)),
        paced=lot.random() < 0.5,
        growth=lot.choice((1.5, 2.0, 2.0)),
        other_address=lot.choice((1.0, 1.0, _between(lot, 0.8, 1.25))),
        addresses=lot.choice((2, 2, 3)),
    )


def _cell(lot: Random) -> Line:
    return replace(
        _quiet(lot),
        rate_bytes_per_s=_between(lot, 0.5 * MBIT, 40 * MBIT),
        rtt_s=_between(lot, 0.03, 0.15),
        sway=log_spread(lot.uniform(0.5, 1.0)),
        sway_s=_between(lot, 0.3, 60),
        wakes_s=lot.choice((0.0, 0.3, 1.5)),
        jitter=0.15,
    )


def _wifi(lot: Random) -> Line:
    return replace(
        _quiet(lot), stalls_per_s=_between(lot, 0.05, 2.0), stall_s=lot.uniform(0.1, 1.5), jitter=0.1
    )


def _lossy(lot: Random) -> Line:
    return replace(_quiet(lot), loss=_between(lot, 1e-3, 0.03), jitter=0.1)


def _boosted(lot: Random) -> Line:
    """Return a line whose first bytes after a rest are fast, for a bucket that the first of two runs may empty."""
    return replace(
        _quiet(lot),
        rate_bytes_per_s=_between(lot, 0.5 * MBIT, 20 * MBIT),
        rtt_s=_between(lot, 0.01, 0.06),
        boost=lot.uniform(1.5, 5),
        boost_bytes=_between(lot, 8e4, 6e5),
        boost_refills=_between(lot, 0.005, 1),
    )


def _unequal(lot: Random) -> Line:
    return replace(_quiet(lot), other_address=_between(lot, 1.3, 4.0))


def _congested(lot: Random) -> Line:
    return replace(
        _quiet(lot),
        rate_bytes_per_s=_between(lot, 0.5 * MBIT, 40 * MBIT),
        cross_share=lot.uniform(0.2, 0.9),
        cross_s=_between(lot, 0.5, 300),
        loss=_between(lot, 1e-4, 0.02),
        sway=lot.uniform(0, 0.6),
        sway_s=_between(lot, 1, 600),
        jitter=lot.uniform(0.05, 0.3),
    )


def _wild(lot: Random) -> Line:
    """Return a line whose runs differ by several times, at random: nothing but the lots stands between it and an accusation."""
    return replace(
        _quiet(lot),
        rate_bytes_per_s=_between(lot, 0.5 * MBIT, 5 * MBIT),
        rtt_s=_between(lot, 0.01, 0.05),
        sway=lot.uniform(1.0, 2.0),
        sway_s=_between(lot, 5, 30),
    )


def _diurnal(lot: Random) -> Line:
    return replace(
        _quiet(lot), daily=lot.uniform(0.5, 0.95), sway=lot.uniform(0.0, 0.3), sway_s=_between(lot, 60, 3600)
    )


def _throttle(lot: Random, line: Line, *, least: float, most: float) -> Throttle:
    scope = lot.choice((Scope.FLOW, Scope.FLOW, Scope.ADDRESS))
    rate = max(2_000.0, line.rate_bytes_per_s / _between(lot, least, most))
    polices = lot.random() < 0.5
    burst = lot.choice((0.0, 10_000.0, _between(lot, 5e3, 2e6)))
    # A policer that has no room for what a sender sends at once lets nearly nothing through: nobody runs one.
    return Throttle(
        rate_bytes_per_s=rate,
        burst_bytes=max(burst, 15_000.0, 0.1 * rate) if polices else burst,
        polices=polices,
        scope=scope,
        remembers_s=0.0 if scope is Scope.FLOW else _between(lot, 10, 1200),
    )


def _clean(line: Callable[[Random], Line]) -> Callable[[Random], Made]:
    return lambda lot: Made(seed=0, kind="", line=line(lot))


def _targeted(
    line: Callable[[Random], Line], *, least: float = 2.0, most: float = 200.0
) -> Callable[[Random], Made]:
    def drawn(lot: Random) -> Made:
        found = line(lot)
        return Made(seed=0, kind="", line=found, throttle=_throttle(lot, found, least=least, most=most))

    return drawn


def _spreading(lot: Random) -> Made:
    made = _targeted(_quiet)(lot)
    assert made.throttle is not None
    return replace(
        made, throttle=replace(made.throttle, scope=Scope.SOURCE, remembers_s=_between(lot, 10, 1200))
    )


def _allow_list(lot: Random) -> Made:
    made = _targeted(_quiet, least=3)(lot)
    assert made.throttle is not None
    return replace(made, throttle=replace(made.throttle, allow_list=True, scope=Scope.FLOW, remembers_s=0.0))


def _freezing(lot: Random) -> Made:
    return Made(
        seed=0,
        kind="",
        line=_quiet(lot),
        throttle=Throttle(
            rate_bytes_per_s=1e9, burst_bytes=1e9, freezes_after_bytes=lot.uniform(14_000, 60_000)
        ),
    )


KINDS: Final[dict[str, Callable[[Random], Made]]] = {
    "clean": _clean(_quiet),
    "cell": _clean(_cell),
    "wifi": _clean(_wifi),
    "lossy": _clean(_lossy),
    "boosted": _clean(_boosted),
    "unequal-addresses": _clean(_unequal),
    "congested": _clean(_congested),
    "diurnal": _clean(_diurnal),
    "wild": _clean(_wild),
    "targeted": _targeted(_quiet),
    "targeted-twice": _targeted(_quiet, least=2.0, most=4.0),
    "targeted-cell": _targeted(_cell),
    "targeted-wifi": _targeted(_wifi),
    "targeted-lossy": _targeted(_lossy),
    "targeted-boosted": _targeted(_boosted),
    "targeted-congested": _targeted(_congested),
    "targeted-mildly": _targeted(_quiet, least=1.1, most=2.0),
    "spreading": _spreading,
    "allow-list": _allow_list,
    "freezing": _freezing,
}
INNOCENT: Final = frozenset(
    {"clean", "cell", "wifi", "lossy", "boosted", "unequal-addresses", "congested", "diurnal", "wild"}
)
"""Where no name is treated otherwise."""
