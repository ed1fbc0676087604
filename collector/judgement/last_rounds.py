"""A device's last rounds, read from the store once, and again where a row or what places them in time is new.

The verdicts on countries are asked for every 30 s, and most devices have said nothing new by then. It decides nothing,
and must never keep what a row of the store could change: a stored record is never written again.
"""

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from collector.judgement.devices import ReceivedRound
from collector.store import timings
from collector.store.retiming import reading_at
from collector.store.vantage_streaks import NS
from firmware.judgement import target_judgement as targets_json
from firmware.judgement.confidence.accusers import concluded
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.jsontypes import JsonValue, RecordError
from firmware.model.record import ClockQuality, ClockReading

COLUMNS: Final = """SELECT boot_id, start_boottime_ns, start_utc_ns, clock_quality, clock_error_ns, received_ns, verdict,
    rule_id, epoch, seq FROM record WHERE device = ? AND epoch = ? AND test = 'ladder' AND verdict IS NOT NULL"""
"""What is read of rounds; the last two columns name the record."""
_HEARD: Final = "SELECT received_ns FROM record WHERE device = ? AND epoch = ? ORDER BY seq DESC LIMIT 1"
_GREETED: Final = "SELECT max(heard_ns) FROM turn WHERE device = ?"
_MADE: Final = """SELECT boot_id, start_boottime_ns, start_utc_ns, clock_quality, clock_error_ns FROM record
    WHERE device = ?1 AND epoch = ?2 AND seq > ?3 AND seq < coalesce(
        (SELECT min(seq) FROM record WHERE device = ?1 AND epoch = ?2 AND seq > ?3 AND test = 'ladder'), 9e18)
    ORDER BY seq DESC LIMIT ?4"""
_MOST_MADE: Final = 2_000
"""So many of the records between two rounds are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSaid:
    """What a device's last round says beside its word: where the device stands, as typed, and of each platform."""

    network: str
    kind: str
    region: str
    targets: tuple[TargetJudgement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsRead:
    """A device's last rounds as they were read. A stored row never changes: the same rows, placed by the same, are the same."""

    rows: tuple[tuple[str, int], ...]
    placed_by: timings.Version
    rounds: list[ReceivedRound]
    said: LastSaid


class LastRounds:
    """What was read last of each device. Any thread may ask: two that read the same at once keep the same."""

    def __init__(self) -> None:
        self._known: dict[str, RoundsRead] = {}

    def of(self, connection: sqlite3.Connection, device: str, rows: Sequence[Sequence[Any]]) -> RoundsRead:
        """Return what a device's `rows` say, newest first."""
        which = tuple((row[-2], row[-1]) for row in rows)
        placed_by = timings.version(connection, device)
        known = self._known.get(device)
        if known is None or (known.rows, known.placed_by) != (which, placed_by):
            is_told = known is not None and known.rows[0] == which[0]
            said = known.said if known is not None and is_told else said_in(connection, device, rows[0])
            rounds = rounds_of(connection, device, rows)
            self._known[device] = known = RoundsRead(
                rows=which, placed_by=placed_by, rounds=rounds, said=said
            )
        return known


def rounds_of(
    connection: sqlite3.Connection, device: str, rows: Sequence[Sequence[Any]]
) -> list[ReceivedRound]:
    """Return rounds with the times they were at, by all that is known now."""
    timeline = timings.timeline(connection, device)
    found = []
    for boot_id, boottime, start, quality, error, received, word, rule_id, _, _ in rows:
        told = ClockReading(boottime_ns=boottime, utc_ns=start, quality=ClockQuality(quality), error_ns=error)
        reading = reading_at(told, boot_id, timeline)
        found.append(
            ReceivedRound(
                utc_s=reading.utc_ns / NS,
                received_utc_s=received / NS,
                word=concluded(word, rule_id or ""),
                error_s=None if reading.error_ns is None else reading.error_ns / NS,
            )
        )
    return found


def heard_utc_s(connection: sqlite3.Connection, device: str, epoch: str) -> float:
    """Return when the newest record of a device arrived, by the collector's clock; what is sent again is no news of it."""
    found = connection.execute(_HEARD, (device, epoch)).fetchone()
    return -math.inf if found is None else float(found[0]) / NS


def greeted_utc_s(connection: sqlite3.Connection, device: str) -> float:
    """Return when a device last greeted with how it stands, by the collector's clock; -inf where it never did."""
    (greeted_ns,) = connection.execute(_GREETED, (device,)).fetchone()
    return -math.inf if greeted_ns is None else float(greeted_ns) / NS


def made_utc_s(connection: sqlite3.Connection, device: str, row: Sequence[Any], at_utc_s: float) -> float:
    """Return when a device made the last record between one round, `row`, and the next, up to a moment; else -inf."""
    timeline = timings.timeline(connection, device)
    made = [
        reading_at(
            ClockReading(boottime_ns=boottime, utc_ns=start, quality=ClockQuality(quality), error_ns=error),
            boot_id,
            timeline,
        ).utc_ns
        / NS
        for boot_id, boottime, start, quality, error in connection.execute(
            _MADE, (device, row[-2], row[-1], _MOST_MADE)
        )
    ]
    return max((one for one in made if one <= at_utc_s), default=-math.inf)


def said_in(connection: sqlite3.Connection, device: str, row: Sequence[Any]) -> LastSaid:
    """Return what the record of a round says, `row` being that round's."""
    (body,) = connection.execute(
        "SELECT body FROM record WHERE device = ? AND epoch = ? AND seq = ?", (device, row[-2], row[-1])
    ).fetchone()
    value: JsonValue = json.loads(str(body))
    record = value if isinstance(value, dict) else {}
    context, detail = record.get("context"), record.get("detail")
    place = context if isinstance(context, dict) else {}
    try:
        targets = targets_json.from_json(detail.get("targets", []) if isinstance(detail, dict) else [])
    except RecordError:
        targets = ()  # of other software: as if nothing had been said of them
    return LastSaid(
        network=_text(place, "provider"),
        kind=_text(place, "network_kind"),
        region=_text(place, "province"),
        targets=targets,
    )


def _text(place: Mapping[str, JsonValue], key: str) -> str:
    value = place.get(key)
    return value if isinstance(value, str) else ""
