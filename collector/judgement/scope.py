"""The verdict of many devices together, by ordered rules in one table, `SCOPE_RULES`. Pure.

The first rule whose condition holds speaks; the last one always holds and says `inconclusive`. Silence counts only
as a synchronised burst, and only while the collector's own way out is shown to be well. A rule must never name a
scope from one network alone unless others are shown to be well, nor a shutdown that its neighbours share.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from collector.judgement.devices import DeviceStanding, DeviceState
from collector.judgement.groups import MIN_IN_NETWORK, MOST, ScopeFacts
from collector.judgement.outside import OutsideFacts
from firmware.model.record import Verdict
from firmware.model.statement import Statement, stated
from firmware.model.verdict_words import VerdictWord

MIN_DEVICES: Final = 3
"""Fewer devices of a country than this carry no scope."""
NEIGHBOURS_LOST: Final = 0.5


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
    return Verdict(
        verdict=rule.verdict,
        rule_id=rule.rule_id,
        evidence=tuple(_evidence(facts)),
    )


def _evidence(facts: ScopeFacts) -> Iterator[Statement]:
    states = {str(state): sum(one.state is state for one in facts.devices) for state in DeviceStanding}
    yield stated("devices", devices=len(facts.devices), **states)
    silent = sum(one.state is DeviceStanding.SILENT and one.device in facts.lost for one in facts.devices)
    if silent:
        yield stated("silent-together", silent=silent)
    for code, groups in (("network", facts.networks), ("kind", facts.kinds), ("region", facts.regions)):
        for one in groups:
            yield stated(code, name=one.name, lost=one.lost, well=one.well)
    yield stated(_VANTAGE[facts.outside.connected])
    if facts.outside.neighbours_lost is not None:
        yield stated("neighbours", share=facts.outside.neighbours_lost)
    for service in facts.outside.services:
        code = _SERVICE_LOST[service.vantage_lost]
        yield stated(code, service=service.name, lost=service.lost, tried=service.tried)


_VANTAGE: Final = {True: "vantage-well", False: "vantage-lost", None: "vantage-absent"}
_SERVICE_LOST: Final = {
    True: "service-lost-outside-too",
    False: "service-lost-inside-only",
    None: "service-lost-unseen",
}


def _uplink_failed(facts: ScopeFacts) -> bool:
    silent = [one for one in facts.devices if one.state is DeviceStanding.SILENT]
    is_own = facts.outside.connected is False or facts.outside.is_just_back
    return is_own and bool(silent) and len(silent) == len(facts.devices)


def _were_well(facts: ScopeFacts) -> bool:
    unheard = [one for one in facts.devices if one.was_well_unheard]
    return len(unheard) >= MIN_IN_NETWORK and len(unheard) >= MOST * len(facts.devices)


def _too_few(facts: ScopeFacts) -> bool:
    return len(facts.devices) < MIN_DEVICES


def _neighbours_too(facts: ScopeFacts) -> bool:
    beside = facts.outside.neighbours_lost
    return facts.all.lost >= MIN_DEVICES and beside is not None and beside >= NEIGHBOURS_LOST


def _mobile(facts: ScopeFacts) -> bool:
    mobile = next((one for one in facts.kinds if one.name == "mobile"), None)
    return (
        mobile is not None
        and mobile.is_lost
        and len(mobile.networks) >= 2
        and facts.others_well(facts.kinds, "mobile")
    )


def _one_network(facts: ScopeFacts) -> bool:
    lost = [one for one in facts.networks if one.is_lost]
    return len(lost) == 1 and facts.others_well(facts.networks, lost[0].name)


def _one_region(facts: ScopeFacts) -> bool:
    lost = [one for one in facts.regions if one.is_lost]
    return len(lost) == 1 and len(lost[0].networks) >= 2 and facts.others_well(facts.regions, lost[0].name)


def _total(facts: ScopeFacts) -> bool:
    return facts.all.is_lost and facts.all.lost >= MIN_DEVICES and len(facts.all.networks) >= 2


def _abroad(facts: ScopeFacts) -> bool:
    return _total(facts) and facts.abroad_only


def _service(facts: ScopeFacts) -> bool:
    return any(
        one.vantage_lost is True and one.tried >= MIN_IN_NETWORK and one.lost == one.tried
        for one in facts.outside.services
    )


def _well(facts: ScopeFacts) -> bool:
    return facts.all.is_well and facts.all.well >= MIN_DEVICES


def _always(facts: ScopeFacts) -> bool:  # noqa: ARG001  # a condition takes the facts
    return True


SCOPE_RULES: Final[tuple[ScopeRule, ...]] = (
    ScopeRule(
        rule_id="own-uplink-failed",
        verdict=VerdictWord.COLLECTOR_FAULT,
        condition=_uplink_failed,
    ),
    ScopeRule(
        rule_id="devices-were-well",
        verdict=VerdictWord.COLLECTOR_FAULT,
        condition=_were_well,
    ),
    ScopeRule(
        rule_id="too-few-devices",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=_too_few,
        numbers={"devices": MIN_DEVICES},
    ),
    ScopeRule(
        rule_id="neighbours-lost-too",
        verdict=VerdictWord.TRANSIT_FAULT,
        condition=_neighbours_too,
        numbers={"share": NEIGHBOURS_LOST},
    ),
    ScopeRule(
        rule_id="mobile-lost-fixed-well",
        verdict=VerdictWord.MOBILE_SHUTDOWN,
        condition=_mobile,
    ),
    ScopeRule(
        rule_id="one-region-lost",
        verdict=VerdictWord.REGIONAL_SHUTDOWN,
        condition=_one_region,
    ),
    ScopeRule(
        rule_id="one-network-lost",
        verdict=VerdictWord.ISP_OUTAGE,
        condition=_one_network,
    ),
    ScopeRule(
        rule_id="abroad-lost-together",
        verdict=VerdictWord.INTERNATIONAL_CUT,
        condition=_abroad,
        numbers={"share": MOST},
    ),
    ScopeRule(
        rule_id="networks-lost-together",
        verdict=VerdictWord.TOTAL_SHUTDOWN,
        condition=_total,
        numbers={"share": MOST},
    ),
    ScopeRule(
        rule_id="service-lost-everywhere",
        verdict=VerdictWord.SERVICE_MAINTENANCE,
        condition=_service,
    ),
    ScopeRule(
        rule_id="devices-well",
        verdict=VerdictWord.OK,
        condition=_well,
        numbers={"share": MOST},
    ),
    ScopeRule(
        rule_id="scope-mixed-evidence",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=_always,
    ),
)
"""The rules about many devices, in the order in which they are asked."""
