"""What the vantage is asked to look at before its next sweep is due, and when it may: the decision. The time is an argument.

Two things ask. Devices that fell silent together ask for the reference targets, which tell whether it is the collector's
own line; a device that says that it lost a platform asks for that platform, which tells whether everybody lost it.
Devices may flap, and may be an enemy's: however many ask, and whatever they say, looks must never be closer together
than `APART_S`, nor hold more than `PLATFORMS_AN_HOUR` platforms an hour, nor more of one device than its share.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

SOON_S: Final = 2.0
"""After the first asks it waits so long, so that what comes together is looked at together."""
APART_S: Final = 30.0
"""From the beginning of one look to that of the next."""
REFERENCES_APART_S: Final = 60.0
"""From one look at the reference targets for the sake of silent devices to the next."""
PLATFORMS_AN_HOUR: Final = 240
"""What a sweep of 40 targets every ten minutes comes to: asking at most doubles what the vantage costs its line."""
WANTED_LOOKS: Final = 4
"""Looks that a device is told of since a platform began to fail for it: one that passes may have met a server that fails for everyone now and then
(`firmware.judgement.line_loss.server_ratio`)."""
AGAIN_S: Final = 600.0
"""A device asks for one platform `WANTED_LOOKS` times in so long: until then a sweep has come, by the cadence that ships."""
MAX_FAILING: Final = 20_000
"""So many pairs of device and platform are known as failing; those that were told longest ago are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What to look at now beside the reference targets: platforms by name, or all; and the devices that are waiting for it."""

    is_sweep: bool = False
    names: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class _Failing:
    """One device's loss of one platform: since when it has been told in every report, and of how many looks since it was told.

    It has asked `asks` times since `asks_since_s`.
    """

    since_s: float
    looks: int = 0
    asks: int = 0
    asks_since_s: float = float("-inf")
    is_over: bool = False


class Asking:
    """What has been asked and not yet been looked at. Every method may be called from any thread.

    Times are seconds of one clock that never goes back. A platform that stays blocked asks `WANTED_LOOKS` times: when
    its device was told of so many looks since it began to fail, it is not asked for again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: OrderedDict[tuple[str, str], _Failing] = OrderedDict()
        self._waiting: dict[str, set[str]] = {}
        self._wants_references = False
        self._first_s = float("inf")
        self._began_s = float("-inf")
        self._references_s = float("-inf")
        self._tokens = float(PLATFORMS_AN_HOUR)
        self._tokens_s = float("-inf")

    def ask_for_references(self, now_s: float) -> None:
        """Ask for the reference targets: devices fell silent, and nothing was reached since."""
        with self._lock:
            self._wants_references = True
            self._first_s = min(self._first_s, now_s)

    def report(self, device: str, *, failed: Iterable[str], reached: Iterable[str], now_s: float) -> None:
        """Take what a device says of the platforms of its round; ask for those that began to fail since they were looked at."""
        with self._lock:
            for name in reached:
                known = self._failing.get((device, name))
                if known is not None:
                    known.is_over = True
            for name in failed:
                self._report_failed(device, name, now_s)

    def due_s(self, now_s: float) -> float | None:
        """Return when to look, None where nothing is asked for. It may lie before `now_s`: that is at once."""
        with self._lock:
            moments = []
            if self._wants_references:
                moments.append(self._references_s + REFERENCES_APART_S)
            if self._waiting:
                lacking = max(0.0, 1.0 - self._tokens_at(now_s))
                moments.append(now_s + lacking * 3600.0 / PLATFORMS_AN_HOUR if lacking else 0.0)
            if not moments:
                return None
            return max(min(moments), self._first_s + SOON_S, self._began_s + APART_S)

    def take(self, now_s: float, *, is_sweep: bool = False) -> Look:
        """Return what is to be looked at now, as far as there are tokens for it, those asked first before others.

        A whole sweep takes all that is asked for, and costs no tokens.
        """
        with self._lock:
            self._tokens, self._tokens_s = self._tokens_at(now_s), now_s
            names = list(self._waiting)[: len(self._waiting) if is_sweep else int(self._tokens)]
            devices = {device for name in names for device in self._waiting.pop(name)}
            if not is_sweep:
                self._tokens -= len(names)
            self._wants_references = False
            self._began_s = self._references_s = now_s
            self._first_s = now_s if self._waiting else float("inf")
            return Look(is_sweep=is_sweep, names=frozenset(names), devices=frozenset(devices))

    def told(self, look: Look, names: Iterable[str], began_s: float) -> None:
        """Note that the devices of a look that began at `began_s` are told what was seen in it of `names`, if only that nothing counts.

        A look that a device was not told of is none for it: where sweeps are close together its looks would be used up
        before its failure had lasted, and it would know of none from then on.
        """
        known = frozenset(names)
        with self._lock:
            for (device, name), failing in self._failing.items():
                if device in look.devices and name in known and failing.since_s <= began_s:
                    failing.looks += 1

    def _report_failed(self, device: str, name: str, now_s: float) -> None:
        known = self._failing.get((device, name))
        if known is None or known.is_over:
            before = known or _Failing(since_s=now_s)
            known = self._failing[device, name] = replace(before, since_s=now_s, looks=0, is_over=False)
        self._failing.move_to_end((device, name))
        while len(self._failing) > MAX_FAILING:
            self._failing.popitem(last=False)
        if now_s - known.asks_since_s >= AGAIN_S:
            known.asks, known.asks_since_s = 0, now_s
        is_waiting = device in self._waiting.get(name, ())
        if is_waiting or known.looks >= WANTED_LOOKS or known.asks >= WANTED_LOOKS:
            return
        known.asks += 1
        self._waiting.setdefault(name, set()).add(device)
        self._first_s = min(self._first_s, now_s)

    def _tokens_at(self, now_s: float) -> float:
        gained = (now_s - self._tokens_s) * PLATFORMS_AN_HOUR / 3600.0
        return min(float(PLATFORMS_AN_HOUR), self._tokens + gained)
