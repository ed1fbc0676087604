"""Rounds that tests of the verdict are about, and for each rule one in which it speaks."""

from collections.abc import Sequence
from dataclasses import replace

from firmware.judgement.facts import Past
from firmware.judgement.observation import Observation
from firmware.model.failures import Failure
from firmware.model.record import Rung
from tests.firmware.rounds import cut, dark, everything_works, many, near, past, seen

OUT, IN, SITES = Rung.INTERNATIONAL, Rung.DOMESTIC, Rung.PLATFORMS
SILENT, RESET = Failure.TIMEOUT, Failure.CONNECTION_RESET
BAD_CERTIFICATE = Failure.SSL_INVALID_CERTIFICATE
PORTAL = seen(
    "portal",
    OUT,
    Failure.HTTP_UNEXPECTED_STATUS_CODE,
    operation="http_round_trip",
    test="http",
    target="http://check.example.org/generate_204",
    status=302,
)


def nothing_far(failure: str) -> list[Observation]:
    return [*many(IN, 4, failure), *many(OUT, 5, failure), *many(SITES, 4, failure)]


def part_silent() -> list[Observation]:
    """Return a round in which TLS is silent outside, and plain HTTP reaches one of the same networks."""
    checked = seen(
        "check", OUT, test="http", target="http://check.example.org/", network="AS-international-1"
    )
    return [*near(), *many(IN, 4), *many(OUT, 5, SILENT), *many(SITES, 4, SILENT), checked]


def large_lost(*, small: str | None = None) -> list[Observation]:
    """Return a round on a path that loses large packets: connects, pages without a body and small handshakes pass."""
    stuck = many(OUT, 3, SILENT, operation="tls_handshake", first=2)
    sites = many(SITES, 4, SILENT, operation="tls_handshake")
    tried_small = replace(
        seen("small", OUT, small, operation="tls_handshake", network="AS-international-1"),
        small_segments=True,
    )
    checked = seen("check", OUT, test="http", target="http://check.example.org/", network="AS-check")
    pinned_check = seen("pinned", OUT, test="http", target="http://192.0.2.1/", network="AS-international-2")
    return [*near(), *many(IN, 4), tried_small, checked, pinned_check, *stuck, *sites]


def only_web(*, ports: str | None = SILENT, datagrams: str | None = SILENT) -> list[Observation]:
    """Return a round in which the web is well, and other TCP ports and plain UDP fare as told."""
    others = [
        seen(
            f"port-{number}", OUT, ports, test="tcp", target=f"who.example.org:{40 + number}", network=network
        )
        for number, network in enumerate(("AS-international-1", "AS-international-2", "AS-registry"))
    ]
    clocks = [
        seen(
            f"ntp-{number}", OUT, datagrams, operation="ntp", test="ntp", target=f"clock-{number}.example.org"
        )
        for number in range(3)
    ]
    return [*everything_works(), *others, *clocks]


def slow_and_lossy() -> list[Observation]:
    """Return a round on a full line: ten times the delay, and every second target loses packets."""
    return [
        replace(one, best_ns=1_000_000_000, retransmitted=number % 2 == 0)
        if one.rung in (IN, OUT, SITES)
        else one
        for number, one in enumerate(everything_works())
    ]


def pinned(family: int, count: int, failure: str | None = None, *, rung: Rung = OUT) -> list[Observation]:
    """Return targets that are pinned to addresses of one family, those of both families in the same networks."""
    place = "192.0.2.{}:443" if family == 4 else "[2001:db8::{}]:443"
    return [
        seen(
            f"v{family}-{rung}-{number}",
            rung,
            failure,
            target=place.format(number),
            network=f"AS-{rung}-{number}",
        )
        for number in range(1, count + 1)
    ]


def four_silent() -> list[Observation]:
    """Return a round of a home with both families in which IPv4 abroad is gone and IPv6 is well."""
    inside = [*near(), *many(IN, 4)]
    return [*inside, *pinned(4, 4, SILENT), *pinned(6, 4), *many(SITES, 4, SILENT)]


def few_pass() -> list[Observation]:
    """Return a round in which one network abroad answers of eight that are asked, and the inside works."""
    return [*near(), *many(IN, 4), *many(OUT, 1), *many(OUT, 3, SILENT, first=2), *many(SITES, 4, SILENT)]


def past_few(*silent: str, rule_id: str = "few-networks-pass-unconfirmed") -> Past:
    """Return a round before of this rule, in which these reference targets were silent."""
    told = past(rule_id, verdict="inconclusive")
    failures = tuple(f"{name}: connect: generic_timeout_error" for name in silent)
    rungs = tuple(
        replace(state, failures=failures) if state.rung is OUT else state for state in told.ladder.rungs
    )
    return replace(told, ladder=replace(told.ladder, rungs=rungs))


def past_part(observations: Sequence[Observation]) -> Past:
    """Return a round before in which protocols parted, and the reference targets fared as in `observations`."""
    silent = [one.target_name for one in observations if one.rung is OUT and one.failure is not None]
    return past_few(*silent, rule_id="protocols-part-unconfirmed")


def ordinary_past(age_s: float) -> Past:
    told = past("controls-reached", age_s=age_s)
    rungs = tuple(replace(state, best_ns=100_000_000) for state in told.ladder.rungs)
    return replace(told, ladder=replace(told.ladder, rungs=rungs))


ORDINARY = [ordinary_past(30.0 * number) for number in range(8, 0, -1)]

STORIES: dict[str, tuple[Sequence[Observation], Sequence[Past]]] = {
    "link-down": (
        [
            *near(link=Failure.LINK_DOWN, address=Failure.NO_ADDRESS),
            *nothing_far(Failure.NETWORK_UNREACHABLE),
        ],
        (),
    ),
    "no-address": (
        [*near(address=Failure.NO_ADDRESS, resolver=SILENT), *nothing_far(Failure.NETWORK_UNREACHABLE)],
        (),
    ),
    "gateway-absent": (
        [*near(gateway=Failure.HOST_UNREACHABLE, resolver=SILENT), *nothing_far(Failure.HOST_UNREACHABLE)],
        (),
    ),
    "gateway-lost": (
        [*near(gateway=SILENT, resolver=SILENT), *nothing_far(SILENT)],
        [past("controls-reached", age_s=120)],
    ),
    "captive-portal": ([*near(), *many(IN, 4, SILENT), *many(OUT, 4, SILENT), PORTAL], ()),
    "international-cut": (cut(), ()),
    "international-silent-unconfirmed": (cut(confirmed=False), ()),
    "isp-or-wider-outage": (dark(), ()),
    "all-silent-unconfirmed": (dark(confirmed=False), ()),
    "through-a-tunnel": ([replace(one, uplink="tunnel") for one in everything_works()], ()),
    "protocol-filtering": (part_silent(), [past_part(part_silent())]),
    "protocols-part-unconfirmed": (part_silent(), ()),
    "large-packets-vanish": (large_lost(), [past("protocols-part-unconfirmed", verdict="inconclusive")]),
    "delay-and-loss": (slow_and_lossy(), ORDINARY),
    "certificates-refused": (
        [*near(), *many(IN, 4, BAD_CERTIFICATE), *many(OUT, 5, BAD_CERTIFICATE, operation="tls_handshake")],
        (),
    ),
    "names-unresolved": (
        [
            *near(resolver=SILENT),
            *many(IN, 4, Failure.DNS_TEMPORARY_FAILURE, operation="resolve"),
            *[replace(one, target="192.0.2.1:443") for one in many(OUT, 5)],
        ],
        (),
    ),
    "controls-reached": (everything_works(), ()),
    "no-control": ([*near(), *many(IN, 4)], ()),
    "mixed-evidence": ([*near(), *many(IN, 4), *many(OUT, 2), *many(OUT, 3, SILENT, first=3)], ()),
    "one-family-silent": (four_silent(), ()),
    "few-networks-pass": (few_pass(), [past_few("international-2", "international-3", "international-4")]),
    "few-networks-pass-unconfirmed": (few_pass(), ()),
    "much-is-silent": (
        [*near(), *many(IN, 4), *many(OUT, 3), *many(OUT, 2, SILENT, first=4), *many(SITES, 4, SILENT)],
        (),
    ),
}
