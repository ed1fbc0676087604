"""What the rules about many devices ask, each a condition on the facts. Pure; the table is `collector.judgement.scope`.

Silence alone must never accuse where a power cut would look the same: of a region, or of what stands in one region only.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from collector.judgement.devices import BURST_S, DeviceStanding, DeviceState
from collector.judgement.groups import MIN_IN_NETWORK, MOST, Group, ScopeFacts
from firmware.model.verdict_words import VerdictWord

MIN_DEVICES: Final = 3
"""Fewer devices of a country than this carry no scope."""
NEIGHBOURS_LOST: Final = 0.5
HALF: Final = 0.5
"""The share of a country's devices, and of at least two of its networks, that must be lost before a part of it is shut down."""
MIN_LISTED_NETWORKS: Final = 3
"""So many networks let only a few places abroad pass before that is the country's doing, whatever others are."""
_TELLS_NOTHING: Final = frozenset(
    {VerdictWord.INCONCLUSIVE, VerdictWord.LOCAL_FAULT, VerdictWord.CAPTIVE_PORTAL}
)
TOGETHER_S: Final = 2 * BURST_S
"""Groups whose losses began within this of each other were lost together: a device tells of its loss within three minutes."""


def uplink_failed(facts: ScopeFacts) -> bool:
    """Return whether every device is silent and the collector's own line fails, or has just come back."""
    silent = [one for one in facts.devices if one.state is DeviceStanding.SILENT]
    is_own = facts.outside.connected is False or facts.outside.is_just_back
    return is_own and bool(silent) and len(silent) == len(facts.devices)


def were_well(facts: ScopeFacts) -> bool:
    """Return whether devices that were not heard have just told that they were well all the while."""
    unheard = [one for one in facts.devices if one.was_well_unheard]
    return len(unheard) >= MIN_IN_NETWORK and len(unheard) >= MOST * len(facts.devices)


def too_few(facts: ScopeFacts) -> bool:
    """Return whether there are too few devices to speak of a country."""
    return len(facts.devices) < MIN_DEVICES


def neighbours_too(facts: ScopeFacts) -> bool:
    """Return whether other countries lost as much in the same minutes."""
    beside = facts.outside.neighbours_lost
    return facts.all.lost >= MIN_DEVICES and beside is not None and beside >= NEIGHBOURS_LOST


def mobile(facts: ScopeFacts) -> bool:
    """Return whether mobile networks are lost, and fixed ones are well."""
    kind = next((one for one in facts.kinds if one.name == "mobile"), None)
    return (
        kind is not None
        and kind.is_lost
        and len(kind.networks) >= 2
        and has_power(facts, _lost_of(facts, kind="mobile"))
        and facts.others_well(facts.kinds, [kind])
    )


def one_network(facts: ScopeFacts) -> bool:
    """Return whether one network is lost, and all others are well."""
    lost = [one for one in facts.networks if one.is_lost]
    return (
        len(lost) == 1
        and facts.others_well(facts.networks, lost)
        and has_power(facts, _lost_of(facts, network=lost[0].name))
    )


def one_region(facts: ScopeFacts) -> bool:
    """Return whether one region is, by the word of its own devices: its silence may as well be a power cut."""
    lost = [one for one in facts.regions if one.is_lost]
    return (
        len(lost) == 1
        and len(lost[0].networks) >= 2
        and _tell(_lost_of(facts, region=lost[0].name))
        and facts.others_well(facts.regions, lost)
    )


def silent_in_one_region(facts: ScopeFacts) -> bool:
    """Return whether all that is lost fell silent in one region, and nothing shows that there is power."""
    return facts.all.lost >= MIN_DEVICES and not has_power(facts, _lost_of(facts))


def most_lost(facts: ScopeFacts) -> bool:
    """Return whether half of the country is, across networks and places, and the rest is seen to stay on."""
    networks = [
        one
        for one in facts.networks
        if one.lost >= MIN_IN_NETWORK and one.lost >= HALF * (one.tried + one.silent)
    ]
    return (
        facts.all.lost >= max(MIN_DEVICES, HALF * (facts.all.tried + facts.all.silent))
        and len(networks) >= 2
        and _is_spread(facts)
        and _rest_stays(facts)
    )


def groups_lost(facts: ScopeFacts) -> tuple[Group, ...]:
    """Return the regions, or else the networks, that are lost whole while all others are well: two at least, and together.

    A region that is silent without a word needs three lost: two homes may have failed by themselves beside a power cut.
    """
    regions = [one for one in facts.regions if one.is_lost]
    mute = [one for one in regions if not _tell(_lost_of(facts, region=one.name))]
    if (
        len(regions) >= 2
        and all(len(one.networks) >= 2 for one in regions)
        and facts.others_well(facts.regions, regions)
        and all(one.lost >= MIN_DEVICES for one in mute)
        and (not mute or _is_together(_lost_of(facts)))
    ):
        return tuple(regions)
    networks = [one for one in facts.networks if one.is_lost]
    if (
        len(networks) >= 2
        and facts.others_well(facts.networks, networks)
        and _is_spread(facts)
        and _is_together(_lost_of(facts))
    ):
        return tuple(networks)
    return ()


def part_lost(facts: ScopeFacts) -> bool:
    """Return whether whole regions or networks are lost together, and all others are well."""
    return facts.all.lost >= MIN_DEVICES and bool(groups_lost(facts))


def has_power(facts: ScopeFacts, lost: Sequence[DeviceState]) -> bool:
    """Return whether something shows that the lost have power: they tell, they stand in two regions, or others in theirs do.

    Where a region was not typed in, nothing can be told, and it is taken for shown.
    """
    regions = {one.region for one in lost}
    if _tell(lost) or "" in regions or len(regions) >= 2:
        return True
    return any(one.name in regions and one.well_since for one in facts.regions)


def _tell(lost: Iterable[DeviceState]) -> bool:
    """Return whether enough of the lost say so themselves."""
    return sum(one.state is DeviceStanding.LOST for one in lost) >= MIN_IN_NETWORK


def _is_spread(facts: ScopeFacts) -> bool:
    """Return whether the lost are no one place's: two regions have enough of them, or two networks' devices say it themselves."""
    lost = _lost_of(facts)
    places = [one for one in facts.regions if one.lost >= MIN_IN_NETWORK]
    told = {one.network for one in lost if one.network and one.state is DeviceStanding.LOST}
    return len(places) >= 2 or len(told) >= 2 or all(not one.region for one in lost)


def _rest_stays(facts: ScopeFacts) -> bool:
    """Return whether those that are well are so by rounds since the loss: in the first minutes of a cut many have yet to tell."""
    return facts.all.well_since >= max(MIN_IN_NETWORK, MOST * facts.all.well)


def _is_together(lost: Sequence[DeviceState]) -> bool:
    began_s = [one.since_utc_s for one in lost]
    return max(began_s) - min(began_s) <= TOGETHER_S


def _lost_of(facts: ScopeFacts, *, network: str = "", kind: str = "", region: str = "") -> list[DeviceState]:
    """Return the lost devices of a group; of all where none is named."""
    return [
        one
        for one in facts.devices
        if one.device in facts.lost
        and network in ("", one.network)
        and kind in ("", one.kind)
        and region in ("", one.region)
    ]


def total(facts: ScopeFacts) -> bool:
    """Return whether most of what tells is lost, in two networks at least."""
    return facts.all.is_lost and facts.all.lost >= MIN_DEVICES and len(facts.all.networks) >= 2


def abroad(facts: ScopeFacts) -> bool:
    """Return whether that is the way abroad alone."""
    return total(facts) and facts.abroad_only


def service(facts: ScopeFacts) -> bool:
    """Return whether every device lost one service, and the vantage outside lost it too."""
    return any(
        one.vantage_lost is True and one.tried >= MIN_IN_NETWORK and one.lost == one.tried
        for one in facts.outside.services
    )


def well(facts: ScopeFacts) -> bool:
    """Return whether most devices are well; one for which a few networks abroad pass is not, and does tell."""
    known = facts.all.tried + facts.all.silent + len(allow_listed(facts))
    return facts.all.well >= max(MIN_DEVICES, MOST * known)


def filtered(facts: ScopeFacts) -> bool:
    """Return whether most devices that tell say that only some protocols pass, in two networks, while the vantage is well."""
    found = sum(map(_is_filtered, facts.devices))
    known = found + facts.all.tried + facts.all.silent
    return (
        facts.outside.connected is True
        and found >= max(MIN_DEVICES, MOST * known)
        and len(filtering_networks(facts)) >= 2
    )


def filtering_networks(facts: ScopeFacts) -> tuple[tuple[str, int], ...]:
    """Return the networks whose devices say that only some protocols pass, and how many of them do."""
    found = Counter(one.network for one in facts.devices if one.network and _is_filtered(one))
    return tuple(sorted(found.items()))


def allow_list(facts: ScopeFacts) -> bool:
    """Return whether devices in unrelated networks say that few networks abroad pass: of three networks, or most or a kind in two.

    Each has seen it in two rounds and without loss. That others are well, or lost, takes nothing from it: they may stand
    in other networks, on another list.
    """
    listed = allow_listed(facts)
    networks = {one.network for one in listed if one.network}
    if facts.outside.connected is False or len(listed) < MIN_DEVICES or len(networks) < MIN_IN_NETWORK:
        return False
    is_most = len(listed) >= MOST * len(telling(facts))
    return len(networks) >= MIN_LISTED_NETWORKS or is_most or bool(kinds_allow_listed(facts))


def allow_listed(facts: ScopeFacts) -> tuple[DeviceState, ...]:
    """Return the devices that say so."""
    return tuple(one for one in telling(facts) if one.word == VerdictWord.ALLOWLISTED)


def kinds_allow_listed(facts: ScopeFacts) -> tuple[str, ...]:
    """Return the kinds of line of which all devices that tell say so, two at least and in two networks."""
    found = []
    for kind in facts.kinds:
        of_kind = [one for one in telling(facts) if one.kind == kind.name]
        if (
            len({one.network for one in of_kind if one.network}) >= MIN_IN_NETWORK
            and all(one.word == VerdictWord.ALLOWLISTED for one in of_kind)
        ):  # fmt: skip
            found.append(kind.name)
    return tuple(found)


def telling(facts: ScopeFacts) -> tuple[DeviceState, ...]:
    """Return the devices that are heard and whose last round tells something."""
    return tuple(
        one
        for one in facts.devices
        if one.state is not DeviceStanding.SILENT and one.word not in _TELLS_NOTHING
    )


def platform_blocked(facts: ScopeFacts) -> bool:
    """Return whether the country is well but for a platform that is blocked for it."""
    return (
        well(facts)
        and facts.outside.connected is True
        and any(one.is_blocked for one in facts.outside.platforms)
    )


def _is_filtered(one: DeviceState) -> bool:
    return one.word == VerdictWord.PROTOCOL_FILTERING and one.state is not DeviceStanding.SILENT


def group_not_well(facts: ScopeFacts) -> bool:
    """Return whether most devices are well, and those of a group are not."""
    return well(facts) and bool(groups_not_well(facts))


def groups_not_well(facts: ScopeFacts) -> tuple[Group, ...]:
    """Return the groups of three or more that are mostly not well, and the kinds of line of which nobody is."""
    groups = (*facts.networks, *facts.kinds, *facts.regions)
    return tuple(
        one
        for one in groups
        if (one.size - one.well >= MIN_DEVICES and one.well < HALF * one.size)
        or (one in facts.kinds and not one.well and (one.lost or one.size >= MIN_IN_NETWORK))
    )


def always(_: ScopeFacts) -> bool:
    """Return True: the last rule."""
    return True
