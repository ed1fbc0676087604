"""A scenario as values: where its devices stand, what goes wrong when, what must be said. Every key of a file is declared here.

`setting` says what a key may be and what it does: the reader, its faults and the lists in docs/how-to/scenarios.md are of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from firmware.model.verdict_words import VerdictWord
from firmware.settings.load import setting
from tests.nation.atlas import ACCESS, BY_NAME
from tests.nation.wiring import HOME

Table: TypeAlias = Mapping[str, Any]

MOMENTS: Final = ("start", "event", "second", "third", "fourth")
"""When something happens. After each but `start` one verdict is expected, and the next comes when it has been said."""
HOME_LINKS: Final = (HOME, *(f"{HOME}{number}" for number in range(2, 10)))
LINKS: Final = (*BY_NAME, *HOME_LINKS)
PACES: Final = ("quick", "shipped")
_WORDS: Final = tuple(str(word) for word in VerdictWord)
_LONG_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeAt:
    """The first home: its network, and what its device gets of it."""

    access: str = setting("north", doc="The access network that it hangs on.", choices=ACCESS)
    families: tuple[int, ...] = setting((4, 6), doc="The address families that its router announces.", low=4, high=6)  # fmt: skip
    resolvers: tuple[str, ...] = setting(
        (), doc="Resolvers that its network names, instead of its provider's.", sample=("8.8.8.8",)
    )
    dns64: bool = setting(default=False, doc="Whether the provider's resolver does DNS64.")
    cached: bool = setting(
        default=False, doc="Whether the provider's resolver has every name in its cache from the start."
    )
    province: str = setting("", doc="The province that its operator typed.", sample="Fars")

    def __post_init__(self) -> None:
        if not self.families or not set(self.families) <= {4, 6}:
            raise ValueError("families that are 4, 6 or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAt:
    """A further device, in a home of its own: home2, home3 and so on, in their order."""

    access: str = setting("north", doc="The access network that its home hangs on.", choices=ACCESS)
    province: str = setting("", doc="The province that its operator typed.", sample="Fars")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """How long a packet takes, one way, from a home to each zone; what is abroad is never nearer than what is not."""

    local_ms: float = setting(
        0.0, doc="To its provider's network and resolver.", unit="ms", low=0, high=10_000
    )
    domestic_ms: float = setting(0.0, doc="To hosts in the country.", unit="ms", low=0, high=10_000)
    international_ms: float = setting(0.0, doc="To hosts abroad.", unit="ms", low=0, high=10_000)

    def __post_init__(self) -> None:
        if not self.local_ms <= self.domestic_ms <= self.international_ms:
            raise ValueError("local_ms, domestic_ms, international_ms in rising order")


@dataclass(frozen=True, slots=True, kw_only=True)
class NatAt:
    """Address translation on a link, from the start: all IPv4 from below leaves from one address above it."""

    on: str = setting(
        HOME, doc="Above which: home is the home's own router, an access network a carrier's.", choices=(*ACCESS, *HOME_LINKS)
    )  # fmt: skip
    most: int = setting(
        60_000, doc="How many ports may be in use at once; more flows are swallowed.", low=1, high=60_000
    )
    idle_s: float = setting(
        60.0, doc="How long the port of a silent UDP or ping flow is kept.", unit="s", low=0.001, high=_LONG_S
    )
    tcp_idle_s: float = setting(
        7440.0, doc="The same of a TCP connection.", unit="s", low=0.001, high=_LONG_S
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondVantageAt:
    """The collector's second vantage: it looks from an address of another network, and by another way, too."""

    network: str = setting(
        "exit",
        doc="The network that its address is of and its packets leave by: exit, abroad and with addresses of the country; an access "
        "network, behind the censors; or the collector's own, which nobody takes for the country's.",
        choices=("exit", *ACCESS, "centre"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When something happens and until when it lasts. Left out: from the event on, for good."""

    when: str = setting("event", doc="The moment it begins at.", choices=MOMENTS)
    after_s: float = setting(0.0, doc="How long after that moment.", unit="s", low=0, high=_LONG_S)
    until: str = setting("", doc="The moment that undoes it.", choices=("", *MOMENTS[1:]), sample="second")
    for_s: float = setting(
        0.0, doc="How long it lasts from its beginning; 0 for good.", unit="s", low=0, high=_LONG_S
    )

    def __post_init__(self) -> None:
        if self.until and MOMENTS.index(self.until) <= MOMENTS.index(self.when):
            raise ValueError("until a moment after when")
        if self.until and self.for_s:
            raise ValueError("until or for_s, not both")
        if self.when == "start" and (self.after_s or self.for_s):
            raise ValueError(
                'after_s and for_s with another moment than "start", which is before the devices begin'
            )


ALWAYS: Final = Timing(when="start")


@dataclass(frozen=True, slots=True, kw_only=True)
class CensorAt:
    """A censor on the link above `on`, with `rules` in the censor's own form."""

    on: str
    timing: Timing
    rules: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that changes in the country: `do` is one of the words of `tests.nation.changes.CHANGES`, `given` its form."""

    do: str
    timing: Timing
    given: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A web page the device also measures whole, and of which a verdict is asked."""

    url: str
    options: Table
    instead_of: tuple[str, ...]
    """Platforms that make room for it in the round's bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must be said after a moment. Any other word but `ok` and `inconclusive` before it is a wrong verdict."""

    who: str = setting(
        "device",
        doc="Who must say it: the device of its line, the collector of the page, or the collector of the country.",
        choices=("device", "page", "collector"),
    )
    verdict: tuple[str, ...] = setting((), doc="The words that are right. Needed.", choices=_WORDS, sample=("ok",))  # fmt: skip
    rules: tuple[str, ...] = setting((), doc="The rules it may be said by. Left out: any.", sample=("controls-reached",))  # fmt: skip
    rounds: int = setting(
        0, doc="For how many rounds it must hold; 0 is three for ok and inconclusive, which one round says too easily, and one for others.", low=0, high=1000
    )  # fmt: skip
    limit_s: float = setting(180.0, doc="Within how long after its moment.", unit="s", low=1, high=_LONG_S)
    meanwhile: tuple[str, ...] = setting((), doc="Further words that may come before it and are no mistake.", choices=_WORDS, sample=("congestion",))  # fmt: skip
    after_s: float = setting(
        0.0, doc="What is said sooner after its moment than this does not count.", unit="s", low=0, high=_LONG_S
    )  # fmt: skip

    @property
    def held_for(self) -> int:
        """Return for how many rounds it must hold."""
        return self.rounds or (3 if set(self.verdict) & {"ok", "inconclusive"} else 1)

    @property
    def text(self) -> str:
        """Return it as the table shows it."""
        return "/".join(self.verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class General:
    """What stands at a scenario's top, beside its tables."""

    title: str = setting("", doc="What happens, in a line. Needed.", sample="The cable is pulled")
    why: str = setting("", doc="Why it is tried, in a line. Needed.", sample="A dead cable is local.")
    before: str = setting("ok", doc="The verdict awaited before the event, \"\" for none.", choices=("", *_WORDS))  # fmt: skip
    before_rounds: int = setting(1, doc="How many rounds of it.", low=1, high=1000)
    collector: bool = setting(
        default=False, doc="Whether a collector runs although the device's own verdict counts."
    )
    ahead_days: int = setting(0, doc="How far the country's clocks and certificates are ahead of the device's.", unit="days", low=-20_000, high=20_000)  # fmt: skip
    dead: tuple[str, ...] = setting((), doc="Names that exist nowhere.", sample=("www.end.out",))
    cadence: str = setting(
        "quick",
        doc="How often the devices look: quick, a round every 5 s and every 2 s on a transition, or as shipped.",
        choices=PACES,
    )
    sweep: str = setting(
        "quick",
        doc="How often the vantage looks at targets: quick, every 10 s, or as shipped.",
        choices=PACES,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario. `devices` are those beside the first; `expected` has one for each moment from the event on."""

    name: str
    general: General
    home: HomeAt
    devices: tuple[DeviceAt, ...]
    delay: Delay
    nats: tuple[NatAt, ...]
    censors: tuple[CensorAt, ...]
    changes: tuple[Change, ...]
    page: Page | None
    second_vantage: SecondVantageAt | None
    expected: tuple[Expected, ...]

    @property
    def title(self) -> str:
        """What happens."""
        return self.general.title

    @property
    def has_collector(self) -> bool:
        """Return whether a collector runs."""
        asked = any(one.who != "device" for one in self.expected)
        return self.general.collector or asked or self.second_vantage is not None

    @property
    def text(self) -> str:
        """Return what is expected as the table shows it."""
        return ", then ".join(one.text for one in self.expected)

    @property
    def limit_s(self) -> float:
        """Return within how long after its event it must have come out."""
        return sum(one.limit_s for one in self.expected)
