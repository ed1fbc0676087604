"""What is calibrated: a line and what happens on it, drawn from a seed, the same for both plays. Pure.

A case is one device at the end of one line, from its first round on. Nothing here is written by hand but the ranges it is
drawn from. This file must never know how either play is made.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.nation.atlas import SITES

DOMESTIC_MS: Final = 5.0
"""One way from the provider to every domestic host, beyond the line."""
ABROAD_MS: Final = 35.0
"""The same to every host abroad."""


class Kind(StrEnum):
    """What sort of line a case has."""

    CLEAN = "clean"
    SLOW = "slow"
    LOSSY = "lossy"
    LOPSIDED = "lopsided"
    BURSTY = "bursty"
    THIN = "thin"
    HOLE = "hole"
    """Large packets down the line vanish."""


HARD: Final = frozenset({Kind.SLOW, Kind.LOSSY, Kind.LOPSIDED})


class Happening(StrEnum):
    """What happens on the line, from the beginning."""

    NOTHING = "nothing"
    CUT_DROP = "cut-drop"
    CUT_RESET = "cut-reset"
    FOUR_CUT = "ipv4-cut"
    ALLOW_LIST = "allow-list"
    """Abroad is stopped but for two reference networks."""
    DARK = "provider-dark"
    TLS_DROPPED = "tls-dropped"
    """Every handshake abroad."""
    NAME_DROPPED = "name-dropped"
    """The handshakes with one platform's name."""
    NAME_RESET = "name-reset"
    NAME_RESET_SOMETIMES = "name-reset-sometimes"
    """Half of the flows that show it."""
    ADDRESS_DROPPED = "address-dropped"
    ADDRESS_RESET = "address-reset"
    RESOLVER_DEAD = "resolver-dead"
    NAME_DENIED = "name-denied"
    """The resolver says that one platform's name does not exist."""
    SERVER_GONE = "server-gone"
    """One reference host answers nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One direction of a line: delay and jitter (none to all of it is added) in ms, share of packets lost, rate."""

    delay_ms: float
    jitter_ms: float
    loss: float
    rate_kbit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """Every `every_s` the line loses `loss` of all packets for `lasts_s`, first `first_s` after the beginning."""

    every_s: float
    lasts_s: float
    first_s: float
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case."""

    seed: int
    kind: Kind
    up: Way
    down: Way
    bursts: Bursts | None
    hole_bytes: int
    """Packets down the line that are larger vanish; 0: none."""
    families: tuple[int, ...]
    happening: Happening
    platform: str
    """The host name it happens to, where it is one platform's."""

    @property
    def is_drawn_by_lot(self) -> bool:
        """Return whether packets of it are lost by lot, so that two plays of it differ."""
        return bool(self.up.loss or self.down.loss or self.bursts) or self.happening is _BY_LOT

    @property
    def text(self) -> str:
        """Return it in a line."""
        ways = " / ".join(
            f"{way.delay_ms:.0f}+{way.jitter_ms:.0f} ms, {way.loss:.0%}, {way.rate_kbit:.0f} kbit/s"
            for way in (self.up, self.down)
        )
        bursts = (
            ""
            if self.bursts is None
            else f", bursts {self.bursts.lasts_s:.1f} of {self.bursts.every_s:.0f} s"
        )
        hole = f", none above {self.hole_bytes} bytes" if self.hole_bytes else ""
        where = f" of {self.platform}" if self.platform else ""
        return f"{self.kind} line ({ways}{bursts}{hole}), {self.happening}{where}"


_BY_LOT: Final = Happening.NAME_RESET_SOMETIMES
_PLATFORMS: Final = tuple(site.names[0] for site in SITES if site.network in ("social", "video", "messenger"))
_OF_A_PLATFORM: Final = frozenset(
    {
        Happening.NAME_DROPPED,
        Happening.NAME_RESET,
        Happening.NAME_RESET_SOMETIMES,
        Happening.ADDRESS_DROPPED,
        Happening.ADDRESS_RESET,
        Happening.NAME_DENIED,
    }
)
_KINDS: Final = ((Kind.CLEAN, 5), (Kind.SLOW, 4), (Kind.LOSSY, 4), (Kind.LOPSIDED, 3), (Kind.BURSTY, 2), (Kind.THIN, 2), (Kind.HOLE, 2))  # fmt: skip
_NOTHING_SHARE: Final = 0.35


def draw(seed: int) -> Case:
    """Return the case of a seed."""
    rng = random.Random(f"calibration/{seed}")
    kinds, weights = zip(*_KINDS, strict=True)
    kind: Kind = rng.choices(kinds, weights)[0]
    up, down = _ways(kind, rng)
    others = [one for one in Happening if one is not Happening.NOTHING]
    happening = Happening.NOTHING if rng.random() < _NOTHING_SHARE else rng.choice(others)
    return Case(
        seed=seed,
        kind=kind,
        up=up,
        down=down,
        bursts=_bursts(rng) if kind is Kind.BURSTY else None,
        hole_bytes=rng.choice((600, 1_000, 1_300, 1_400)) if kind is Kind.HOLE else 0,
        families=rng.choice(((4,), (4, 6))),
        happening=happening,
        platform=rng.choice(_PLATFORMS) if happening in _OF_A_PLATFORM else "",
    )


def drawn(seed: int, count: int) -> list[Case]:
    """Return so many cases, from a seed on."""
    return [draw(seed + number) for number in range(count)]


def _ways(kind: Kind, rng: random.Random) -> tuple[Way, Way]:
    def way(
        delay: Callable[[], float], loss: Callable[[], float] = lambda: 0.0, rate: float = 20_000.0
    ) -> Way:
        delay_ms = delay()
        jitter_ms = delay_ms * rng.uniform(0.0, 0.3)
        return Way(
            delay_ms=round(delay_ms), jitter_ms=round(jitter_ms), loss=round(loss(), 3), rate_kbit=rate
        )

    def near() -> float:
        return rng.uniform(3, 60)

    match kind:
        case Kind.SLOW:
            middle = rng.choice((300.0, 700.0, 1_400.0, 2_800.0))
            return way(lambda: middle * rng.uniform(0.7, 1.1)), way(lambda: middle * rng.uniform(0.7, 1.1))
        case Kind.LOSSY:
            loss = rng.choice((0.03, 0.08, 0.15, 0.25))
            return way(near, lambda: loss * rng.uniform(0.7, 1.2)), way(
                near, lambda: loss * rng.uniform(0.7, 1.2)
            )
        case Kind.LOPSIDED:
            bad = way(
                lambda: rng.choice((40.0, 250.0, 900.0)),
                lambda: rng.choice((0.0, 0.1, 0.3)),
                rng.choice((128.0, 512.0, 20_000.0)),
            )
            good = way(near)
            return (bad, good) if rng.random() < 0.5 else (good, bad)
        case Kind.THIN:
            rate = rng.choice((64.0, 128.0, 256.0))
            return way(near, rate=rate), way(near, rate=rate * rng.choice((1, 2)))
        case _:
            return way(near), way(near)


def _bursts(rng: random.Random) -> Bursts:
    every_s = rng.uniform(8, 20)
    return Bursts(
        every_s=round(every_s, 1),
        lasts_s=round(every_s * rng.uniform(0.15, 0.4), 1),
        first_s=round(rng.uniform(0, every_s / 2), 1),
        loss=rng.choice((0.7, 0.95)),
    )
