"""One device as the scope rules see it: how it is, since when, and where it stands. Pure.

Silence is a state of its own: what it means, only others can tell. This file must never take a device for lost
because it is silent, nor for well because it once was.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from firmware.judgement.words import VerdictWord

SILENT_PERIODS: Final = 3
"""A device that missed so many of its rounds is silent."""
BURST_S: Final = 300.0
"""Silences that begin within this of each other are one event."""
MIN_BURST: Final = 3
"""So few silences are no burst: a power cut in one street makes two."""


class State(StrEnum):
    """How a device is."""

    WELL = "well"
    """It reaches neutral controls outside its country."""
    LOST = "lost"
    """It says itself that it does not, by live rounds or by rounds that arrived later."""
    SILENT = "silent"
    """It has not been heard for longer than it should be."""
    UNCLEAR = "unclear"
    """Its own network is at fault, or its rounds do not tell."""


_WELL: Final = frozenset(
    {
        VerdictWord.OK,
        VerdictWord.BLOCKED_DNS,
        VerdictWord.BLOCKED_TCP,
        VerdictWord.BLOCKED_TLS,
        VerdictWord.BLOCKED_HTTP,
        VerdictWord.SERVICE_DOWN,
        VerdictWord.THROTTLED_TARGETED,
    }
)
_LOST: Final = frozenset({VerdictWord.INTERNATIONAL_CUT, VerdictWord.ISP_OR_WIDER_OUTAGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSaid:
    """One round's verdict: when the round was (UTC, s) and when it arrived."""

    utc_s: float
    received_utc_s: float
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """One device at one moment. Its `network`, `kind` (`fixed`, `mobile`) and `region` are what its operator typed.

    `since_utc_s` is when the state began as far as is known. `was_well_unheard` says that rounds which arrived
    later show it well while it was not heard.
    """

    device: str
    country: str
    network: str = ""
    kind: str = ""
    region: str = ""
    state: State
    since_utc_s: float
    was_well_unheard: bool = False


def state_of(
    device: str,
    rounds: Iterable[RoundSaid],
    *,
    now_utc_s: float,
    period_s: float,
    country: str = "",
    network: str = "",
    kind: str = "",
    region: str = "",
) -> DeviceState | None:
    """Return how a device is, from its rounds in any order; None when it has none."""
    told = sorted(rounds, key=lambda one: (one.utc_s, one.received_utc_s, one.word))
    if not told:
        return None
    patience_s = SILENT_PERIODS * period_s
    heard_s = max(one.received_utc_s for one in told)
    last = told[-1]
    if now_utc_s - heard_s > patience_s:
        state, since_s = State.SILENT, heard_s
    else:
        state = _state(last.word)
        run = []
        for one in reversed(told):
            if _state(one.word) is not state:
                break
            run.append(one)
        since_s = run[-1].utc_s
    late_and_well = [
        one
        for one in told
        if one.received_utc_s - one.utc_s > patience_s
        and now_utc_s - one.utc_s <= 3600.0
        and one.word in _WELL
    ]
    late_and_lost = any(one.received_utc_s - one.utc_s > patience_s and one.word in _LOST for one in told)
    return DeviceState(
        device=device,
        country=country,
        network=network,
        kind=kind,
        region=region,
        state=state,
        since_utc_s=since_s,
        was_well_unheard=len(late_and_well) >= SILENT_PERIODS and not late_and_lost,
    )


def _state(word: str) -> State:
    if word in _WELL:
        return State.WELL
    return State.LOST if word in _LOST else State.UNCLEAR


def burst(devices: Iterable[DeviceState]) -> frozenset[str]:
    """Return the silent devices whose silences began together: the largest such set, the earliest of two."""
    silent = sorted(
        (one for one in devices if one.state is State.SILENT), key=lambda one: (one.since_utc_s, one.device)
    )
    best: list[DeviceState] = []
    for index, first in enumerate(silent):
        together = [one for one in silent[index:] if one.since_utc_s - first.since_utc_s <= BURST_S]
        best = together if len(together) > len(best) else best
    return frozenset(one.device for one in best) if len(best) >= MIN_BURST else frozenset()
