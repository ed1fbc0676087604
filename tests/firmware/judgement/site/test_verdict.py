"""The verdict on one page: each condition of OONI's QA, each trap, and what must never be said."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.line_loss import Excess
from firmware.judgement.site.evidence import (
    Connect,
    HandshakeEvidence,
    Looked,
    Lookup,
    Request,
    SecondView,
    SiteView,
    Stand,
    VantageSource,
    WebEvidence,
)
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.rules import WEB_RULES
from firmware.judgement.site.verdict import judge
from firmware.model.failures import Failure
from firmware.model.statement import stated
from firmware.model.verdict_words import DEVICE_WORDS
from firmware.ooni.evidence import evidence_of, vantage_of
from firmware.ooni.parse import parse
from firmware.ooni.read import Document, documents
from tests.english import ENGLISH, lines, overturned_by, strays
from tests.sureness import every_rule_is

CONDITIONS = Path(__file__).parents[3] / "data" / "ooni"
URL, HOST = "https://www.example.com/", "www.example.com"
TRUE, OTHER, FALSE = "93.184.216.34", "93.184.216.99", "130.192.182.17"
SILENT, RESET, REFUSED = Failure.TIMEOUT, Failure.CONNECTION_RESET, Failure.CONNECTION_REFUSED
WELL = RoundView(references_reached=True, names_resolve=True, repeated=False)
TWICE = replace(WELL, repeated=True)

OK, DOWN, UNSURE = "ok", "service_down", "inconclusive"
DNS, TCP, TLS, HTTP = "blocked_dns", "blocked_tcp", "blocked_tls", "blocked_http"

SAID: dict[str, tuple[str, str]] = {
    "badssl_expired": (DOWN, "down-outside-too"),
    "badssl_unknown_authority_consistent_dns": (DOWN, "down-outside-too"),
    "badssl_unknown_authority_inconsistent_dns": (DNS, "other-resolver-proves"),
    "badssl_wrong_name": (DOWN, "down-outside-too"),
    "cloudflare_captcha_http": (UNSURE, "bot-check"),
    "cloudflare_captcha_https": (UNSURE, "site-refuses-device"),
    "control_unreachable_dns_fails": (UNSURE, "page-without-control"),
    "control_unreachable_http": (UNSURE, "page-without-control"),
    "control_unreachable_https": (OK, "page-proven"),
    "control_unreachable_tls_reset": (UNSURE, "page-without-control"),
    "dns_blocking_android_cache_no_data": (DNS, "other-resolver-proves"),
    "dns_blocking_bogon": (DNS, "known-false-answer"),
    "dns_blocking_nxdomain": (DNS, "other-resolver-proves"),
    "dns_hijacking_to_localhost_http": (DNS, "impossible-answer"),
    "dns_hijacking_to_localhost_https": (DNS, "other-resolver-proves"),
    "dns_hijacking_to_proxy_http": (OK, "page-alike"),
    "dns_hijacking_to_proxy_https": (OK, "page-proven"),
    "ghost_dns_blocking_http": (DNS, "answer-for-a-dead-name"),
    "ghost_dns_blocking_https": (DNS, "answer-for-a-dead-name"),
    "http_blocking_reset": (HTTP, "request-stopped"),
    "http_diff_consistent_dns": (HTTP, "other-page"),
    "http_diff_inconsistent_dns": (DNS, "other-page-elsewhere"),
    "idna_without_censorship": (OK, "page-alike"),
    "large_file_http": (OK, "page-alike"),
    "large_file_https": (OK, "page-proven"),
    "localhost_http": (DOWN, "down-outside-too"),
    "localhost_https": (DOWN, "down-outside-too"),
    "redirect_broken_location_for_probe_alone_http": (UNSURE, "page-mixed-evidence"),
    "redirect_broken_location_for_probe_alone_https": (UNSURE, "page-mixed-evidence"),
    "redirect_broken_location_http": (DOWN, "down-outside-too"),
    "redirect_broken_location_https": (DOWN, "down-outside-too"),
    "redirect_more_than_ten_http": (DOWN, "down-outside-too"),
    "redirect_more_than_ten_https": (DOWN, "down-outside-too"),
    "redirect_then_eof_http": (HTTP, "request-stopped"),
    "redirect_then_eof_https": (TLS, "handshake-stopped"),
    "redirect_then_nxdomain": (DNS, "name-denied"),
    "redirect_then_refused_http": (TCP, "connect-stopped"),
    "redirect_then_refused_https": (TCP, "connect-stopped"),
    "redirect_then_reset_http": (HTTP, "request-stopped"),
    "redirect_then_reset_https": (TLS, "handshake-stopped"),
    "redirect_then_timeout_http": (HTTP, "request-stopped"),
    "redirect_then_timeout_https": (TLS, "handshake-stopped"),
    "success_http": (OK, "page-alike"),
    "success_https": (OK, "page-proven"),
    "tcp_blocking_refused_inconsistent_dns": (DNS, "answers-elsewhere"),
    "tcp_blocking_timeout": (TCP, "connect-stopped"),
    "throttling_http": (UNSURE, "slow-transfer"),
    "throttling_https": (UNSURE, "slow-transfer"),
    "tls_blocking_reset_consistent_dns": (TLS, "handshake-stopped"),
    "tls_blocking_reset_inconsistent_dns": (DNS, "answers-elsewhere"),
    "v04_control_unreachable_http": (UNSURE, "page-without-control"),
    "v04_dns_block_page_bogon": (DNS, "known-false-answer"),
    "v04_dns_blocking_nxdomain": (DNS, "name-denied"),
    "v04_http_diff": (HTTP, "other-page"),
    "v04_success_http": (OK, "page-alike"),
    "v04_success_https": (OK, "page-proven"),
    "v04_tcp_blocking_timeout": (TCP, "connect-stopped"),
    "v04_tls_blocking_reset": (TLS, "handshake-stopped"),
    "v04_website_down_nxdomain": (DOWN, "down-outside-too"),
    "website_down_503": (DOWN, "down-outside-too"),
    "website_down_no_addrs": (DOWN, "down-outside-too"),
    "website_down_nxdomain": (DOWN, "down-outside-too"),
    "website_down_tcp_connect": (DOWN, "down-outside-too"),
}


def test_every_condition_is_in_the_table() -> None:
    assert {path.stem for path in CONDITIONS.glob("*.json")} == set(SAID)


@pytest.mark.parametrize("condition", SAID)
def test_each_condition_of_ooni_s_qa(condition: str) -> None:
    with (CONDITIONS / f"{condition}.json").open("rb") as stream:
        (document,) = documents(stream)
    assert isinstance(document, Document)
    measurement = parse(document.value)
    said = judge(evidence_of(measurement), vantage_of(measurement)).verdict
    assert (said.verdict, said.rule_id) == SAID[condition]
    assert lines(said)
    assert strays(said) == []
    assert overturned_by(said)


def lookup(*addresses: str, failure: str | None = None, by: str = "@system", **more: Any) -> Lookup:
    return Lookup(hostname=HOST, resolver=by, failure=failure, addresses=addresses, **more)


def page(status: int | None = 200, *, failure: str | None = None, url: str = URL, **more: Any) -> Request:
    given: dict[str, Any] = {
        "address": TRUE,
        "body": b"<title>Example news of today</title>" + b"x" * 900,
        "body_length": 936,
        "title": "Example news of today",
        **more,
    }
    return Request(url=url, status=status, failure=failure, **given)


def arrived(url: str = URL, **more: Any) -> WebEvidence:
    port = 443 if url.startswith("https") else 80
    shaken = (HandshakeEvidence(address=TRUE, server_name=HOST),) if port == 443 else ()
    given: dict[str, Any] = {
        "lookups": (lookup(TRUE),),
        "connects": (Connect(address=TRUE, port=port),),
        "handshakes": shaken,
        "requests": (page(url=url),),
        **more,
    }
    return WebEvidence(url=url, **given)


def stopped(failure: str, **more: Any) -> WebEvidence:
    """Return a journey that ended in the handshake."""
    shaken = (HandshakeEvidence(address=TRUE, server_name=HOST, failure=failure),)
    return arrived(**{"handshakes": shaken, "requests": (), **more})


VANTAGE = SiteView(
    source=VantageSource.COLLECTOR,
    addresses=(TRUE,),
    connects={f"{TRUE}:443": None, f"{TRUE}:80": None},
    handshakes={f"{TRUE}:443": None},
    status=200,
    body_length=940,
    title="Example news of today",
)
BESIDE = HandshakeEvidence(
    address=TRUE, server_name="example.org", failure=Failure.SSL_INVALID_HOSTNAME, is_control=True
)
"""An innocuous name that is answered."""
GONE = replace(
    VANTAGE, connects={f"{TRUE}:443": SILENT}, handshakes={}, http_failure=SILENT, status=None, title=None
)


def said(
    evidence: WebEvidence, vantage: SiteView | None = VANTAGE, round: RoundView | None = None
) -> tuple[str, str]:
    verdict = judge(evidence, vantage, round=round).verdict
    return verdict.verdict, verdict.rule_id


class TestOwnEvidence:
    """What a device may say without anybody outside."""

    def test_an_innocuous_name_that_passes_where_the_page_s_is_reset(self) -> None:
        pair = stopped(RESET, handshakes=(stopped(RESET).handshakes[0], BESIDE))
        assert said(pair) == (TLS, "innocuous-name-passes")
        assert judge(pair, VANTAGE).confidence == "high"
        # unless the vantage outside is stopped there too: then the server does it
        theirs = replace(VANTAGE, handshakes={f"{TRUE}:443": RESET}, http_failure=RESET, status=None)
        assert said(pair, theirs)[0] == DOWN

    def test_without_any_vantage_it_is_not_sure(self) -> None:
        """A server that resets one name for everybody looks the same from here."""
        pair = stopped(RESET, handshakes=(stopped(RESET).handshakes[0], BESIDE))
        for nobody in (None, replace(VANTAGE, age_s=3 * 86_400.0)):
            found = judge(pair, nobody)
            assert (found.verdict.rule_id, found.confidence) == ("innocuous-name-unseen", "low")

    @pytest.mark.parametrize(
        ("view", "rule_id"),
        [
            (replace(VANTAGE, age_s=61.0), "control-not-since"),
            (replace(VANTAGE, reachable=False), "page-without-control"),
            (replace(VANTAGE, looked=Looked.AFTER), "page-without-control"),
            (replace(VANTAGE, looked=Looked.CHANGED), "page-without-control"),
        ],
    )
    def test_where_there_could_be_one_it_waits_for_it(self, view: SiteView, rule_id: str) -> None:
        pair = stopped(RESET, handshakes=(stopped(RESET).handshakes[0], BESIDE))
        failing = replace(TWICE, failing_for_s=60.0)
        assert said(pair, view, failing) == (UNSURE, rule_id)
        assert said(pair, replace(VANTAGE, age_s=59.0), failing) == (TLS, "innocuous-name-passes")

    def test_looks_on_both_sides_count_only_where_one_fell_into_the_failure(self) -> None:
        pair = stopped(RESET, handshakes=(stopped(RESET).handshakes[0], BESIDE))
        failing = replace(TWICE, failing_for_s=60.0)
        around = replace(VANTAGE, looked=Looked.AROUND, age_s=5.0, before_s=500.0)
        assert said(pair, around, failing) == (UNSURE, "control-not-since")
        assert said(pair, replace(around, before_s=40.0), failing)[0] == TLS

    def test_an_innocuous_name_that_is_stopped_as_well_says_nothing(self) -> None:
        beside = HandshakeEvidence(address=TRUE, server_name="example.org", failure=RESET, is_control=True)
        own = stopped(RESET).handshakes[0]
        assert said(stopped(RESET, handshakes=(own, beside)), None)[0] == UNSURE

    def test_a_true_answer_that_came_second(self) -> None:
        shaken = (
            HandshakeEvidence(address=FALSE, server_name=HOST, failure=Failure.SSL_UNKNOWN_AUTHORITY),
            HandshakeEvidence(address=TRUE, server_name=HOST),
        )
        raced = stopped(RESET, lookups=(lookup(FALSE, late=(TRUE,)),), handshakes=shaken)
        assert said(raced, None) == (DNS, "true-answer-came-second")

    def test_answers_in_turn_are_no_race(self) -> None:
        # two of a site's addresses, both its own: the first works as well
        turns = arrived(lookups=(lookup(TRUE, late=(OTHER,)),))
        assert said(turns, None) == (OK, "page-proven")

    def test_a_vantage_that_gets_no_answer_for_a_name_says_nothing_of_who_answers_here(self) -> None:
        """Its own line may have died between its reference targets and the name; a denial is an answer."""
        elsewhere = replace(lookup(TRUE), resolver="8.8.8.8", engine="udp")
        failing = stopped(RESET, lookups=(lookup(TRUE), elsewhere))
        mute = replace(
            VANTAGE, addresses=(), connects={}, handshakes={}, status=None, saw_http=False, body_length=None
        )
        denied = replace(mute, dns_failure=str(Failure.DNS_NXDOMAIN))
        assert said(failing, denied, TWICE) == (DNS, "answer-for-a-dead-name")
        silent = replace(mute, dns_failure=str(Failure.TIMEOUT))
        assert said(failing, silent, TWICE)[0] in (DOWN, UNSURE)

    def test_the_national_block_page(self) -> None:
        body = b'<html><head></head><body><iframe src="http://10.10.34.36?type=x"></iframe></body></html>'
        blocked = arrived(
            "http://www.example.com/",
            requests=(page(403, url="http://www.example.com/", body=body, title=""),),
        )
        assert said(blocked, None) == (HTTP, "known-block-page")
        elsewhere = replace(blocked, lookups=(lookup("10.10.34.34"),))
        assert said(elsewhere, None)[0] == DNS

    def test_an_article_that_quotes_the_block_page_is_no_block_page(self) -> None:
        body = b'<body><iframe src="http://10.10.34.36/">'
        assert said(arrived(requests=(page(body=body),)), None) == (OK, "page-proven")

    def test_a_redirect_to_another_site_s_block_page_is_not_proven(self) -> None:
        first = page(302, url="http://www.example.com/", headers=(("Location", "https://warn.example.net/"),))
        last = page(url="https://warn.example.net/", title="Blocked by order", body=b"x", body_length=9000)
        moved = arrived("http://www.example.com/", requests=(first, last))
        assert said(moved, None)[0] == UNSURE
        assert said(moved)[0] != OK


class TestVantage:
    """What a vantage adds, and what it takes away."""

    @pytest.mark.parametrize(
        ("evidence", "word"),
        [
            (
                arrived(
                    lookups=(lookup(failure=Failure.DNS_NXDOMAIN),), connects=(), handshakes=(), requests=()
                ),
                DNS,
            ),
            (
                arrived(
                    connects=(Connect(address=TRUE, port=443, failure=REFUSED),), handshakes=(), requests=()
                ),
                TCP,
            ),
            (stopped(RESET), TLS),
            (arrived(requests=(page(None, failure=RESET),)), HTTP),
        ],
    )
    def test_each_rung(self, evidence: WebEvidence, word: str) -> None:
        assert said(evidence)[0] == word
        assert said(evidence, None)[0] == UNSURE
        assert said(evidence, replace(VANTAGE, reachable=False))[0] == UNSURE
        gone = replace(GONE, addresses=(), dns_failure=Failure.DNS_NXDOMAIN) if word == DNS else GONE
        assert said(evidence, gone)[0] == DOWN

    def test_an_old_vantage_is_used_and_said_to_be_old(self) -> None:
        old = judge(stopped(RESET), replace(VANTAGE, age_s=5 * 3600.0))
        assert (old.verdict.verdict, old.confidence) == (TLS, "low")
        assert stated("vantage-last-known", source="collector", age_s=5 * 3600.0) in old.verdict.evidence
        assert any("last known look" in line and "5.0 h" in line for line in lines(old.verdict))
        assert judge(stopped(RESET), VANTAGE).confidence == "medium"

    def test_a_vantage_of_last_week_says_nothing(self) -> None:
        ancient = judge(stopped(RESET), replace(VANTAGE, age_s=7 * 86_400.0)).verdict
        assert ancient.verdict == UNSURE
        assert stated("vantage-too-old", age_s=7 * 86_400.0) in ancient.evidence
        assert any("168 h old, too old" in line for line in lines(ancient))

    def test_a_page_of_another_day_is_alike(self) -> None:
        url = "http://www.example.com/"
        today = page(url=url, body_length=5000, title="Example news of yesterday")
        assert said(arrived(url, requests=(today,)))[0] == OK

    def test_another_page_in_clear_text(self) -> None:
        url = "http://www.example.com/"
        other = page(403, url=url, body=b"no", body_length=2, title="Forbidden place")
        assert said(arrived(url, requests=(other,))) == (HTTP, "other-page")

    def test_a_server_that_is_over_its_limit_is_not_blocked(self) -> None:
        url = "http://www.example.com/"
        for status in (429, 500, 503):
            assert said(arrived(url, requests=(page(status, url=url, title="Sorry"),)))[0] == UNSURE

    def test_addresses_the_vantage_never_tried_in_networks_nobody_knows(self) -> None:
        # a large site answers every country with addresses of its own
        far = arrived(
            lookups=(lookup(FALSE),),
            connects=(Connect(address=FALSE, port=443, failure=SILENT),),
            handshakes=(),
            requests=(),
        )
        assert said(far)[0] == UNSURE


class TestRound:
    """What the device's own round takes away."""

    def test_in_an_outage_no_page_is_blocked(self) -> None:
        dark = RoundView(references_reached=False)
        assert said(stopped(RESET), VANTAGE, dark) == (UNSURE, "round-not-well")

    def test_through_a_tunnel_no_page_is_blocked(self) -> None:
        assert said(stopped(RESET), VANTAGE, replace(WELL, tunnelled=True))[0] == UNSURE

    def test_a_resolver_that_lies_for_everything_blocks_no_page(self) -> None:
        lied = arrived(
            lookups=(lookup(FALSE),),
            handshakes=(
                HandshakeEvidence(address=FALSE, server_name=HOST, failure=Failure.SSL_UNKNOWN_AUTHORITY),
            ),
            connects=(),
            requests=(),
        )
        assert said(lied, VANTAGE, replace(WELL, resolver_lies=True)) == (UNSURE, "resolver-not-well")

    @pytest.mark.parametrize("failure", [SILENT, RESET])
    def test_a_failure_must_come_twice_where_somebody_can_look_twice(self, failure: str) -> None:
        assert said(stopped(failure), VANTAGE, WELL) == (UNSURE, "seen-once")
        assert said(stopped(failure), VANTAGE, TWICE)[0] == TLS

    def test_a_vantage_must_have_looked_since(self) -> None:
        # a site that goes down for everyone: the vantage's last view is from before
        before = replace(TWICE, failing_for_s=60.0)
        assert said(stopped(RESET), replace(VANTAGE, age_s=61.0), before) == (UNSURE, "control-not-since")
        assert said(stopped(RESET), replace(VANTAGE, age_s=59.0), before)[0] == TLS
        assert said(stopped(RESET), replace(GONE, age_s=61.0), before)[0] == DOWN

    def test_a_handshake_alone_is_enough_where_no_page_was_asked_for(self) -> None:
        assert said(arrived(requests=()), None, WELL) == (OK, "site-proven")

    def test_a_clock_a_year_off_makes_no_interception(self) -> None:
        dated = stopped(Failure.SSL_INVALID_CERTIFICATE)
        assert said(dated) == (UNSURE, "certificate-or-clock")
        assert said(dated, VANTAGE, TWICE) == (TLS, "certificate-replaced")

    def test_a_name_that_is_never_answered_while_others_are(self) -> None:
        mute = arrived(lookups=(lookup(failure=SILENT),), connects=(), handshakes=(), requests=())
        assert said(mute)[0] == UNSURE
        assert said(mute, VANTAGE, TWICE) == (DNS, "name-never-answered")
        assert said(mute, VANTAGE, replace(TWICE, names_resolve=False))[0] == UNSURE

    def test_what_had_begun_to_come_when_time_ran_out_is_slow_and_not_blocked(self) -> None:
        begun = arrived(requests=(page(failure=SILENT, body_length=900, body=b"x" * 900),))
        assert said(begun, VANTAGE, TWICE) == (UNSURE, "slow-transfer")
        for url, verdict in (
            (URL, (UNSURE, "slow-transfer")),  # of a TLS record nothing shows before it is whole
            (URL.replace("https", "http"), (HTTP, "request-stopped")),
        ):
            silent = arrived(url, requests=(page(None, failure=SILENT, url=url, body_length=0, body=b""),))
            assert said(silent, VANTAGE, TWICE) == verdict

    def test_a_handshake_held_to_a_rate_is_slow_though_an_innocuous_name_passes(self) -> None:
        for read, verdict in ((1_448, (UNSURE, "slow-transfer")), (0, (TLS, "innocuous-name-passes"))):
            own = HandshakeEvidence(address=TRUE, server_name=HOST, failure=SILENT, bytes_read=read)
            assert said(stopped(SILENT, handshakes=(own, BESIDE, own)), VANTAGE, TWICE) == verdict


class TestTimeOuts:
    """A time-out is no reset: loss makes both it and the success beside it."""

    OWN = HandshakeEvidence(address=TRUE, server_name=HOST, failure=SILENT)
    PAIRED = replace(TWICE, paired_before=True, failing_for_s=150.0)

    def tried(self, *handshakes: HandshakeEvidence) -> WebEvidence:
        return stopped(SILENT, handshakes=handshakes)

    def test_one_time_out_and_one_innocuous_success_accuse_nobody(self) -> None:
        unpaired = (UNSURE, "time-out-unpaired")
        assert said(self.tried(self.OWN, BESIDE), VANTAGE, self.PAIRED) == unpaired
        assert said(self.tried(self.OWN, BESIDE)) == unpaired  # nor without a round
        assert said(self.tried(self.OWN, BESIDE, self.OWN), VANTAGE, replace(TWICE, paired_before=False)) == (
            unpaired
        )

    def test_own_innocuous_own_in_both_rounds_does(self) -> None:
        found = judge(self.tried(self.OWN, BESIDE, self.OWN), VANTAGE, round=self.PAIRED)
        assert (found.verdict.verdict, found.verdict.rule_id) == (TLS, "innocuous-name-passes")
        assert found.tries.is_paired
        assert [
            one for one in found.verdict.evidence if one.code in {"innocuous-name-failed", "own-name-again"}
        ] == [
            stated("innocuous-name-failed", address=TRUE, failure=Failure.SSL_INVALID_HOSTNAME),
            stated("own-name-again", address=TRUE, failure=SILENT),
        ]

    def test_an_own_name_that_passes_the_second_time_is_well(self) -> None:
        passed = replace(self.OWN, failure=None)
        found = judge(self.tried(self.OWN, BESIDE, passed), VANTAGE, round=self.PAIRED)
        assert (found.verdict.verdict, found.verdict.rule_id) == (OK, "site-proven")
        assert (found.tries.own, found.tries.own_failed) == (2, 1)

    @pytest.mark.parametrize(
        "evidence",
        [
            stopped(SILENT, handshakes=(OWN, BESIDE, OWN)),
            stopped(SILENT),
            arrived(connects=(Connect(address=TRUE, port=443, failure=SILENT),), handshakes=(), requests=()),
            arrived(lookups=(lookup(failure=SILENT),), connects=(), handshakes=(), requests=()),
        ],
        ids=["paired", "handshake", "connect", "name"],
    )
    def test_nothing_is_blocked_from_time_outs_while_the_line_makes_them_too(
        self, evidence: WebEvidence
    ) -> None:
        told = replace(VANTAGE, second=(SecondView(stand=Stand.SECOND, before_s=70.0),))
        assert said(evidence, told, self.PAIRED)[0] in {TLS, TCP, DNS}
        for lossy in (
            replace(self.PAIRED, references_run_out=True),
            replace(self.PAIRED, line_is_clean=False),
        ):
            assert said(evidence, told, lossy) == (UNSURE, "line-ran-out")
        # Beyond what a lossy line explains it is said, and never while a third of its handshakes run out of time.
        beyond = Excess(ratio=1e7, since_s=600.0, rounds=20, failed=20)
        counted = replace(self.PAIRED, line_is_clean=False, excess=beyond)
        looked = replace(told, earlier_s=(100.0, 200.0, 300.0, 400.0, 500.0))
        assert said(evidence, looked, counted)[0] in {TLS, TCP, DNS}
        assert said(evidence, looked, replace(counted, references_run_out=True)) == (UNSURE, "line-ran-out")

    def test_no_name_is_blocked_for_want_of_an_answer_on_a_line_that_is_slow(self) -> None:
        unanswered = arrived(lookups=(lookup(failure=SILENT),), connects=(), handshakes=(), requests=())
        assert said(unanswered, VANTAGE, replace(self.PAIRED, line_is_quick=True))[0] == DNS
        slow = replace(self.PAIRED, line_is_quick=False)
        assert said(unanswered, VANTAGE, slow) == (UNSURE, "line-ran-out")
        denied = arrived(
            lookups=(lookup(failure=Failure.DNS_NXDOMAIN),), connects=(), handshakes=(), requests=()
        )
        assert said(denied, VANTAGE, slow)[0] == DNS


def test_the_table_is_readable() -> None:
    assert len({rule.rule_id for rule in WEB_RULES}) == len(WEB_RULES)
    for rule in WEB_RULES:
        assert rule.verdict in DEVICE_WORDS
        assert ENGLISH.rule(rule.rule_id, {}).endswith(".")
        assert ENGLISH.overturned_by(rule.rule_id).endswith(".")


# What must hold whatever the network does.

failures = st.sampled_from(
    [None, SILENT, RESET, REFUSED, Failure.EOF, Failure.SSL_INVALID_HOSTNAME, Failure.SSL_INVALID_CERTIFICATE]
)
addresses = st.sampled_from([TRUE, OTHER, FALSE, "127.0.0.1", "10.0.0.1", "2001:db8::1"])


@st.composite
def evidences(draw: st.DrawFn) -> WebEvidence:
    url = draw(st.sampled_from([URL, "http://www.example.com/", "https://bücher.example/"]))
    lookups = draw(
        st.lists(
            st.builds(
                lookup,
                addresses,
                failure=st.sampled_from([None, Failure.DNS_NXDOMAIN, SILENT]),
                by=st.sampled_from(["@system", "8.8.8.8"]),
                late=st.lists(addresses, max_size=1).map(tuple),
            ),
            max_size=3,
        )
    )
    shaken = st.builds(
        HandshakeEvidence,
        address=addresses,
        server_name=st.sampled_from([HOST, "example.org"]),
        failure=failures,
        is_control=st.booleans(),
    )
    requested = st.builds(
        page,
        st.sampled_from([None, 200, 302, 403, 503]),
        failure=failures,
        url=st.just(url),
        address=addresses,
    )
    return WebEvidence(
        url=url,
        lookups=tuple(replace(one, addresses=() if one.failure else one.addresses) for one in lookups),
        connects=tuple(
            draw(
                st.lists(
                    st.builds(Connect, address=addresses, port=st.just(443), failure=failures), max_size=3
                )
            )
        ),
        handshakes=tuple(draw(st.lists(shaken, max_size=3))),
        requests=tuple(draw(st.lists(requested, max_size=2))),
    )


vantages = st.one_of(
    st.none(),
    st.builds(
        lambda failure, status, age_s, known: replace(
            VANTAGE,
            http_failure=failure,
            status=None if failure else status,
            age_s=age_s,
            addresses=known,
            asns={TRUE: 1, FALSE: 2},
        ),
        failures,
        st.sampled_from([200, 403, 503]),
        st.floats(0, 90_000),
        st.lists(addresses, max_size=2).map(tuple),
    ),
)


@given(evidences(), vantages)
def test_there_is_always_a_verdict_with_evidence_and_what_would_overturn_it(
    evidence: WebEvidence, vantage: SiteView | None
) -> None:
    verdict = judge(evidence, vantage).verdict
    assert verdict.verdict in DEVICE_WORDS
    assert verdict.evidence
    assert all(lines(verdict))
    assert strays(verdict) == []
    assert overturned_by(verdict)


@given(evidences())
def test_without_a_vantage_only_strong_evidence_of_its_own_blocks(evidence: WebEvidence) -> None:
    found = judge(evidence, None).verdict
    if found.verdict.startswith("blocked"):
        beside = any(one.is_control and one.failure != RESET for one in evidence.handshakes)
        authenticated = any(
            one.failure is None and one.server_name == HOST and not one.is_control
            for one in evidence.handshakes
        )
        assert beside or authenticated, found


@given(evidences(), vantages)
def test_when_the_references_of_the_round_were_not_reached_nothing_is_blocked(
    evidence: WebEvidence, vantage: SiteView | None
) -> None:
    found = judge(evidence, vantage, round=RoundView(references_reached=False)).verdict
    assert found.verdict in {"ok", "inconclusive"}


@given(evidences(), st.sampled_from([None, replace(VANTAGE, reachable=False)]))
def test_a_name_that_was_not_resolved_is_never_accessible(
    evidence: WebEvidence, vantage: SiteView | None
) -> None:
    denied = replace(evidence, lookups=(replace(lookup(failure=Failure.DNS_NXDOMAIN), hostname=""),))
    assert judge(denied, vantage).verdict.verdict != "ok"


def test_only_of_measurements_of_others_is_nothing_held_back() -> None:
    reset = stopped(Failure.CONNECTION_RESET)
    with every_rule_is(0.98):
        assert said(reset, VANTAGE) == (TLS, "handshake-stopped")
        assert said(reset, VANTAGE, TWICE) == (UNSURE, "handshake-stopped")


def test_what_lacks_a_vantage_has_the_number_of_what_is_unsure() -> None:
    reset = Failure.CONNECTION_RESET
    pair = stopped(reset, handshakes=(stopped(reset).handshakes[0], BESIDE))
    with every_rule_is(0.5, certainty="low"):
        assert said(pair, VANTAGE, TWICE) == (TLS, "innocuous-name-passes")
        assert said(pair, None, TWICE) == (UNSURE, "innocuous-name-unseen")
