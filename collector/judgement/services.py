"""What a country's devices say of single platforms in their last rounds, counted beside what the vantage sees of them. Pure.

A platform is blocked for the country only by devices of unrelated networks, while the vantage gets it. Connections that are
stopped everywhere alike must never accuse by themselves: a platform that drops a country looks the same, unless somebody
whom it treats alike was seen to reach it (`firmware.judgement.site.refusal`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from collector.judgement.devices import DeviceStanding, DeviceState
from collector.store.vantage_streaks import VantageStreak
from firmware.judgement.site.refusal import MAY_REFUSE, NOT_REFUSED, REFUSES
from firmware.judgement.site.targets import FAILED
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.verdict_words import VerdictWord

MIN_DEVICES: Final = 3
"""Fewer devices than this that are sure of a platform say nothing of a country."""
MIN_IN_NETWORK: Final = 2
MOST: Final = 0.8
"""The share of the devices that must find it blocked."""
_BLOCKED: Final = frozenset(
    {
        VerdictWord.BLOCKED_DNS,
        VerdictWord.BLOCKED_TCP,
        VerdictWord.BLOCKED_TLS,
        VerdictWord.BLOCKED_HTTP,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLost:
    """A target that devices lost: how many of those that tried, and whether the vantage outside lost it too."""

    name: str
    lost: int
    tried: int
    vantage_lost: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """One platform from one network: how many of the devices that are sure of it find it blocked.

    `on_the_way` counts those whose finding only somebody on the way explains: by its name, by a false answer, or since the
    platform is known not to refuse. `untold` counts those of the blocked who cannot tell whether the platform refuses.
    """

    network: str
    blocked: int
    on_the_way: int
    sure: int
    untold: int = 0

    @property
    def is_blocked(self) -> bool:
        """Return whether most of them do."""
        return self.blocked >= 1 and self.blocked >= MOST * self.sure


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformView:
    """One platform from a country's well devices, and whether the vantage got it (None: it did not look)."""

    name: str
    networks: tuple[NetworkView, ...]
    vantage_well: bool | None

    @property
    def blocked(self) -> int:
        """Return how many devices find it blocked."""
        return sum(one.blocked for one in self.networks)

    @property
    def sure(self) -> int:
        """Return how many devices are sure of it either way."""
        return sum(one.sure for one in self.networks)

    @property
    def blocking(self) -> tuple[str, ...]:
        """Return the networks that have a name and most of whose devices find it blocked."""
        return tuple(one.network for one in self.networks if one.network and one.is_blocked)

    @property
    def is_refusal(self) -> bool:
        """Return whether it may be the platform's own: no connection from anywhere in the country, and no other sign."""
        if sum(one.on_the_way for one in self.networks) >= MIN_IN_NETWORK:
            return False
        return self.blocked == self.sure or any(one.untold for one in self.networks)

    @property
    def is_stopped(self) -> bool:
        """Return whether most devices, in two unrelated networks at least, do not get it while the vantage does."""
        return (
            self.vantage_well is True
            and self.blocked >= max(MIN_DEVICES, MOST * self.sure)
            and len(self.blocking) >= 2
        )

    @property
    def is_blocked(self) -> bool:
        """Return whether it is blocked for the country."""
        return self.is_stopped and not self.is_refusal

    @property
    def only_in(self) -> tuple[NetworkView, ...]:
        """Return the one network that blocks it while devices of others get it; nothing where that is not so."""
        blocking = [one for one in self.networks if one.is_blocked and one.blocked >= MIN_IN_NETWORK]
        others = [one for one in self.networks if one not in blocking and one.sure]
        is_one = self.vantage_well is True and len(blocking) == 1 and sum(one.sure for one in others) >= 2
        return tuple(blocking) if is_one and not any(one.blocked for one in others) else ()


def services_of(
    devices: Iterable[tuple[DeviceState, Iterable[TargetJudgement]]], streaks: Iterable[VantageStreak]
) -> tuple[ServiceLost, ...]:
    """Return the targets that well devices lost."""
    vantage = vantage_lost(streaks)
    tried: dict[str, list[bool]] = {}
    for state, targets in devices:
        for target in targets if state.state is DeviceStanding.WELL else ():
            tried.setdefault(target.name, []).append(target.step in FAILED)
    return tuple(
        ServiceLost(name=name, lost=sum(found), tried=len(found), vantage_lost=vantage.get(name))
        for name, found in sorted(tried.items())
        if any(found)
    )


def platforms_of(
    devices: Iterable[tuple[DeviceState, Iterable[TargetJudgement]]], streaks: Iterable[VantageStreak]
) -> tuple[PlatformView, ...]:
    """Return the platforms that well devices find blocked, each from all their networks."""
    lost = vantage_lost(streaks)
    found: dict[str, dict[str, list[TargetJudgement]]] = {}
    for state, targets in devices:
        for target in targets if state.state is DeviceStanding.WELL else ():
            if _is_untold(target) or (
                target.confidence != "low" and target.concluded in {*_BLOCKED, VerdictWord.OK}
            ):
                found.setdefault(target.name, {}).setdefault(state.network, []).append(target)
    views = (
        PlatformView(
            name=name,
            networks=tuple(_network_view(network, told) for network, told in sorted(by_network.items())),
            vantage_well=None if name not in lost else not lost[name],
        )
        for name, by_network in sorted(found.items())
    )
    return tuple(one for one in views if one.blocked)


def vantage_lost(streaks: Iterable[VantageStreak]) -> Mapping[str, bool]:
    """Return whether the vantage lost each target, by name, when it looked last and was connected itself."""
    found: dict[str, bool] = {}
    for streak in streaks:
        if streak.view.reachable:
            found.setdefault(streak.key.target_name, streak.failure is not None)
    return found


def _is_untold(target: TargetJudgement) -> bool:
    return target.rule_id in (MAY_REFUSE, REFUSES)


def _network_view(network: str, told: list[TargetJudgement]) -> NetworkView:
    blocked = [one for one in told if one.concluded in _BLOCKED or _is_untold(one)]
    return NetworkView(
        network=network,
        blocked=len(blocked),
        on_the_way=sum(
            one.rule_id == NOT_REFUSED or one.concluded in _BLOCKED - {VerdictWord.BLOCKED_TCP}
            for one in blocked
        ),
        sure=len(told),
        untold=sum(map(_is_untold, blocked)),
    )
