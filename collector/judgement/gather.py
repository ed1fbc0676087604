"""From the store to the scope rules: each device's last rounds, the control's last findings, the verdict a country.

Reads only. It must never guess where a device stands: network, kind and region are what its operator typed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector.control.log import NS, Run
from collector.judgement.devices import DeviceState, RoundSaid, State, state_of
from collector.judgement.scope import Outside, ServiceLost, judge_scope
from collector.store.controls import ControlQueries
from collector.store.queries import Queries
from firmware.jsontypes import JsonValue, RecordError
from firmware.judgement.web import targets as targets_json
from firmware.judgement.web.targets import FAILED, TargetJudgement
from firmware.record import Verdict

ROUNDS: Final = 60
"""How many of a device's last rounds are looked at: half an hour of quick ones, three of calm ones."""
PERIOD_S: Final = 180.0
"""The slowest cadence of a plan that comes along; by it silence is told."""
FORGOTTEN_S: Final = 7 * 86_400.0
"""A device that was not heard for so long stands for nothing any more."""
CONTROL_S: Final = 900.0
"""The control's findings count when they are no older."""
MIN_BESIDE: Final = 3
"""So many devices in other countries it takes to speak of neighbours."""

_LAST: Final = """SELECT start_utc_ns, received_ns, verdict, body FROM record
    WHERE device = ? AND epoch = ? AND test = 'ladder' AND verdict IS NOT NULL ORDER BY seq DESC LIMIT ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The verdict on one country, and the devices it rests on."""

    country: str
    verdict: Verdict
    devices: tuple[DeviceState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    state: DeviceState
    targets: tuple[TargetJudgement, ...]


class Scopes:
    """The scope verdicts of one store. Every method may be called from any thread and raises `StoreError`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._controls = ControlQueries(queries)

    def now(self, now_utc_ns: int) -> tuple[Scope, ...]:
        """Return the verdict on each country that devices stand in, as of `now_utc_ns`."""
        heard = self._heard(now_utc_ns / NS)
        runs = self._controls.last(since_utc_ns=now_utc_ns - round(CONTROL_S * NS))
        found = []
        for country in sorted({one.state.country for one in heard}):
            here = [one for one in heard if one.state.country == country]
            beside = [one.state for one in heard if one.state.country != country]
            states = tuple(one.state for one in here)
            verdict = judge_scope(states, _outside(here, beside, runs))
            found.append(Scope(country=country, verdict=verdict, devices=states))
        return tuple(found)

    def _heard(self, now_utc_s: float) -> list[_Heard]:
        with self._queries.reading() as connection:
            known = connection.execute(
                """SELECT device.id, device.country, epoch.epoch FROM device JOIN epoch ON epoch.device = device.id
                   WHERE device.last_seen_ns >= ? ORDER BY device.id, epoch.first_seen_ns DESC""",
                (round((now_utc_s - FORGOTTEN_S) * NS),),
            ).fetchall()
            newest: dict[str, tuple[str, str]] = {}
            for device, country, epoch in known:
                newest.setdefault(device, (country, epoch))
            rows = {
                device: (country, connection.execute(_LAST, (device, epoch, ROUNDS)).fetchall())
                for device, (country, epoch) in newest.items()
            }
        told = [_told(device, country, rounds, now_utc_s) for device, (country, rounds) in rows.items()]
        return [one for one in told if one is not None]


def _told(
    device: str, country: str, rows: Sequence[tuple[int, int, str, str]], now_utc_s: float
) -> _Heard | None:
    if not rows:
        return None
    body: JsonValue = json.loads(rows[0][3])
    record = body if isinstance(body, dict) else {}
    context, detail = record.get("context"), record.get("detail")
    place = context if isinstance(context, dict) else {}
    state = state_of(
        device,
        [
            RoundSaid(utc_s=start / NS, received_utc_s=received / NS, word=word)
            for start, received, word, _ in rows
        ],
        now_utc_s=now_utc_s,
        period_s=PERIOD_S,
        country=country,
        network=_text(place, "provider"),
        kind=_text(place, "network_kind"),
        region=_text(place, "province"),
    )
    try:
        targets = targets_json.from_json(detail.get("targets", []) if isinstance(detail, dict) else [])
    except RecordError:
        targets = ()  # of other software: as if nothing had been said of them
    return None if state is None else _Heard(state=state, targets=targets)


def _outside(here: Iterable[_Heard], beside: Sequence[DeviceState], runs: Sequence[Run]) -> Outside:
    telling = [one for one in beside if one.state in (State.WELL, State.LOST)]
    lost = sum(one.state is State.LOST for one in telling)
    return Outside(
        connected=any(run.view.reachable for run in runs) if runs else None,
        neighbours_lost=lost / len(telling) if len(telling) >= MIN_BESIDE else None,
        services=_services(here, runs),
    )


def _services(here: Iterable[_Heard], runs: Iterable[Run]) -> tuple[ServiceLost, ...]:
    control: dict[str, bool] = {}
    for run in runs:
        if run.view.reachable:
            control.setdefault(run.key.target_name, run.failure is not None)
    tried: dict[str, list[bool]] = {}
    for one in here:
        for target in one.targets if one.state.state is State.WELL else ():
            tried.setdefault(target.name, []).append(target.step in FAILED)
    return tuple(
        ServiceLost(name=name, lost=sum(found), tried=len(found), control_lost=control.get(name))
        for name, found in sorted(tried.items())
        if any(found)
    )


def _text(place: Mapping[str, JsonValue], key: str) -> str:
    value = place.get(key)
    return value if isinstance(value, str) else ""
