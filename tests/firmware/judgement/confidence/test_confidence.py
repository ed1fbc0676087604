"""A number for each rule, made of counts that are published, and accusations that are not sure enough to be said."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.judgement.scope import SCOPE_RULES
from firmware.judgement.confidence.accusers import ACCUSERS, concluded
from firmware.judgement.confidence.estimate import JEFFREYS, Count, Prior, prior_of, probability
from firmware.judgement.confidence.said import said_of
from firmware.judgement.confidence.table import LEAST, Said, Speaker, Table, made_of, read, shipped, to_text
from firmware.judgement.round.rules import RULES
from firmware.judgement.round.verdict import decide
from firmware.judgement.site.rules import WEB_RULES
from firmware.model.record import Verdict
from firmware.model.statement import SUSPECTED, stated
from firmware.model.verdict_words import ACCUSING, REASSURING, VerdictWord
from tests.firmware.rounds import cut
from tests.sureness import every_rule_is

ALL_RULES = [
    *((Speaker.ROUND, one.rule_id, one.verdict) for one in RULES),
    *((Speaker.SITE, one.rule_id, one.verdict) for one in WEB_RULES),
    *((Speaker.COUNTRY, one.rule_id, one.verdict) for one in SCOPE_RULES),
]
SEEN = stated("nothing-measured")
CUT = Verdict(verdict="international_cut", rule_id="international-cut", evidence=(SEEN,))

counts = st.integers(0, 400).flatmap(
    lambda countries: st.builds(Count, countries=st.just(countries), false=st.integers(0, countries))
)
priors = st.builds(Prior, mean=st.floats(0.0001, 0.9), strength=st.floats(0.5, 600))


def test_the_table_that_ships_is_what_follows_from_the_counts_in_it() -> None:
    ships = shipped()
    made = made_of(ships.counts, ships.source)
    assert ships.numbers == made.numbers
    assert ships.priors.keys() == made.priors.keys()
    for name, prior in made.priors.items():
        assert ships.priors[name].mean == pytest.approx(prior.mean, abs=1e-8)
        assert ships.priors[name].strength == prior.strength
    assert read(to_text(made)) == ships
    assert ships.source
    assert all(0 < number < 1 for number in ships.numbers.values())


def test_every_rule_has_a_number_but_for_what_claims_nothing() -> None:
    for speaker, rule_id, word in ALL_RULES:
        for certainty in ("", "high", "medium", "low"):
            sure = shipped().of(
                Said(speaker=str(speaker), word=str(word), rule_id=rule_id, certainty=certainty)
            )
            if word is VerdictWord.INCONCLUSIVE:
                assert sure is None
            else:
                assert sure is not None
                assert 0 < sure.probability < 1


def test_each_word_accuses_reassures_or_claims_nothing() -> None:
    assert {*ACCUSING, *REASSURING, VerdictWord.INCONCLUSIVE} == set(VerdictWord)
    assert not ACCUSING & REASSURING
    assert VerdictWord.OK in REASSURING


def test_what_was_held_back_is_known_by_its_rule() -> None:
    assert {rule_id: word for _, rule_id, word in ALL_RULES if word in ACCUSING} == ACCUSERS
    for _, rule_id, word in ALL_RULES:
        assert concluded(str(word), rule_id) == word
    assert concluded("inconclusive", "connect-stopped") == "blocked_tcp"


@given(prior=priors, count=counts)
def test_a_number_lies_between_none_and_all_and_what_was_false_lowers_it(prior: Prior, count: Count) -> None:
    number = probability(prior, count)
    assert 0 < number < 1
    worse = Count(countries=count.countries + 1, false=count.false + 1)
    better = Count(countries=count.countries + 1, false=count.false)
    assert probability(prior, worse) < number < probability(prior, better)


def test_by_hand() -> None:
    """Jeffreys, and two rules of a class of which one is false in 3 of 12."""
    assert prior_of([], countries=0) == Prior(mean=0.5, strength=512)
    assert prior_of([Count(countries=49, false=0)], countries=49).mean == pytest.approx(0.01)
    assert probability(JEFFREYS, Count(countries=49, false=0)) == pytest.approx(0.99)
    found = prior_of([Count(countries=200, false=0), Count(countries=12, false=3)], countries=212)
    assert found.mean == pytest.approx(3.5 / 213)
    assert found.strength < 8, "they differ by more than chance, so that little is shared"
    assert probability(found, Count(countries=200, false=0)) > 0.999
    assert probability(found, Count(countries=12, false=3)) < 0.85


def test_rules_that_differ_by_chance_alone_share_their_number() -> None:
    found = prior_of([Count(countries=20, false=1)] * 8, countries=160)
    assert found.strength == 512
    numbers = [probability(found, Count(countries=20, false=of)) for of in range(3)]
    assert all(first - second < 0.01 for first, second in pairwise(numbers))


def test_rules_that_speak_in_the_same_countries_are_no_more_trials_than_these() -> None:
    alone = prior_of([Count(countries=49, false=0)], countries=49)
    assert prior_of([Count(countries=49, false=0)] * 20, countries=49).mean == alone.mean
    assert prior_of([Count(countries=5, false=0)] * 2, countries=49).mean == pytest.approx(0.5 / 11)


def test_where_nothing_was_false_a_rule_that_never_spoke_is_as_sure_as_its_class() -> None:
    seen = Said(speaker="round", word="international_cut", rule_id="international-cut")
    unseen = Said(speaker="site", word="blocked_http", rule_id="known-block-page", certainty="high")
    unsure = Said(speaker="site", word="blocked_tls", rule_id="innocuous-name-unseen", certainty="low")
    table = made_of({seen: Count(countries=6, false=0)}, "six")
    for said, is_said in ((seen, True), (unseen, True), (unsure, False)):
        sure = table.of(said)
        assert sure is not None
        assert (sure.probability >= LEAST) is is_said
    claims_nothing = Said(speaker="round", word="inconclusive", rule_id="no-control")
    assert made_of({claims_nothing: Count(countries=3, false=0)}, "").of(claims_nothing) is None
    assert isinstance(table, Table)


def test_a_rule_that_is_found_out_silences_itself_alone() -> None:
    found_out = Said(speaker="site", word="blocked_tcp", rule_id="connect-stopped", certainty="medium")
    like_it = Said(speaker="site", word="blocked_tls", rule_id="handshake-stopped", certainty="medium")
    unseen = Said(speaker="site", word="blocked_http", rule_id="request-stopped", certainty="medium")
    table = made_of({found_out: Count(countries=8, false=3), like_it: Count(countries=2, false=0)}, "ten")
    number, like, never = (table.of(one) for one in (found_out, like_it, unseen))
    assert number is not None
    assert like is not None
    assert never is not None
    assert number.probability < 0.9
    assert min(like.probability, never.probability) >= LEAST


def test_an_accusation_is_said_from_0_99_on_and_below_it_is_kept_in_the_evidence() -> None:
    with every_rule_is(0.995):
        said = said_of(Speaker.ROUND, CUT)
        assert (said.verdict, said.rule_id, said.probability) == (
            "international_cut",
            "international-cut",
            0.995,
        )
        assert said.evidence[0] == SEEN
    with every_rule_is(0.98):
        held = said_of(Speaker.ROUND, CUT)
        assert (held.verdict, held.rule_id, held.probability) == ("inconclusive", "international-cut", None)
        suspected = stated(
            SUSPECTED,
            verdict="international_cut",
            rule_id="international-cut",
            probability=0.98,
            countries=50,
        )
        assert held.evidence == (suspected, SEEN)
        assert concluded(held.verdict, held.rule_id) == "international_cut"
        assert said_of(Speaker.ROUND, CUT, is_told_of_others=True).verdict == "international_cut"


def test_just_0_99_is_enough() -> None:
    with every_rule_is(LEAST):
        assert said_of(Speaker.ROUND, CUT).verdict == "international_cut"


def test_a_rounds_word_on_one_platform_is_pooled_with_what_rests_on_one_view() -> None:
    of_platform = Said(speaker="round", word="blocked_tls", rule_id="platform-blocked-in-handshake")
    of_line = Said(speaker="round", word="international_cut", rule_id="international-cut")
    assert (of_platform.of_class, of_line.of_class) == ("accusing, one view", "accusing")


def test_what_accuses_nobody_is_said_however_unsure() -> None:
    well = Verdict(verdict="ok", rule_id="controls-reached", evidence=(SEEN,))
    nothing = Verdict(verdict="inconclusive", rule_id="no-control", evidence=(SEEN,))
    with every_rule_is(0.6):
        assert said_of(Speaker.ROUND, well).probability == 0.6
        assert said_of(Speaker.ROUND, well).verdict == "ok"
        assert said_of(Speaker.ROUND, nothing) == nothing


def test_a_rounds_own_verdict_goes_the_same_way() -> None:
    with every_rule_is(0.98):
        held = decide(cut())
    assert (held.verdict, held.rule_id) == ("inconclusive", "international-cut")
    assert held.evidence[0].code == SUSPECTED
    with every_rule_is(0.995):
        assert decide(cut()).probability == 0.995


def test_a_round_is_no_surer_of_a_platform_than_what_is_said_of_that() -> None:
    blocked = Verdict(verdict="blocked_tls", rule_id="platform-blocked-in-handshake")
    with every_rule_is(0.999):
        assert said_of(Speaker.ROUND, blocked, at_most=0.98).verdict == "inconclusive"
        assert said_of(Speaker.ROUND, blocked, at_most=0.995).probability == 0.995
