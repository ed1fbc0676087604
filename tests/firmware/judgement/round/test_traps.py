"""Every trap is walked around: what looks like a cut, an outage or a block, and is none."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from firmware.judgement.observation import Observation
from firmware.judgement.round.verdict import decide
from firmware.model.failures import Failure
from firmware.model.record import Rung
from firmware.model.statement import stated
from tests.firmware.judgement.round.stories import (
    BAD_CERTIFICATE,
    IN,
    OUT,
    PORTAL,
    RESET,
    SILENT,
    SITES,
    STORIES,
    nothing_far,
)
from tests.firmware.rounds import S, again, cut, dark, everything_works, many, near, past, seen


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
        unresolved = many(OUT, 5, Failure.DNS_TEMPORARY_FAILURE, operation="resolve")
        verdict = decide([*near(resolver=SILENT), *unresolved])
        assert verdict.verdict == "inconclusive"
        # and names that are not resolved are no silence either, though domestic names are
        assert decide([*near(), *many(IN, 4), *unresolved, *many(IN, 4, at_s=22)]).verdict == "inconclusive"

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
        unresolved = many(SITES, 2, Failure.DNS_NXDOMAIN, operation="resolve")
        assert decide([*near(resolver=SILENT), *many(OUT, 5), *unresolved]).verdict == "ok"

    def test_a_mistake_of_ours_is_no_outage(self) -> None:
        broken = many(OUT, 5, "unknown_failure: AttributeError: 'NoneType' object has no attribute 'x'")
        observations = [*near(), *many(IN, 4), *broken]
        assert decide([*observations, *again(observations)]).verdict == "inconclusive"

    def test_half_the_references_lost_on_a_bad_evening_is_no_cut(self) -> None:
        for lost in range(1, 5):
            references = [*many(OUT, lost, SILENT), *many(OUT, 5 - lost, first=lost + 1)]
            assert decide([*near(), *many(IN, 4), *references]).verdict in {"ok", "inconclusive"}
