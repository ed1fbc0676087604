"""One device as the scope rules see it: how it is, since when, and where it stands. Pure.

Silence is a state of its own: what it means, only others can tell. This file must never take a device for lost
because it is silent, nor for well because it once was.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from firmware.model.verdict_words import VerdictWord

PERIOD_S: Final = 180.0
"""The slowest calm cadence of a plan that comes along; by it silence is told of a device whose rounds come no slower."""
SILENT_PERIODS: Final = 3
"""A device that missed so many of its rounds is silent."""
SLOWEST_PERIODS: Final = 4
"""A device whose bytes are short measures so many times more slowly at most: its own rounds say so."""
_SPACINGS: Final = 5
"""Of so many of a device's last spacings the middle one is its period."""
BACK_PERIODS: Final = 2
"""For so long after its last late rounds have come, that it was not heard is told by them; then it is heard again."""
BURST_S: Final = 300.0
"""Silences that begin within this of each other are one event."""
MIN_BURST: Final = 3
"""So few silences are no burst: a power cut in one street makes two."""


class DeviceStanding(StrEnum):
    """How a device is."""

    WELL = "well"
    """It reaches reference targets outside its country."""
    LOST = "lost"
    """It says itself that it does not, by live rounds or by rounds that arrived later."""
    SILENT = "silent"
    """It has not been heard for longer than it should be."""
    UNCLEAR = "unclear"
    """Its own network is at fault, its rounds do not tell, or it is heard and has no rounds to tell of."""


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
class ReceivedRound:
    """One round's verdict: when the round was (UTC, s; None for an error: unknown) and when it arrived."""

    utc_s: float
    received_utc_s: float
    word: str
    error_s: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """One device at one moment. Its `network`, `kind` (`fixed`, `mobile`) and `region` are what its operator typed.

    `heard_utc_s` is when it was heard last, by the collector's clock. `since_utc_s` is when the state began as far as is known, `before_utc_s` the last moment at which it was known
    to be otherwise (None: never), `error_s` what its clock may be off in both (None: unknown). `word` is its last
    verdict, `told_utc_s` when that round was, `live_utc_s` when it last was seen to reach the collector, `period_s` about how far apart its rounds are. `was_well_unheard` says that rounds which have just arrived
    show it well while it was not heard; once it has been heard again for a while, that is over.
    """

    device: str
    country: str
    network: str = ""
    kind: str = ""
    region: str = ""
    state: DeviceStanding
    heard_utc_s: float
    since_utc_s: float
    before_utc_s: float | None = None
    error_s: float | None = 0.0
    word: str = ""
    told_utc_s: float | None = None
    live_utc_s: float = -math.inf
    period_s: float = PERIOD_S
    was_well_unheard: bool = False


def state_of(
    device: str,
    rounds: Iterable[ReceivedRound],
    *,
    now_utc_s: float,
    heard_utc_s: float = -math.inf,
    greeted_utc_s: float = -math.inf,
    country: str = "",
    network: str = "",
    kind: str = "",
    region: str = "",
) -> DeviceState | None:
    """Return how a device is, from its rounds in any order; None when it has none.

    `heard_utc_s` is when a record of it arrived last that it had not sent before: a device whose budget of bytes is spent
    measures nothing and says so, and one that can say that is not silent. Nor is it what it was when it last measured. `greeted_utc_s` is when it greeted
    last: one that can do no more than that is not silent either, as long as it does, and was not heard.
    """
    told = sorted(rounds, key=lambda one: (one.utc_s, one.received_utc_s, one.word))
    if not told:
        return None
    period_s = _period_s(told)
    patience_s = SILENT_PERIODS * period_s
    # What came while the collector's clock ran ahead came when it was measured, at the earliest.
    told_s = max(
        one.received_utc_s if one.received_utc_s <= now_utc_s else min(one.utc_s, now_utc_s) for one in told
    )
    heard_s = max(told_s, heard_utc_s if heard_utc_s <= now_utc_s else -math.inf)
    last = told[-1]
    word = last.word
    error_s: float | None
    before_s: float | None
    is_silent = now_utc_s - heard_s > patience_s
    if is_silent and not 0 <= now_utc_s - greeted_utc_s <= patience_s:
        # By the collector's own clock: it fell silent after it was heard, before its next round was due.
        state, before_s, since_s, error_s = DeviceStanding.SILENT, heard_s, heard_s + period_s, 0.0
    elif is_silent or now_utc_s - told_s > patience_s:
        state, before_s, since_s, error_s = DeviceStanding.UNCLEAR, told_s, told_s + period_s, 0.0
        word = VerdictWord.INCONCLUSIVE
    else:
        state, before_s, since_s, error_s = _last_transition(told, patience_s)
    late = [one for one in told if one.received_utc_s - one.utc_s > patience_s]
    back_s = max((one.received_utc_s for one in late), default=now_utc_s)
    return DeviceState(
        device=device,
        country=country,
        network=network,
        kind=kind,
        region=region,
        state=state,
        heard_utc_s=heard_s,
        since_utc_s=since_s,
        before_utc_s=before_s,
        error_s=error_s,
        word=word,
        told_utc_s=last.utc_s,
        live_utc_s=heard_s,
        period_s=period_s,
        was_well_unheard=_was_well(late) and now_utc_s - back_s <= BACK_PERIODS * period_s,
    )


def _period_s(told: Sequence[ReceivedRound]) -> float:
    """Return about how far apart a device's last rounds are, given in order; a time without any is no spacing of many."""
    spacings = sorted(
        later.utc_s - before.utc_s
        for before, later in zip(told[-_SPACINGS - 1 :], told[-_SPACINGS:], strict=False)
    )
    middle_s = spacings[len(spacings) // 2] if len(spacings) == _SPACINGS else PERIOD_S
    return min(max(middle_s, PERIOD_S), SLOWEST_PERIODS * PERIOD_S)


def _was_well(late: Sequence[ReceivedRound]) -> bool:
    """Return whether rounds that arrived late show a device well while it was not heard, and never lost."""
    well = sum(one.word in _WELL for one in late)
    return well >= SILENT_PERIODS and not any(one.word in _LOST for one in late)


def reconciled(rounds: Iterable[ReceivedRound], at_utc_s: float) -> tuple[ReceivedRound, ...]:
    """Return the rounds up to a moment as if each had arrived when it was measured."""
    return tuple(replace(one, received_utc_s=one.utc_s) for one in rounds if one.utc_s <= at_utc_s)


def live_utc_s(rounds: Iterable[ReceivedRound]) -> float:
    """Return when the last of a device's rounds that arrived soon after it was measured did; -inf where none did."""
    patience_s = SILENT_PERIODS * PERIOD_S
    live = (one.received_utc_s for one in rounds if one.received_utc_s - one.utc_s <= patience_s)
    return max(live, default=-math.inf)


def _last_transition(
    told: Sequence[ReceivedRound], patience_s: float
) -> tuple[DeviceStanding, float | None, float, float | None]:
    """Return the state of the last round, the last moment it was the contrary, since when, and the clocks' error.

    A time without rounds ends what was before it: nobody knows yet how that went on.
    """
    state = _state(told[-1].word)
    first = len(told) - 1
    while (
        first > 0
        and _state(told[first - 1].word) is state
        and told[first].utc_s - told[first - 1].utc_s <= patience_s
    ):
        first -= 1
    since = told[first]
    contrary = {DeviceStanding.WELL: {DeviceStanding.LOST}, DeviceStanding.LOST: {DeviceStanding.WELL}}.get(
        state, {DeviceStanding.WELL, DeviceStanding.LOST}
    )
    before = next((one for one in reversed(told[:first]) if _state(one.word) in contrary), None)
    errors = [one.error_s for one in (since, before) if one is not None]
    known = [one for one in errors if one is not None]
    error_s = max(known) if len(known) == len(errors) else None
    return state, None if before is None else before.utc_s, since.utc_s, error_s


def _state(word: str) -> DeviceStanding:
    if word in _WELL:
        return DeviceStanding.WELL
    return DeviceStanding.LOST if word in _LOST else DeviceStanding.UNCLEAR


def bursts(devices: Iterable[DeviceState]) -> tuple[frozenset[str], ...]:
    """Return the silent devices whose silences began together, each such set whole, the earliest first.

    A device may be in two of them: of silences that spread each belongs to those around it.
    """
    silent = sorted(
        (one for one in devices if one.state is DeviceStanding.SILENT),
        key=lambda one: (one.since_utc_s, one.device),
    )
    found: list[frozenset[str]] = []
    for index, first in enumerate(silent):
        together = frozenset(
            one.device for one in silent[index:] if one.since_utc_s - first.since_utc_s <= BURST_S
        )
        if len(together) >= MIN_BURST and not (found and together <= found[-1]):
            found.append(together)
    return tuple(found)
