"""Small truths in which something false was said before a rule was mended: what the generator found, made small.

Each says what was false and why. Nothing false may be said in one again. This file must never hold what was not found by playing.
"""

from dataclasses import dataclass
from typing import Final

from tests.country.oracle import Mark
from tests.country.truth import Home, Ill, Provider, Scope, Truth, Wrong

_FIXED: Final = (Provider(name="AS64500", kind="fixed"), Provider(name="AS64502", kind="fixed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A truth, and the false verdict that was said in it: by whom (`device`, `site`, `country`), which word, by which rule."""

    name: str
    truth: Truth
    who: str
    mark: Mark
    word: str
    rule_id: str
    why: str
    is_long: bool = False
    """Whether it takes more than some seconds to play."""


_REFERENCES: Final = frozenset({"www.gnu.org", "www.debian.org", "www.python.org"})
_CONNECTS: Final = frozenset({"ftp.gnu.org", "whois.iana.org", "whois.ripe.net", "irancell.ir"})
"""Hosts that are asked for a connect alone, which ends within 10 s where a handshake does not."""
_FIRST: Final = frozenset({0})


def _homes(*lines: str, router_resolves: bool = False) -> tuple[Home, ...]:
    return tuple(
        Home(
            number=number,
            provider=_FIXED[number % 2],
            province="Tehran",
            line=line,
            router_resolves=router_resolves,
        )
        for number, line in enumerate(lines)
    )


def _wrong(ill: Ill, *hosts: str) -> Wrong:
    return Wrong(ill=ill, since_s=40, until_s=7_200, homes=_FIRST, hosts=frozenset(hosts))


_BACK: Final = frozenset({0, 1, 2})
_STILL_LOST: Final = frozenset({3, 4, 5})
_DAY_S: Final = 86_400.0


def _lost(ill: Ill, homes: frozenset[int], until_s: float) -> Wrong:
    return Wrong(ill=ill, since_s=300, until_s=until_s, homes=homes, scope=Scope.NATION)


MENDED: Final[tuple[Known, ...]] = (
    Known(
        name="server-refuses-the-country",
        truth=Truth(
            seed=1,
            hours=0.2,
            homes=_homes("fibre"),
            wrongs=(_wrong(Ill.SERVER_REFUSES_COUNTRY, "x.com"),),
        ),
        who="site",
        mark=Mark.ACCUSES,
        word="blocked_tcp",
        rule_id="connect-stopped",
        why="A platform that itself drops a country looks like a block from one vantage.",
    ),
    Known(
        name="server-refuses-the-country-and-the-second-vantage",
        truth=Truth(
            seed=1,
            hours=0.2,
            homes=_homes("fibre"),
            wrongs=(_wrong(Ill.SERVER_REFUSES_COUNTRY, "x.com"),),
            has_second=True,
        ),
        who="site",
        mark=Mark.ACCUSES,
        word="blocked_tcp",
        rule_id="connect-stopped",
        why="The same, with somebody who could tell.",
    ),
    Known(
        name="three-references-allowed",
        truth=Truth(
            seed=1,
            hours=0.04,
            homes=_homes("fibre"),
            wrongs=(_wrong(Ill.ALLOW_LIST, *sorted(_REFERENCES)),),
            has_vantage=False,
        ),
        who="device",
        mark=Mark.COMFORTS,
        word="ok",
        rule_id="controls-reached",
        why="Half of the reference networks suffice for ok, whatever becomes of every platform.",
    ),
    Known(
        name="filtered-on-a-line-that-is-slow-at-times",
        truth=Truth(
            seed=3,
            hours=0.4,
            homes=_homes("bursty"),
            wrongs=(_wrong(Ill.TLS_FILTERED),),
        ),
        who="device",
        mark=Mark.COMFORTS,
        word="ok",
        rule_id="controls-reached",
        why="No filter is named on a line that is not quick; what was left then was ok, without one handshake.",
    ),
    Known(
        name="cut-forgotten-after-seven-days",
        truth=Truth(
            seed=1,
            hours=7.05 * 24 + 0.6,
            homes=_homes(*["fibre"] * 6),
            # Their power is cut as well, which costs no rounds.
            wrongs=tuple(
                _lost(ill, homes, until_s)
                for ill in (Ill.SHUTDOWN, Ill.POWER_CUT)
                for homes, until_s in ((_BACK, 7.05 * _DAY_S), (_STILL_LOST, 9 * _DAY_S))
            ),
            sweep_s=86_400,
        ),
        who="country",
        mark=Mark.COMFORTS,
        word="ok",
        rule_id="devices-well",
        why="A device that was not heard for seven days stands for nothing, so that those who are back are all there is.",
        is_long=True,
    ),
    Known(
        name="city-without-power",
        truth=Truth(
            seed=1,
            hours=0.45,
            homes=tuple(
                Home(
                    number=number,
                    provider=_FIXED[number % 2],
                    province="Yazd" if number < 4 else "Fars",
                    line="fibre",
                )
                for number in range(7)
            ),
            wrongs=(
                Wrong(
                    ill=Ill.POWER_CUT,
                    since_s=615,
                    until_s=3_600,
                    homes=frozenset(range(4)),
                    scope=Scope.REGION,
                ),
            ),
        ),
        who="country",
        mark=Mark.ACCUSES,
        word="regional_shutdown",
        rule_id="one-region-lost",
        why="Silences that begin together are a shutdown of their province, also where its power failed.",
        is_long=True,
    ),
    Known(
        name="collector-down",
        truth=Truth(
            seed=1,
            hours=0.36,
            homes=_homes("fibre", "fibre", "fibre"),
            wrongs=(Wrong(ill=Ill.COLLECTOR_DOWN, since_s=615, until_s=2_100),),
        ),
        who="country",
        mark=Mark.ACCUSES,
        word="total_shutdown",
        rule_id="networks-lost-together",
        why="A sample of the vantage from before the silence proves that the collector is well.",
    ),
    Known(
        name="collector-down-for-less-than-a-sweep",
        truth=Truth(
            seed=2,
            hours=0.6,
            homes=_homes(*["fibre"] * 5),
            wrongs=(Wrong(ill=Ill.COLLECTOR_DOWN, since_s=615, until_s=1_180),),
        ),
        who="country",
        mark=Mark.ACCUSES,
        word="total_shutdown",
        rule_id="networks-lost-together",
        why="Both sweeps around it reach everything, and devices wait before they try again.",
    ),
    Known(
        name="large-packets-vanish",
        truth=Truth(
            seed=1, hours=0.06, homes=_homes("fibre"), wrongs=(_wrong(Ill.MTU_HOLE),), has_vantage=False
        ),
        who="device",
        mark=Mark.ACCUSES,
        word="protocol_filtering",
        rule_id="protocol-filtering",
        why="A path that eats large packets lets 204 and connects through and no certificate: nobody looks at its MTU.",
    ),
    Known(
        name="one-family-cut",
        truth=Truth(
            seed=1,
            hours=0.06,
            homes=_homes("dual-stack"),
            wrongs=(_wrong(Ill.FAMILY_CUT),),
            has_vantage=False,
        ),
        who="device",
        mark=Mark.WRONG_KIND,
        word="international_cut",
        rule_id="international-cut",
        why="All that is pinned is of IPv4, and platforms are tried by one address: IPv6, which is well, is never asked.",
    ),
    Known(
        name="sign-in-page-without-a-resolver",
        truth=Truth(
            seed=1,
            hours=0.06,
            homes=_homes("fibre"),
            wrongs=(_wrong(Ill.SIGN_IN), _wrong(Ill.RESOLVER_DEAD)),
            has_vantage=False,
        ),
        who="device",
        mark=Mark.ACCUSES,
        word="isp_or_wider_outage",
        rule_id="isp-or-wider-outage",
        why="The one plain-HTTP check goes by name: where no resolver answers, nobody meets the sign-in page.",
    ),
    Known(
        name="server-resets-one-name",
        truth=Truth(
            seed=1,
            hours=0.06,
            homes=_homes("fibre"),
            wrongs=(_wrong(Ill.SERVER_RESETS_NAME, "x.com"),),
            has_vantage=False,
        ),
        who="site",
        mark=Mark.ACCUSES,
        word="blocked_tls",
        rule_id="innocuous-name-passes",
        why="An innocuous name that passes is taken for a filter's doing without any vantage, and it is the server's own.",
    ),
    Known(
        name="server-resets-one-name-while-the-collector-is-cut-off",
        truth=Truth(
            seed=1,
            hours=0.14,
            homes=_homes("fibre"),
            wrongs=(
                Wrong(ill=Ill.COLLECTOR_DOWN, since_s=30, until_s=7_200),
                _wrong(Ill.SERVER_RESETS_NAME, "x.com"),
            ),
        ),
        who="site",
        mark=Mark.ACCUSES,
        word="blocked_tls",
        rule_id="innocuous-name-passes",
        why="The same with a vantage whose last news is from before its server began to reset it.",
    ),
    Known(
        name="a-quarter-of-the-packets-lost",
        truth=Truth(
            seed=1,
            hours=1.0,
            homes=_homes("very-lossy", "lossy", "very-lossy"),
            wrongs=(
                Wrong(ill=Ill.LINE_WORSE, since_s=300, until_s=7_200, homes=frozenset(range(3)), share=0.25),
            ),
        ),
        who="device",
        mark=Mark.ACCUSES,
        word="blocked_tls",
        rule_id="platform-blocked-in-handshake",
        why="A platform's handshake times out in two rounds by loss, and an innocuous name happens to pass: that accuses.",
        is_long=True,
    ),
    Known(
        name="slow-line",
        truth=Truth(
            seed=1,
            hours=0.1,
            homes=_homes("very-slow", router_resolves=True),
            # Asked again after 10 s of silence, it would answer after the handshakes.
            wrongs=(Wrong(ill=Ill.ANCHOR_DOWN, since_s=0, until_s=7_200, hosts=_CONNECTS | {"host-dns-ir"}),),
            has_vantage=False,
        ),
        who="device",
        mark=Mark.ACCUSES,
        word="isp_or_wider_outage",
        rule_id="isp-or-wider-outage",
        why="A handshake that has connected and is still out after 10 s is taken for silence.",
    ),
    Known(
        name="line-that-got-slow",
        truth=Truth(
            seed=1,
            hours=0.06,
            homes=_homes("fibre", router_resolves=True),
            wrongs=(
                Wrong(ill=Ill.LINE_WORSE, since_s=40, until_s=3_600, homes=_FIRST, share=0.1, extra_ms=3_000),
                Wrong(ill=Ill.ANCHOR_DOWN, since_s=40, until_s=7_200, hosts=_CONNECTS),
            ),
            has_vantage=False,
        ),
        who="device",
        mark=Mark.ACCUSES,
        word="isp_or_wider_outage",
        rule_id="isp-or-wider-outage",
        why="The same, of a full line whose packets are late by seconds and arrive.",
    ),
)
"""What was, and must not be again."""
