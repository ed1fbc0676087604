"""Kinds of countries: what each is about. Free ones have faults of homes, lines, providers, servers, cities; others a censor.

Each kind is a truth that somebody has met or that a line nobody planned may bring; what becomes of it is not known here.
This file must never know a rule.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.country.drawing import NOBODY, Drawing
from tests.country.truth import How, Ill, Wrong

_DAY_S: Final = 86_400.0
_HOWS: Final = (How.DROP, How.DROP, How.RESET, How.LATE_RESET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of country. A long one lasts for days, in which its devices are mostly without power."""

    name: str
    draw: Callable[[Drawing], Iterator[Wrong]]
    is_long: bool = False


def _slow(on: Drawing) -> Iterator[Wrong]:
    meant = on.provider() if on.rng.random() < 0.5 else on.some_homes(3)
    yield on.line_worse(
        meant,
        on.main_span(),
        share=on.rng.choice((0.0, 0.02, 0.1)),
        extra_ms=on.rng.choice((1_200.0, 2_000.0, 3_000.0)),
    )


def _lossy(on: Drawing) -> Iterator[Wrong]:
    meant = on.provider() if on.rng.random() < 0.5 else on.some_homes(3)
    yield on.line_worse(
        meant, on.main_span(), share=on.rng.choice((0.15, 0.25, 0.35)), extra_ms=on.rng.choice((0.0, 100.0))
    )


def _blips(on: Drawing) -> Iterator[Wrong]:
    """Draw a line, or a provider, that is gone for some seconds, again and again."""
    meant = on.provider() if on.rng.random() < 0.6 else on.some_homes(3)
    ill = on.rng.choice((Ill.PROVIDER_DARK, Ill.PROVIDER_DARK, Ill.ROUTER_DEAD, Ill.LINK_DOWN))
    # Either it flaps, or it goes for longer, now and then.
    lasts_s, apart_s = on.rng.choice((((6, 12), (30, 80)), ((8, 40), (100, 300))))
    since_s, until_s = on.main_span()
    while since_s < until_s:
        yield on.wrong(ill, meant, (since_s, since_s + on.rng.uniform(*lasts_s)))
        since_s += on.rng.uniform(*apart_s)


def _large_packets(on: Drawing) -> Iterator[Wrong]:
    yield on.wrong(Ill.MTU_HOLE, on.provider() if on.rng.random() < 0.4 else on.some_homes(3), on.main_span())


def _resetting_server(on: Drawing) -> Iterator[Wrong]:
    yield on.wrong(Ill.SERVER_RESETS_NAME, NOBODY, on.main_span(), *on.of(on.platforms, 1, 2))


def _refusing_platform(on: Drawing) -> Iterator[Wrong]:
    yield on.wrong(Ill.SERVER_REFUSES_COUNTRY, on.all(), on.main_span(), *on.of(on.platforms, 1, 2))


def _collector(on: Drawing) -> Iterator[Wrong]:
    since_s, (_, until_s) = on.calm_s, on.main_span()
    while since_s < until_s:
        since_s += on.rng.uniform(0, 900)
        lasts_s = on.rng.uniform(620, 1_000)
        yield on.wrong(Ill.COLLECTOR_DOWN, NOBODY, (since_s, min(since_s + lasts_s, on.length_s)))
        since_s += lasts_s + 300


def _city_without_power(on: Drawing) -> Iterator[Wrong]:
    yield on.wrong(Ill.POWER_CUT, on.region(is_largest=True), on.main_span())


def _sign_in(on: Drawing) -> Iterator[Wrong]:
    span_s, meant = on.main_span(), on.some_homes(2)
    yield on.wrong(Ill.SIGN_IN, meant, span_s)
    yield on.wrong(Ill.RESOLVER_DEAD, meant, span_s)


def _provider(on: Drawing) -> Iterator[Wrong]:
    ill = on.rng.choice((Ill.PROVIDER_DARK, Ill.CABLE, Ill.RESOLVER_DEAD, Ill.RESOLVER_LIES))
    yield on.wrong(ill, on.provider(), on.main_span())


def _servers(on: Drawing) -> Iterator[Wrong]:
    how = on.rng.choice((How.DROP, How.RESET))
    yield on.wrong(Ill.SERVER_DOWN, NOBODY, on.main_span(), *on.of(on.platforms, 1, 2), how=how)
    yield on.wrong(Ill.ANCHOR_DOWN, NOBODY, on.main_span(), *on.of(on.anchors, 1, 2))


def _everyday(on: Drawing) -> Iterator[Wrong]:
    for _ in range(3):
        yield from on.beside()


FREE: Final[tuple[Kind, ...]] = (
    Kind(name="slow-lines", draw=_slow),
    Kind(name="lossy-lines", draw=_lossy),
    Kind(name="short-outages", draw=_blips),
    Kind(name="large-packets-vanish", draw=_large_packets),
    Kind(name="server-resets-name", draw=_resetting_server),
    Kind(name="platform-refuses-country", draw=_refusing_platform),
    Kind(name="collector-down", draw=_collector),
    Kind(name="city-without-power", draw=_city_without_power),
    Kind(name="sign-in-page", draw=_sign_in),
    Kind(name="provider-fault", draw=_provider),
    Kind(name="servers-down", draw=_servers),
    Kind(name="everyday-faults", draw=_everyday),
)
"""What no censor does."""


def _cut(on: Drawing) -> Iterator[Wrong]:
    yield on.wrong(Ill.CUT, on.all(), on.main_span(), how=on.rng.choice(_HOWS))


def _progressive(on: Drawing) -> Iterator[Wrong]:
    """Draw provider after provider, as in November 2019; some stay on."""
    _, homes = on.most(0.15) if on.rng.random() < 0.5 else on.all()
    since_s, until_s = on.main_span()
    step_s = on.rng.choice((300, 900, 1_800)) * min(1.0, on.length_s / (6 * 3_600))
    ill = on.rng.choice((Ill.CUT, Ill.CUT, Ill.SHUTDOWN))
    for place, of in enumerate(on.by_provider(homes)):
        begins_s = min(since_s + place * step_s, until_s - 60)
        yield on.wrong(ill, (on.all()[0], of), (begins_s, until_s))


def _allow_list(on: Drawing) -> Iterator[Wrong]:
    yield on.wrong(Ill.ALLOW_LIST, on.all(), on.main_span(), *on.of(on.references, 1, 2, 2, 3))


def _one_family(on: Drawing) -> Iterator[Wrong]:
    yield on.wrong(Ill.FAMILY_CUT, on.all(), on.main_span())


def _protocols(on: Drawing) -> Iterator[Wrong]:
    ill = on.rng.choice((Ill.TLS_FILTERED, Ill.THREE_PORTS))
    yield on.wrong(ill, on.all() if on.rng.random() < 0.6 else on.provider(), on.main_span())


def _blocked(on: Drawing) -> Iterator[Wrong]:
    ill = on.rng.choice((Ill.BLOCKED_DNS, Ill.BLOCKED_TCP, Ill.BLOCKED_TLS))
    meant = on.provider() if on.rng.random() < 0.2 else on.all()
    yield on.wrong(ill, meant, on.main_span(), *on.of(on.platforms, 1, 1, 2, 3), how=on.rng.choice(_HOWS))


def _now_and_then(on: Drawing) -> Iterator[Wrong]:
    hosts = on.of(on.platforms, 1, 2)
    yield on.wrong(
        Ill.BLOCKED_TLS, on.all(), on.main_span(), *hosts, how=How.RESET, share=on.rng.choice((0.1, 0.2, 0.3))
    )


def _cut_without_names(on: Drawing) -> Iterator[Wrong]:
    """Draw a cut in which the provider's resolvers die as well, and an anchor, or there is a sign-in page besides."""
    span_s, meant = on.main_span(), on.all()
    yield on.wrong(Ill.CUT, meant, span_s, how=How.DROP)
    yield on.wrong(Ill.RESOLVER_DEAD, meant if on.rng.random() < 0.5 else on.provider(), span_s)
    if on.rng.random() < 0.5:
        yield on.wrong(Ill.ANCHOR_DOWN, NOBODY, span_s, *on.of(on.anchors, 1))
    if on.rng.random() < 0.5:
        yield on.wrong(Ill.SIGN_IN, on.some_homes(1), span_s)


def _cut_with_cache(on: Drawing) -> Iterator[Wrong]:
    """Draw a cut; a platform's cache, or a network that nobody thought of, answers on."""
    pool = on.platforms if on.rng.random() < 0.7 else on.references
    yield on.wrong(Ill.CUT, on.all(), on.main_span(), *on.of(pool, 1), how=How.DROP)


def _partial(on: Drawing) -> Iterator[Wrong]:
    meant = on.most(0.25) if on.rng.random() < 0.5 else on.region(2)
    yield on.wrong(on.rng.choice((Ill.CUT, Ill.SHUTDOWN)), meant, on.main_span())


def _by_group(on: Drawing) -> Iterator[Wrong]:
    meant = on.rng.choice((on.mobile, on.region, on.provider))()
    yield on.wrong(on.rng.choice((Ill.CUT, Ill.SHUTDOWN)), meant, on.main_span())


def _weeks(on: Drawing) -> Iterator[Wrong]:
    """Draw a shutdown of more than a week, in which most homes have no power either; some come back before the others."""
    since_s, back_s = 1_800.0, on.rng.uniform(7.05, 12) * _DAY_S
    numbers = sorted(one.number for one in on.homes)
    back = frozenset(on.rng.sample(numbers, on.rng.choice((3, 3, 4, len(numbers) // 2))))
    for ill in (Ill.SHUTDOWN, Ill.POWER_CUT):
        scope, everyone = on.all()
        yield on.wrong(ill, (scope, back), (since_s, back_s))
        yield on.wrong(ill, (scope, everyone - back), (since_s, back_s + 3_600))


CENSORED: Final[tuple[Kind, ...]] = (
    Kind(name="cut", draw=_cut),
    Kind(name="progressive-cut", draw=_progressive),
    Kind(name="allow-list", draw=_allow_list),
    Kind(name="one-family-cut", draw=_one_family),
    Kind(name="protocols-filtered", draw=_protocols),
    Kind(name="platforms-blocked", draw=_blocked),
    Kind(name="blocked-now-and-then", draw=_now_and_then),
    Kind(name="cut-without-names", draw=_cut_without_names),
    Kind(name="cut-with-a-cache", draw=_cut_with_cache),
    Kind(name="partial-cut", draw=_partial),
    Kind(name="one-group-cut", draw=_by_group),
    Kind(name="cut-of-weeks", draw=_weeks, is_long=True),
)
"""What a censor does."""

FULL_IN: Final = "slow-lines"
"""Of this kind of country every one has homes that fill their lines, for as long as it is about something."""
FULL_BESIDE: Final = 0.4
"""The share of the others in which some do for a while."""

LINES_OF: Final[Mapping[str, Sequence[str]]] = {
    "slow-lines": ("very-slow", "mobile-edge", "satellite"),
    "lossy-lines": ("lossy", "very-lossy", "lopsided"),
    "one-family-cut": ("dual-stack",),
}
"""Lines that half the homes of a kind of country have."""
