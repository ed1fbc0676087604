"""What is drawn: the same each time, half of it free, every kind in turn, and of each thing that may be wrong something."""

import pytest

from tests.country.draw import draw, kind_of
from tests.country.kinds import CENSORED, FREE, FULL_IN, LINES_OF
from tests.country.truth import Direction, How, Ill

KINDS = (*FREE, *CENSORED)


def test_half_of_what_is_drawn_is_free_and_the_same_each_time() -> None:
    drawn = [draw(seed) for seed in range(60)]
    assert drawn == [draw(seed) for seed in range(60)]
    assert sum(one.is_free for one in drawn) == 30
    assert sorted(len(one.homes) for one in drawn)[30] >= 8
    assert min(len({home.provider.name for home in one.homes}) for one in drawn) >= 3
    assert all(one.wrongs for one in drawn)
    assert sorted(one.hours for one in drawn)[30] >= 24


def test_every_kind_takes_its_turn_and_everything_that_may_be_wrong_is_drawn() -> None:
    assert {draw(seed).kind for seed in range(2 * len(FREE))} == {one.name for one in KINDS}
    wrongs = [wrong for seed in range(480) for wrong in draw(seed).wrongs]
    assert {one.ill for one in wrongs} == set(Ill)
    assert {one.how for one in wrongs} == set(How)
    assert LINES_OF.keys() <= {one.name for one in KINDS}


def test_lines_that_somebody_at_home_fills_are_drawn_beside_all_else() -> None:
    drawn = [draw(seed) for seed in range(240)]
    full = {one.seed: [w for w in one.wrongs if w.ill is Ill.LINE_FULL] for one in drawn}
    assert all(full[one.seed] for one in drawn if one.kind == FULL_IN)
    assert 60 < sum(map(bool, full.values())) < 120
    found = [wrong for wrongs in full.values() for wrong in wrongs]
    assert {one.direction for one in found} == set(Direction)
    assert {len(one.homes) for one in found} == {1, 2, 3}
    assert all(one.direction is None for it in drawn for one in it.wrongs if one.ill is not Ill.LINE_FULL)


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one.name)
def test_a_kind_may_be_asked_for_and_its_truth_has_room_for_what_it_is_about(kind: object) -> None:
    name = getattr(kind, "name")  # noqa: B009
    for seed in range(8):
        truth = draw(seed, hours=1.5, only=(name,))
        assert truth.kind == name
        assert all(0 < one.since_s < one.until_s for one in truth.wrongs)
        assert max(one.until_s for one in truth.wrongs) <= truth.hours * 3600


def test_a_country_may_be_asked_for_with_few_homes() -> None:
    drawn = [draw(seed, most_homes=5) for seed in range(24)]
    assert {len(one.homes) for one in drawn} == {5}
    assert {one.kind for one in drawn} == {one.name for one in KINDS}


def test_no_kind_of_that_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="no kind of country is called weather"):
        kind_of(3, ("weather",))
