"""The verdict of many devices together, by ordered rules in one table, `SCOPE_RULES`. Pure.

The first rule whose condition holds speaks; the last one always holds and says `inconclusive`. Silence counts only
as a synchronised burst, and only while the collector's own way out is shown to be well. A rule must never name a
scope from one network alone unless others are shown to be well, nor a shutdown that its neighbours share.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from collector.judgement.devices import DeviceStanding, DeviceState, burst
from firmware.model.record import Verdict
from firmware.model.statement import Statement, stated
from firmware.model.verdict_words import VerdictWord

MIN_DEVICES: Final = 3
"""Fewer devices of a country than this carry no scope."""
MIN_IN_NETWORK: Final = 2
"""Fewer devices of one network than this do not stand for it."""
MOST: Final = 0.8
"""The share of a group that must be lost (or well) before the group is."""
NEIGHBOURS_LOST: Final = 0.5
SETTLED_S: Final = 600.0
"""A device that came back is well beside others that are lost once it was so for longer than they need to follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLost:
    """A target that devices lost: how many of those that tried, and whether the vantage outside lost it too."""

    name: str
    lost: int
    tried: int
    vantage_lost: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideFacts:
    """What is known beside the country's devices.

    `connected`: the collector's own vantage reached its reference targets (None: there is no vantage).
    `neighbours_lost`: the share of other countries' devices, or of targets in neighbouring countries seen by the
    vantage, that were lost in the same minutes; None where there are none.
    """

    connected: bool | None = None
    neighbours_lost: float | None = None
    services: tuple[ServiceLost, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Devices that share something, and how they are. `silent` are those whose silence tells nothing."""

    name: str
    lost: int
    well: int
    silent: int
    networks: frozenset[str]
    well_since: int = 0
    """Those of `well` that were so while others were lost: by a round of that time, and not only just back."""

    @property
    def tried(self) -> int:
        """Return how many devices tell something."""
        return self.lost + self.well

    @property
    def is_lost(self) -> bool:
        """Return whether most of it is lost."""
        return self.lost >= MIN_IN_NETWORK and self.lost >= MOST * self.tried

    @property
    def is_well(self) -> bool:
        """Return whether most of it is well."""
        return self.well >= 1 and self.well >= MOST * (self.tried + self.silent)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeFacts:
    """What a rule about many devices may ask."""

    devices: tuple[DeviceState, ...]
    outside: OutsideFacts
    lost: frozenset[str]
    """Devices that say so themselves, and those silent in a burst while the collector's own way out is well."""
    all: Group
    networks: tuple[Group, ...]
    kinds: tuple[Group, ...]
    regions: tuple[Group, ...]

    @classmethod
    def of(cls, devices: Iterable[DeviceState], outside: OutsideFacts) -> "ScopeFacts":
        """Count; the order of `devices` does not matter."""
        ordered = tuple(sorted(devices, key=lambda one: one.device))
        lost = {one.device for one in ordered if one.state is DeviceStanding.LOST}
        if outside.connected is True:
            lost |= burst(ordered)
        gone = frozenset(lost)
        lost_s = _lost_s(ordered, gone)
        return cls(
            devices=ordered,
            outside=outside,
            lost=gone,
            all=_group("all", ordered, gone, lost_s),
            networks=_groups(ordered, gone, lost_s, lambda one: one.network),
            kinds=_groups(ordered, gone, lost_s, lambda one: one.kind),
            regions=_groups(ordered, gone, lost_s, lambda one: one.region),
        )

    def others_well(self, groups: Sequence[Group], name: str) -> bool:
        """Return whether there are groups beside `name`, enough devices in them, and all of them are well."""
        others = [one for one in groups if one.name != name and (one.tried or one.silent)]
        return sum(one.well_since for one in others) >= MIN_IN_NETWORK and all(
            one.is_well and one.well_since >= 1 for one in others
        )

    @property
    def abroad_only(self) -> bool:
        """Return whether the lost devices that told it themselves, in two networks at least, reach their own country."""
        told = [one for one in self.devices if one.state is DeviceStanding.LOST]
        inside = [one for one in told if one.word == VerdictWord.INTERNATIONAL_CUT]
        return (
            len(inside) >= max(MIN_IN_NETWORK, MOST * len(told))
            and len({one.network for one in inside if one.network}) >= 2
        )


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


def _groups(
    devices: Iterable[DeviceState], lost: frozenset[str], lost_s: float, key: Callable[[DeviceState], str]
) -> tuple[Group, ...]:
    members: dict[str, list[DeviceState]] = {}
    for one in devices:
        if key(one):
            members.setdefault(key(one), []).append(one)
    return tuple(_group(name, members[name], lost, lost_s) for name in sorted(members))


def _group(name: str, devices: Iterable[DeviceState], lost: frozenset[str], lost_s: float) -> Group:
    known = tuple(devices)
    return Group(
        name=name,
        well_since=sum(one.state is DeviceStanding.WELL and _well_while(one, lost_s) for one in known),
        lost=sum(one.device in lost for one in known),
        well=sum(one.state is DeviceStanding.WELL for one in known),
        silent=sum(one.state is DeviceStanding.SILENT and one.device not in lost for one in known),
        networks=frozenset(one.network for one in known if one.network and one.device in lost),
    )


def _lost_s(devices: Iterable[DeviceState], lost: frozenset[str]) -> float:
    """Return since when most of the lost are: an earlier word of another device does not say how it is meanwhile."""
    moments = sorted(one.since_utc_s for one in devices if one.device in lost)
    return moments[len(moments) // 2] if moments else float("-inf")


def _well_while(one: DeviceState, lost_s: float) -> bool:
    """Return whether a device was well while others were lost, and is not just back where these may yet follow."""
    if one.told_utc_s is None:
        return True
    back_for_s = one.told_utc_s - one.since_utc_s
    return one.told_utc_s >= lost_s and (one.since_utc_s <= lost_s or back_for_s >= SETTLED_S)


def _uplink_failed(facts: ScopeFacts) -> bool:
    silent = [one for one in facts.devices if one.state is DeviceStanding.SILENT]
    return facts.outside.connected is False and bool(silent) and len(silent) == len(facts.devices)


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
