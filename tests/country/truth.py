"""What is true in a made country: its networks, homes and lines, and what goes wrong from when to when. Pure values.

Nothing here knows a rule, a verdict or a packet: `tests.country.faults` makes packets suffer of it, and
`tests.country.oracle` says what may be said of it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Ill(StrEnum):
    """What may be wrong. Those before `CUT` are nobody's doing."""

    # in a home
    LINK_DOWN = "link-down"
    ROUTER_DEAD = "router-dead"
    POWER_CUT = "power-cut"
    """The homes have no power: their devices are off."""
    SIGN_IN = "sign-in"
    """A sign-in page of the home's own network."""
    LINE_WORSE = "line-worse"
    """The line is bad: late by `extra_ms`, and `share` of its packets lost."""
    LINE_FULL = "line-full"
    """Somebody in the home sends or fetches as much as the line takes, `direction` says which: packets wait, and some are dropped."""
    MTU_HOLE = "mtu-hole"
    """Packets down the line that are larger than 1,300 bytes vanish, and nobody says so."""
    # at a provider
    PROVIDER_DARK = "provider-dark"
    """All that leaves the homes is lost, by the provider's own fault."""
    RESOLVER_DEAD = "resolver-dead"
    RESOLVER_LIES = "resolver-lies"
    """It gives every name one false answer."""
    CABLE = "cable"
    """Abroad is lost for the homes, by a fault of a cable: what is lost is as in a cut, and nobody's order."""
    # abroad
    SERVER_DOWN = "server-down"
    """`hosts` do not answer anybody."""
    SERVER_RESETS_NAME = "server-resets-name"
    """`hosts` reset whoever asks for them by their name, wherever they are."""
    SERVER_REFUSES_COUNTRY = "server-refuses-country"
    """`hosts` drop all that comes from the homes, and from addresses that they take for the country's, by their own choice."""
    ANCHOR_DOWN = "anchor-down"
    # the collector's
    COLLECTOR_DOWN = "collector-down"
    """Its own line is dead: devices do not reach it, and its vantage reaches nothing."""
    # a censor's
    CUT = "cut"
    """Abroad is stopped for the homes; `hosts` have caches in the country, which answer on."""
    SHUTDOWN = "shutdown"
    """All that leaves the homes is stopped, by order."""
    ALLOW_LIST = "allow-list"
    """Abroad is stopped for the homes but for `hosts`."""
    FAMILY_CUT = "family-cut"
    """IPv4 abroad is stopped for the homes."""
    TLS_FILTERED = "tls-filtered"
    """TLS handshakes abroad are stopped, and nothing else."""
    THREE_PORTS = "three-ports"
    """Abroad nothing passes but what goes to ports 53, 80 and 443."""
    BLOCKED_DNS = "blocked-dns"
    BLOCKED_TCP = "blocked-tcp"
    BLOCKED_TLS = "blocked-tls"


FAULTS: Final = frozenset(list(Ill)[: list(Ill).index(Ill.CUT)])
"""What no censor does."""


class How(StrEnum):
    """How something is stopped."""

    DROP = "drop"
    RESET = "reset"
    LATE_RESET = "late-reset"
    """12.2 s after the packet, as in November 2019."""


class Direction(StrEnum):
    """Which way a line is full."""

    UP = "up"
    DOWN = "down"


class Scope(StrEnum):
    """Whom something is meant for."""

    HOMES = "homes"
    """Some homes that share nothing that has a name."""
    PROVIDER = "provider"
    REGION = "region"
    MOBILE = "mobile"
    NATION = "nation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that is wrong from `since_s` to `until_s`, for some homes, or of some hosts. `share` is of packets."""

    ill: Ill
    since_s: float
    until_s: float
    homes: frozenset[int] = frozenset()
    hosts: frozenset[str] = frozenset()
    how: How = How.DROP
    share: float = 1.0
    extra_ms: float = 0.0
    scope: Scope = Scope.HOMES
    direction: Direction | None = None

    def is_on(self, since_s: float, until_s: float) -> bool:
        """Return whether it was so at any moment of a time."""
        return self.since_s < until_s and since_s < self.until_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider's network; `kind` is `fixed` or `mobile`."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """One home with a device: its provider, province, and the kind of its line (`tests.country.lines`).

    `router_resolves`: its router answers names from a cache of its own, where the line is not asked.
    """

    number: int
    provider: Provider
    province: str
    line: str
    router_resolves: bool = False

    @property
    def place(self) -> str:
        """Return what its measurements have in common with those of other homes."""
        return f"{self.line}, {'router' if self.router_resolves else 'provider'} resolves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """All that is true in one country over `hours`."""

    seed: int
    hours: float
    homes: tuple[Home, ...]
    wrongs: tuple[Wrong, ...]
    has_vantage: bool = True
    has_second: bool = False
    """Whether the collector has a second vantage, in a network that platforms take for the country's."""
    sweep_s: int = 600
    plan: str = "ir"
    kind: str = ""
    """Which kind of country it was drawn as (`tests.country.draw`)."""

    @property
    def is_free(self) -> bool:
        """Return whether no censor does anything in it."""
        return all(one.ill in FAULTS for one in self.wrongs)

    def on(self, since_s: float, until_s: float) -> tuple[Wrong, ...]:
        """Return what was wrong at any moment of a time."""
        return tuple(one for one in self.wrongs if one.is_on(since_s, until_s))

    def moments_s(self) -> tuple[float, ...]:
        """Return when anything begins or ends, in order."""
        return tuple(sorted({moment for one in self.wrongs for moment in (one.since_s, one.until_s)}))

    def without(self, *, home: int | None = None, wrong: Wrong | None = None) -> "Truth":
        """Return the same without a home, or without one thing that is wrong."""
        if wrong is not None:
            return replace(self, wrongs=tuple(one for one in self.wrongs if one is not wrong))
        homes = tuple(one for one in self.homes if one.number != home)
        return replace(self, homes=homes)

    def lines(self) -> list[str]:
        """Return it as people read it."""
        kind = self.kind or "made"
        told = [f"seed {self.seed} ({kind}): {len(self.homes)} devices, {self.hours:.1f} h, plan {self.plan}"]
        told += ["  a second vantage"] if self.has_second else []
        told += [
            f"  home {one.number}: {one.provider.name} ({one.provider.kind}), {one.province}, {one.place}"
            for one in self.homes
        ]
        for one in self.wrongs:
            where = f" homes {sorted(one.homes)}" if one.homes else ""
            which = f" {', '.join(sorted(one.hosts))}" if one.hosts else ""
            told.append(
                f"  {clock(one.since_s)} to {clock(one.until_s)}: {one.ill} ({one.scope}, {one.how}, "
                f"{one.share:.2f}, {one.extra_ms:.0f} ms{f', {one.direction}' if one.direction else ''}){which}{where}"
            )
        return told


def clock(since_s: float) -> str:
    """Return a time since the beginning as hours, minutes, seconds."""
    whole = int(since_s)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
