"""From the store to the scope rules: each device's last rounds, the vantage's last findings, the verdict a country.

Reads only. It must never guess where a device stands: network, kind and region are what its operator typed.
"""

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from collector.judgement.devices import (
    PERIOD_S,
    SILENT_PERIODS,
    DeviceStanding,
    DeviceState,
    ReceivedRound,
    live_utc_s,
    reconciled,
    state_of,
)
from collector.judgement.events import Events, going_on, remembered
from collector.judgement.last_rounds import (
    COLUMNS,
    LastRounds,
    LastSaid,
    greeted_utc_s,
    heard_utc_s,
    made_utc_s,
    rounds_of,
    said_in,
)
from collector.judgement.onset import Onset, onset
from collector.judgement.outside import OutsideFacts
from collector.judgement.scope import judge_scope
from collector.judgement.services import platforms_of, services_of
from collector.store.queries import Queries
from collector.store.vantage_log import VantageQueries
from collector.store.vantage_streaks import NS
from firmware.judgement.round.from_records import standing
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.record import Verdict

ROUNDS: Final = 60
"""How many of a device's last rounds are looked at: half an hour of quick ones, three of calm ones."""
VANTAGE_S: Final = 900.0
"""The vantage's findings count when they are no older."""
MIN_BESIDE: Final = 3
"""So many devices in other countries it takes to speak of neighbours."""

_LAST: Final = f"{COLUMNS} ORDER BY seq DESC LIMIT ?"
_UNTIL: Final = f"{COLUMNS} AND start_utc_ns <= ? ORDER BY start_utc_ns DESC, seq DESC LIMIT ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryAssessment:
    """The verdict on one country, since when it holds, and what it rests on. `late` counts devices that told later.

    `events` are the devices that fell silent together, as long as that goes on: what is to be remembered of now.
    """

    country: str
    verdict: Verdict
    devices: tuple[DeviceState, ...]
    outside: OutsideFacts
    onset: Onset | None
    late: int
    events: Events = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    state: DeviceState
    targets: tuple[TargetJudgement, ...] = ()
    late: bool = False


class Scopes:
    """The scope verdicts of one store. Every method may be called from any thread and raises `StoreError`."""

    def __init__(self, queries: Queries, *, retired: Callable[[], Mapping[str, float]] = dict) -> None:
        """`retired` tells which devices their operator has taken out of service, and when (UTC, s)."""
        self._queries = queries
        self._vantage = VantageQueries(queries)
        self._retired = retired
        self._last = LastRounds()

    def now(
        self, now_utc_ns: int, events: Mapping[str, Events], *, deaf_ns: int | None = None
    ) -> tuple[CountryAssessment, ...]:
        """Return the verdict on each country that devices stand in, as of `now_utc_ns`.

        `events` is what the last assessment of each country said is to be remembered, `deaf_ns` when the collector was
        last not there to hear.
        """
        heard = self._heard(now_utc_ns)
        since_ns = now_utc_ns - round(VANTAGE_S * NS)
        # What a clock that ran ahead dated later than now was seen at another time, nobody knows when.
        streaks = self._vantage.last(since_utc_ns=since_ns, until_utc_ns=now_utc_ns)
        line = line_of(self._vantage, now_utc_ns)
        found = []
        for country, here, beside in _countries(heard, events, now_utc_ns / NS):
            told = [(one.state, one.targets) for one in here]
            outside = replace(
                line,
                deaf_utc_s=None if deaf_ns is None else deaf_ns / NS,
                neighbours_lost=_neighbours_lost(beside),
                services=services_of(told, streaks),
                platforms=platforms_of(told, streaks),
            )
            found.append(_scope(country, here, outside, events.get(country, ())))
        return tuple(found)

    def reconciled(
        self, country: str, at_utc_ns: int, known: OutsideFacts, events: Events
    ) -> CountryAssessment | None:
        """Return the verdict on a country as of a past moment by all that has arrived since; None without devices.

        What was known beside the devices then, `known` and `events`, is taken as it was, but for the neighbours.
        """
        heard = self._heard_at(at_utc_ns)
        for name, here, beside in _countries(heard, {country: events}, at_utc_ns / NS):
            if name == country:
                outside = replace(known, neighbours_lost=_neighbours_lost(beside))
                return _scope(name, here, outside, events)
        return None

    def _heard(self, now_utc_ns: int) -> list[_Heard]:
        with self._queries.reading() as connection:
            found = []
            for device, country, epochs in self._devices(connection, now_utc_ns):
                rows = _newest(connection.execute(_LAST, (device, epoch, ROUNDS)) for epoch in epochs)
                if rows:
                    last = self._last.of(connection, device, rows)
                    found.append(
                        _told(
                            device,
                            country,
                            last.rounds,
                            last.said,
                            now_utc_s=now_utc_ns / NS,
                            heard_utc_s=max(heard_utc_s(connection, device, epoch) for epoch in epochs),
                            greeted_utc_s=greeted_utc_s(connection, device),
                        )
                    )
        return [one for one in found if one is not None]

    def _heard_at(self, at_utc_ns: int) -> list[_Heard]:
        found = []
        with self._queries.reading() as connection:
            for device, country, epochs in self._devices(connection, at_utc_ns):
                rows = _newest(
                    connection.execute(_UNTIL, (device, epoch, at_utc_ns, ROUNDS)) for epoch in epochs
                )
                if not rows:
                    continue
                rounds = rounds_of(connection, device, rows)
                then = reconciled(rounds, at_utc_ns / NS)
                one = _told(
                    device,
                    country,
                    then,
                    said_in(connection, device, rows[0]),
                    now_utc_s=at_utc_ns / NS,
                    heard_utc_s=made_utc_s(connection, device, rows[0], at_utc_ns / NS),
                )
                if one is not None:
                    state = replace(one.state, live_utc_s=live_utc_s(rounds))
                    found.append(replace(one, state=state, late=_was_late(rounds, at_utc_ns / NS)))
        return found

    def _devices(
        self, connection: sqlite3.Connection, at_utc_ns: int
    ) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Yield the devices that were in service at a moment: id, country, and their epochs of then, the newest first."""
        rows = connection.execute(
            """SELECT device.id, device.country, epoch.epoch FROM device JOIN epoch ON epoch.device = device.id
               WHERE epoch.first_seen_ns <= ? ORDER BY device.id, epoch.first_seen_ns DESC""",
            (at_utc_ns,),
        ).fetchall()
        retired = self._retired()
        for (device, country), of in groupby(rows, key=lambda row: (row[0], row[1])):
            if retired.get(device, math.inf) > at_utc_ns / NS:
                yield device, country, tuple(epoch for _, _, epoch in of)


def _newest(found: Iterable[Iterable[Sequence[Any]]]) -> list[Sequence[Any]]:
    """Return the rows of the first epoch that has rounds: one that a device has only just begun is no word of it."""
    return next((rows for one in found if (rows := _standing(one))), [])


def line_of(queries: VantageQueries, now_utc_ns: int) -> OutsideFacts:
    """Return how the collector's own line is, by its vantage's samples of late. Raises `StoreError`."""
    reached_ns, missed_ns = queries.own_line(
        since_utc_ns=now_utc_ns - round(VANTAGE_S * NS), until_utc_ns=now_utc_ns
    )
    is_known = reached_ns is not None or missed_ns is not None
    return OutsideFacts(
        connected=(reached_ns or 0) > (missed_ns or 0) if is_known else None,
        reached_utc_s=None if reached_ns is None else reached_ns / NS,
        missed_utc_s=None if missed_ns is None else missed_ns / NS,
    )


def _standing(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return the rows of rounds, newest first, each round as it was last revised."""
    return standing(rows, lambda row: (row[0], row[1]))


def _was_late(rounds: Iterable[ReceivedRound], at_utc_s: float) -> bool:
    """Return whether a device told only afterwards how it was at a moment."""
    near = [one for one in rounds if 0 <= at_utc_s - one.utc_s <= SILENT_PERIODS * PERIOD_S]
    return bool(near) and all(one.received_utc_s > at_utc_s for one in near)


def _countries(
    heard: Sequence[_Heard], events: Mapping[str, Events], now_utc_s: float
) -> Iterator[tuple[str, list[_Heard], list[DeviceState]]]:
    """Yield each country, its devices that stand for something, and those of the others."""
    by_country: dict[str, list[_Heard]] = {}
    for country in sorted({one.state.country for one in heard}):
        here = [one for one in heard if one.state.country == country]
        states = [one.state for one in here]
        on = going_on(events.get(country, ()), states)
        kept = {one.device for one in remembered(on, states, now_utc_s)}
        by_country[country] = [one for one in here if one.state.device in kept]
    for country, here in by_country.items():
        if here:
            yield (
                country,
                here,
                [one.state for name, there in by_country.items() if name != country for one in there],
            )


def _scope(country: str, here: Sequence[_Heard], outside: OutsideFacts, events: Events) -> CountryAssessment:
    states = tuple(one.state for one in here)
    verdict = judge_scope(states, outside)
    return CountryAssessment(
        country=country,
        verdict=verdict,
        devices=states,
        outside=outside,
        onset=onset(states, outside, verdict),
        late=sum(one.late for one in here),
        events=going_on(events, states),
    )


def _told(
    device: str,
    country: str,
    rounds: Sequence[ReceivedRound],
    said: LastSaid,
    *,
    now_utc_s: float,
    heard_utc_s: float,
    greeted_utc_s: float = -math.inf,
) -> _Heard | None:
    state = state_of(
        device,
        rounds,
        now_utc_s=now_utc_s,
        heard_utc_s=heard_utc_s,
        greeted_utc_s=greeted_utc_s,
        country=country,
        network=said.network,
        kind=said.kind,
        region=said.region,
    )
    return None if state is None else _Heard(state=state, targets=said.targets)


def _neighbours_lost(beside: Sequence[DeviceState]) -> float | None:
    telling = [one for one in beside if one.state in (DeviceStanding.WELL, DeviceStanding.LOST)]
    lost = sum(one.state is DeviceStanding.LOST for one in telling)
    return lost / len(telling) if len(telling) >= MIN_BESIDE else None
