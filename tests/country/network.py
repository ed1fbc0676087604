"""How one packet travels: the places it passes, what a rule does there, the queue and the losses of its line.

This file must never know what a packet is sent for, nor send one again.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Final

from tests.country import hosts as far
from tests.country.hosts import Hosts
from tests.country.lines import Line
from tests.country.passages import LOST, SECOND, VANTAGE, Passage, ways
from tests.country.rules import Act, Packet, Place, Rule

_BORDER_MS: Final = 6.0
"""One way from a provider's core to the border."""
_INSIDE_S: Final = 0.0005
"""One way within a home."""
_BACK_BYTES: Final = 60
"""What is sent back in a server's place: a reset, a forged answer."""


class Network:
    """The ways of one country's packets. `lines` are by home; -1 is the collector's."""

    def __init__(self, hosts: Hosts, lines: dict[int, Line], rules: Iterable[Rule], *, seed: str) -> None:
        self.hosts = hosts
        self._lines = lines
        self._rules: dict[Place, list[Rule]] = {place: [] for place in Place}
        for rule in rules:
            self._rules[rule.place].append(rule)
        self._rng = random.Random(f"{seed}/internet")

    def line(self, home: int) -> Line:
        """Return a home's line."""
        return self._lines[home]

    def send(self, packet: Packet, now_s: float) -> Passage:
        """Send one packet; return what becomes of it."""
        if packet.host == far.GATEWAY:
            passage, late_s = self._past(ways(packet), packet, now_s)
            return passage or Passage(arrives_s=now_s + late_s + _INSIDE_S)
        return self._up(packet, now_s) if packet.up else self._down(packet, now_s)

    def _up(self, packet: Packet, now_s: float) -> Passage:
        line, places = self._lines[packet.home], ways(packet)
        passage, late_s = self._past(places[:1], packet, now_s)
        if passage is not None:
            return passage
        left_s = line.leaves_s(packet.size, now_s + late_s, up=True)
        if left_s is None:
            return LOST
        passage, late_s = self._past(places[1:], packet, left_s)
        if passage is not None:
            return passage
        if line.loses(now_s, up=True):
            return LOST
        return Passage(arrives_s=left_s + late_s + line.delay_s(up=True) + self._beyond_s(packet))

    def _down(self, packet: Packet, now_s: float) -> Passage:
        line, places = self._lines[packet.home], ways(packet)
        passage, late_s = self._past(places[:0:-1], packet, now_s)
        if passage is not None:
            return passage
        left_s = line.leaves_s(packet.size, now_s + late_s + self._beyond_s(packet), up=False)
        if left_s is None:
            return LOST
        passage, late_s = self._past(places[:1], packet, left_s)
        if passage is not None:
            return passage
        if line.loses(now_s, up=False):
            return LOST
        return Passage(arrives_s=left_s + late_s + line.delay_s(up=False))

    def _past(self, places: Sequence[Place], packet: Packet, now_s: float) -> tuple[Passage | None, float]:
        """Return what is done to a packet at one place after the other, None for nothing, and by how much it is late there."""
        late_s = 0.0
        for place in places:
            passage, extra_s = self._at(place, packet, now_s + late_s)
            late_s += extra_s
            if passage is not None:
                return passage, late_s
        return None, late_s

    def _at(self, place: Place, packet: Packet, now_s: float) -> tuple[Passage | None, float]:
        """Return what is done to a packet at a place, None for nothing, and by how much it is late there."""
        late_s = 0.0
        for number, rule in enumerate(self._rules[place]):
            if not (rule.is_on(now_s) and rule.matches(packet) and self._is_hit(rule, number, packet)):
                continue
            if rule.act is Act.SLOW:
                late_s += rule.extra_ms / 1000
                if self._rng.random() < rule.extra_loss:
                    return LOST, late_s
            elif rule.act is Act.DROP:
                return LOST, late_s
            else:
                act_s = now_s + late_s + max(2 * self._way_s(place, packet), rule.late_s)
                return self._back(place, packet, Passage(act=rule.act, act_s=act_s)), late_s
        return None, late_s

    def _back(self, place: Place, packet: Packet, passage: Passage) -> Passage:
        """Return what becomes of what is sent back to a home from a place: it waits, too, in the queue down the line."""
        if place is Place.HOME:
            return passage
        line = self._lines[packet.home]
        at_s = passage.act_s - line.quality.delay_down_ms / 1000
        left_s = line.leaves_s(_BACK_BYTES, at_s, up=False)
        return LOST if left_s is None else Passage(act=passage.act, act_s=passage.act_s + left_s - at_s)

    def _is_hit(self, rule: Rule, number: int, packet: Packet) -> bool:
        if rule.share >= 1:
            return True
        if rule.by_flow:
            return random.Random(f"{number}/{rule.place}/{packet.flow}").random() < rule.share
        return self._rng.random() < rule.share

    def _beyond_s(self, packet: Packet) -> float:
        """Return how long a packet is on its way beyond the line, one way."""
        border_ms = _BORDER_MS if packet.abroad and packet.home not in (VANTAGE, SECOND) else 0
        return (self.hosts.by_name[packet.host].delay_ms + border_ms) / 1000

    def _way_s(self, place: Place, packet: Packet) -> float:
        """Return how far a place is, one way, where nothing waits."""
        if place is Place.HOME:
            return 0.001
        near_s = self._lines[packet.home].delay_s(up=True)
        return {
            Place.BORDER: near_s + _BORDER_MS / 1000,
            Place.SERVER: near_s + _BORDER_MS / 1000 + self.hosts.by_name[packet.host].delay_ms / 1000,
        }.get(place, near_s)
