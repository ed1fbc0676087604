"""Platforms in a round: each judged by itself, and what of that becomes the round's own verdict."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.confidence.table import Speaker
from firmware.judgement.facts import Past
from firmware.judgement.line_loss import ReferenceHandshakes, TargetTries
from firmware.judgement.observation import Observation
from firmware.judgement.round.rules import RULES
from firmware.judgement.round.verdict import RoundJudgement, judge_round
from firmware.judgement.site.evidence import (
    Connect,
    HandshakeEvidence,
    Lookup,
    Request,
    SecondView,
    SiteView,
    Stand,
    VantageSource,
    WebEvidence,
)
from firmware.judgement.site.refusal import MAY_REFUSE, NOT_REFUSED, REFUSES
from firmware.judgement.target_judgement import TargetJudgement, from_json, to_json
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue, RecordError
from firmware.model.record import Rung
from firmware.model.statement import stated
from firmware.model.verdict_words import VerdictWord
from tests.english import lines
from tests.firmware.rounds import cut, everything_works, many, near, past, seen
from tests.sureness import every_rule_is

RESET, SILENT = Failure.CONNECTION_RESET, Failure.TIMEOUT
NAME, HOST, TRUE = "platforms-1", "www.social.example", "93.184.216.34"
STEPS = {"tls": RESET, "tcp": RESET, "dns": Failure.DNS_NXDOMAIN, "http": RESET}


def evidence(step: str, *, host: str = HOST, address: str = TRUE) -> WebEvidence:
    """Return a journey to the platform that ended in `step`, or arrived ("handshake")."""
    failure = STEPS.get(step)
    connects = (Connect(address=address, port=443, failure=failure if step == "tcp" else None),)
    shaken = (
        HandshakeEvidence(address=address, server_name=host, failure=failure if step == "tls" else None),
    )
    asked = (Request(url=f"https://{host}/", address=address, failure=failure),)
    return WebEvidence(
        url=f"https://{host}/",
        lookups=(
            Lookup(
                hostname=host,
                resolver="@system",
                failure=failure if step == "dns" else None,
                addresses=() if step == "dns" else (address,),
            ),
        ),
        connects=() if step == "dns" else connects,
        handshakes=shaken if step in ("tls", "http", "handshake") else (),
        requests=asked if step == "http" else (),
    )


UP = SiteView(
    source=VantageSource.COLLECTOR,
    addresses=(TRUE,),
    connects={f"{TRUE}:443": None},
    handshakes={f"{TRUE}:443": None},
    status=200,
    earlier_s=tuple(range(9, 86, 9)),
)
"""Seen often since the first of `failed_before`."""
TOLD = replace(UP, second=(SecondView(stand=Stand.SECOND, before_s=70.0),))
"""And a second vantage reached it, while it failed for two minutes and a half."""
LONG = (150.0, 120.0, 90.0, 60.0, 30.0)
DOWN = replace(UP, connects={f"{TRUE}:443": RESET}, handshakes={}, http_failure=RESET, status=None)


def one_fails(step: str) -> list[Observation]:
    operation = {"dns": "resolve", "tcp": "connect", "tls": "tls_handshake"}.get(step, "http_round_trip")
    failed = seen(NAME, Rung.PLATFORMS, STEPS[step], operation=operation, test="web_connectivity")
    return [*near(), *many(Rung.DOMESTIC, 4), *many(Rung.INTERNATIONAL, 5), failed]


def failed_before(step: str, *, ages: Sequence[float] = (90.0, 60.0, 30.0)) -> list[Past]:
    told = TargetJudgement(
        name=NAME,
        verdict=VerdictWord.INCONCLUSIVE,
        rule_id="seen-once",
        step=step,
        confidence="low",
        tries=TargetTries(own=1, own_failed=1),
    )
    well = ReferenceHandshakes(tried=5)
    return [
        replace(past("controls-reached", age_s=age_s), targets=(told,), references=well) for age_s in ages
    ]


def judged(
    step: str,
    *,
    history: Sequence[Past] = (),
    vantage: SiteView | None = UP,
    observations: Sequence[Observation] | None = None,
) -> RoundJudgement:
    vantages = {} if vantage is None else {NAME: vantage}
    return judge_round(
        one_fails(step) if observations is None else observations,
        history,
        pages={NAME: evidence(step)},
        views=vantages,
    )


@pytest.mark.parametrize(
    ("step", "word", "rule_id"),
    [
        ("dns", "blocked_dns", "platform-blocked-by-name"),
        ("tcp", "blocked_tcp", "platform-blocked-by-address"),
        ("tls", "blocked_tls", "platform-blocked-in-handshake"),
        ("http", "blocked_http", "platform-blocked-by-page"),
    ],
)
class TestOnePlatform:
    """Blocking on each rung: two rounds, reference targets that are well, and a vantage outside that has looked since."""

    def test_it_is_said(self, step: str, word: str, rule_id: str) -> None:
        found = judged(step, history=failed_before(step, ages=LONG), vantage=TOLD)
        assert (found.verdict.verdict, found.verdict.rule_id) == (word, rule_id)
        (target,) = found.targets
        named = stated(
            "target-verdict",
            target=NAME,
            verdict=word,
            rule_id=target.rule_id,
            confidence=target.confidence,
        )
        assert named in found.verdict.evidence
        assert any(NAME in line and word in line for line in lines(found.verdict))
        assert [(one.name, one.verdict, one.step) for one in found.targets] == [(NAME, word, step)]

    def test_not_by_one_round(self, step: str, word: str, rule_id: str) -> None:
        assert judged(step).verdict.verdict == "ok"
        # nor by a failure of another kind before
        other = "tcp" if step != "tcp" else "dns"
        assert judged(step, history=failed_before(other)).verdict.verdict == "ok"

    def test_not_without_a_vantage(self, step: str, word: str, rule_id: str) -> None:
        assert judged(step, history=failed_before(step), vantage=None).verdict.verdict == "ok"
        unreachable = replace(UP, reachable=False)
        assert judged(step, history=failed_before(step), vantage=unreachable).verdict.verdict == "ok"

    def test_not_by_a_vantage_that_has_not_looked_since(self, step: str, word: str, rule_id: str) -> None:
        before = replace(UP, age_s=300.0)
        assert judged(step, history=failed_before(step), vantage=before).verdict.verdict == "ok"

    def test_down_for_everyone(self, step: str, word: str, rule_id: str) -> None:
        gone = replace(DOWN, addresses=()) if step == "dns" else DOWN
        found = judged(step, history=failed_before(step), vantage=gone)
        assert (found.verdict.verdict, found.verdict.rule_id) == ("service_down", "platform-down")

    def test_not_in_a_cut(self, step: str, word: str, rule_id: str) -> None:
        failed = [one for one in one_fails(step) if one.target_name == NAME]
        dark = [*[one for one in cut() if one.target_name != NAME], *failed]
        found = judged(step, history=failed_before(step), observations=dark)
        assert found.verdict.verdict == "international_cut"
        assert [one.verdict for one in found.targets] == ["inconclusive"]


def test_a_round_does_not_say_of_a_platform_what_is_too_unsure_of_that_platform_itself() -> None:
    with every_rule_is(0.98, speaker=Speaker.SITE):
        found = judged("tls", history=failed_before("tls", ages=LONG))
    (target,) = found.targets
    assert (target.verdict, target.concluded) == ("inconclusive", "blocked_tls")
    assert (found.verdict.verdict, found.verdict.rule_id) == ("inconclusive", "platform-blocked-in-handshake")


def second(stand: Stand = Stand.SECOND, before_s: float = 70.0, failure: str | None = None) -> SiteView:
    return replace(UP, second=(SecondView(stand=stand, before_s=before_s, failure=failure),))


@pytest.mark.parametrize(
    ("vantage", "word", "rule_id"),
    [
        (UP, "inconclusive", MAY_REFUSE),
        (second(), "blocked_tcp", NOT_REFUSED),
        (second(Stand.INSIDE), "blocked_tcp", NOT_REFUSED),
        (second(failure=RESET), "inconclusive", REFUSES),
        (second(before_s=100.0), "inconclusive", MAY_REFUSE),
        (second(before_s=50.0), "inconclusive", MAY_REFUSE),
    ],
    ids=["nobody", "second", "inside", "refused-too", "before-it-failed", "when-it-may-have-been-over"],
)
def test_connects_that_fail_are_a_block_only_where_somebody_tells_that_the_platform_does_not_refuse(
    vantage: SiteView, word: str, rule_id: str
) -> None:
    (target,) = judged("tcp", history=failed_before("tcp", ages=LONG), vantage=vantage).targets
    assert (target.verdict, target.rule_id) == (word, rule_id)


@pytest.mark.parametrize("stand", Stand)
def test_who_reaches_a_platform_that_fails_now_and_then_tells_nothing(stand: Stand) -> None:
    """A platform may turn one connect of three away, whoever asks."""
    rounds = failed_before("tcp", ages=[30.0 * number for number in range(200, 0, -1)])
    well = TargetJudgement(
        name=NAME,
        verdict=VerdictWord.OK,
        rule_id="site-proven",
        step="",
        confidence="high",
        tries=TargetTries(own=1),
    )
    history = [one if number % 3 == 0 else replace(one, targets=(well,)) for number, one in enumerate(rounds)]
    outside = replace(second(stand), earlier_s=tuple(range(9, 5_900, 9)))
    (target,) = judged("tcp", history=history, vantage=outside).targets
    assert (target.verdict, target.rule_id) == ("inconclusive", MAY_REFUSE)


@pytest.mark.parametrize(("ago_h", "rule_id"), [(2.9, NOT_REFUSED), (3.1, MAY_REFUSE)])
def test_a_look_tells_for_three_hours(ago_h: float, rule_id: str) -> None:
    long = [300.0 * number for number in range(60, 0, -1)]
    outside = replace(second(before_s=ago_h * 3600), earlier_s=tuple(range(9, 300, 9)))
    (target,) = judged("tcp", history=failed_before("tcp", ages=long), vantage=outside).targets
    assert target.rule_id == rule_id


SIX = "2606:2800:220:1::1946"


@pytest.mark.parametrize("stand", Stand)
def test_what_others_reach_over_ipv4_tells_nothing_of_a_device_that_has_ipv6_alone(stand: Stand) -> None:
    outside = replace(
        UP,
        addresses=(SIX,),
        connects={f"[{SIX}]:443": None},
        second=(SecondView(stand=stand, before_s=70.0),),
    )
    found = judge_round(
        one_fails("tcp"),
        failed_before("tcp", ages=LONG),
        pages={NAME: evidence("tcp", address=SIX)},
        views={NAME: outside},
    )
    (target,) = found.targets
    assert (target.verdict, target.rule_id) == ("inconclusive", MAY_REFUSE)


def test_a_round_says_over_which_family_a_platform_was_connected_to() -> None:
    for address, family in ((TRUE, 4), (SIX, 6)):
        pages = {NAME: evidence("handshake", address=address)}
        (target,) = judge_round(everything_works(), pages=pages).targets
        assert (target.rule_id, target.families) == ("site-proven", (family,))
        assert from_json(to_json([target])) == (target,)


@pytest.mark.parametrize("step", ["dns", "tls", "http"])
def test_what_fails_above_tcp_asks_nobody_for_that(step: str) -> None:
    (target,) = judged(step, history=failed_before(step, ages=LONG)).targets
    assert target.verdict == f"blocked_{step}"


@pytest.mark.parametrize("elsewhere", ["resolver-not-well", "page-through-tunnel", "own-side"])
def test_rounds_in_which_the_fault_was_elsewhere_do_not_count_against_a_platform(elsewhere: str) -> None:
    """Half an hour of such rounds, one in which the platform was well, and one failure now."""
    many_before = failed_before("tls", ages=[60.0 + 40 * one for one in range(40, 0, -1)])
    told = many_before[0].targets[0]
    well = replace(
        many_before[-1],
        age_s=40.0,
        targets=(replace(told, step="handshake", rule_id="site-proven", tries=TargetTries(own=1)),),
    )
    counted = judged("tls", history=[*many_before, well])
    assert [one.rule_id for one in counted.targets] != ["seen-once"]
    not_its_own = [replace(one, targets=(replace(told, rule_id=elsewhere),)) for one in many_before]
    (target,) = judged("tls", history=[*not_its_own, well]).targets
    assert (target.verdict, target.rule_id) == ("inconclusive", "seen-once")
    # nor is one of them the round before
    (target,) = judged("tls", history=not_its_own).targets
    assert (target.verdict, target.rule_id) == ("inconclusive", "seen-once")


@pytest.mark.parametrize(
    ("address", "rules"),
    [
        ("10.10.34.35", ["seen-once", "known-false-answer"]),
        ("10.9.8.7", ["seen-once", "impossible-answer"]),
        (TRUE, ["own-side", "own-side"]),
    ],
)
def test_a_false_answer_to_a_network_that_is_not_there_is_a_false_answer(
    address: str, rules: list[str]
) -> None:
    page = evidence("tcp", address=address)
    connect = replace(page.connects[0], failure=Failure.NETWORK_UNREACHABLE)
    page = replace(page, connects=(connect,))
    first = judge_round(one_fails("tcp"), pages={NAME: page}, views={NAME: UP}).targets
    before = replace(
        past("controls-reached", age_s=30.0), targets=first, references=ReferenceHandshakes(tried=5)
    )
    second = judge_round(one_fails("tcp"), [before], pages={NAME: page}, views={NAME: UP}).targets
    assert [one.rule_id for one in (*first, *second)] == rules


def test_a_resolver_that_lies_for_every_name_blocks_none() -> None:
    names = [f"platforms-{number}" for number in range(1, 4)]
    pages = {name: evidence("tls", host=f"{name}.example", address="130.192.182.17") for name in names}
    failed = [
        seen(
            name,
            Rung.PLATFORMS,
            Failure.SSL_UNKNOWN_AUTHORITY,
            operation="tls_handshake",
            test="web_connectivity",
        )
        for name in names
    ]
    observations = [*near(), *many(Rung.INTERNATIONAL, 5), *failed]
    found = judge_round(observations, failed_before("tls"), pages=pages, views=dict.fromkeys(names, UP))
    assert found.verdict.rule_id == "resolver-lies"
    assert {one.verdict for one in found.targets} == {"inconclusive"}
    # nor does one whose name is blocked besides, and has an answer of its own
    pages["platforms-8"] = evidence("tls", host="platforms-8.example", address="10.10.34.35")
    found = judge_round(observations, failed_before("tls"), pages=pages, views=dict.fromkeys(names, UP))
    assert found.verdict.rule_id == "resolver-lies"
    # with one name that is answered truly the others are blocked, not the resolver broken
    pages["platforms-9"] = evidence("handshake", host="platforms-9.example")
    assert judge_round(observations, failed_before("tls"), pages=pages).verdict.rule_id != "resolver-lies"


def test_platforms_that_are_well_are_ok() -> None:
    found = judge_round(everything_works(), pages={NAME: evidence("handshake")})
    assert found.verdict.verdict == "ok"
    assert [(one.verdict, one.rule_id) for one in found.targets] == [("ok", "site-proven")]


def test_they_survive_json_and_refuse_what_is_none() -> None:
    found = judged("tls", history=failed_before("tls")).targets
    assert from_json(json.loads(json.dumps(to_json(found)))) == found
    damaged: list[JsonValue] = [
        {},
        [1],
        [{"name": "x"}],
        [{"name": "x", "verdict": "perhaps", "rule_id": "r"}],
    ]
    for wrong in damaged:
        with pytest.raises(RecordError, match="targets"):
            from_json(wrong)


def test_the_rules_about_platforms_are_all_told_here() -> None:
    told = {"resolver-lies", "platform-down"} | {
        f"platform-blocked-{how}" for how in ("by-name", "by-address", "in-handshake", "by-page")
    }
    assert told == {
        rule.rule_id
        for rule in RULES
        if rule.rule_id.startswith("platform-") or rule.rule_id == "resolver-lies"
    }


@given(
    st.sampled_from(list(STEPS)), st.lists(st.floats(1, 2000), max_size=4), st.sampled_from([None, UP, DOWN])
)
def test_a_round_says_blocked_only_with_a_vantage_after_the_first_failure(
    step: str, ages: list[float], vantage: SiteView | None
) -> None:
    history = failed_before(step, ages=sorted(ages, reverse=True))
    found = judged(step, history=history, vantage=vantage)
    if found.verdict.verdict.startswith("blocked"):
        assert vantage is UP
        assert history
        assert history[-1].age_s <= 600
