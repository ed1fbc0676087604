"""The verdict: every rule can speak, its words and its table are in order, and its evidence counts and names."""

from dataclasses import replace

import pytest

from firmware.judgement.round.rules import RULES, Rule
from firmware.judgement.round.verdict import decide
from firmware.model.statement import stated
from firmware.model.verdict_words import COLLECTOR_ONLY, DEVICE_WORDS, VerdictWord
from tests.english import ENGLISH, lines, overturned_by, strays
from tests.firmware.judgement.round.stories import OUT, SILENT, STORIES, nothing_far
from tests.firmware.rounds import everything_works, many, near, past

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
