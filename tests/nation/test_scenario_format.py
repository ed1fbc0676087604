"""A scenario's file is read as written, or refused with every fault; its page says what the code does; each word is played."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.nation.censor.model import ACTIONS
from tests.nation.changes import CHANGES
from tests.nation.links import Links, delays
from tests.nation.reading import keys
from tests.nation.scenario import ScenarioError, load, names, read, reference
from tests.nation.scenario.model import (
    Delay,
    DeviceAt,
    Expected,
    General,
    HomeAt,
    NatAt,
    SecondVantageAt,
    Timing,
)
from tests.nation.scenario.reader import SCENARIOS
from tests.nation.wiring import Home

TEXT = reference.PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
HEAD = 'title = "t"\nwhy = "w"\n'
TAIL = '[expected]\nverdict = "ok"\n'
DROP = 'rule = [{ name = "all", match = {}, do = "drop" }]\n'

# What stands between head and tail, and what is told of it, fault by fault, after the file's name.
FAULTS = {
    'colour = "red"\n': [
        (":3: colour: found a key that does not exist; allowed is one of title, why, before, before_rounds, collector, ahead_days, "
        "dead, cadence, sweep, home, delay, page, second_vantage, device, nat, censor, change, expected")
    ],
    'cadence = "slow"\n': [':3: cadence: found the text "slow"; allowed is one of "quick", "shipped"'],
    "[home]\nfamilies = [5]\n": [
        ":3: home: found settings that exclude each other; allowed is families that are 4, 6 or both"
    ],
    '[home]\nresolver = "8.8.8.8"\n': [
        ":4: [home].resolver: found a key that does not exist; allowed is one of access, families, resolvers, dns64, cached, province (did you mean resolvers?)"
    ],
    "[delay]\nlocal_ms = 50\ndomestic_ms = 20\ninternational_ms = 90\n": [
        ":3: delay: found settings that exclude each other; allowed is local_ms, domestic_ms, international_ms in rising order"
    ],
    '[[nat]]\non = "border"\n': [
        (':4: [nat 1].on: found the text "border"; allowed is one of "north", "south", "mobile", "mobile2", "neighbour", "home", '
        '"home2", "home3", "home4", "home5", "home6", "home7", "home8", "home9"')
    ],
    '[[nat]]\non = "home2"\n': [':4: [nat].on: found "home2"; allowed is a home that is there: there are 1'],
    f'[[censor]]\non = "bordr"\n{DROP}': [
        ':4: [censor 1].on: found the text "bordr"; allowed is one of world, region, border, '
    ],
    '[[censor]]\non = "border"\nrule = [{ match = { snii = "x" }, do = "drop" }]\n': [
        ":5: [censor 1.rule.rule 1.match].snii: found a key that does not exist; allowed is one of from, to, "
    ],
    f'[[censor]]\non = "border"\n{DROP}\n[[censor]]\non = "border"\n{DROP}': [
        ':9: [censor 2].rule: found "all" a second time on border; allowed is a name that no other rule on the link has'
    ],
    '[[censor]]\non = "home"\nrule = [{ do = "translate", address = "5.160.1.9" }]\n': [
        ':5: [censor 1.rule].rule 1: found "translate"; allowed is a table [[nat]]: it finds the address'
    ],
    f'[[censor]]\non = "border"\nwhen = "second"\n{DROP}': [
        ':5: [censor 1].when: found the text "second"; allowed is one of start, event: each moment from the event on needs a table [[expected]]'
    ],
    f'[[censor]]\non = "border"\nuntil = "start"\n{DROP}': [
        ':5: [censor 1].until: found the text "start"; allowed is one of "", "event", "second", "third", "fourth"'
    ],
    f'[[censor]]\non = "border"\nwhen = "start"\nfor_s = 5\n{DROP}': [
        ':3: censor 1: found settings that exclude each other; allowed is after_s and for_s with another moment than "start", which is before the devices begin'
    ],
    '[[change]]\ndo = "explode"\n': [':4: [change 1 "explode"].do: found the text "explode"; allowed is one of site, lie, '],
    '[[change]]\ndo = "vpn"\nfor_s = 5\n': [
        ':5: [change 1 "vpn"].for_s: found an end of vpn, which nothing undoes; allowed is that of one of site, lie, '
    ],
    '[[change]]\ndo = "site"\nname = "www.nowhere.out"\nfault = "refused"\n': [
        ':5: [change 1 "site"].name: found the text "www.nowhere.out"; allowed is one of "www.bank.xn", '
    ],
    '[[change]]\ndo = "intercept"\nat = "north"\ncertificate = "own"\nport = 443\n': [
        ':6: [change 1 "intercept"].certificate: found the text "own"; allowed is one of "unknown_authority", "wrong_name", "expired", "known"',
        ':7: [change 1 "intercept"].port: found a key that does not exist; allowed is one of ',
    ],
    '[second_vantage]\nnetwork = "pages"\ncountry = "xn"\n': [
        ':4: [second_vantage].network: found the text "pages"; allowed is one of "exit", "north", ',
        ':5: [second_vantage].country: found a key that does not exist; allowed is one of network',
    ],
    '[[second_vantage]]\n': [
        ':3: second_vantage: found the array [{}]; allowed is a table, under a line [second_vantage]'
    ],
    '[page]\nurl = "page.out"\n': [
        ':4: [page].url: found the text "page.out"; allowed is a URL: "https://www.page.out/"'
    ],
}  # fmt: skip


def _refusal(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(str(path))
    return [line.removeprefix(str(path)) for line in str(caught.value).split("\n")]


@pytest.mark.parametrize("text", FAULTS)
def test_each_fault_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    found = sorted(_refusal(tmp_path, HEAD + text + TAIL))
    assert len(found) == len(FAULTS[text]), found
    for line, wanted in zip(found, sorted(FAULTS[text]), strict=True):
        assert line.startswith(wanted), line


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    found = _refusal(
        tmp_path, 'why = "w"\nbefore_rounds = 0\n[home]\ndns64 = 1\n[expected]\nverdict = "fine"\n'
    )
    assert found[0] == ":2: before_rounds: found the number 0; allowed is a whole number from 1 to 1000"
    assert found[1] == ": title: found nothing; allowed is a line that says it"
    assert found[2] == ":4: [home].dns64: found the number 1; allowed is true or false"
    assert found[3].startswith(
        ':6: [expected].verdict: found the text "fine"; allowed is one of "ok", "local_fault"'
    )


def test_a_fault_in_what_is_expected_makes_no_others(tmp_path: Path) -> None:
    text = f'{HEAD}[[censor]]\non = "border"\nuntil = "second"\n{DROP}[[expected]]\nverdict = "fine"\n[[expected]]\nverdict = "ok"\n'
    (found,) = _refusal(tmp_path, text)
    assert found.startswith(':8: [expected 1].verdict: found the text "fine"')


def test_what_is_expected_cannot_be_left_out(tmp_path: Path) -> None:
    assert _refusal(tmp_path, HEAD) == [
        ": expected: found nothing; allowed is a table [expected], or [[expected]] for each moment"
    ]
    assert _refusal(tmp_path, HEAD + "[[expected]]\nrounds = 2\n") == [
        ":3: [expected].verdict: found nothing; allowed is a verdict's word, or several that are right"
    ]


def test_a_file_that_is_no_toml_says_in_which_line(tmp_path: Path) -> None:
    (found,) = _refusal(tmp_path, 'title = "t"\nwhy = \n')
    assert found.startswith(":2: found text that is not TOML")


def test_a_name_that_is_not_there_is_guessed_at() -> None:
    with pytest.raises(
        ScenarioError, match=r"scenario all-wel: found no such file; .* \(did you mean all-well\?\)"
    ):
        load("all-wel")


def test_the_lists_of_the_page_are_those_of_the_code() -> None:
    assert reference.filled(TEXT) == TEXT, "mend it with: python -m tests.nation.scenario.reference"


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_has_no_fault(example: str) -> None:
    assert read("example", tomllib.loads(example)).expected


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 1


def _trees() -> list[dict[str, Any]]:
    return [tomllib.loads((SCENARIOS / f"{name}.toml").read_text(encoding="utf-8")) for name in names()]


def _many(found: object) -> list[dict[str, Any]]:
    return found if isinstance(found, list) else [found] if isinstance(found, dict) else []


def test_every_key_of_the_format_is_used_by_a_scenario_that_is_played() -> None:
    trees = _trees()
    used = {
        word: {key for tree in trees for table in _many(tree.get(word)) for key in table}
        for word in ("home", "device", "delay", "nat", "second_vantage", "censor", "change", "expected")
    }
    top = {key for tree in trees for key in tree}
    assert set(keys(General)) <= top
    for word, cls in (
        ("home", HomeAt),
        ("device", DeviceAt),
        ("delay", Delay),
        ("nat", NatAt),
        ("second_vantage", SecondVantageAt),
        ("expected", Expected),
    ):
        assert set(keys(cls)) <= used[word], word
    assert set(keys(Timing)) <= used["censor"] | used["change"]
    assert set(CHANGES) == {table["do"] for tree in trees for table in tree.get("change", ())}


def test_every_action_of_the_censor_and_every_way_to_choose_packets_is_used_by_a_scenario() -> None:
    rules = [rule for tree in _trees() for censor in tree.get("censor", ()) for rule in censor["rule"]]
    assert set(ACTIONS) - {"translate"} == {rule["do"] for rule in rules}  # that is [[nat]]'s
    matched = {key for rule in rules for key in rule.get("match", {})}
    assert {"larger_than", "share", "lot", "seed", "sni", "host", "qname", "payload", "direction"} <= matched


HOMES = (Home(number=1, access="north", node=""), Home(number=2, access="mobile", node="device2"))


def test_the_delays_of_all_links_to_a_zone_are_the_zones() -> None:
    found = {
        on: rule["delay_ms"]
        for on, rule in delays(Delay(local_ms=5, domestic_ms=20, international_ms=90), HOMES)
    }
    for home, access in (("home", "north"), ("home2", "mobile")):
        assert found[home] == 5
        assert found[home] + found[access] == 20
        assert found[home] + found[access] + found["border"] == 90


def test_a_zone_that_is_no_further_needs_no_link() -> None:
    assert list(delays(Delay(), HOMES)) == []
    assert [on for on, _ in delays(Delay(international_ms=90), HOMES)] == ["border"]


def _ruled(links: Links, on: str, now_s: float) -> list[str]:
    return [rule["name"] for rule in tomllib.loads(links.text(on, now_s)).get("rule", ())]


def test_what_is_in_force_on_a_link_follows_the_moments() -> None:
    text = (
        f'{HEAD}[[nat]]\non = "home"\n[delay]\nlocal_ms = 5\ndomestic_ms = 5\ninternational_ms = 5\n'
        f'[[censor]]\non = "home"\nuntil = "second"\n{DROP}'
        '[[censor]]\non = "home"\nwhen = "second"\nafter_s = 10\nfor_s = 5\nrule = [{ name = "later", do = "drop" }]\n'
        '[[expected]]\nverdict = "ok"\n[[expected]]\nverdict = "ok"\n'
    )
    home = Home(number=1, access="north", node="", outer="5.160.1.101")
    links = Links(read("x", tomllib.loads(text)), [home])
    around = ["the zone's delay"], ["the translation"]
    assert links.walls == ("home",)
    assert _ruled(links, "home", 0) == [*around[0], *around[1]]
    assert list(links.happen("event", 30)) == [("home", 0.0)]
    assert _ruled(links, "home", 30) == [*around[0], "all", *around[1]]
    assert sorted(links.happen("second", 60)) == [("home", 0.0), ("home", 10.0), ("home", 15.0)]
    assert [_ruled(links, "home", now_s)[1:-1] for now_s in (60, 70, 74.9, 75)] == [
        [],
        ["later"],
        ["later"],
        [],
    ]
    links.impose("home", [{"name": "imposed", "do": "drop"}])
    assert _ruled(links, "home", 80) == [*around[0], "imposed", *around[1]]
