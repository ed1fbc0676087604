"""Both plays of a case are of the same case, what differs between them is found, and a few cases are played both ways here."""

import re
import ssl
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.plans.load import load
from tests.calibration import many, real, virtual
from tests.calibration.cases import HARD, Case, Happening, Kind, draw, drawn
from tests.calibration.compare import disagreements, fisher
from tests.calibration.heard import Measured, Round, from_rounds_json, to_json
from tests.calibration.report import report
from tests.country.hosts import Hosts
from tests.country.rules import Act
from tests.nation.censor.carriage import Throttle
from tests.nation.censor.lines import Queue, throttled
from tests.nation.links import Links
from tests.nation.scenario import read
from tests.nation.stage import PLAN
from tests.nation.wiring import Home
from tests.servers.tls import Authority

SHORT = (1006, 1018, 1054)
"""A name reset on a clean line, a lossy line, a host gone on a slow one: of those that the long run played."""


def test_a_hundred_cases_have_every_kind_and_a_third_is_hard() -> None:
    cases = drawn(1000, 100)
    assert {case.kind for case in cases} == set(Kind)
    assert {case.happening for case in cases} == set(Happening)
    assert sum(case.kind in HARD for case in cases) >= 30
    assert draw(1007) == drawn(1000, 8)[-1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_every_case_is_a_scenario_that_can_be_read_and_its_rules_too(seed: int) -> None:
    case = draw(seed)
    scenario = read("case", real.tree(case))
    links = Links(scenario, [Home(number=1, access="north", node="", families=case.families)])
    list(links.happen("start", 0.0))
    for on in links.walls:
        assert links.text(on, 0.0)


def _stops(case: Case) -> bool:
    return any(rule.act is not Act.SLOW for rule in virtual.rules(case))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_what_stops_packets_in_one_play_stops_packets_in_the_other(seed: int) -> None:
    case = draw(seed)
    tree = real.tree(case)
    ruled = any(rule["do"] in ("drop", "reset") for censor in tree["censor"] for rule in censor["rule"])
    assert _stops(case) == (ruled or bool(tree["change"]))


def test_what_a_server_says_in_a_handshake_is_as_large_as_in_the_namespaces(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "Made country authority")
    context = ssl.create_default_context(cafile=str(authority.trusted))
    (to_client, from_client), (to_server, from_server) = [
        (ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in range(2)
    ]
    client = context.wrap_bio(to_client, from_client, server_hostname="www.bank.xn")
    server = authority.server_context("www.bank.xn").wrap_bio(to_server, from_server, server_side=True)
    for end, sent, takes in ((client, from_client, to_server), (server, from_server, to_client)):
        with pytest.raises(ssl.SSLWantReadError):
            end.do_handshake()
        flight = sent.read()
        takes.write(flight)
    assert len(flight) == pytest.approx(sum(virtual.FLIGHT), rel=0.05)


def test_a_thin_lines_shaper_is_as_large_in_both_plays() -> None:
    case = next(one for one in drawn(1000, 100) if one.kind is Kind.THIN)
    shapers = [rule for rule in real.tree(case)["censor"][0]["rule"] if rule["do"] == "throttle"]
    assert {rule["burst_bytes"] for rule in shapers} == {virtual.BURST_BYTES}
    queue = throttled(Throttle(how="shape", rate_bit_s=64_000, burst_bytes=virtual.BURST_BYTES))
    assert isinstance(queue, Queue)
    assert queue.limit_bytes == virtual.BUFFER_BYTES


CLEAN = replace(draw(1003), kind=Kind.CLEAN, happening=Happening.NOTHING, bursts=None, up=replace(draw(1003).up, loss=0.0), down=replace(draw(1003).down, loss=0.0))  # fmt: skip
LOSSY = draw(1003)


def rounds(
    *, count: int = 3, verdict: str = "ok", failed: int = 0, again: int = 0, ms: float = 100.0
) -> list[Round]:
    """Return rounds of ten targets each, of which the first fail, or need a second SYN."""
    measured = tuple(
        Measured(
            target=f"t{number}",
            group="international",
            failure="generic_timeout_error" if number < failed else "",
            step="connect" if number < failed else "",
            connect_ms=None if number < failed else ms + number,
            handshake_ms=None if number < failed else ms + number,
            retransmitted=number >= 10 - again,
        )
        for number in range(10)
    )
    return [Round(verdict=verdict, rule_id="r", measured=measured)] * count


@pytest.mark.parametrize(
    ("case", "other", "whats"),
    [
        (CLEAN, rounds(), []),
        (CLEAN, rounds(ms=125), []),
        (CLEAN, rounds(ms=200), ["connect", "handshake"]),
        (CLEAN, rounds(verdict="international_cut"), ["verdict"]),
        (CLEAN, rounds(failed=1), ["failures"]),
        (CLEAN, rounds(again=5), ["again"]),
        (CLEAN, [], ["rounds"]),
        (LOSSY, rounds(failed=1), []),
        (LOSSY, rounds(failed=4), ["failures", "failures"]),
    ],
)
def test_what_differs_is_found(case: Case, other: list[Round], whats: list[str]) -> None:
    assert [one.what for one in disagreements(case, rounds(), other)] == whats


def test_fishers_test_is_fishers() -> None:
    assert fisher(3, 1, 1, 3) == pytest.approx(34 / 70)  # the lady tasting tea, two-sided
    assert fisher(10, 0, 0, 10) == pytest.approx(2 / 184_756)
    assert fisher(0, 5, 0, 5) == 1


def test_rounds_are_kept_as_they_were() -> None:
    assert from_rounds_json(to_json(rounds(failed=2, again=1))) == rounds(failed=2, again=1)


def test_every_address_that_the_plan_is_pinned_to_is_a_hosts_in_virtual_time_too() -> None:
    plan = load(path=PLAN)
    pinned = {host.strip("[]") for one in plan.targets for host in re.findall(r"//([\d.]+)/|^(\[.*\]|[\d.]+):", one.target) for host in host if host}  # fmt: skip
    assert len(pinned) > 5
    assert pinned - Hosts(plan).by_address.keys() == set()


def test_a_virtual_play_depends_on_its_case_alone() -> None:
    assert virtual.play(draw(1003)) == virtual.play(draw(1003))


def test_a_case_that_cannot_be_played_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "namespace_command", lambda: ["sh", "-c", "echo no room >&2; exit 3", "sh"])
    found = list(many.played(drawn(1000, 2), tmp_path, at_once=2))
    assert sorted((one.case.seed, one.why) for one in found if isinstance(one, many.Unplayed)) == [
        (1000, "status 3: no room"),
        (1001, "status 3: no room"),
    ]


@pytest.mark.namespace
@pytest.mark.timeout(600)
def test_a_few_cases_come_to_the_same_words_in_both_plays(tmp_path: Path) -> None:
    found = list(many.played([draw(seed) for seed in SHORT], tmp_path, at_once=len(SHORT)))
    played = [one for one in found if isinstance(one, many.Played)]
    assert len(played) == len(SHORT), found
    words = Counter(each.what for one in played for each in one.disagreements if each.what in ("verdict", "failures", "rounds"))  # fmt: skip
    assert not words, "\n".join(report(played))
    assert [one.case.seed for one in many.played([draw(SHORT[0])], tmp_path, at_once=1)] == [SHORT[0]]
