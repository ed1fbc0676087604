"""What a cut, an outage and an allow-list take to be said, with a resolver or without."""

from dataclasses import replace

import pytest

from firmware.judgement.facts import Past
from firmware.judgement.observation import Observation
from firmware.judgement.round.verdict import decide
from firmware.model.failures import Failure
from tests.firmware.judgement.round.stories import IN, OUT, SILENT, SITES, few_pass, past_few, pinned
from tests.firmware.rounds import again, many, near, past, seen


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
        unresolved = Failure.DNS_TEMPORARY_FAILURE
        asked = [
            *near(resolver=resolver),
            *pinned(4, 1, anchor, rung=IN),
            *many(IN, 3, unresolved, first=2, operation="resolve"),
            *pinned(4, 4, SILENT),
            *many(SITES, 4, unresolved, operation="resolve"),
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
        unresolved = Failure.DNS_TEMPORARY_FAILURE
        outside = [
            replace(one, failure=None, failed_operation=None) if number == passing else one
            for number, one in enumerate(pinned(4, 4, SILENT), start=1)
        ]
        return [
            *near(resolver=SILENT),
            *pinned(4, 2, rung=IN),
            *many(IN, 2, unresolved, first=3, operation="resolve"),
            *outside,
            *many(SITES, 4, unresolved, operation="resolve"),
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
