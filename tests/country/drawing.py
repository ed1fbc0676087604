"""What the kinds of countries draw with: when something is wrong, for whom, of which hosts. This file must never know a rule."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from firmware.model.record import Rung
from firmware.plans.load import load
from tests.country.hosts import Hosts
from tests.country.truth import Direction, Home, How, Ill, Scope, Wrong

Meant = tuple[Scope, frozenset[int]]
"""Whom something is meant for, and the homes that are."""
_BESIDE: Final = (
    (Ill.LINK_DOWN, 2), (Ill.ROUTER_DEAD, 2), (Ill.POWER_CUT, 2), (Ill.SIGN_IN, 1), (Ill.LINE_WORSE, 3), (Ill.MTU_HOLE, 1),
    (Ill.PROVIDER_DARK, 1), (Ill.RESOLVER_DEAD, 2), (Ill.RESOLVER_LIES, 1), (Ill.SERVER_DOWN, 3),
    (Ill.SERVER_RESETS_NAME, 1), (Ill.ANCHOR_DOWN, 1), (Ill.COLLECTOR_DOWN, 2),
)  # fmt: skip
"""Faults that may be beside what a country is about, with their weights."""


class Drawing:
    """Draws what is wrong in one country of `homes` that lasts `length_s`."""

    def __init__(self, rng: random.Random, homes: tuple[Home, ...], length_s: float) -> None:
        self.rng = rng
        self.homes = homes
        self.length_s = length_s
        self.platforms, self.references, self.anchors = map(
            _hosts_on, (Rung.PLATFORMS, Rung.INTERNATIONAL, Rung.DOMESTIC)
        )

    def wrong(self, ill: Ill, meant: Meant, span_s: tuple[float, float], *hosts: str, **more: Any) -> Wrong:
        """Return one thing that is wrong."""
        scope, homes = meant
        since_s, until_s = span_s
        return Wrong(
            ill=ill,
            since_s=round(since_s),
            until_s=round(until_s),
            homes=homes,
            scope=scope,
            hosts=frozenset(hosts),
            **more,
        )

    def beside(self) -> Iterator[Wrong]:
        """Yield a fault of any kind."""
        rng = self.rng
        ill, span_s, some = weighted(rng, _BESIDE), self.span(120, 2 * 3600), self.some_homes()
        how = rng.choice((How.DROP, How.RESET))
        match ill:
            case Ill.PROVIDER_DARK | Ill.RESOLVER_DEAD | Ill.RESOLVER_LIES:
                yield self.wrong(ill, self.provider(), span_s)
            case Ill.LINE_WORSE:
                yield self.line_worse(self.provider() if rng.random() < 0.4 else some, span_s)
            case Ill.SERVER_DOWN:
                pool = self.platforms if rng.random() < 0.7 else self.references
                yield self.wrong(ill, NOBODY, span_s, *self.of(pool, 1, 2), how=how)
            case Ill.SERVER_RESETS_NAME:
                yield self.wrong(ill, NOBODY, span_s, *self.of(self.platforms, 1))
            case Ill.ANCHOR_DOWN:
                yield self.wrong(ill, NOBODY, span_s, *self.of(self.anchors, 1))
            case Ill.COLLECTOR_DOWN:
                yield self.wrong(ill, NOBODY, span_s)
            case _:
                yield self.wrong(ill, some, span_s)

    def line_worse(
        self,
        meant: Meant,
        span_s: tuple[float, float],
        *,
        share: float | None = None,
        extra_ms: float | None = None,
    ) -> Wrong:
        """Return a line that is bad: late, and losing packets."""
        drawn_share = self.rng.choice((0.02, 0.1, 0.25, 0.4))
        drawn_ms = self.rng.choice((0.0, 300.0, 1_200.0, 3_000.0))
        return self.wrong(
            Ill.LINE_WORSE,
            meant,
            span_s,
            share=drawn_share if share is None else share,
            extra_ms=drawn_ms if extra_ms is None else extra_ms,
        )

    def lines_full(self, span_s: tuple[float, float]) -> Wrong:
        """Return lines of some homes that somebody there fills, one way."""
        return self.wrong(
            Ill.LINE_FULL, self.some_homes(3), span_s, direction=self.rng.choice(tuple(Direction))
        )

    # When.

    @property
    def calm_s(self) -> float:
        """The time before anything is wrong: an hour, or a fifth of a short country."""
        return min(3_600.0, self.length_s / 5)

    def span(self, least_s: float, most_s: float) -> tuple[float, float]:
        """Return a time after the calm that lasts so long, and ends before the country does where there is room."""
        longest_s = max(least_s, min(most_s, self.length_s / 3))
        length_s = self.rng.uniform(least_s, longest_s)
        latest_s = max(self.calm_s + 1, self.length_s - length_s - self.calm_s / 2)
        since_s = self.rng.uniform(self.calm_s, latest_s)
        return since_s, since_s + length_s

    def main_span(self) -> tuple[float, float]:
        """Return the time of what a country is about: long enough to be said, with some time after it."""
        since_s = self.calm_s + self.rng.uniform(0, self.length_s / 10)
        length_s = self.rng.uniform(0.45, 0.6) * min(self.length_s, 16 * 3_600)
        return since_s, since_s + length_s

    # For whom, and what.

    def of(self, pool: Sequence[str], *counts: int) -> list[str]:
        """Return some hosts of a rung, as many as one of `counts`."""
        return self.rng.sample(pool, self.rng.choice(counts))

    def all(self) -> Meant:
        """Return everybody."""
        return Scope.NATION, self._those(lambda _one: True)

    def some_homes(self, most: int = 2) -> Meant:
        """Return a home or two, which share nothing that has a name."""
        count = self.rng.choice((1, *range(1, most + 1)))
        return Scope.HOMES, frozenset(one.number for one in self.rng.sample(self.homes, count))

    def provider(self) -> Meant:
        """Return one provider's homes."""
        name = self.rng.choice(self.homes).provider.name
        return Scope.PROVIDER, self._those(lambda one: one.provider.name == name)

    def mobile(self) -> Meant:
        """Return all homes on mobile networks."""
        return Scope.MOBILE, self._those(lambda one: one.provider.kind == "mobile")

    def region(self, count: int = 1, *, is_largest: bool = False) -> Meant:
        """Return the homes of the province with most of them, or of `count` provinces."""
        names = sorted({one.province for one in self.homes})
        sizes = {name: sum(one.province == name for one in self.homes) for name in names}
        largest = sorted(names, key=lambda name: -sizes[name])[:count]
        chosen = (
            largest
            if is_largest or self.rng.random() < 0.6
            else self.rng.sample(names, min(count, len(names)))
        )
        scope = Scope.REGION if count == 1 else Scope.NATION
        return scope, self._those(lambda one: one.province in chosen)

    def most(self, share: float) -> Meant:
        """Return all but so many homes: hosting, banks, those with the right card stay on."""
        homes = sorted(one.number for one in self.homes)
        stay = self.rng.sample(homes, max(1, round(share * len(homes))))
        return Scope.NATION, frozenset(homes) - frozenset(stay)

    def by_provider(self, homes: frozenset[int]) -> list[frozenset[int]]:
        """Return homes by their provider, in the order in which they are ordered to cut."""
        names = sorted({one.provider.name for one in self.homes if one.number in homes})
        self.rng.shuffle(names)
        return [homes & self._those(lambda one, name=name: one.provider.name == name) for name in names]  # type: ignore[misc]

    def _those(self, condition: Callable[[Home], bool]) -> frozenset[int]:
        return frozenset(one.number for one in self.homes if condition(one))


NOBODY: Final[Meant] = (Scope.HOMES, frozenset())
"""Whom a fault of a server or of the collector is meant for."""


@cache
def _hosts_on(rung: Rung) -> tuple[str, ...]:
    plan = load("ir")
    names = Hosts(plan).of_target
    return tuple(names[one.name] for one in plan.on_rung(rung))


_Drawn = TypeVar("_Drawn")


def weighted(rng: random.Random, choices: Sequence[tuple[_Drawn, int]]) -> _Drawn:
    """Return one of `choices`, by their weights."""
    return rng.choices([one for one, _ in choices], [weight for _, weight in choices])[0]
