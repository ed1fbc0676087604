"""The verdict: every rule can speak, every trap is walked around, and what must never be said is never said."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.facts import Past
from firmware.judgement.observation import Observation
from firmware.judgement.round.rules import RULES, Rule
from firmware.judgement.round.verdict import decide
from firmware.model.failures import Failure
from firmware.model.record import Rung, Verdict
from firmware.model.statement import stated
from firmware.model.verdict_words import COLLECTOR_ONLY, DEVICE_WORDS, VerdictWord
from tests.english import ENGLISH, lines, overturned_by, strays
from tests.firmware.rounds import S, again, cut, dark, everything_works, many, near, past, seen

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


# The rules about platforms have stories of their own: tests/firmware/judgement/site/test_targets.py.
OF_PAGES = {"resolver-lies", *(rule.rule_id for rule in RULES if rule.rule_id.startswith("platform-"))}


@pytest.mark.parametrize(
    "rule", [one for one in RULES if one.rule_id not in OF_PAGES], ids=lambda rule: rule.rule_id
)
def test_every_rule_speaks_in_its_story(rule: Rule) -> None:
    observations, history = STORIES[rule.rule_id]
    verdict = decide(observations, history)
    assert (verdict.rule_id, verdict.verdict) == (rule.rule_id, rule.verdict)
    assert lines(verdict)
    assert strays(verdict) == []
    assert verdict.overturned_by == "", "the catalogue says it, by the rule"
    assert overturned_by(verdict)


def test_the_table_is_readable() -> None:
    assert len({rule.rule_id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.verdict in DEVICE_WORDS
        assert ENGLISH.rule(rule.rule_id, rule.numbers).endswith(".")
        assert ENGLISH.overturned_by(rule.rule_id).endswith(".")
        assert rule.rungs


def test_every_word_has_a_meaning_and_one_place() -> None:
    assert all(ENGLISH.say(f"verdict.{word}.meaning").endswith(".") for word in VerdictWord)
    assert set(VerdictWord) == DEVICE_WORDS | COLLECTOR_ONLY
    assert not DEVICE_WORDS & COLLECTOR_ONLY


class TestTraps:
    """The facts that trip naive rules (docs/explanation/verdicts.md), each with a round that would trip one."""

    def test_a_reset_after_12_s_of_silence_is_a_failure_like_any_other(self) -> None:
        late = [replace(one, end_ns=one.start_ns + 12_200_000_000) for one in many(OUT, 5, RESET)]
        observations = [*near(), *many(IN, 4), *late, *many(SITES, 4, RESET)]
        confirmed = [*observations, *again(observations)]
        assert decide(observations).rule_id == "international-silent-unconfirmed"
        assert decide(confirmed).verdict == "international_cut"

    def test_handshakes_that_run_out_of_time_over_connections_that_stand_are_no_silence(self) -> None:
        """A slow line: every connection is accepted, abroad and at home, and no handshake ends in its ten seconds."""
        late = [one for rung in (IN, OUT, SITES) for one in many(rung, 4, SILENT, operation="tls_handshake")]
        for told in ([*near(), *many(IN, 4), *late[4:]], [*near(), *late]):
            assert decide([*told, *again(told)]).verdict == "inconclusive"
        # One of them is enough: somebody abroad has answered.
        told = [*near(), *many(IN, 4), *many(OUT, 4, SILENT), replace(late[-1], target_name="more")]
        assert decide([*told, *again(told)]).verdict == "inconclusive"

    def test_the_anchors_prove_a_cut_though_references_are_asked_again_beside_them(self) -> None:
        told = [*near(), *many(IN, 4), *many(OUT, 5, SILENT), *many(SITES, 4, SILENT)]
        afresh = [
            replace(one, start_ns=one.start_ns + 21 * S, end_ns=one.end_ns + 21 * S) for one in told[8:11]
        ]
        assert {one.rung for one in afresh} == {OUT}
        assert decide([*told, *afresh, *again(told)]).verdict == "international_cut"
        back = [replace(one, failure=None, failed_operation=None) for one in afresh]
        assert decide([*told, *back, *again(told)]).verdict == "inconclusive"

    def test_dns_answers_from_a_cache_are_no_connectivity(self) -> None:
        # every target outside is silent, and the resolver answers for all of their names
        cached = [seen(f"dns-{number}", OUT, test="dns") for number in range(5)]
        assert decide([*cut(), *cached]).verdict == "international_cut"
        assert decide([*near(), *cached, *many(OUT, 3, SILENT)]).verdict != "ok"

    def test_dns_answers_are_no_domestic_anchors(self) -> None:
        anchors = [
            seen(f"d-{number}", IN, test="dns", at_s=at_s) for number in range(4) for at_s in (0.1, 22)
        ]
        assert decide([*near(), *anchors, *many(OUT, 5, SILENT)]).verdict != "international_cut"

    def test_dns_fails_and_no_reference_was_reachable(self) -> None:
        unnamed = many(OUT, 5, Failure.DNS_TEMPORARY_FAILURE, operation="resolve")
        verdict = decide([*near(resolver=SILENT), *unnamed])
        assert verdict.verdict == "inconclusive"
        # and names that are not resolved are no silence either, though domestic names are
        assert decide([*near(), *many(IN, 4), *unnamed, *many(IN, 4, at_s=22)]).verdict == "inconclusive"

    @pytest.mark.parametrize("blocked", [1, 3, 4])
    def test_blocked_sites_are_no_outage(self, blocked: int) -> None:
        platforms = [
            *many(SITES, blocked, RESET, operation="tls_handshake"),
            *many(SITES, 4 - blocked, first=blocked + 1),
        ]
        verdict = decide([*near(), *many(IN, 4), *many(OUT, 5), *platforms])
        assert verdict.verdict == "ok"
        named = [
            stated(
                "not-reached-in-step",
                rung="platforms",
                target=f"platforms-{number}",
                operation="tls_handshake",
                failure="connection_reset",
            )
            for number in range(1, blocked + 1)
        ]
        assert [one for one in verdict.evidence if one.code.startswith("not-reached")] == named

    def test_an_address_that_answers_ping_and_forwards_nothing(self) -> None:
        assert decide(dark()).verdict == "isp_or_wider_outage"

    def test_a_clock_a_year_off_is_no_cut(self) -> None:
        refused = [
            *many(IN, 4, BAD_CERTIFICATE),
            *many(OUT, 5, BAD_CERTIFICATE),
            *many(SITES, 4, BAD_CERTIFICATE),
        ]
        assert decide([*near(), *refused, *again([*near(), *refused])]).verdict == "inconclusive"

    def test_a_line_without_ipv6_is_not_cut_off_over_it(self) -> None:
        sixes = [
            seen(f"v6-{number}", OUT, Failure.NETWORK_UNREACHABLE, target="[2001:db8::1]:443")
            for number in range(9)
        ]
        assert decide([*everything_works(), *sixes]).verdict == "ok"

    def test_a_line_without_ipv4_is_not_cut_off_over_it(self) -> None:
        fours = [
            seen(f"v4-{number}", OUT, Failure.NETWORK_UNREACHABLE, target="192.0.2.1:443")
            for number in range(9)
        ]
        only_six = [
            replace(one, routes=frozenset({6}), next_hops=frozenset({6})) if one.rung is Rung.ADDRESS else one
            for one in everything_works()
        ]
        assert decide([*only_six, *fours]).verdict == "ok"

    def test_broken_ipv6_is_no_outage(self) -> None:
        # IPv6 has a route and nothing comes back; the same networks answer over IPv4
        broken = [
            seen(
                f"v6-{number}", OUT, SILENT, target="[2001:db8::1]:443", network=f"AS-international-{number}"
            )
            for number in range(1, 6)
        ]
        assert decide([*everything_works(), *broken]).verdict == "ok"

    def test_wifi_that_drops_mid_round_is_no_cut(self) -> None:
        # the anchors answered at once, then the Wi-Fi was gone for the rest of the round
        start = cut(confirmed=False)
        verdict = decide([*start, *again(start, link=Failure.LINK_DOWN, domestic=SILENT, gateway=SILENT)])
        assert verdict.verdict in {"inconclusive", "local_fault"}

    def test_one_bad_round_among_good_ones_must_be_confirmed(self) -> None:
        good = [past("controls-reached", age_s=age_s) for age_s in (150, 120, 30)]
        assert decide(cut(confirmed=False), good).verdict == "inconclusive"
        assert decide(dark(confirmed=False), good).verdict == "inconclusive"

    def test_two_bad_rounds_in_a_row_confirm_each_other(self) -> None:
        first = past("international-silent-unconfirmed", verdict="inconclusive")
        assert decide(cut(confirmed=False), [past("controls-reached"), first]).verdict == "international_cut"
        first = past("all-silent-unconfirmed", verdict="inconclusive")
        assert decide(dark(confirmed=False), [first]).verdict == "isp_or_wider_outage"

    def test_a_bad_round_of_long_ago_confirms_nothing(self) -> None:
        old = past("international-silent-unconfirmed", verdict="inconclusive", age_s=3600)
        assert decide(cut(confirmed=False), [old]).verdict == "inconclusive"

    def test_a_router_that_answered_yesterday_is_not_blamed(self) -> None:
        observations, _ = STORIES["gateway-lost"]
        assert decide(observations, [past("controls-reached", age_s=3500)]).rule_id == "gateway-lost"
        assert decide(observations, [past("controls-reached", age_s=86_400)]).verdict == "inconclusive"

    def test_a_router_that_never_answered_ping_is_not_blamed(self) -> None:
        mute = [*near(gateway=SILENT), *many(IN, 4, SILENT), *many(OUT, 5, SILENT)]
        rungs = [Rung.LINK, Rung.ADDRESS, Rung.RESOLVER]
        verdict = decide([*mute, *again(mute)], [past("controls-reached", reached=rungs)])
        assert verdict.verdict == "isp_or_wider_outage"
        assert decide([*near(gateway=SILENT), *many(IN, 4), *many(OUT, 5)]).verdict == "ok"

    def test_a_point_to_point_line_has_no_gateway_to_miss(self) -> None:
        def point_to_point(observations: Sequence[Observation]) -> list[Observation]:
            return [
                replace(one, next_hops=frozenset()) if one.rung is Rung.ADDRESS else one
                for one in observations
            ]

        lost = [*near(gateway=Failure.NO_GATEWAY, resolver=SILENT), *nothing_far(SILENT)]
        assert decide(point_to_point([*lost, *again(lost)])).verdict == "isp_or_wider_outage"
        up = [*near(gateway=Failure.NO_GATEWAY), *many(OUT, 5)]
        assert decide(point_to_point(up)).verdict == "ok"

    def test_a_block_page_is_no_sign_in_page(self) -> None:
        blocked = replace(PORTAL, http_status=403)
        assert decide([*near(), *many(OUT, 4, SILENT), blocked]).verdict != "captive_portal"

    def test_a_proxy_that_meddles_with_plain_http_is_no_sign_in_page(self) -> None:
        assert decide([*everything_works(), PORTAL]).verdict == "ok"

    def test_block_pages_inside_the_country_do_not_hide_a_cut(self) -> None:
        observations = cut()
        injected = [
            *many(SITES, 4, BAD_CERTIFICATE, operation="tls_handshake"),
            replace(PORTAL, http_status=403),
        ]
        assert (
            decide([*[one for one in observations if one.rung is not SITES], *injected]).verdict
            == "international_cut"
        )

    def test_one_platform_that_answers_is_no_cut(self) -> None:
        assert decide([*cut(), seen("cache", SITES)]).verdict == "inconclusive"

    def test_three_addresses_of_one_company_are_one_failure(self) -> None:
        one_owner = [replace(one, network="AS-one") for one in many(OUT, 5, SILENT)]
        observations = [*near(), *many(IN, 4), *one_owner]
        assert decide([*observations, *again(observations)]).verdict == "inconclusive"

    def test_without_domestic_anchors_no_cut_is_claimed(self) -> None:
        # the generic plan: what answers inside the country is not known
        outside = [*near(), *many(OUT, 5, SILENT), *many(SITES, 4, SILENT)]
        assert decide([*outside, *again(outside)]).verdict == "isp_or_wider_outage"

    def test_a_worker_that_died_is_no_outage(self) -> None:
        lost = [*many(IN, 4, Failure.WORKER_DIED), *many(OUT, 5, Failure.WORKER_DIED)]
        verdict = decide([*near(), *lost])
        assert (verdict.verdict, verdict.rule_id) == ("inconclusive", "no-control")

    def test_a_resolver_that_fails_once_does_not_outweigh_names_that_resolve(self) -> None:
        unnamed = many(SITES, 2, Failure.DNS_NXDOMAIN, operation="resolve")
        assert decide([*near(resolver=SILENT), *many(OUT, 5), *unnamed]).verdict == "ok"

    def test_a_mistake_of_ours_is_no_outage(self) -> None:
        broken = many(OUT, 5, "unknown_failure: AttributeError: 'NoneType' object has no attribute 'x'")
        observations = [*near(), *many(IN, 4), *broken]
        assert decide([*observations, *again(observations)]).verdict == "inconclusive"

    def test_half_the_references_lost_on_a_bad_evening_is_no_cut(self) -> None:
        for lost in range(1, 5):
            references = [*many(OUT, lost, SILENT), *many(OUT, 5 - lost, first=lost + 1)]
            assert decide([*near(), *many(IN, 4), *references]).verdict in {"ok", "inconclusive"}


@pytest.mark.parametrize(
    ("domestic", "references", "verdict"),
    [(2, 3, "international_cut"), (1, 3, "inconclusive"), (2, 2, "inconclusive")],
)
def test_a_cut_takes_two_anchors_and_three_references(domestic: int, references: int, verdict: str) -> None:
    observations = [*near(), *many(IN, domestic), *many(OUT, references, SILENT)]
    assert decide([*observations, *again(observations)]).verdict == verdict


def test_a_round_before_does_not_stand_in_for_an_anchor() -> None:
    before = [past("international-silent-unconfirmed", verdict="inconclusive")]
    observations = [*near(), *many(IN, 1), *many(OUT, 3, SILENT)]
    assert decide([*observations, *again(observations)], before).verdict == "inconclusive"


class TestACutWithADeadResolver:
    """One pinned anchor is enough where no name is resolved, if it proves itself in two rounds."""

    BEFORE = (past("international-silent-unconfirmed", verdict="inconclusive"),)

    @staticmethod
    def a_round(*, anchor: str | None = None, resolver: str | None = SILENT) -> list[Observation]:
        unnamed = Failure.DNS_TEMPORARY_FAILURE
        asked = [
            *near(resolver=resolver),
            *pinned(4, 1, anchor, rung=IN),
            *many(IN, 3, unnamed, first=2, operation="resolve"),
            *pinned(4, 4, SILENT),
            *many(SITES, 4, unnamed, operation="resolve"),
        ]
        return [*asked, *again([one for one in asked if one.failure is None])]

    def test_it_is_a_cut_in_the_second_round(self) -> None:
        assert decide(self.a_round()).rule_id == "international-silent-unconfirmed"
        assert decide(self.a_round(), self.BEFORE).verdict == "international_cut"

    def test_an_anchor_that_is_silent_as_well_is_none(self) -> None:
        assert decide(self.a_round(anchor=SILENT), self.BEFORE).verdict != "international_cut"

    @staticmethod
    def with_a_dead_anchor() -> list[Observation]:
        dead = seen("moved", IN, SILENT, target="192.0.2.77:443", network="AS-moved")
        return [dead, *TestACutWithADeadResolver.a_round()]

    @staticmethod
    def rounds_before(*failed: str, rule_id: str = "controls-reached") -> tuple[Past, ...]:
        """Return three rounds before in which these anchors were silent, abroad being reached, and the first of a cut."""
        told = past(rule_id, age_s=400)
        lines_of = {IN: tuple(f"{name}: connect: generic_timeout_error" for name in failed), OUT: ()}
        rungs = tuple(
            replace(state, failures=lines_of[state.rung], reached=3, tried=4)
            if state.rung in lines_of
            else state
            for state in told.ladder.rungs
        )
        before = replace(told, ladder=replace(told.ladder, rungs=rungs))
        return (before, before, before)

    def test_an_anchor_that_was_dead_before_the_cut_takes_nothing_from_it(self) -> None:
        """An address that has moved would else keep every cut with a dead resolver from being said."""
        before = self.rounds_before("moved")
        first = decide(self.with_a_dead_anchor(), before)
        assert first.rule_id == "international-silent-unconfirmed"
        unconfirmed = replace(self.BEFORE[0], ladder=before[0].ladder)
        assert decide(self.with_a_dead_anchor(), (*before, unconfirmed)).verdict == "international_cut"

    def test_what_is_known_of_an_anchor_lasts_as_long_as_the_cut(self) -> None:
        cut_before = tuple(
            replace(one, age_s=30) for one in self.rounds_before("moved", rule_id="international-cut")
        )
        assert decide(self.with_a_dead_anchor(), cut_before).verdict == "international_cut"

    def test_an_anchor_that_falls_silent_with_the_cut_may_mean_another_fault(self) -> None:
        for before in (self.rounds_before(), self.rounds_before("moved")[:2], ()):
            assert decide(self.with_a_dead_anchor(), (*before, *self.BEFORE)).verdict == "inconclusive"

    def test_one_anchor_is_too_few_where_names_resolve(self) -> None:
        named = [*near(), *pinned(4, 1, rung=IN), *pinned(4, 4, SILENT), *many(SITES, 4, SILENT)]
        assert decide([*named, *again(named)], self.BEFORE).verdict == "inconclusive"

    def test_one_that_answers_outside_refutes_it(self) -> None:
        answered = [*self.a_round(), seen("one", OUT, target="192.0.2.9:443")]
        assert decide(answered, self.BEFORE).verdict != "international_cut"


class TestAnAllowListAndADeadResolver:
    """A resolver that dies takes nothing from what was found before: the same is silent, the same passes."""

    WHICH = ("v4-international-2", "v4-international-3", "v4-international-4")

    @staticmethod
    def a_round(*, passing: int = 1) -> list[Observation]:
        unnamed = Failure.DNS_TEMPORARY_FAILURE
        outside = [
            replace(one, failure=None, failed_operation=None) if number == passing else one
            for number, one in enumerate(pinned(4, 4, SILENT), start=1)
        ]
        return [
            *near(resolver=SILENT),
            *pinned(4, 2, rung=IN),
            *many(IN, 2, unnamed, first=3, operation="resolve"),
            *outside,
            *many(SITES, 4, unnamed, operation="resolve"),
        ]

    def test_it_goes_on(self) -> None:
        before = past_few(*self.WHICH, rule_id="few-networks-pass")
        assert decide(self.a_round(), [before]).verdict == "allowlisted"

    def test_it_does_not_begin(self) -> None:
        for before in ([], [past_few(*self.WHICH)], [past_few(*self.WHICH, rule_id="names-unresolved")]):
            assert decide(self.a_round(), before).rule_id == "names-unresolved"

    def test_another_that_passes_is_loss(self) -> None:
        before = past_few(*self.WHICH, rule_id="few-networks-pass")
        assert decide(self.a_round(passing=2), [before]).verdict == "inconclusive"


@pytest.mark.parametrize(("silent", "verdict"), [(3, "isp_or_wider_outage"), (2, "inconclusive")])
def test_an_outage_takes_three_silent_networks(silent: int, verdict: str) -> None:
    observations = [*near(), *many(OUT, silent, SILENT)]
    assert decide([*observations, *again(observations)]).verdict == verdict


@pytest.mark.parametrize(
    ("reached", "tried", "verdict"),
    [(2, 4, "ok"), (2, 5, "inconclusive"), (3, 6, "ok"), (1, 1, "inconclusive")],
)
def test_ok_takes_two_networks_and_half_of_those_tried(reached: int, tried: int, verdict: str) -> None:
    references = [*many(OUT, reached), *many(OUT, tried - reached, SILENT, first=reached + 1)]
    assert decide([*near(), *references]).verdict == verdict


class TestOkIsAClaim:
    """`ok` is said only where what people use is not silent together with references, over each family that works."""

    def test_an_allow_list_that_spares_half_of_the_references_is_not_ok(self) -> None:
        spared = [*many(OUT, 2), *many(OUT, 2, SILENT, first=3)]
        for history in ((), (past("controls-reached"),)):
            assert decide([*near(), *many(IN, 4), *spared, *many(SITES, 4, SILENT)], history).verdict not in {
                "ok",
                "international_cut",
            }

    def test_references_that_are_silent_alone_are_no_reason(self) -> None:
        halves = [*many(OUT, 3), *many(OUT, 2, SILENT, first=4)]
        assert decide([*near(), *many(IN, 4), *halves, *many(SITES, 4)]).verdict == "ok"

    def test_platforms_that_are_silent_alone_are_no_reason(self) -> None:
        mostly = [*many(OUT, 4), *many(OUT, 1, SILENT, first=5)]
        assert decide([*near(), *many(IN, 4), *mostly, *many(SITES, 4, SILENT)]).verdict == "ok"

    def test_ipv4_cut_and_ipv6_well_is_neither_ok_nor_a_cut_and_names_the_family(self) -> None:
        verdict = decide(
            [*four_silent(), *again(four_silent())], [past("one-family-silent", verdict="inconclusive")]
        )
        assert (verdict.verdict, verdict.rule_id) == ("inconclusive", "one-family-silent")
        assert stated("family", family=4, reached=0, networks=4) in verdict.evidence
        assert stated("family", family=6, reached=4, networks=4) in verdict.evidence
        assert "over IPv4: 0 of 4 reference networks reached" in lines(verdict)

    def test_ipv6_cut_and_ipv4_well_is_not_ok_where_ipv6_works_inside(self) -> None:
        outside = [*near(), *many(IN, 4), *pinned(4, 4), *pinned(6, 4, SILENT), *many(SITES, 4)]
        verdict = decide([*outside, *pinned(6, 2, rung=IN)])
        assert (verdict.verdict, verdict.rule_id) == ("inconclusive", "one-family-silent")

    def test_ipv6_that_leads_nowhere_is_ok_and_named(self) -> None:
        outside = [*near(), *many(IN, 4), *pinned(4, 4), *pinned(6, 4, SILENT), *many(SITES, 4)]
        verdict = decide([*outside, *pinned(6, 2, SILENT, rung=IN)])
        assert verdict.verdict == "ok"
        assert stated("family", family=6, reached=0, networks=4) in verdict.evidence

    def test_a_port_that_is_filtered_is_no_family(self) -> None:
        # all of port 443 is dropped, IPv6 is asked on no other, and other ports answer over IPv4
        others = [
            replace(one, test="tcp", target=f"192.0.2.{number}:43") for number, one in enumerate(many(OUT, 3))
        ]
        inside = [*near(), *many(IN, 4), *pinned(6, 1, rung=IN)]
        verdict = decide([*inside, *pinned(4, 4, SILENT), *pinned(6, 4, SILENT), *others])
        assert verdict.rule_id != "one-family-silent"

    def test_handshakes_that_are_filtered_are_no_family(self) -> None:
        # IPv4 is asked by handshakes, which are dropped, and IPv6 for connects, which are not
        shaken = [replace(one, failed_operation="tls_handshake") for one in pinned(4, 4, SILENT)]
        connected = [replace(one, test="tcp") for one in pinned(6, 4)]
        assert decide([*near(), *many(IN, 4), *shaken, *connected]).rule_id != "one-family-silent"


class TestFewNetworksPass:
    """An allow-list: the same few pass in two rounds, and all others are silent."""

    SILENT_BEFORE = ("international-2", "international-3", "international-4")

    def test_other_networks_in_the_round_before_are_loss(self) -> None:
        others = past_few("international-1", "international-3", "international-4")
        assert decide(few_pass(), [others]).verdict == "inconclusive"
        answered_then = past_few("international-3", "international-4")
        assert decide(few_pass(), [answered_then]).verdict == "inconclusive"

    def test_a_cache_at_home_does_not_veto_it_for_ever(self) -> None:
        cached = [
            *near(),
            *many(IN, 4),
            *many(OUT, 4, SILENT),
            *many(SITES, 1),
            *many(SITES, 3, SILENT, first=2),
        ]
        before = past_few(*(f"international-{number}" for number in range(1, 5)))
        assert decide(cached, [before]).verdict == "allowlisted"

    def test_what_was_reached_at_a_second_try_passed_no_list(self) -> None:
        lossy = [replace(one, retransmitted=one.rung is OUT and one.failure is None) for one in few_pass()]
        assert decide(lossy, [past_few(*self.SILENT_BEFORE)]).verdict == "inconclusive"

    def test_an_inside_that_does_not_stand_is_no_list(self) -> None:
        dark_inside = [one for one in few_pass() if one.rung is not IN] + many(IN, 4, SILENT)
        assert decide(dark_inside, [past_few(*self.SILENT_BEFORE)]).verdict == "inconclusive"

    def test_more_than_a_third_are_no_few(self) -> None:
        more = [*few_pass(), *(seen(f"more-{number}", OUT) for number in range(3))]
        assert decide(more, [past_few(*self.SILENT_BEFORE)]).verdict != "allowlisted"


class TestAFullLine:
    """Congestion: delay and loss rise together on all, or it is not said."""

    def test_delay_without_loss_is_none(self) -> None:
        slow = [replace(one, retransmitted=False) for one in slow_and_lossy()]
        assert decide(slow, ORDINARY).verdict == "ok"

    def test_loss_without_delay_is_none(self) -> None:
        lossy = [replace(one, best_ns=100_000_000) for one in slow_and_lossy()]
        assert decide(lossy, ORDINARY).verdict == "ok"

    def test_one_rung_that_is_as_fast_as_ever_refutes_it(self) -> None:
        fast = [replace(one, best_ns=90_000_000) if one.rung is IN else one for one in slow_and_lossy()]
        assert decide(fast, ORDINARY).verdict == "ok"

    def test_without_a_history_nothing_is_ordinary(self) -> None:
        assert decide(slow_and_lossy(), ORDINARY[:4]).verdict == "ok"


class TestProtocols:
    """Filtering by protocol: one answer by the silent protocol refutes it."""

    BEFORE = (past_part(part_silent()),)

    def test_other_targets_in_the_round_before_are_loss(self) -> None:
        others = past_part([*part_silent()[:-1], seen("check", OUT, SILENT)])
        assert decide(part_silent(), [others]).rule_id == "protocols-part-unconfirmed"

    def test_one_place_that_passes_by_its_own_protocol_is_no_filter(self) -> None:
        """An allow-list of one page in clear text: what else is asked, by whatever protocol, is silent as well."""
        listed = [
            *part_silent(),
            seen("ftp", OUT, SILENT, test="tcp", target="ftp.example.org:21"),
            seen("whois", OUT, SILENT, test="tcp", target="whois.example.org:43"),
        ]
        assert decide(listed, self.BEFORE).rule_id == "few-networks-pass-unconfirmed"

    def test_on_a_slow_line_it_is_neither_a_filter_nor_well(self) -> None:
        (before,) = self.BEFORE
        slow = tuple(
            replace(state, usual_ns=5_000_000_000) if state.rung is OUT else state
            for state in before.ladder.rungs
        )
        said = decide(part_silent(), [replace(before, ladder=replace(before.ladder, rungs=slow))])
        assert (said.verdict, said.rule_id) == ("inconclusive", "protocols-part-unconfirmed")

    def test_one_answer_refutes_it(self) -> None:
        answered = [*part_silent(), seen("one", OUT)]
        assert decide(answered, self.BEFORE).verdict != "protocol_filtering"

    def test_a_network_of_its_own_proves_nothing(self) -> None:
        elsewhere = [replace(one, network="AS-else") if one.test == "http" else one for one in part_silent()]
        assert decide(elsewhere, self.BEFORE).verdict != "protocol_filtering"

    def test_ping_that_is_dropped_is_no_filter(self) -> None:
        pings = [replace(one, test="ping", target="192.0.2.1") for one in many(OUT, 5, SILENT, first=11)]
        assert decide([*everything_works(), *pings], self.BEFORE).verdict != "protocol_filtering"


class TestLargePackets:
    """A path that loses large packets is no filter; a filter stops small ones as well."""

    BEFORE = TestProtocols.BEFORE

    def test_it_is_no_filter(self) -> None:
        assert decide(large_lost(), [past_part(large_lost())]).rule_id == "large-packets-vanish"

    def test_a_small_handshake_that_is_silent_as_well_is_a_filter(self) -> None:
        all_silent = large_lost(small=SILENT)
        assert decide(all_silent, [past_part(all_silent)]).verdict == "protocol_filtering"

    def test_handshakes_that_fall_silent_name_no_filter_where_no_small_one_was_tried(self) -> None:
        untried = [one for one in large_lost() if not one.small_segments]
        assert decide(untried, [past_part(untried)]).verdict == "inconclusive"

    def test_connects_that_are_silent_are_a_filter_whatever_the_size(self) -> None:
        assert decide(part_silent(), self.BEFORE).verdict == "protocol_filtering"

    def test_one_large_handshake_that_passes_refutes_it(self) -> None:
        assert decide([*large_lost(), seen("large", OUT)], self.BEFORE).rule_id != "large-packets-vanish"


class TestOnlyTheWebPasses:
    """All TCP ports but those of the web, and plain UDP, are silent: a filter. Either alone is not said."""

    BEFORE = TestProtocols.BEFORE

    def test_both_are_a_filter_in_the_second_round(self) -> None:
        assert decide(only_web()).rule_id == "protocols-part-unconfirmed"
        assert decide(only_web(), [past_part(only_web())]).verdict == "protocol_filtering"

    @pytest.mark.parametrize(("ports", "datagrams"), [(SILENT, None), (None, SILENT)])
    def test_either_alone_is_not(self, ports: str | None, datagrams: str | None) -> None:
        either = only_web(ports=ports, datagrams=datagrams)
        assert decide(either, [past_part(either)]).verdict == "ok"

    def test_a_list_of_places_that_pass_is_no_list_of_ports(self) -> None:
        spared = [
            replace(one, failure=SILENT, failed_operation="connect")
            if one.target_name == "international-5"
            else one
            for one in only_web()
        ]
        assert decide(spared, [past_part(spared)]).verdict != "protocol_filtering"

    def test_clocks_whose_names_are_not_resolved_were_never_asked(self) -> None:
        unnamed = [
            replace(one, failure=Failure.DNS_NXDOMAIN, failed_operation="resolve")
            if one.test == "ntp"
            else one
            for one in only_web()
        ]
        assert decide(unnamed, [past_part(unnamed)]).verdict == "ok"

    def test_ipv6_that_leads_nowhere_is_no_port(self) -> None:
        sixes = [replace(one, test="tcp") for one in pinned(6, 4, SILENT)]
        asked = [*everything_works(), *pinned(4, 4), *sixes]
        assert decide(asked, [past_part(asked)]).verdict == "ok"


def test_ok_takes_proof_where_an_open_port_is_none() -> None:
    ports = [replace(one, test="tcp") for one in many(OUT, 5)]
    assert decide([*near(), *ports]).verdict == "inconclusive"


def test_a_router_that_forwards_is_not_blamed_for_ignoring_ping() -> None:
    observations = [*near(gateway=SILENT), *nothing_far(SILENT)]
    assert decide(observations, [past("controls-reached")]).verdict == "inconclusive"


def test_nothing_measured_is_inconclusive_and_says_so() -> None:
    assert decide([]).evidence == (stated("nothing-measured"),)
    assert lines(decide([])) == ("nothing was measured that could tell",)


def test_the_round_before_is_in_the_evidence() -> None:
    verdict = decide(everything_works(), [past("mixed-evidence", verdict="inconclusive", age_s=31)])
    before = stated("round-before", age_s=31, verdict="inconclusive", rule_id="mixed-evidence")
    assert before in verdict.evidence
    assert "the round before, 31 s ago: inconclusive (mixed-evidence)" in lines(verdict)


def test_the_evidence_counts_and_names() -> None:
    verdict = decide([*near(), *many(OUT, 4), *many(OUT, 1, SILENT, first=5)])
    counted = stated(
        "rung-networks-best", rung="international", reached=4, tried=5, networks=5, best_ns=100_000_000
    )
    assert counted in verdict.evidence
    assert (
        stated(
            "not-reached-in-step",
            rung="international",
            target="international-5",
            operation="connect",
            failure="generic_timeout_error",
        )
        in verdict.evidence
    )
    assert "international: 4 of 5 reached in 5 networks, best 100.0 ms" in lines(verdict)
    assert "international: international-5 not reached: connect: generic_timeout_error" in lines(verdict)


def test_another_table_of_rules_is_taken_as_it_is() -> None:
    rule = replace(RULES[-1], rule_id="mine", verdict=VerdictWord.BLOCKED_TLS)
    assert decide([], rules=(rule,)).rule_id == "mine"


# What must hold whatever the network does.

OUTCOMES = [
    (None, "connect"),
    (SILENT, "connect"),
    (RESET, "tls_handshake"),
    (Failure.NETWORK_UNREACHABLE, "connect"),
    (Failure.DNS_NXDOMAIN, "resolve"),
    (BAD_CERTIFICATE, "tls_handshake"),
    (Failure.HTTP_UNEXPECTED_STATUS_CODE, "http_round_trip"),
    (Failure.MISSED_SLOT, "connect"),
    ("unknown_failure: EWHAT: what", "connect"),
]


@st.composite
def observed(draw: st.DrawFn) -> Observation:
    rung = draw(st.sampled_from(Rung))
    failure, operation = draw(st.sampled_from(OUTCOMES))
    number = draw(st.integers(1, 5))
    return seen(
        f"{rung}-{number}",
        rung,
        failure,
        operation=operation,
        test=draw(st.sampled_from(["tls", "tcp", "dns", "http", "ping"])),
        at_s=draw(st.sampled_from([0.1, 5.0, 22.0])),
        network=draw(st.sampled_from([None, "", "AS-shared"])),
        status=draw(st.sampled_from([None, 200, 302, 403])),
    )


rounds = st.lists(observed(), max_size=25)
histories = st.lists(
    st.builds(
        past,
        st.sampled_from([rule.rule_id for rule in RULES]),
        age_s=st.floats(0, 400),
        reached=st.lists(st.sampled_from(Rung)),
    ),
    max_size=2,
)


@given(rounds, histories, st.randoms())
def test_the_order_of_observations_does_not_matter(
    observations: list[Observation],
    history: list[Past],
    random: Random,
) -> None:
    shuffled = list(observations)
    random.shuffle(shuffled)
    assert decide(shuffled, history) == decide(observations, history)


@given(rounds, histories)
def test_there_is_always_a_verdict_with_evidence_a_rule_and_what_would_overturn_it(
    observations: list[Observation], history: list[Past]
) -> None:
    verdict = decide(observations, history)
    assert verdict.verdict in DEVICE_WORDS
    assert verdict.rule_id in {rule.rule_id for rule in RULES}
    assert all(lines(verdict))
    assert verdict.evidence
    assert strays(verdict) == []
    assert overturned_by(verdict)


@given(rounds, histories, st.integers(1, 5), st.sampled_from(["tls", "tcp", "http", "ping"]))
def test_more_answers_from_outside_never_make_a_cut(
    observations: list[Observation], history: list[Past], number: int, test: str
) -> None:
    # whether a silent reference target answers in the end, or one more is there
    for name in (f"international-{number}", "one-more"):
        more = [*observations, seen(name, OUT, test=test, at_s=30)]
        if decide(more, history).verdict == "international_cut":
            raise AssertionError(f"{name} answered")


@given(rounds, histories)
def test_when_every_reference_is_reached_nothing_is_wrong(
    observations: list[Observation], history: list[Past]
) -> None:
    others = [one for one in observations if one.rung is not OUT]
    assert decide([*others, *many(OUT, 5)], history).verdict in {"ok", "inconclusive"}


@given(rounds, histories)
def test_a_cut_is_only_said_with_its_evidence_at_hand(
    observations: list[Observation], history: list[Past]
) -> None:
    said: Verdict = decide(observations, history)
    if said.verdict == "international_cut":
        authenticated = {one.network for one in observations if one.rung is IN and one.is_authenticated}
        silent = {one.network for one in observations if one.rung is OUT and one.failure}
        assert len(authenticated) >= 2
        assert len(silent) >= 3


@given(rounds)
def test_what_is_dns_or_void_carries_no_verdict_of_the_wider_network(observations: list[Observation]) -> None:
    weak = [
        replace(one, test="dns") if number % 2 else replace(one, failure=Failure.MISSED_SLOT)
        for number, one in enumerate(observations)
        if one.rung in (IN, OUT, SITES)
    ]
    assert decide([*near(), *weak]).verdict == "inconclusive"
