"""What a collector gives out of a made country: a dark line accuses nobody, and what is blocked is still said.

The country is lived through, its devices' records are stored by the product, and go out by the commands people use.
Expectations follow from the truth alone: which homes were dark, from when to when, and what was blocked there.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collector.command import collector
from collector.store.queries import Queries
from collector.vantage.judging import Judging
from firmware.commands.explain import explain
from firmware.model.record import Rung
from tests.country.play import play
from tests.country.truth import Home, Ill, Provider, Scope, Truth, Wrong
from tests.country.virtual_time import BEGAN_UTC_NS, NS

PROVIDERS = (
    Provider(name="AS64500", kind="fixed"),
    Provider(name="AS64502", kind="fixed"),
    Provider(name="AS64510", kind="mobile"),
    Provider(name="AS64512", kind="mobile"),
)
HOMES = tuple(
    Home(number=number, provider=PROVIDERS[number % 4], province="Tehran", line="fibre")
    for number in range(7)
)
MOBILE = frozenset(home.number for home in HOMES if home.provider.kind == "mobile")
DARK = Wrong(ill=Ill.SHUTDOWN, since_s=615, until_s=1_215, homes=MOBILE, scope=Scope.MOBILE)
HANDSHAKES = ("tls", "web_connectivity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was given out of a country: lines of our own form and of OONI's, each with what `explain` says of it."""

    data: Path
    ours: list[dict[str, Any]]
    explained: list[dict[str, Any]]
    ooni: list[dict[str, Any]]
    ooni_explained: list[dict[str, Any]]


def given_out(truth: Truth, folder: Path) -> Given:
    """Live through a truth, and give out what its collector has stored."""
    data = folder / "centre"
    play(truth, at_end=partial(shutil.copytree, dst=data))
    lines, explained = [], []
    for form in ("jsonl", "ooni"):
        done = CliRunner().invoke(collector, ["export", "--data", str(data), "--format", form])
        assert done.exit_code == 0, done.stderr
        file = folder / form
        file.write_text(done.stdout)
        told = CliRunner().invoke(explain, ["--json", str(file)])
        assert told.exit_code == 0, told.stderr
        lines.append([json.loads(line) for line in done.stdout.splitlines()])
        explained.append([json.loads(line) for line in told.stdout.splitlines()])
    return Given(data=data, ours=lines[0], explained=explained[0], ooni=lines[1], ooni_explained=explained[1])


@pytest.fixture(scope="module")
def shutdown(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Return what a shutdown of the mobile networks leaves: the fixed ones are well all the while, nothing is blocked."""
    truth = Truth(seed=1, hours=0.4, homes=HOMES, wrongs=(DARK,))
    return given_out(truth, tmp_path_factory.mktemp("shutdown"))


def home_of(line: dict[str, Any]) -> int:
    return int(line["device"][4:6])


def since_s(line: dict[str, Any]) -> float:
    """Return when a line's record was measured, since the country's beginning."""
    return float((line["record"]["start_utc_ns"] - BEGAN_UTC_NS) / NS)


def in_the_dark(given: Given) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each line of a dark home's measurement in the dark, but for its first and last minute, and what is said of it."""
    for line, told in zip(given.ours, given.explained, strict=True):
        if home_of(line) in MOBILE and DARK.since_s + 60 < since_s(line) < DARK.until_s - 60:
            yield line, told


def accusations(explained: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter(
        (one["verdict"], one["rule_id"]) for one in explained if one["verdict"].startswith("blocked")
    )


def test_nobody_is_accused_of_what_a_dark_line_did(shutdown: Given) -> None:
    failed = [line for line, _ in in_the_dark(shutdown) if line["record"]["failure"]]
    assert len(failed) > 300
    assert accusations(shutdown.explained) == Counter()
    assert accusations(shutdown.ooni_explained) == Counter()


def test_nor_is_anything_in_ooni_s_form(shutdown: Given) -> None:
    """Its `blocking` is null for what the dark line lost, and the line says of which round it is."""
    blocking = Counter(str(one["test_keys"].get("blocking")) for one in shutdown.ooni)
    assert blocking.keys() <= {"None", "False"}, blocking
    assert blocking["None"] > 300
    rounds = {one["test_keys"]["x_round"]["verdict"] for one in shutdown.ooni}
    assert "isp_or_wider_outage" in rounds
    assert {str(one["blocking"]) for one in shutdown.explained} <= {"None", "False"}


def test_each_line_carries_its_round_s_verdict_and_its_country_s(shutdown: Given) -> None:
    of_rounds = [(line, told) for line, told in in_the_dark(shutdown) if line["record"]["round_id"]]
    words = Counter(line["round"]["verdict"] for line, _ in of_rounds)
    assert words.keys() <= {"isp_or_wider_outage", "inconclusive"}
    assert words["isp_or_wider_outage"] > 0.9 * words.total()
    assert all(told["round"]["verdict"] == line["round"]["verdict"] for line, told in of_rounds)
    countries = Counter(line["country"]["verdict"] for line, _ in in_the_dark(shutdown))
    assert countries["mobile_shutdown"] > 0.8 * countries.total(), countries


def test_a_handshake_that_succeeded_says_that_the_site_is_there(shutdown: Given) -> None:
    there = Counter(
        (told["verdict"], told["rule_id"])
        for line, told in zip(shutdown.ours, shutdown.explained, strict=True)
        if line["record"]["test"] in HANDSHAKES and line["record"]["failure"] is None
    )
    assert there.total() > 3  # how many of them were sent at all is a matter of lots
    assert there == {("ok", "site-proven"): there.total()}


@contextmanager
def judging(data: Path) -> Iterator[Judging]:
    queries = Queries(data / "collector.sqlite3")
    try:
        yield Judging(queries)
    finally:
        queries.close()


def same_as_the_product(given: Given) -> int:
    """Assert that `explain` says of each platform what the collector itself does; return of how many."""
    with judging(given.data) as judged:
        said = {
            (line["device"], one.row.epoch, one.row.seq): one.judgement
            for line in given.ours
            if line["record"]["test"] == "ladder"
            and (found := judged.round(line["device"], until=(line["epoch"], line["seq"]))) is not None
            for one in found.targets
        }
    compared = 0
    for line, told in zip(given.ours, given.explained, strict=True):
        product = said.get((line["device"], line["epoch"], line["seq"]))
        if product is not None:
            compared += 1
            assert (told["verdict"], told["rule_id"], told["confidence"]) == (
                product.verdict.verdict,
                product.verdict.rule_id,
                product.confidence,
            )
    return compared


def test_it_is_what_the_collector_itself_says_of_each_platform(shutdown: Given) -> None:
    assert same_as_the_product(shutdown) > 100


def test_what_is_blocked_is_said_and_nothing_beside_it(tmp_path: Path) -> None:
    blocked = Wrong(
        ill=Ill.BLOCKED_TLS, since_s=700, until_s=7_200, homes=frozenset({0}), hosts=frozenset({"x.com"})
    )
    given = given_out(Truth(seed=3, hours=0.5, homes=HOMES[:2], wrongs=(blocked,)), tmp_path)
    said = Counter(
        (line["record"]["target_name"], told["verdict"])
        for line, told in zip(given.ours, given.explained, strict=True)
        if told["verdict"].startswith("blocked") and line["record"]["test"] != "ladder"
    )
    names = {
        line["record"]["target_name"]
        for line in given.ours
        if line["record"]["rung"] == Rung.PLATFORMS and "x.com" in line["record"]["target"]
    }
    assert said.keys() == {(name, "blocked_tls") for name in names}
    assert said.total() >= 3
    assert same_as_the_product(given) >= said.total()
    accusing = [one for one in given.ooni if one["test_keys"].get("blocking")]
    assert accusing
    assert {one["input"] for one in accusing} == {"https://x.com/"}


def test_the_commands_agree_on_how_a_line_is_read(shutdown: Given) -> None:
    """A line for people says the round's verdict and the country's as well."""
    line = next(line for line, _ in in_the_dark(shutdown) if line["record"]["round_id"])
    file = shutdown.data.parent / "one.jsonl"
    file.write_text(json.dumps(line))
    told = CliRunner().invoke(explain, [str(file)]).stdout
    assert f"its round     {line['round']['verdict']} by {line['round']['rule_id']}" in told
    assert f"its country   {line['country']['verdict']} by" in told
