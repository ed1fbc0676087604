"""Countries in virtual time: they call the product's rules, they are the same each time, and they find what is false."""

from collections import Counter
from dataclasses import replace
from unittest import mock

import pytest

from collector.judgement import scope as scope_module
from collector.judgement.scope import ScopeRule
from firmware.judgement.facts import RoundFacts
from firmware.judgement.round import verdict as verdict_module
from firmware.judgement.round.rules import Rule
from firmware.model.failures import Failure
from firmware.model.record import Rung
from firmware.model.verdict_words import VerdictWord
from tests.country.known import MENDED, Known
from tests.country.many import Asked, play_one
from tests.country.oracle import FALSE, Mark
from tests.country.play import Story, play
from tests.country.report import report
from tests.country.shrink import shrink
from tests.country.tally import tally_of
from tests.country.truth import Direction, Home, Ill, Provider, Scope, Truth, Wrong

FIXED = Provider(name="AS64500", kind="fixed")
MOBILE = Provider(name="AS64501", kind="mobile")
HOMES = tuple(
    Home(number=number, provider=provider, province="Fars", line=line)
    for number, (provider, line) in enumerate([(FIXED, "fibre"), (MOBILE, "mobile"), (FIXED, "dsl")])
)


def cut(*, since_s: float = 700, until_s: float = 1_000) -> Wrong:
    homes = frozenset(range(3))
    return Wrong(ill=Ill.CUT, since_s=since_s, until_s=until_s, homes=homes, scope=Scope.NATION)


def truth(*wrongs: Wrong, hours: float = 0.35, homes: tuple[Home, ...] = HOMES) -> Truth:
    return Truth(seed=7, hours=hours, homes=homes, wrongs=wrongs)


@pytest.fixture(scope="module")
def story() -> Story:
    return play(truth(cut()))


def test_a_cut_is_said_by_every_device_within_a_minute_and_is_over_when_it_is(story: Story) -> None:
    for home in range(3):
        rounds = [one for one in story.rounds if one.home == home]
        first = next(one for one in rounds if one.verdict == "international_cut")
        assert 700 < first.until_s < 760
        back = next(one for one in rounds if one.until_s > first.until_s and one.verdict == "ok")
        assert 1_000 < back.until_s < 1_045
        assert Counter(one.verdict for one in rounds).keys() <= {"ok", "international_cut", "inconclusive"}


def test_nothing_false_is_said_of_a_plain_cut_and_a_report_says_so(story: Story) -> None:
    tally = tally_of(truth(cut()), story)
    assert [one for one in tally.findings if one.mark in FALSE] == []
    told = "\n".join(report(tally, took_s=1.0, workers=1))
    assert "1 countries, 0 of them free" in told
    assert "countries with a false accusation: 0 of 0 free, 0 of 1 censored (below 300.00%)" in told
    assert "causes found: 0" in told


def test_a_country_is_the_same_each_time() -> None:
    there = truth(cut(since_s=50, until_s=150), hours=0.06, homes=HOMES[:2])
    first, second = play(there), play(there)
    assert first.rounds == second.rounds
    assert first.country == second.country
    assert first.rounds


def test_a_round_rule_put_in_on_purpose_is_found_and_made_small() -> None:
    def one_time_out(facts: RoundFacts) -> bool:
        return any(seen.failure == Failure.TIMEOUT for seen in facts.on(Rung.INTERNATIONAL))

    on_purpose = Rule(
        rule_id="on-purpose",
        verdict=VerdictWord.INTERNATIONAL_CUT,
        rungs=(Rung.INTERNATIONAL,),
        condition=one_time_out,
    )
    down = Wrong(ill=Ill.SERVER_DOWN, since_s=40, until_s=300, hosts=frozenset({"www.gnu.org"}))
    there = truth(down, hours=0.03, homes=HOMES[:2])
    with mock.patch.object(verdict_module, "RULES", (on_purpose, *verdict_module.RULES)):
        findings = tally_of(there, play(there)).findings
        assert {(one.word, one.rule_id, one.mark) for one in findings} == {
            ("international_cut", "on-purpose", Mark.ACCUSES)
        }
        lines = list(shrink(there))
    assert lines[0] == "looking for: device | false accusation | international_cut | on-purpose | server-down"
    assert "1 devices" in lines[-3]
    assert tally_of(there, play(there)).findings == []


def test_a_scope_rule_put_in_on_purpose_is_found() -> None:
    on_purpose = ScopeRule(
        rule_id="on-purpose",
        verdict=VerdictWord.TOTAL_SHUTDOWN,
        condition=lambda _facts: True,
    )
    there = truth(hours=0.2, homes=HOMES[:1])
    with mock.patch.object(scope_module, "SCOPE_RULES", (on_purpose,)):
        findings = tally_of(there, play(there)).findings
    assert {(one.who, one.word, one.mark) for one in findings} == {
        ("country", "total_shutdown", Mark.ACCUSES)
    }


@pytest.mark.parametrize(
    "known",
    [pytest.param(one, marks=[pytest.mark.long] if one.is_long else [], id=one.name) for one in MENDED],
)
def test_what_was_false_is_so_no_more(known: Known) -> None:
    findings = tally_of(known.truth, play(known.truth)).findings
    assert [one for one in findings if one.mark in FALSE] == []


def of_one_home(wrong: Wrong, *, hours: float = 0.05) -> list[tuple[str, float, float]]:
    """Return what the device of one home with fibre says, round by round: the word, from when to when."""
    told = play(truth(wrong, hours=hours, homes=HOMES[:1])).rounds
    return [(one.verdict, one.since_s, one.until_s) for one in told]


def test_a_line_that_is_back_while_references_wait_in_syn_back_off_proves_no_cut() -> None:
    """Abroad is stopped for 16 s. When the anchors prove themselves it is back, and no SYN of the first was due since."""
    back_s = 78.2
    said = of_one_home(Wrong(ill=Ill.CUT, since_s=62, until_s=back_s, homes=frozenset({0})))
    during = [one for one in said if one[1] < back_s < one[2]]
    assert during, "no round ran when the line came back"
    assert [word for word, *_ in said if word == "international_cut"] == []
    assert said[-1][0] == "ok"


def test_a_cut_of_a_line_of_3_s_each_way_is_said_within_90_s() -> None:
    """The worst moment: the sentinel has just been answered, and may wait 8 s for each of two probes."""
    home = Home(number=0, provider=FIXED, province="Fars", line="very-slow")
    stopped = Wrong(ill=Ill.CUT, since_s=203, until_s=3_600, homes=frozenset({0}))
    told = play(truth(stopped, hours=0.085, homes=(home,))).rounds
    first = next(one for one in told if one.verdict == "international_cut")
    assert 203 < first.until_s <= 203 + 90


def test_a_silence_that_was_a_slow_line_is_taken_back_when_it_answers() -> None:
    """A line that was quick holds its packets for 8 s each way: its connections come after 16 s, all of them."""
    late = Wrong(ill=Ill.LINE_WORSE, since_s=62, until_s=3_600, homes=frozenset({0}), share=0, extra_ms=8_000)
    said = of_one_home(late, hours=0.08)
    (first,) = [one for one in said if one[0] == "isp_or_wider_outage"]
    revised = said[said.index(first) + 1]
    assert revised[0] == "inconclusive"
    assert revised[1] == first[1], "it is the same round"
    assert revised[2] - first[2] < 15
    assert len(said) > said.index(first) + 3, (
        "the line is known to be slow since, and nothing is said of silence any more"
    )


def test_lines_of_all_homes_that_got_slow_are_nobodys_outage() -> None:
    """They hold their packets for three seconds and lose a tenth of them: devices that are wrong together name a country."""
    homes = tuple(
        Home(number=n, provider=(FIXED, MOBILE)[n % 2], province="Fars", line="fibre") for n in range(4)
    )
    late = Wrong(
        ill=Ill.LINE_WORSE,
        since_s=615,
        until_s=7_200,
        homes=frozenset(range(4)),
        share=0.1,
        extra_ms=3_000,
        scope=Scope.NATION,
    )
    there = truth(late, hours=0.4, homes=homes)
    findings = tally_of(there, play(there)).findings
    assert [one for one in findings if one.mark in FALSE] == []


@pytest.mark.parametrize("router_resolves", [False, True], ids=["provider", "router"])
def test_names_that_a_slow_line_answers_too_late_are_not_blocked(*, router_resolves: bool) -> None:
    """A resolver is waited for 5 s, and each of its packets takes 2.8 s each way: nothing is blocked there."""
    home = Home(number=0, provider=FIXED, province="Fars", line="very-slow", router_resolves=router_resolves)
    there = truth(hours=0.3, homes=(home,))
    findings = tally_of(there, play(there)).findings
    assert [one for one in findings if one.mark in FALSE] == []


def test_protocols_that_a_slow_line_answers_too_late_are_not_filtered() -> None:
    """Ten seconds of round trip: a connect is back in time, and a handshake, a datagram's answer and a name are not."""
    home = Home(number=0, provider=FIXED, province="Fars", line="very-slow")
    late = Wrong(
        ill=Ill.LINE_WORSE, since_s=300, until_s=7_200, homes=frozenset({0}), share=0.0, extra_ms=2_000
    )
    there = truth(late, hours=0.3, homes=(home,))
    findings = tally_of(there, play(there)).findings
    assert [one for one in findings if one.mark in FALSE] == []


@pytest.mark.parametrize("since_s", [70.6, 71.0, 71.35])
def test_a_resolver_that_begins_to_lie_in_the_midst_of_a_round_blocks_no_platform(since_s: float) -> None:
    """The round of 70 s has asked for the references' names by then, and for none or half of the platforms'."""
    lies = Wrong(ill=Ill.RESOLVER_LIES, since_s=since_s, until_s=7_200, homes=frozenset({0}))
    there = truth(lies, hours=0.05, homes=HOMES[:1])
    story = play(there)
    assert story.rounds[-1].rule_id == "resolver-lies"
    assert [one for one in tally_of(there, story).findings if one.mark in FALSE] == []


FULL = Truth(
    seed=5,
    hours=0.22,
    homes=(Home(number=0, provider=FIXED, province="Fars", line="dsl"),),
    wrongs=(
        Wrong(ill=Ill.LINE_FULL, since_s=400, until_s=700, homes=frozenset({0}), direction=Direction.UP),
        Wrong(ill=Ill.LINE_FULL, since_s=720, until_s=3_600, homes=frozenset({0}), direction=Direction.DOWN),
    ),
)
"""A DSL line that an upload fills, whose packets wait for 1.3 s at the most; then a download, for 200 ms."""


def test_a_line_that_an_upload_fills_is_congestion_and_nobodys_doing() -> None:
    story = play(FULL)
    during = [one.verdict for one in story.rounds if one.since_s >= 400 and one.until_s < 700]
    assert Counter(during).most_common(1)[0][0] == "congestion"
    assert set(during) <= {"congestion", "ok", "inconclusive"}
    assert {one.verdict for one in story.rounds if not 400 <= one.since_s < 700} <= {"ok", "inconclusive"}
    assert {one.verdict for one in story.country} <= {"ok", "inconclusive"}
    assert tally_of(FULL, story).findings == []


def test_a_rule_that_takes_a_full_line_for_a_cut_is_found() -> None:
    def late(facts: RoundFacts) -> bool:
        return sum(seen.retransmitted for seen in facts.on(Rung.INTERNATIONAL)) > 2

    on_purpose = Rule(
        rule_id="on-purpose",
        verdict=VerdictWord.INTERNATIONAL_CUT,
        rungs=(Rung.INTERNATIONAL,),
        condition=late,
    )
    with mock.patch.object(verdict_module, "RULES", (on_purpose, *verdict_module.RULES)):
        findings = tally_of(FULL, play(replace(FULL, hours=0.15))).findings
    assert {(one.word, one.rule_id, one.mark, one.truth) for one in findings} == {
        ("international_cut", "on-purpose", Mark.ACCUSES, "line-full")
    }


def test_a_home_whose_power_is_back_is_heard_again() -> None:
    off = Wrong(ill=Ill.POWER_CUT, since_s=40, until_s=1_000, homes=frozenset({0}))
    story = play(truth(off, hours=0.3, homes=HOMES[:1]))
    assert [one for one in story.rounds if 45 < one.until_s < 1_000] == []
    assert [one.verdict for one in story.rounds if one.until_s > 1_000][:1] == ["ok"]
    assert story.intake_s[-1] > 1_000


def test_a_drawn_country_is_played_to_its_end() -> None:
    seed, tally = play_one(Asked(seed=2, hours=0.05))
    assert seed == 2
    assert tally.countries == 1
    assert sum(tally.rounds.values()) > 10


@pytest.mark.long
@pytest.mark.parametrize(
    ("ill", "words"),
    [
        (Ill.BLOCKED_TLS, {"platform_blocked"}),
        (Ill.SERVER_RESETS_NAME, {"service_maintenance"}),
        (Ill.SERVER_REFUSES_COUNTRY, set()),
    ],
)
def test_a_platform_that_is_lost_for_all_homes(ill: Ill, words: set[str]) -> None:
    homes = tuple(
        Home(number=number, provider=(FIXED, MOBILE)[number % 2], province="Tehran", line="fibre")
        for number in range(4)
    )
    all_homes = frozenset() if ill is Ill.SERVER_RESETS_NAME else frozenset(range(4))
    lost = Wrong(
        ill=ill, since_s=700, until_s=7_200, homes=all_homes, hosts=frozenset({"x.com"}), scope=Scope.NATION
    )
    story = play(Truth(seed=3, hours=0.5, homes=homes, wrongs=(lost,)))
    assert {one.verdict for one in story.country if one.at_s > 60} - {"ok", "inconclusive"} == words
