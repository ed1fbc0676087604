"""Draws a truth from a seed: line × fault × censor × timing × number of devices. Even seeds are free countries.

A free country has faults and no censor; half of all are free. What is drawn depends on the seed alone. This file must
never know a rule.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, TypeVar

from firmware.model.record import Rung
from firmware.plans.load import load
from tests.country.hosts import Hosts
from tests.country.truth import Home, How, Ill, Provider, Scope, Truth, Wrong

_PROVIDERS: Final = (
    Provider(name="AS64500", kind="fixed"),
    Provider(name="AS64501", kind="mobile"),
    Provider(name="AS64502", kind="fixed"),
    Provider(name="AS64503", kind="mobile"),
    Provider(name="AS64504", kind="fixed"),
)
_PROVINCES: Final = ("Tehran", "Isfahan", "Fars", "Yazd")
_LINES: Final = {
    "fixed": (("fibre", 5), ("dsl", 5), ("dual-stack", 3), ("satellite", 1), ("lossy", 1), ("bursty", 1)),
    "mobile": (("mobile", 8), ("mobile-edge", 2), ("lopsided", 1), ("bursty", 1)),
}
_HARD: Final = ("very-slow", "very-lossy", "lossy", "lopsided", "mobile-edge", "satellite")
"""Of three countries one has a home or two with such a line."""
_FREE: Final = (
    (Ill.LINK_DOWN, 2), (Ill.ROUTER_DEAD, 2), (Ill.POWER_CUT, 3), (Ill.SIGN_IN, 1), (Ill.LINE_WORSE, 4), (Ill.MTU_HOLE, 2),
    (Ill.PROVIDER_DARK, 2), (Ill.RESOLVER_DEAD, 2), (Ill.RESOLVER_LIES, 1), (Ill.CABLE, 1), (Ill.SERVER_DOWN, 3),
    (Ill.SERVER_RESETS_NAME, 2), (Ill.SERVER_REFUSES_COUNTRY, 1), (Ill.ANCHOR_DOWN, 1), (Ill.COLLECTOR_DOWN, 3),
)  # fmt: skip
_CENSORED: Final = (
    (Ill.CUT, 6), (Ill.SHUTDOWN, 2), (Ill.ALLOW_LIST, 2), (Ill.FAMILY_CUT, 1), (Ill.TLS_FILTERED, 1),
    (Ill.BLOCKED_DNS, 2), (Ill.BLOCKED_TCP, 2), (Ill.BLOCKED_TLS, 3),
)  # fmt: skip
_CALM_BEFORE_S: Final = 3_600.0
HOURS: Final = 24.0


def draw(seed: int, *, hours: float = HOURS) -> Truth:
    """Return the truth of a seed."""
    rng = random.Random(f"country/{seed}")
    homes = _homes(rng)
    drawing = _Drawing(rng, homes, hours * 3600)
    wrongs = [drawing.one(_weighted(rng, _FREE)) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
    if seed % 2:
        wrongs += drawing.censored(_weighted(rng, _CENSORED))
    return Truth(
        seed=seed,
        hours=hours,
        homes=homes,
        wrongs=tuple(sorted(wrongs, key=lambda one: (one.since_s, one.ill))),
        has_vantage=rng.random() < 0.85,
    )


def _homes(rng: random.Random) -> tuple[Home, ...]:
    providers = rng.sample(_PROVIDERS, rng.choice((3, 3, 4, 5)))
    if not any(one.kind == "mobile" for one in providers):
        providers[-1] = _PROVIDERS[1]
    provinces = _PROVINCES[: rng.choice((2, 3, 4))]
    count = rng.choice((6, 7, 8, 8, 8, 9, 10, 12))
    is_hard = rng.random() < 1 / 3
    found = []
    for number in range(count):
        # Two homes a provider first, so that each can stand for its network.
        provider = providers[number // 2] if number < 2 * len(providers) else rng.choice(providers)
        line = _weighted(rng, _LINES[provider.kind])
        if is_hard and number < 2:
            line = rng.choice(_HARD)
        found.append(Home(number=number, provider=provider, province=rng.choice(provinces), line=line))
    return tuple(found)


class _Drawing:
    """Draws what is wrong in one country."""

    def __init__(self, rng: random.Random, homes: tuple[Home, ...], length_s: float) -> None:
        self._rng = rng
        self._homes = homes
        self._length_s = length_s
        self._platforms, self._references, self._anchors = map(
            _hosts_on, (Rung.PLATFORMS, Rung.INTERNATIONAL, Rung.DOMESTIC)
        )

    def one(self, ill: Ill) -> Wrong:
        """Return one fault."""
        rng = self._rng
        since_s, until_s = self._span(3 * 60, 2 * 3600)
        some = self._some_homes()
        match ill:
            case Ill.POWER_CUT if rng.random() < 0.4:
                scope, homes = self._region()
                return Wrong(ill=ill, since_s=since_s, until_s=until_s, homes=homes, scope=scope)
            case Ill.PROVIDER_DARK | Ill.CABLE | Ill.RESOLVER_DEAD | Ill.RESOLVER_LIES:
                scope, homes = self._provider()
                return Wrong(ill=ill, since_s=since_s, until_s=until_s, homes=homes, scope=scope)
            case Ill.LINE_WORSE:
                share, extra_ms = (
                    rng.choice((0.02, 0.1, 0.25, 0.4)),
                    rng.choice((0.0, 300.0, 1_200.0, 3_000.0)),
                )
                scope, homes = self._provider() if rng.random() < 0.4 else (Scope.HOMES, some)
                return Wrong(
                    ill=ill,
                    since_s=since_s,
                    until_s=until_s,
                    homes=homes,
                    share=share,
                    extra_ms=extra_ms,
                    scope=scope,
                )
            case Ill.SERVER_DOWN | Ill.SERVER_RESETS_NAME | Ill.SERVER_REFUSES_COUNTRY:
                pool = (
                    self._platforms if ill is not Ill.SERVER_DOWN or rng.random() < 0.7 else self._references
                )
                homes = self._all() if ill is Ill.SERVER_REFUSES_COUNTRY else frozenset()
                return Wrong(
                    ill=ill,
                    since_s=since_s,
                    until_s=until_s,
                    hosts=frozenset(rng.sample(pool, rng.choice((1, 1, 2)))),
                    homes=homes,
                    how=rng.choice((How.DROP, How.RESET)),
                )
            case Ill.ANCHOR_DOWN:
                return Wrong(
                    ill=ill, since_s=since_s, until_s=until_s, hosts=frozenset(rng.sample(self._anchors, 1))
                )
            case Ill.COLLECTOR_DOWN:
                return Wrong(ill=ill, since_s=since_s, until_s=until_s)
            case _:
                return Wrong(ill=ill, since_s=since_s, until_s=until_s, homes=some)

    def censored(self, ill: Ill) -> list[Wrong]:
        """Return what a censor does: at once, or to one provider after the other."""
        rng = self._rng
        since_s, until_s = self._span(20 * 60, 8 * 3600)
        how = rng.choice((How.DROP, How.DROP, How.RESET, How.LATE_RESET))
        if ill in (Ill.BLOCKED_DNS, Ill.BLOCKED_TCP, Ill.BLOCKED_TLS):
            hosts = frozenset(rng.sample(self._platforms, rng.choice((1, 1, 2, 3))))
            scope, homes = self._provider() if rng.random() < 0.2 else (Scope.NATION, self._all())
            share = 0.3 if ill is Ill.BLOCKED_TLS and rng.random() < 0.2 else 1.0
            return [
                Wrong(
                    ill=ill,
                    since_s=since_s,
                    until_s=until_s,
                    homes=homes,
                    hosts=hosts,
                    scope=scope,
                    how=how,
                    share=share,
                )
            ]
        scope, homes = self._scope()
        hosts = (
            frozenset(rng.sample(self._references, rng.choice((1, 2, 2, 3))))
            if ill is Ill.ALLOW_LIST
            else frozenset()
        )

        def wrong(begins_s: float, of: frozenset[int]) -> Wrong:
            return Wrong(
                ill=ill,
                since_s=begins_s,
                until_s=until_s,
                homes=of,
                hosts=hosts,
                how=how if ill is Ill.CUT else How.DROP,
                scope=scope,
            )

        providers = sorted({one.provider.name for one in self._homes if one.number in homes})
        if scope is Scope.NATION and rng.random() < 0.35:
            step_s = rng.choice((60, 300, 1_200))
            begins = [min(since_s + place * step_s, until_s - 60) for place in range(len(providers))]
            return [
                wrong(
                    begins_s,
                    homes & frozenset(one.number for one in self._homes if one.provider.name == name),
                )
                for begins_s, name in zip(begins, providers, strict=True)
            ]
        return [wrong(since_s, homes)]

    def _span(self, least_s: float, most_s: float) -> tuple[float, float]:
        length_s = self._rng.uniform(least_s, min(most_s, self._length_s / 3))
        since_s = self._rng.uniform(
            _CALM_BEFORE_S, max(_CALM_BEFORE_S + 1, self._length_s - length_s - 1_800)
        )
        return round(since_s), round(since_s + length_s)

    def _of(self, condition: Callable[[Home], bool]) -> frozenset[int]:
        return frozenset(one.number for one in self._homes if condition(one))

    def _all(self) -> frozenset[int]:
        return self._of(lambda _one: True)

    def _some_homes(self) -> frozenset[int]:
        count = self._rng.choice((1, 1, 2))
        return frozenset(one.number for one in self._rng.sample(self._homes, count))

    def _provider(self) -> tuple[Scope, frozenset[int]]:
        name = self._rng.choice(self._homes).provider.name
        return Scope.PROVIDER, self._of(lambda one: one.provider.name == name)

    def _region(self) -> tuple[Scope, frozenset[int]]:
        name = self._rng.choice(self._homes).province
        return Scope.REGION, self._of(lambda one: one.province == name)

    def _scope(self) -> tuple[Scope, frozenset[int]]:
        drawn = self._rng.random()
        if drawn < 0.5:
            homes = self._all()
            if self._rng.random() < 0.3:
                # Some stay on: hosting, banks, those with the right card.
                stay = self._rng.sample(sorted(homes), max(1, len(homes) // 4))
                return Scope.NATION, homes - frozenset(stay)
            return Scope.NATION, homes
        if drawn < 0.7:
            return Scope.MOBILE, self._of(lambda one: one.provider.kind == "mobile")
        return self._region() if drawn < 0.85 else self._provider()


@cache
def _hosts_on(rung: Rung) -> tuple[str, ...]:
    plan = load("ir")
    names = Hosts(plan).of_target
    return tuple(names[one.name] for one in plan.on_rung(rung))


_Drawn = TypeVar("_Drawn")


def _weighted(rng: random.Random, choices: Sequence[tuple[_Drawn, int]]) -> _Drawn:
    return rng.choices([one for one, _ in choices], [weight for _, weight in choices])[0]
