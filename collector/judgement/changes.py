"""What of a scope verdict is to be written down: a change, or a revision of what was said. Pure.

A verdict is written when its word, its rule or its place changes; its evidence may move meanwhile. This file must
never change what was said: it only adds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from collector.judgement import conditions
from collector.judgement.devices import DeviceStanding
from collector.judgement.events import Events
from collector.judgement.gather import CountryAssessment
from collector.judgement.groups import Group, ScopeFacts
from collector.judgement.listening import Listening
from collector.judgement.outside import OutsideFacts
from collector.judgement.services import NetworkView, PlatformView, ServiceLost
from collector.store.scopes import Assessment, Change, Holding
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.verdict_words import VerdictWord

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a verdict rests on, counted: read back from what was kept, so unknown keys and lacking ones are borne."""

    devices: int = 0
    well: int = 0
    lost: int = 0
    silent: int = 0
    networks: int = 0
    inside_works: bool = False
    where: str = ""
    share_lost: float = 0.0
    late: int = 0
    connected: bool | None = None


def assessment_of(scope: CountryAssessment, now_ns: int, *, revises: int = 0) -> Assessment:
    """Return a verdict as it is to be kept."""
    since = scope.onset
    return Assessment(
        country=scope.country,
        said_ns=now_ns,
        revises=revises,
        verdict=scope.verdict.verdict,
        rule_id=scope.verdict.rule_id,
        since_ns=None if since is None else round(since.utc_s * _NS),
        since_error_ns=None if since is None or since.error_s is None else round(since.error_s * _NS),
        evidence=scope.verdict.evidence,
        overturned_by=scope.verdict.overturned_by,
        basis=_basis(scope),
    )


def is_change(assessment: Assessment, before: Assessment | None) -> bool:
    """Return whether `assessment` differs from the last that was said of its country in more than its evidence."""
    return before is None or _essence(assessment) != _essence(before)


def revision(change: Change, reconciled: CountryAssessment, now_ns: int) -> Assessment | None:
    """Return what is to be said of an earlier verdict by what arrived since; None where that is nothing new.

    It is something when the verdict comes out otherwise, and once more when all that were silent have told; that
    nothing could be told then, it is not.
    """
    assessment = assessment_of(reconciled, now_ns, revises=change.assessment.id)
    if not reconciled.late:
        return None
    last = change.revisions[-1] if change.revisions else change.assessment
    if _essence(assessment) != _essence(last):
        return assessment
    told_all = basis_of(last).silent > 0 and not basis_of(assessment).silent
    return assessment if told_all and assessment.verdict != VerdictWord.INCONCLUSIVE else None


def basis_of(assessment: Assessment) -> Basis:
    """Read what a kept verdict rests on."""
    return read_basis(assessment.basis)


def read_basis(kept: JsonObject) -> Basis:
    """Read what was kept of what a verdict rests on."""

    def count(key: str) -> int:
        value = kept.get(key)
        return value if isinstance(value, int) else 0

    where, connected, share = kept.get("where"), kept.get("connected"), kept.get("share_lost")
    return Basis(
        devices=count("devices"),
        well=count("well"),
        lost=count("lost"),
        silent=count("silent"),
        networks=count("networks"),
        late=count("late"),
        inside_works=kept.get("inside_works") is True,
        where=where if isinstance(where, str) else "",
        share_lost=share if isinstance(share, int | float) else 0.0,
        connected=connected if isinstance(connected, bool) else None,
    )


def outside_of(assessment: Assessment) -> OutsideFacts:
    """Return what was known beside the devices when a verdict was said."""
    services, platforms = assessment.basis.get("services"), assessment.basis.get("platforms")
    connected = basis_of(assessment).connected
    # What older software kept has no times: that it was connected was then taken to be of that moment.
    reached_s = assessment.said_ns / _NS if connected else None
    return OutsideFacts(
        connected=connected,
        reached_utc_s=_seconds(assessment.basis.get("reached_ns"), reached_s),
        missed_utc_s=_seconds(assessment.basis.get("missed_ns"), None),
        deaf_utc_s=_seconds(assessment.basis.get("deaf_ns"), None),
        services=tuple(
            one
            for kept in (services if isinstance(services, list) else [])
            if (one := _service(kept)) is not None
        ),
        platforms=tuple(
            view
            for kept in (platforms if isinstance(platforms, list) else [])
            if (view := _platform(kept)) is not None
        ),
    )


def listened(holding: Sequence[Holding], now_ns: int) -> Listening:
    """Return how the collector listened until it judged last, by what holds; until now where it has never judged."""
    deaf = [kept for one in holding if isinstance(kept := one.basis.get("deaf_ns"), int)]
    judged_ns = max((one.judged_ns for one in holding), default=now_ns)
    return Listening(utc_ns=judged_ns, awake_ns=None, linked_ns=judged_ns, deaf_ns=max(deaf, default=None))


def events_of(basis: JsonObject) -> Events:
    """Return the devices of the events that went on when a verdict was said, from what it rests on."""
    kept = basis.get("events")
    return tuple(
        frozenset(str(device) for device in event)
        for event in (kept if isinstance(kept, list) else [])
        if isinstance(event, list)
    )


def _seconds(kept: JsonValue, default_s: float | None) -> float | None:
    return kept / _NS if isinstance(kept, int) else default_s


def _nanoseconds(utc_s: float | None) -> int | None:
    return None if utc_s is None else round(utc_s * _NS)


def _service(kept: JsonValue) -> ServiceLost | None:
    match kept:
        case [str(name), int(lost), int(tried), bool() | None as vantage]:
            return ServiceLost(name=name, lost=lost, tried=tried, vantage_lost=vantage)
        case _:
            return None


def _platform(kept: JsonValue) -> PlatformView | None:
    match kept:
        case [str(name), bool() | None as vantage, list(networks)]:
            return PlatformView(
                name=name,
                vantage_well=vantage,
                networks=tuple(map(_network, networks)),
            )
        case _:
            return None


def _network(kept: JsonValue) -> NetworkView:
    match kept:
        case [str(network), int(blocked), int(on_the_way), int(sure), *more]:
            untold = more[0] if more and isinstance(more[0], int) else 0
            return NetworkView(
                network=network, blocked=blocked, on_the_way=on_the_way, sure=sure, untold=untold
            )
        case _:
            return NetworkView(network="", blocked=0, on_the_way=0, sure=0)


def _basis(scope: CountryAssessment) -> JsonObject:
    facts = ScopeFacts.of(scope.devices, scope.outside)
    return {
        "devices": len(scope.devices),
        "well": facts.all.well,
        "lost": facts.all.lost,
        "silent": sum(one.state is DeviceStanding.SILENT for one in scope.devices),
        "networks": len({one.network for one in scope.devices if one.network}),
        "inside_works": facts.abroad_only,
        "where": _where(scope, facts),
        "share_lost": round(facts.share_lost, 3),
        "late": scope.late,
        "connected": scope.outside.connected,
        "reached_ns": _nanoseconds(scope.outside.reached_utc_s),
        "missed_ns": _nanoseconds(scope.outside.missed_utc_s),
        "deaf_ns": _nanoseconds(scope.outside.deaf_utc_s),
        "events": [list[JsonValue](sorted(event)) for event in scope.events],
        "platforms": [
            [
                one.name,
                one.vantage_well,
                [[of.network, of.blocked, of.on_the_way, of.sure, of.untold] for of in one.networks],
            ]
            for one in scope.outside.platforms
        ],
        "services": [[one.name, one.lost, one.tried, one.vantage_lost] for one in scope.outside.services],
    }


def _where(scope: CountryAssessment, facts: ScopeFacts) -> str:
    """Return which groups, services or platforms a verdict is about; "" where it is the country."""
    services = tuple(one for one in facts.outside.services if one.vantage_lost and one.lost == one.tried)
    groups: dict[str, Sequence[Group | ServiceLost | PlatformView]] = {
        "platform-blocked-everywhere": [one for one in facts.outside.platforms if one.is_blocked],
        "service-lost-everywhere": services,
        "one-network-lost": [one for one in facts.networks if one.is_lost],
        "one-region-lost": [one for one in facts.regions if one.is_lost],
        "silent-in-one-region": [one for one in facts.regions if one.lost],
        "groups-lost-together": conditions.groups_lost(facts),
        "group-not-well": conditions.groups_not_well(facts),
    }
    return ", ".join(dict.fromkeys(one.name for one in groups.get(scope.verdict.rule_id, ())))


def _essence(assessment: Assessment) -> tuple[str, str, str]:
    return assessment.verdict, assessment.rule_id, basis_of(assessment).where
