"""What is known beside a country's devices, and what it allows: the collector's own line, its neighbours, its services. Pure.

The collector's line is asked of samples of its vantage, with their times: a sample from before a silence must never
prove that the collector was well during it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from collector.judgement.devices import BURST_S, MIN_BURST, DeviceState, bursts
from collector.judgement.services import PlatformView, ServiceLost

OVERDUE_PERIODS: Final = 1.5
"""A device not heard for so many of its periods is overdue: its silence cannot be told yet, but looked into."""
WATCHED_PERIODS: Final = 4.0
"""For so long after devices were heard last the vantage is to look again and again: until their silence is told, and past it."""
BACK_S: Final = 600.0
"""So long after the collector's own line came back devices may still be on their way: they wait up to 300 s between tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideFacts:
    """What is known beside the country's devices.

    `deaf_utc_s` is when the collector itself was last not there to hear (`collector.judgement.listening`; None: not lately).
    `connected`: the collector's own vantage reached its reference targets when it looked last (None: there is no vantage, or
    it did not look lately). `reached_utc_s`, `missed_utc_s` are when it last did and last did not (None: not lately).
    `neighbours_lost`: the share of other countries' devices, or of targets in neighbouring countries seen by the
    vantage, that were lost in the same minutes; None where there are none. `services` are targets that devices lost,
    `platforms` those that they find blocked.
    """

    connected: bool | None = None
    reached_utc_s: float | None = None
    missed_utc_s: float | None = None
    deaf_utc_s: float | None = None
    neighbours_lost: float | None = None
    services: tuple[ServiceLost, ...] = ()
    platforms: tuple[PlatformView, ...] = ()

    @property
    def is_just_back(self) -> bool:
        """Return whether the collector's own line failed so lately that devices may still be on their way back."""
        return self.connected is True and self._is_lately(self.missed_utc_s)

    def proves(self, silent: Iterable[DeviceState]) -> bool:
        """Return whether the collector's own line was well while these fell silent, so that their silence is theirs.

        By a sample taken after the last of them had begun to be, and none lately that did not reach anything; and not before
        those that nobody was there to hear have had the time to come back.
        """
        if self.connected is not True or self.reached_utc_s is None:
            return False
        if self._is_lately(self.missed_utc_s) or self._is_lately(self.deaf_utc_s):
            return False
        return all(one.since_utc_s <= self.reached_utc_s for one in silent)

    def _is_lately(self, away_utc_s: float | None) -> bool:
        """Return whether the line was last seen well so soon after a moment that devices may still have been on their way back."""
        if away_utc_s is None or self.reached_utc_s is None:
            return False
        return self.reached_utc_s - away_utc_s < BACK_S


def silent_together(devices: Iterable[DeviceState], outside: OutsideFacts) -> frozenset[str]:
    """Return the silent devices whose silence counts: they fell silent together, and it was not the collector's doing."""
    known = {one.device: one for one in devices}
    return frozenset(
        device
        for together in bursts(known.values())
        if outside.proves(known[name] for name in together)
        for device in together
    )


def wants_look(devices: Iterable[DeviceState], outside: OutsideFacts, now_utc_s: float) -> bool:
    """Return whether the vantage should look at once: devices are overdue together, and what it saw does not tell yet why.

    It goes on wanting until their silence can be told, so that an outage of the collector's own is seen while it lasts, and
    again before what it saw is too old to count.
    """
    overdue = sorted(
        (one.heard_utc_s, one.period_s)
        for one in devices
        if now_utc_s - one.heard_utc_s > OVERDUE_PERIODS * one.period_s
    )
    for (first, _), (last, period_s) in zip(overdue, overdue[MIN_BURST - 1 :], strict=False):
        watched_s = WATCHED_PERIODS * period_s
        enough_s = max(last + OVERDUE_PERIODS * period_s, now_utc_s - watched_s)
        is_told = outside.reached_utc_s is not None and outside.reached_utc_s > enough_s
        if last - first <= BURST_S and (now_utc_s - last <= watched_s or not is_told):
            return True
    return False
