"""Draws a truth from a seed: line × fault × censor × timing × number of devices. Even seeds are free countries.

A free country has faults and no censor; half of all are free. Kinds of countries take turns with the seed, so that each comes
up in every `2 × len(KINDS)` seeds; what else is in a country is left to the seed. This file must never know a rule.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tests.country.drawing import NOBODY, Drawing, weighted
from tests.country.kinds import CENSORED, FREE, FULL_BESIDE, FULL_IN, LINES_OF, Kind
from tests.country.truth import Home, Ill, Provider, Truth, Wrong

_PROVIDERS: Final = (
    Provider(name="AS64500", kind="fixed"),
    Provider(name="AS64501", kind="mobile"),
    Provider(name="AS64502", kind="fixed"),
    Provider(name="AS64503", kind="mobile"),
    Provider(name="AS64504", kind="fixed"),
)
_PROVINCES: Final = ("Tehran", "Isfahan", "Fars", "Yazd", "Gilan")
_LINES: Final = {
    "fixed": (("fibre", 5), ("dsl", 5), ("dual-stack", 3), ("satellite", 1), ("lossy", 1), ("bursty", 1)),
    "mobile": (("mobile", 8), ("mobile-edge", 2), ("lopsided", 1), ("bursty", 1)),
}
_HARD: Final = ("very-slow", "very-lossy", "lossy", "lopsided", "mobile-edge", "satellite")
"""Of four countries one has a home or two with such a line."""
_ROUTER_RESOLVES: Final = 0.5
"""The share of homes whose router has a cache of names."""
_BLINKING: Final = 0.125
"""The share of countries whose collector has a line that blinks."""
_BLINK_EVERY_S: Final = 3_600.0
_BLINK_S: Final = (4.0, 60.0)
MOST_HOMES: Final = 12
HOURS: Final = 24.0


def draw(seed: int, *, hours: float = HOURS, only: Sequence[str] = (), most_homes: int = MOST_HOMES) -> Truth:
    """Return the truth of a seed; with `only`, its kind is one of those."""
    rng = random.Random(f"country/{seed}")
    kind = kind_of(seed, only)
    homes = _homes(rng, kind, most_homes)
    drawing = Drawing(rng, homes, hours * 3600)
    wrongs = [*kind.draw(drawing)]
    beside = 0 if kind.is_long else rng.choice((0, 0, 1, 1, 2))
    wrongs += [one for _ in range(beside) for one in drawing.beside()]
    wrongs += _full_lines(seed, kind, homes, drawing.length_s)
    wrongs += _blinks(seed, kind, homes, drawing.length_s)
    truth = Truth(
        seed=seed,
        hours=hours,
        homes=homes,
        wrongs=tuple(sorted(wrongs, key=lambda one: (one.since_s, one.ill))),
        has_vantage=rng.random() < 0.9,
        kind=kind.name,
    )
    # By a source of its own, so that all else of a seed stays as it was.
    truth = replace(truth, has_second=truth.has_vantage and random.Random(f"second/{seed}").random() < 0.5)
    if not kind.is_long:
        return truth
    ends_s = max(one.until_s for one in wrongs)
    return replace(truth, hours=ends_s / 3600 + 0.2, sweep_s=86_400, has_vantage=True)


def _full_lines(seed: int, kind: Kind, homes: tuple[Home, ...], length_s: float) -> Iterator[Wrong]:
    """Yield lines that somebody at home fills, by a source of its own, so that all else of a seed stays as it was."""
    on = Drawing(random.Random(f"full/{seed}"), homes, length_s)
    if kind.name == FULL_IN:
        yield on.lines_full(on.main_span())
    elif not kind.is_long and on.rng.random() < FULL_BESIDE:
        yield on.lines_full(on.span(120, 2 * 3600))


def _blinks(seed: int, kind: Kind, homes: tuple[Home, ...], length_s: float) -> Iterator[Wrong]:
    """Yield times in which the collector's own line is gone for moments, some in the midst of a look of its vantage."""
    on = Drawing(random.Random(f"blinks/{seed}"), homes, length_s)
    if kind.is_long or on.rng.random() >= _BLINKING:
        return
    for _ in range(round(length_s / _BLINK_EVERY_S)):
        yield on.wrong(Ill.COLLECTOR_DOWN, NOBODY, on.span(*_BLINK_S))


def kind_of(seed: int, only: Sequence[str] = ()) -> Kind:
    """Return which kind of country a seed is."""
    pool = CENSORED if seed % 2 else FREE
    asked = [one for one in pool if one.name in only] if only else list(pool)
    kinds = asked or [one for one in (*FREE, *CENSORED) if one.name in only]
    if not kinds:
        raise ValueError(f"no kind of country is called {', '.join(only)}")
    return kinds[seed // 2 % len(kinds)]


def _homes(rng: random.Random, kind: Kind, most: int) -> tuple[Home, ...]:
    providers = rng.sample(_PROVIDERS, rng.choice((3, 3, 4, 5)))
    if not any(one.kind == "mobile" for one in providers):
        providers[-1] = _PROVIDERS[1]
    provinces = _PROVINCES[: rng.choice((2, 3, 4, 5))]
    count = min(most, rng.choice((6, 7, 8, 8, 8, 9, 10, MOST_HOMES)))
    is_hard = rng.random() < 1 / 4
    preferred = LINES_OF.get(kind.name, ())
    found = []
    for number in range(count):
        # Two homes a provider first, so that each can stand for its network.
        provider = providers[number // 2] if number < 2 * len(providers) else rng.choice(providers)
        line = weighted(rng, _LINES[provider.kind])
        if is_hard and number < 2:
            line = rng.choice(_HARD)
        if preferred and rng.random() < 0.5:
            line = rng.choice(preferred)
        found.append(
            Home(
                number=number,
                provider=provider,
                province=rng.choice(provinces),
                line=line,
                router_resolves=rng.random() < _ROUTER_RESOLVES,
            )
        )
    return tuple(found)
