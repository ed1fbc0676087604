"""What is counted of what was said: misses, causes, confidences, and a count that is written down and read again."""

import lzma
import re
from pathlib import Path

import pytest

from tests.country import results
from tests.country.causes import NAMES, Case, cause_of
from tests.country.centre import CountrySaid
from tests.country.misses import dues
from tests.country.oracle import Mark
from tests.country.play import RoundSpoken, Story
from tests.country.six_homes import ALL, HOMES
from tests.country.tally import Tally, tally_of
from tests.country.truth import Ill, Scope, Truth, Wrong
from tests.needs import ROOT


def wrong(ill: Ill, *hosts: str, since_s: float = 3_600, until_s: float = 9_000, share: float = 1.0) -> Wrong:
    return Wrong(
        ill=ill,
        since_s=since_s,
        until_s=until_s,
        homes=ALL,
        hosts=frozenset(hosts),
        scope=Scope.NATION,
        share=share,
    )


def truth(*wrongs: Wrong) -> Truth:
    return Truth(seed=5, hours=3, homes=HOMES, wrongs=wrongs, kind="made-up")


def spoken(word: str, at_s: float, *targets: tuple[str, str, str, str], home: int = 0) -> RoundSpoken:
    return RoundSpoken(
        home=home, since_s=at_s, until_s=at_s + 20, verdict=word, rule_id="some-rule", targets=targets
    )


def country(word: str, at_s: float) -> CountrySaid:
    return CountrySaid(at_s=at_s, verdict=word, rule_id="some-rule", where="")


def test_a_cut_must_be_said_by_every_device_and_of_the_country_and_a_word_in_time_is_enough() -> None:
    there = truth(wrong(Ill.CUT))
    assert {(one.home, one.words) for one in dues(there)} == {
        *((home, frozenset({"international_cut"})) for home in range(6)),
        (None, frozenset({"total_shutdown", "international_cut", "partial_shutdown"})),
    }
    said = Story(
        rounds=[spoken("international_cut", 3_620, home=home) for home in range(5)],
        country=[country("total_shutdown", 3_900)],
    )
    tally = tally_of(there, said)
    assert (tally.due["device: cut"], tally.missed["device: cut"]) == (6, 1)
    assert tally.missed["country: all homes cut"] == 0
    assert tally.delays_s["country: all homes cut"] == [300.0]
    assert [(one.who, one.mark, one.cause) for one in tally.findings] == [("device 5", Mark.MISSED, "15")]


def test_nothing_need_be_said_of_what_is_short_or_mixed_up_with_other_faults() -> None:
    assert list(dues(truth(wrong(Ill.CUT, until_s=3_900)))) == []
    assert [one for one in dues(truth(wrong(Ill.CUT), wrong(Ill.LINE_WORSE))) if one.home is not None] == []
    assert list(dues(truth(wrong(Ill.SERVER_DOWN, "x.com")))) == []


def test_what_is_blocked_now_and_then_must_be_named_once_and_a_weak_word_does_not_count() -> None:
    there = truth(wrong(Ill.BLOCKED_TLS, "x.com", share=0.3))
    weak = ("x", "blocked_tls", "seen-once", "low")
    sure = ("x", "blocked_tls", "often", "medium")
    tally = tally_of(there, Story(rounds=[spoken("ok", 4_000, weak), spoken("ok", 4_100, sure, home=1)]))
    assert (
        tally.due["site: blocked-tls, now and then"],
        tally.missed["site: blocked-tls, now and then"],
    ) == (6, 5)
    assert {one.cause for one in tally.findings} == {"14"}
    assert tally.sure["site", "blocked_tls", "low", "right"] == 1
    assert tally.sure["site", "blocked_tls", "medium", "right"] == 1


def test_inconclusive_in_a_clear_case_is_counted_apart() -> None:
    there = truth(wrong(Ill.CUT))
    rounds = [
        spoken("inconclusive", 4_000),
        spoken("international_cut", 4_100),
        spoken("inconclusive", 3_610),
    ]
    tally = tally_of(there, Story(rounds=rounds))
    assert tally.clear == {("cut", "inconclusive"): 1, ("cut", "told"): 1}


@pytest.mark.parametrize(
    ("ill", "home", "mark", "word", "cause"),
    [
        (Ill.MTU_HOLE, 0, Mark.ACCUSES, "protocol_filtering", "10"),
        (Ill.COLLECTOR_DOWN, None, Mark.ACCUSES, "total_shutdown", "11"),
        (Ill.POWER_CUT, None, Mark.ACCUSES, "regional_shutdown", "15"),
        (Ill.PROVIDER_DARK, 0, Mark.ACCUSES, "international_cut", "6"),
        (Ill.ALLOW_LIST, 0, Mark.COMFORTS, "ok", "9"),
        (Ill.SIGN_IN, 0, Mark.ACCUSES, "isp_or_wider_outage", "13"),
        (Ill.RESOLVER_LIES, 0, Mark.ACCUSES, "blocked_http", ""),
    ],
)
def test_a_cause_follows_from_the_truth(
    ill: Ill, home: int | None, mark: Mark, word: str, cause: str
) -> None:
    case = Case(truth(wrong(ill)), home, mark, word, since_s=5_000, until_s=5_020)
    assert cause_of(case) == cause
    assert cause in (*NAMES, "")


def test_a_count_is_read_again_as_it_was_and_a_line_that_is_cut_off_is_no_country(tmp_path: Path) -> None:
    tally = tally_of(
        truth(wrong(Ill.CUT)), Story(rounds=[spoken("ok", 5_000)], country=[country("ok", 7_000)])
    )
    assert tally.findings
    path = tmp_path / "countries.jsonl"
    assert list(results.read(path)) == []
    line = results.to_line((5, 3.0, 12), tally)
    results.append(path, line)
    with path.open("a", encoding="utf-8") as file:
        file.write(line[: len(line) // 2])
    assert list(results.read(path)) == [((5, 3.0, 12), tally)]
    total = Tally()
    for _, one in results.read(path):
        total.add(one)
    assert total == tally
    packed = tmp_path / "countries.jsonl.xz"
    packed.write_bytes(lzma.compress(path.read_bytes()))
    assert list(results.read(packed)) == list(results.read(path))


def test_what_other_rules_said_is_no_count_of_these(tmp_path: Path) -> None:
    path = tmp_path / "countries.jsonl"
    line = results.to_line((5, 3.0, 12), Tally(countries=1))
    results.append(path, line)
    results.append(path, line.replace(results.rules(), "0" * 16).replace('"seed":5', '"seed":6'))
    assert [asked[0] for asked, _ in results.read(path)] == [5, 6]
    assert [asked[0] for asked, _ in results.read(path, of=results.rules())] == [5]


def test_what_is_left_out_of_the_digest_is_called_by_nothing_that_is_in_it() -> None:
    left_out = results.UNCALLED.replace("/", ".")
    asks = re.compile(rf"^\s*(from|import) {re.escape(left_out)}\b", re.MULTILINE)
    callers = [
        path.relative_to(ROOT)
        for part in (
            "firmware/judgement",
            "firmware/plans",
            "appliance",
            "collector/judgement",
            "collector/vantage",
            "tests/country",
        )
        for path in (ROOT / part).rglob("*.py")
        if not path.is_relative_to(ROOT / results.UNCALLED) and asks.search(path.read_text())
    ]
    assert callers == []


def test_comments_and_docstrings_change_no_rules(tmp_path: Path) -> None:
    path = tmp_path / "module.py"

    def told(text: str) -> str:
        path.write_text(text)
        return results.statements(path)

    plain = told('"""One."""\n\nA = 1\n"""Two."""\n\ndef b():\n    """Three."""\n    return "Four"\n')
    assert plain == told('A = 1  # five\n\n\ndef b():\n    # six\n    return "Four"\n')
    assert plain != told('A = 1\n\ndef b():\n    return "Seven"\n')
    assert told("if a:\n    b()\nc()\n") != told("if a:\n    b()\n    c()\n")
