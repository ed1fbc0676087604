"""The verdict of many devices together, by ordered rules in one table, `SCOPE_RULES`. Pure.

The first rule whose condition holds speaks; the last one always holds and says `inconclusive`. Silence counts only
as a synchronised burst, and only while the collector's own way out is shown to be well. A rule must never name a
scope from one network alone unless others are shown to be well, nor a shutdown that its neighbours share.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from collector.judgement import conditions
from collector.judgement.devices import DeviceStanding, DeviceState
from collector.judgement.groups import MOST, ScopeFacts
from collector.judgement.outside import OutsideFacts
from firmware.judgement.confidence.said import said_of
from firmware.judgement.confidence.table import Speaker
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Verdict
from firmware.model.statement import Statement, stated
from firmware.model.verdict_words import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRule:
    """One row of the table. `numbers` are the limits that its sentence (`rule.…` of the catalogue) names."""

    rule_id: str
    verdict: VerdictWord
    condition: Callable[[ScopeFacts], bool]
    numbers: Mapping[str, float] = field(default_factory=dict)


def judge_scope(devices: Iterable[DeviceState], outside: OutsideFacts) -> Verdict:
    """Return the verdict on one country, from its devices and what is known beside them."""
    facts = ScopeFacts.of(devices, outside)
    rule = next(rule for rule in SCOPE_RULES if rule.condition(facts))
    found = Verdict(
        verdict=rule.verdict,
        rule_id=rule.rule_id,
        evidence=tuple(_evidence(facts)),
    )
    return said_of(Speaker.COUNTRY, found)


def _evidence(facts: ScopeFacts) -> Iterator[Statement]:
    states = {str(state): sum(one.state is state for one in facts.devices) for state in DeviceStanding}
    yield stated("devices", devices=len(facts.devices), **states)
    silent = sum(one.state is DeviceStanding.SILENT and one.device in facts.lost for one in facts.devices)
    if silent:
        yield stated("silent-together", silent=silent)
    for code, groups in (("network", facts.networks), ("kind", facts.kinds), ("region", facts.regions)):
        for one in groups:
            yield stated(code, name=one.name, lost=one.lost, well=one.well)
    if facts.lost and facts.all.well:
        yield stated("share-lost", share=facts.share_lost)
    yield stated(_VANTAGE[facts.outside.connected])
    if facts.outside.neighbours_lost is not None:
        yield stated("neighbours", share=facts.outside.neighbours_lost)
    for service in facts.outside.services:
        code = _SERVICE_LOST[service.vantage_lost]
        yield stated(code, service=service.name, lost=service.lost, tried=service.tried)
    yield from _platforms(facts)


def _platforms(facts: ScopeFacts) -> Iterator[Statement]:
    """Yield who finds which platform blocked, and which networks let only some protocols or a few places pass."""
    for one in facts.outside.platforms:
        if one.is_stopped:
            yield stated(
                "platform-refused-or-blocked" if one.is_refusal else "platform-blocked",
                platform=one.name,
                blocked=one.blocked,
                tried=one.sure,
                networks=list[JsonValue](one.blocking),
            )
        for of in one.only_in:
            yield stated(
                "platform-blocked-in-network",
                platform=one.name,
                network=of.network,
                blocked=of.blocked,
                tried=of.sure,
            )
    listed = conditions.allow_listed(facts)
    if listed:
        yield stated(
            "allow-listed",
            listed=len(listed),
            tried=len(conditions.telling(facts)),
            networks=list[JsonValue](sorted({one.network for one in listed if one.network})),
        )
    for kind in conditions.kinds_allow_listed(facts):
        yield stated("kind-allow-listed", kind=kind, devices=sum(one.kind == kind for one in listed))
    for name, filtered in conditions.filtering_networks(facts):
        yield stated("network-filtered", network=name, devices=filtered)


_VANTAGE: Final = {True: "vantage-well", False: "vantage-lost", None: "vantage-absent"}
_SERVICE_LOST: Final = {
    True: "service-lost-outside-too",
    False: "service-lost-inside-only",
    None: "service-lost-unseen",
}


SCOPE_RULES: Final[tuple[ScopeRule, ...]] = (
    ScopeRule(
        rule_id="own-uplink-failed",
        verdict=VerdictWord.COLLECTOR_FAULT,
        condition=conditions.uplink_failed,
    ),
    ScopeRule(
        rule_id="devices-were-well",
        verdict=VerdictWord.COLLECTOR_FAULT,
        condition=conditions.were_well,
    ),
    ScopeRule(
        rule_id="too-few-devices",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=conditions.too_few,
        numbers={"devices": conditions.MIN_DEVICES},
    ),
    ScopeRule(
        rule_id="neighbours-lost-too",
        verdict=VerdictWord.TRANSIT_FAULT,
        condition=conditions.neighbours_too,
        numbers={"share": conditions.NEIGHBOURS_LOST},
    ),
    ScopeRule(
        rule_id="mobile-lost-fixed-well",
        verdict=VerdictWord.MOBILE_SHUTDOWN,
        condition=conditions.mobile,
    ),
    ScopeRule(
        rule_id="one-region-lost",
        verdict=VerdictWord.REGIONAL_SHUTDOWN,
        condition=conditions.one_region,
    ),
    ScopeRule(
        rule_id="one-network-lost",
        verdict=VerdictWord.ISP_OUTAGE,
        condition=conditions.one_network,
    ),
    ScopeRule(
        rule_id="silent-in-one-region",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=conditions.silent_in_one_region,
    ),
    ScopeRule(
        rule_id="abroad-lost-together",
        verdict=VerdictWord.INTERNATIONAL_CUT,
        condition=conditions.abroad,
        numbers={"share": MOST},
    ),
    ScopeRule(
        rule_id="networks-lost-together",
        verdict=VerdictWord.TOTAL_SHUTDOWN,
        condition=conditions.total,
        numbers={"share": MOST},
    ),
    ScopeRule(
        rule_id="most-lost-some-stay-on",
        verdict=VerdictWord.PARTIAL_SHUTDOWN,
        condition=conditions.most_lost,
        numbers={"share": conditions.HALF},
    ),
    ScopeRule(
        rule_id="groups-lost-together",
        verdict=VerdictWord.PARTIAL_SHUTDOWN,
        condition=conditions.part_lost,
    ),
    ScopeRule(
        rule_id="allow-list-across-networks",
        verdict=VerdictWord.ALLOWLISTED,
        condition=conditions.allow_list,
        numbers={
            "devices": conditions.MIN_DEVICES,
            "networks": conditions.MIN_LISTED_NETWORKS,
            "share": MOST,
        },
    ),
    ScopeRule(
        rule_id="service-lost-everywhere",
        verdict=VerdictWord.SERVICE_MAINTENANCE,
        condition=conditions.service,
    ),
    ScopeRule(
        rule_id="filtered-everywhere",
        verdict=VerdictWord.PROTOCOL_FILTERING,
        condition=conditions.filtered,
        numbers={"share": MOST},
    ),
    ScopeRule(
        rule_id="group-not-well",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=conditions.group_not_well,
        numbers={"devices": conditions.MIN_DEVICES},
    ),
    ScopeRule(
        rule_id="platform-blocked-everywhere",
        verdict=VerdictWord.PLATFORM_BLOCKED,
        condition=conditions.platform_blocked,
        numbers={"share": MOST},
    ),
    ScopeRule(
        rule_id="devices-well",
        verdict=VerdictWord.OK,
        condition=conditions.well,
        numbers={"share": MOST},
    ),
    ScopeRule(
        rule_id="scope-mixed-evidence",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=conditions.always,
    ),
)
"""The rules about many devices, in the order in which they are asked."""
