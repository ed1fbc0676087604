"""What rounds say around one measurement: its own round's, and where it was made in none, the rounds on either side's."""

from dataclasses import replace

import pytest

from firmware.judgement.facts import RoundFacts
from firmware.judgement.round.surroundings import NEAR_S, NearRound, beside_rounds, in_round, judge_in
from firmware.judgement.round.verdict import RoundJudgement, judge_round
from firmware.judgement.site.evidence import Looked, SecondView, SiteView, Stand, VantageSource
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.refusal import MAY_REFUSE, NOT_REFUSED
from firmware.judgement.site.round_json import UNKNOWN, country_to_json, from_json, to_json
from firmware.model.jsontypes import JsonObject, RecordError
from firmware.model.record import Outcome, Record, Rung
from tests.firmware.listed_page import ADDRESS, page
from tests.firmware.rounds import cut, everything_works

NS = 1_000_000_000
HOUR_NS = 3600 * NS
OUTSIDE = SiteView(
    source=VantageSource.COLLECTOR,
    looked=Looked.AROUND,
    before_s=60.0,
    addresses=(ADDRESS,),
    connects={f"{ADDRESS}:80": None},
    status=200,
)
WELL = judge_round(everything_works())
CUT = judge_round(cut())


def near(judged: RoundJudgement, apart_s: float = 60.0) -> NearRound:
    return NearRound(judged=judged, apart_s=apart_s)


def said(record: Record, around: RoundView, outside: SiteView = OUTSIDE) -> tuple[str, str]:
    judged = judge_in(record, around, outside)
    assert judged is not None
    return judged.verdict.verdict, judged.verdict.rule_id


NOW = page(10 * HOUR_NS)
BEFORE = page(4 * HOUR_NS)


def test_two_well_rounds_and_a_failure_six_hours_ago_accuse() -> None:
    around = beside_rounds(NOW, near(WELL), near(WELL), [BEFORE])
    assert (around.references_reached, around.repeated) == (True, True)
    assert around.failing_for_s == 6 * 3600
    assert said(NOW, around) == ("inconclusive", MAY_REFUSE)
    told = replace(OUTSIDE, second=(SecondView(stand=Stand.SECOND, before_s=600.0),))
    assert said(NOW, around, told) == ("blocked_tcp", NOT_REFUSED)


def test_a_first_failure_does_not() -> None:
    for earlier in ([], [page(4 * HOUR_NS, None)], [page(4 * HOUR_NS, boot_id="another")]):
        assert said(NOW, beside_rounds(NOW, near(WELL), near(WELL), earlier)) == ("inconclusive", "seen-once")


@pytest.mark.parametrize("sides", [(WELL, CUT), (CUT, WELL), (CUT, CUT)])
def test_a_dark_round_on_either_side_does_not(sides: tuple[RoundJudgement, RoundJudgement]) -> None:
    around = beside_rounds(NOW, near(sides[0]), near(sides[1]), [BEFORE])
    assert said(NOW, around) == ("inconclusive", "round-not-well")
    assert around.verdict == CUT.verdict.verdict


def test_a_round_on_one_side_alone_is_not_enough() -> None:
    far = near(WELL, NEAR_S + 1)
    for before, after in (
        (near(WELL), None),
        (None, near(WELL)),
        (near(WELL), far),
        (None, None),
        (far, far),
    ):
        assert said(NOW, beside_rounds(NOW, before, after, [BEFORE])) == ("inconclusive", "round-unknown")


def test_a_page_that_came_is_had_whatever_the_rounds_say() -> None:
    secure = replace(
        NOW,
        target="https://www.example.org/",
        outcome=Outcome(
            detail={
                "requests": [
                    {
                        "url": "https://www.example.org/",
                        "address": ADDRESS,
                        "status": 200,
                        "failure": None,
                        "tls": {"address": ADDRESS, "server_name": "www.example.org", "failure": None},
                    }
                ]
            }
        ),
    )
    for before, after in ((near(CUT), near(CUT)), (None, None), (near(WELL), near(WELL))):
        assert said(secure, beside_rounds(secure, before, after, [])) == ("ok", "page-proven")


@pytest.mark.parametrize("rung", [Rung.DOMESTIC, Rung.INTERNATIONAL])
def test_what_a_round_is_judged_by_is_not_judged_by_itself(rung: Rung) -> None:
    record = replace(NOW, rung=rung, round_id=7)
    around = in_round(WELL, record)
    assert said(record, around) == ("inconclusive", "asked-for-its-round")
    assert (around.verdict, around.rule_id) == (WELL.verdict.verdict, WELL.verdict.rule_id)
    assert said(record, in_round(CUT, record)) == ("inconclusive", "round-not-well")


def test_facts_are_of_the_judged_round() -> None:
    assert isinstance(WELL.facts, RoundFacts)
    assert WELL.facts.references_well
    assert not CUT.facts.references_well


def test_it_travels_as_it_is() -> None:
    around = replace(
        beside_rounds(NOW, near(WELL), near(WELL), [BEFORE]),
        country_verdict="ok",
        country_rule_id="devices-well",
    )
    assert from_json(to_json(around), country_to_json(around)) == around
    assert from_json(to_json(UNKNOWN)) == UNKNOWN
    assert country_to_json(UNKNOWN) is None


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"references_reached": "yes"},
            "round: references_reached: found 'yes'; allowed is true, false or null",
        ),
        ({"failing_for_s": -1}, "round: failing_for_s: found -1; allowed is a number of seconds or null"),
        ({"failing_for_s": True}, "round: failing_for_s: found True"),
        ({"verdict": 7}, "round: verdict: found 7"),
        ({"rule_id": "x" * 61}, "rule_id: found 61 characters"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(changed: JsonObject, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        from_json({**to_json(UNKNOWN), **changed})
