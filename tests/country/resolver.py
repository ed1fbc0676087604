"""A provider's resolver: most names are in its cache, also in a cut; the others it asks for abroad. It may be told to lie.

This file must never know what is asked for.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

from tests.country import hosts as far
from tests.country.hosts import Hosts
from tests.country.rules import Act, Kind, Packet, Rule

CACHED: Final = 0.97
"""The share of questions that it answers from its cache."""
_ANSWERS_S: Final = 0.002
_ASKS_S: Final = 0.12
_GIVES_UP_S: Final = 4.0


class Resolver:
    """Every provider's. `rules` are what it is told to do, `reaches_abroad` whether a home's provider gets an answer there."""

    def __init__(
        self,
        hosts: Hosts,
        rules: Sequence[Rule],
        *,
        reaches_abroad: Callable[[int, float], bool],
        seed: str,
    ) -> None:
        self._hosts = hosts
        self._rules = rules
        self._reaches_abroad = reaches_abroad
        self._rng = random.Random(f"{seed}/resolver")

    def answer(
        self, home: int, name: str, record_type: str, query: bytes, now_s: float
    ) -> tuple[float, bytes] | None:
        """Return when a query is answered, and what by; None where it is not."""
        asked = Packet(
            home=home, host=far.RESOLVER, kind=Kind.QUERY, up=True, size=60, port=53, abroad=False, name=name
        )
        for rule in self._rules:
            if not (rule.is_on(now_s) and rule.matches(asked)):
                continue
            if rule.act is Act.DROP:
                return None
            told = _told(rule.act, record_type, query)
            if told is not None:
                return now_s + _ANSWERS_S, told
        if self._rng.random() >= CACHED and not name.endswith(".ir"):
            if not self._reaches_abroad(home, now_s):
                return now_s + _GIVES_UP_S, far.servfail(query)
            now_s += _ASKS_S
        return now_s + _ANSWERS_S, self._hosts.answer(query, name, record_type)


def _told(act: Act, record_type: str, query: bytes) -> bytes | None:
    """Return what a resolver that is told to lie answers; None where it is not told so."""
    match act:
        case Act.DENY:
            return far.nxdomain(query)
        case Act.SERVFAIL:
            return far.servfail(query)
        case Act.FORGE:
            return far.forged(query, record_type)
        case Act.PARK:
            return far.forged(query, record_type, to=far.PARKED_ADDRESS)
        case _:
            return None
