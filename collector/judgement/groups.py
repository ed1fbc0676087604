"""A country's devices counted by what they share: network, kind, region, and what a rule about many may ask of them. Pure.

This file must never count a silence as a loss unless `collector.judgement.outside` does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.judgement.devices import DeviceStanding, DeviceState
from collector.judgement.outside import OutsideFacts, silent_together
from firmware.model.verdict_words import VerdictWord

MIN_IN_NETWORK: Final = 2
"""Fewer devices of one network than this do not stand for it."""
MOST: Final = 0.8
"""The share of a group that must be lost (or well) before the group is."""
SETTLED_S: Final = 600.0
"""A device that came back is well beside others that are lost once it was so for longer than they need to follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Devices that share something, and how they are. `silent` are those whose silence tells nothing.

    `on` are those whose rounds do not tell, but which reach the collector while others are lost that do not.
    """

    name: str
    lost: int
    well: int
    silent: int
    networks: frozenset[str]
    on: int = 0
    size: int = 0
    """All its devices, those too that tell nothing."""
    well_since: int = 0
    """Those of `well` that were so while others were lost: by a round of that time, and not only just back."""

    @property
    def tried(self) -> int:
        """Return how many devices tell something."""
        return self.lost + self.well

    @property
    def is_lost(self) -> bool:
        """Return whether most of it is lost."""
        return self.lost >= MIN_IN_NETWORK and self.lost >= MOST * (self.tried + self.on)

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
        gone = frozenset(lost) | silent_together(ordered, outside)
        lost_s = _lost_s(ordered, gone)
        on = _on(ordered, gone, lost_s)
        return cls(
            devices=ordered,
            outside=outside,
            lost=gone,
            all=_group("all", ordered, gone, on, lost_s),
            networks=_groups(ordered, gone, on, lost_s, lambda one: one.network),
            kinds=_groups(ordered, gone, on, lost_s, lambda one: one.kind),
            regions=_groups(ordered, gone, on, lost_s, lambda one: one.region),
        )

    def others_well(self, groups: Sequence[Group], but: Sequence[Group]) -> bool:
        """Return whether there are groups beside `but`, enough devices in them, and all of them are well."""
        others = [one for one in groups if one not in but and (one.tried or one.silent)]
        return sum(one.well_since for one in others) >= MIN_IN_NETWORK and all(
            one.is_well and one.well_since >= 1 for one in others
        )

    @property
    def share_lost(self) -> float:
        """Return the share of the lost in all that tell, and that fell silent for reasons of their own; 0 where nobody does."""
        known = self.all.tried + self.all.silent
        return self.all.lost / known if known else 0.0

    @property
    def abroad_only(self) -> bool:
        """Return whether the lost devices that told it themselves, in two networks at least, reach their own country."""
        told = [one for one in self.devices if one.state is DeviceStanding.LOST]
        inside = [one for one in told if one.word == VerdictWord.INTERNATIONAL_CUT]
        return (
            len(inside) >= max(MIN_IN_NETWORK, MOST * len(told))
            and len({one.network for one in inside if one.network}) >= 2
        )


def _groups(
    devices: Iterable[DeviceState],
    lost: frozenset[str],
    on: frozenset[str],
    lost_s: float,
    key: Callable[[DeviceState], str],
) -> tuple[Group, ...]:
    members: dict[str, list[DeviceState]] = {}
    for one in devices:
        if key(one):
            members.setdefault(key(one), []).append(one)
    return tuple(_group(name, members[name], lost, on, lost_s) for name in sorted(members))


def _group(
    name: str, devices: Iterable[DeviceState], lost: frozenset[str], on: frozenset[str], lost_s: float
) -> Group:
    known = tuple(devices)
    return Group(
        name=name,
        size=len(known),
        on=sum(one.device in on for one in known),
        well_since=sum(one.state is DeviceStanding.WELL and _well_while(one, lost_s) for one in known),
        lost=sum(one.device in lost for one in known),
        well=sum(one.state is DeviceStanding.WELL for one in known),
        silent=sum(one.state is DeviceStanding.SILENT and one.device not in lost for one in known),
        networks=frozenset(one.network for one in known if one.network and one.device in lost),
    )


def _on(devices: Iterable[DeviceState], lost: frozenset[str], lost_s: float) -> frozenset[str]:
    """Return the devices that do not tell how they are, and are not lost as the others: they were heard since, and those not.

    Where the lost reach the collector themselves, as one in their own country, it shows nothing.
    """
    live = [one for one in devices if one.live_utc_s >= lost_s]
    if 2 * sum(one.device in lost for one in live) >= len(lost):
        return frozenset()
    return frozenset(one.device for one in live if one.state is DeviceStanding.UNCLEAR)


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
