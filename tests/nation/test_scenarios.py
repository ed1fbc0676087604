"""The made country and its scenarios: all can be read, together they ask for everything, and some are played here."""

import subprocess
import sys
from pathlib import Path

import pytest

from firmware.model.verdict_words import VerdictWord
from firmware.plans.load import load as load_plan
from tests.nation import table
from tests.nation.__main__ import command
from tests.nation.atlas import NETWORKS, SITES, site_of
from tests.nation.hearing import Said
from tests.nation.play import Result, judge
from tests.nation.scenario import Expected, ScenarioError, load, names
from tests.nation.scenario.reader import SCENARIOS
from tests.nation.stage import PLAN
from tests.needs import ROOT

SHORT = ("all-well", "cable-out", "cut-by-refusals", "page-sni-reset", "page-bogon")
LATER = {VerdictWord.THROTTLED_TARGETED, VerdictWord.THROTTLED_GENERAL}
"""Verdicts that take a throughput test: until there is one, what is slow must come out `inconclusive`."""


@pytest.mark.parametrize("name", names())
def test_every_scenario_can_be_read_and_its_rules_too(name: str) -> None:
    scenario = load(name)
    assert scenario.expected
    for expected in scenario.expected:
        for word in expected.verdict:
            assert VerdictWord(word)


def test_there_are_enough_and_every_verdict_is_expected_by_one() -> None:
    scenarios = [load(name) for name in names()]
    expected = {word for scenario in scenarios for one in scenario.expected for word in one.verdict}
    assert len(scenarios) >= 60
    assert set(VerdictWord) - LATER <= expected


def test_the_plan_is_sound_and_asks_what_the_atlas_has() -> None:
    plan = load_plan(path=PLAN)
    asns = {network.asn for network in NETWORKS}
    assert {target.network.asn for target in plan.targets if target.network is not None} <= asns
    addresses = {address for site in SITES for address in site.addresses}
    for target in plan.targets:
        if target.network is not None and target.test == "tls":
            host = target.target.rpartition(":")[0].strip("[]")
            assert host in addresses or host in site_of(host).names


def expected(*verdicts: str, rules: tuple[str, ...] = (), rounds: int = 1) -> Expected:
    return Expected(who="device", verdict=verdicts, rules=rules, rounds=rounds, limit_s=10, meanwhile=())


def said(*verdicts: str) -> list[Said]:
    return [
        Said(who="device", at_s=float(n), verdict=one, rule_id=f"by-{one}") for n, one in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    ("wanted", "heard", "wrong", "missing"),
    [
        (expected("international_cut"), ("ok", "inconclusive", "international_cut"), [], ""),
        (expected("international_cut"), ("ok", "inconclusive"), [], "never said"),
        (
            expected("international_cut"),
            ("blocked_tcp", "international_cut"),
            ["said blocked_tcp (by-blocked_tcp)"],
            "",
        ),
        (
            expected("international_cut", rounds=3),
            ("blocked_tcp", "blocked_dns", "blocked_dns", "international_cut", "congestion", "ok"),
            [
                "said blocked_tcp (by-blocked_tcp)",
                "said blocked_dns (by-blocked_dns), 2 times",
                "then said congestion (by-congestion)",
                "then said ok (by-ok)",
            ],
            "",
        ),
        (expected("ok", rounds=2), ("ok", "international_cut"), ["then said international_cut (by-international_cut)"], ""),
        (expected("ok", rounds=2), ("ok",), [], "not said for long enough"),
        (expected("blocked_dns", rules=("other",)), ("blocked_dns",), ["said blocked_dns by by-blocked_dns"], "never said"),
    ],
)  # fmt: skip
def test_every_wrong_verdict_is_told_whatever_comes_after(
    wanted: Expected, heard: tuple[str, ...], wrong: list[str], missing: str
) -> None:
    judged = judge(wanted, said(*heard))
    assert list(judged.wrong) == wrong
    assert ("" if judged.met else judged.missing) == missing


def test_the_table_says_what_came_and_what_should_have() -> None:
    bad = Result(
        name="a", expected="ok", got="blocked_tcp", rule_id="r", seconds=None, passed=False, why="said blocked_tcp"
    )  # fmt: skip
    good = Result(name="b", expected="ok", got="ok", rule_id="r", seconds=2.04, passed=True)
    lines = table.as_text([bad, good]).splitlines()
    assert lines[1].endswith("NOT AS EXPECTED: said blocked_tcp")
    assert lines[2].split() == ["b", "ok", "ok", "r", "2.0"]


def test_a_file_from_anywhere_is_chosen_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert table.choose(["my.toml", "a"], ["a"]) == [str(tmp_path / "my.toml"), "a"]
    with pytest.raises(
        ScenarioError, match=r"my.toml: found no such file; allowed is a file that ends in .toml"
    ):
        load(str(tmp_path / "my.toml"))
    (tmp_path / "my.toml").write_text(
        (SCENARIOS / "all-well.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    assert load(str(tmp_path / "my.toml")).name == "my"


def test_names_are_chosen_by_pattern() -> None:
    assert table.choose(["b*", "a"], ["a", "b1", "b2"]) == ["b1", "b2", "a"]
    with pytest.raises(ScenarioError, match="scenario c: no such one"):
        table.choose(["c"], ["a"])


@pytest.mark.namespace
@pytest.mark.timeout(400)
def test_some_scenarios_come_out_as_they_must(tmp_path: Path) -> None:
    results = table.play_all(SHORT, tmp_path, command, at_once=len(SHORT))
    assert [result for result in results if not result.passed] == []


@pytest.mark.namespace
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_every_scenario_comes_out_as_it_must(tmp_path: Path) -> None:
    results = table.play_all(names(), tmp_path, command, at_once=6)
    assert [result for result in results if not result.passed] == []


@pytest.mark.namespace
def test_a_shell_in_the_home_is_in_the_country() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.nation", "shell", "all-well"],
        cwd=ROOT,
        input="getent hosts www.uni.out; tidegauge --help >/dev/null && echo tidegauge; exit\n",
        env={"PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin", "SHELL": "/bin/sh"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "You are in a home on north" in done.stdout, done.stderr
    assert "www.uni.out" in done.stdout
    assert "tidegauge" in done.stdout.splitlines()


def test_the_list_has_a_line_for_each() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.nation", "list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == names()
