"""The table of numbers from counts of countries, its page and its picture: on countries whose counts are made up."""

import re
from xml.etree import ElementTree as ET

import pytest

from firmware.judgement.confidence.estimate import Count
from firmware.judgement.confidence.table import Said, made_of, to_text
from tests.country import results
from tests.country.__main__ import PAGES, TABLE
from tests.country.calibrate import Point, calibrated, counts_of, trials_of
from tests.country.diagram import page, picture
from tests.country.oracle import Mark
from tests.country.tally import Tally

CUT = ("round", "international_cut", "international-cut", "")
STOPPED = ("site", "blocked_tcp", "connect-stopped", "medium")
WELL = ("round", "ok", "controls-reached", "")
UNCLEAR = ("round", "inconclusive", "no-control", "")


def country(kind: str, *said: tuple[tuple[str, str, str, str], Mark, int]) -> Tally:
    tally = Tally(countries=1)
    tally.kinds[kind] += 1
    for (speaker, word, rule_id, certainty), mark, times in said:
        tally.by_rule[speaker, word, rule_id, certainty, str(mark)] += times
    return tally


def test_the_table_that_ships_is_of_the_countries_on_record() -> None:
    on_record = list(results.read(results.PLAYED))
    found = calibrated([tally for _, tally in on_record], results.described(asked for asked, _ in on_record))
    assert to_text(found.table) == TABLE.read_text(encoding="utf-8")
    assert page(found) == (PAGES / "confidence.md").read_text(encoding="utf-8")
    assert picture(found) == (PAGES / "reliability.svg").read_text(encoding="utf-8")


def test_nobody_is_accused_or_comforted_falsely_in_the_countries_on_record() -> None:
    """Half of them are free. What was found before and mended is in their page: docs/explanation/country.md."""
    tallies = [tally for _, tally in results.read(results.PLAYED)]
    assert [one.findings for one in tallies if one.accused or one.comforted] == []
    assert sum(one.free for one in tallies) * 2 >= len(tallies) - 1


COUNTRIES = [
    *(country("cut", (CUT, Mark.RIGHT, 40), (WELL, Mark.RIGHT, 90)) for _ in range(30)),
    *(country("well", (WELL, Mark.MUTE, 3), (WELL, Mark.RIGHT, 90)) for _ in range(28)),
    country("refusing", (STOPPED, Mark.ACCUSES, 1), (STOPPED, Mark.RIGHT, 80), (UNCLEAR, Mark.HONEST, 5)),
    country("blocking", (STOPPED, Mark.RIGHT, 80), (CUT, Mark.WRONG_KIND, 2)),
]


def said(of: tuple[str, str, str, str]) -> Said:
    speaker, word, rule_id, certainty = of
    return Said(speaker=speaker, word=word, rule_id=rule_id, certainty=certainty)


def test_a_country_is_one_trial_and_one_false_round_makes_it_false() -> None:
    assert counts_of(map(trials_of, COUNTRIES)) == {
        said(CUT): Count(countries=31, false=0),
        said(WELL): Count(countries=58, false=0),
        said(STOPPED): Count(countries=2, false=1),
    }


@pytest.mark.parametrize(
    ("mark", "is_false"),
    [
        (Mark.RIGHT, False),
        (Mark.MUTE, False),
        (Mark.WRONG_KIND, False),
        (Mark.MISTAKEN, True),
        (Mark.ACCUSES, True),
        (Mark.COMFORTS, True),
    ],
)
def test_what_is_false(mark: Mark, *, is_false: bool) -> None:
    assert trials_of(country("any", (WELL, mark, 1))) == {said(WELL): (is_false, mark is Mark.WRONG_KIND)}


def test_each_country_is_held_against_the_others() -> None:
    """One in two of what was stopped was false: the one that was is told by one that was not, and the other way round."""
    found = calibrated(COUNTRIES, "sixty")
    assert found.table == made_of(counts_of(map(trials_of, COUNTRIES)), "sixty")
    assert (found.countries, found.kinds) == (60, {"blocking": 1, "cut": 30, "refusing": 1, "well": 28})
    assert found.other_kind == {said(CUT): 1}
    accusing, reassuring = found.points["accusing"], found.points["reassuring"]
    assert sum(one.trials for one in accusing) == 33
    assert sum(one.false for one in accusing) == 1
    assert sum(one.trials for one in reassuring) == 58
    (false_one,) = [one for one in accusing if one.false]
    assert false_one.stated > found.table.numbers[said(STOPPED)]


def test_an_interval_holds_the_share_and_narrows() -> None:
    for false, trials in ((0, 10), (1, 10), (10, 10), (3, 400)):
        low, high = Point(stated=0.9, trials=trials, false=false).interval
        assert 0 <= low <= false / trials <= high <= 1
    few, many = (Point(stated=0.9, trials=trials, false=0).interval[1] for trials in (10, 1000))
    assert many < few / 10


def test_the_page_has_the_mix_and_every_count_and_the_picture_runs_nothing() -> None:
    found = calibrated(COUNTRIES, "sixty")
    text = page(found)
    assert "| cut | 30 |" in text
    assert re.search(
        r"\| round \| `international_cut` \| `international-cut` \|  \| 31 \| 0 \| 1 \| 0\.99\d\d \|", text
    )
    root = ET.fromstring(picture(found))
    names = {one.tag.rpartition("}")[2] for one in root.iter()}
    assert names <= {"svg", "rect", "text", "path", "circle", "title"}
    assert sum(one.tag.endswith("circle") for one in root.iter()) == sum(map(len, found.points.values()))
