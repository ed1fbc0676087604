"""What a verdict says beside its word: times and names that are so pass, those that are not are found, said at once or later."""

from dataclasses import replace
from unittest import mock

import pytest

from collector.judgement import gather
from collector.judgement.onset import Onset, onset
from tests.country.oracle import Mark
from tests.country.particulars import are_named_so, is_time_so
from tests.country.play import Story, play
from tests.country.tally import tally_of
from tests.country.truth import Home, Ill, Provider, Scope, Truth, Wrong

PROVIDERS = (Provider(name="AS64500", kind="fixed"), Provider(name="AS64501", kind="mobile"))
HOMES = tuple(
    Home(
        number=number, provider=PROVIDERS[number % 2], province=("Tehran", "Fars")[number // 2], line="fibre"
    )
    for number in range(4)
)
ALL = frozenset(range(4))


def cut(homes: frozenset[int] = ALL, *, scope: Scope = Scope.NATION, ill: Ill = Ill.CUT) -> Truth:
    hosts = frozenset({"x.com"}) if ill is Ill.BLOCKED_TLS else frozenset()
    wrong = Wrong(ill=ill, since_s=1_000, until_s=2_200, homes=homes, scope=scope, hosts=hosts)
    return Truth(seed=7, hours=0.8, homes=HOMES, wrongs=(wrong,))


@pytest.mark.parametrize(
    ("word", "since_s", "error_s", "is_so"),
    [
        ("total_shutdown", 1_000, 0.0, True),
        ("total_shutdown", 1_030, 40.0, True),
        ("total_shutdown", 1_030, 20.0, False),
        ("total_shutdown", 940, 50.0, False),
        ("total_shutdown", 940, None, True),
        ("ok", 2_210, 20.0, True),
        ("ok", 2_300, 20.0, False),
        ("inconclusive", 0, 0.0, True),
    ],
)
def test_a_time_is_so_when_something_began_or_ended_within_its_error(
    word: str, since_s: float, error_s: float | None, *, is_so: bool
) -> None:
    at_s = 2_500 if word == "ok" else 1_600
    assert is_time_so(cut(), word, at_s, since_s=since_s, error_s=error_s) is is_so


@pytest.mark.parametrize(
    ("rule_id", "where", "is_so"),
    [
        ("one-network-lost", "AS64500", True),
        ("one-network-lost", "AS64501", False),
        ("groups-lost-together", "AS64500, AS64501", False),
        ("one-region-lost", "Nowhere", False),
        ("devices-well", "", True),
    ],
)
def test_a_group_that_is_named_has_lost_most_of_its_homes(rule_id: str, where: str, *, is_so: bool) -> None:
    there = cut(frozenset({0, 2}), scope=Scope.PROVIDER)
    assert are_named_so(there, rule_id, where, 1_600) is is_so
    assert are_named_so(there, "one-network-lost", "AS64500", 900) is False


def test_a_platform_that_is_named_is_blocked() -> None:
    there = cut(ill=Ill.BLOCKED_TLS)
    assert are_named_so(there, "platform-blocked-everywhere", "x", 1_600)
    assert not are_named_so(there, "platform-blocked-everywhere", "x, instagram", 1_600)


@pytest.fixture(scope="module")
def story() -> Story:
    return play(cut())


def test_what_is_said_once_the_homes_have_told_is_counted(story: Story) -> None:
    tally = tally_of(cut(), story)
    assert {one.verdict for one in story.later} == {"international_cut"}
    assert set(tally.later_marks) == {str(Mark.RIGHT)}
    assert tally.later_marks.total() == len(story.later) > 0
    assert not tally.wrong_particulars
    assert [one for one in tally.findings if one.mark is not Mark.MISSED] == []


def test_what_is_said_later_and_is_not_so_is_found(story: Story) -> None:
    there = replace(cut(), wrongs=())
    found = {(one.who, one.mark) for one in tally_of(there, replace(story, country=[])).findings}
    assert found >= {("country, later", Mark.ACCUSES)}


def test_a_time_that_leaves_out_the_cut_is_found() -> None:
    def late(*given: object) -> Onset | None:
        said = onset(*given)  # type: ignore[arg-type]
        return None if said is None or said.error_s is None else replace(said, utc_s=said.utc_s + 120)

    with mock.patch.object(gather, "onset", late):
        tally = tally_of(cut(), play(cut()))
    assert tally.wrong_particulars["country, later"] > 0
    assert {one.mark for one in tally.findings if one.who == "country"} == {Mark.WRONG_PARTICULARS}
