"""The drill in short: the made lines are what they are said to be, nobody is accused falsely, and faults put in are found."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from firmware.judgement.throttling.findings import Answer
from firmware.judgement.throttling.sizes import CLEAN_MOST_BYTES, CONFIRMATION_MOST_BYTES
from tests.throttling.__main__ import MAP
from tests.throttling.drawing import KINDS, draw
from tests.throttling.faults import fault
from tests.throttling.lines import Line, Made, Scope, Throttle
from tests.throttling.playing import Played, play
from tests.throttling.region_map import picture
from tests.throttling.tally import Tally, report, upper_bound
from tests.throttling.truth import is_false_accusation, slowed_rate
from tests.throttling.world import World

EACH = 8


def played(kind: str, lines: int, name: str | None = None) -> Iterator[Played]:
    with fault(name):
        for seed in range(lines):
            yield play(draw(seed, kind))


def test_nobody_is_accused_falsely_and_what_is_inside_the_region_is_found() -> None:
    tally = Tally()
    for kind in KINDS:
        for one in played(kind, EACH):
            tally.add(one)
    assert tally.false == []
    found, tried = tally.inside()
    assert tried >= 20
    assert found >= tried - 1
    assert tally.clean_test_bytes <= CLEAN_MOST_BYTES
    assert tally.test_bytes <= CONFIRMATION_MOST_BYTES
    text = "\n".join(report(tally))
    assert f"false accusations of innocent lines: 0 of {9 * EACH}" in text
    assert f"inside the detectable region: {found} of {tried} found" in text


@pytest.mark.long
def test_nobody_is_accused_falsely_on_ten_thousand_innocent_lines() -> None:
    kinds = ("clean", "cell", "wifi", "lossy", "boosted", "unequal-addresses", "congested", "diurnal", "wild")
    assert [
        (kind, one.made.seed)
        for kind in kinds
        for one in played(kind, 1250)
        if is_false_accusation(one.made, one.answer)
    ] == []


@pytest.mark.parametrize(
    ("name", "kind", "lines"),
    [
        ("roles-not-swapped", "unequal-addresses", 20),
        ("order-not-drawn", "boosted", 20),
        ("no-random-name", "allow-list", 10),
        ("lots-not-counted", "cell", 320),
    ],
)
def test_a_fault_put_into_the_rules_is_found(name: str, kind: str, lines: int) -> None:
    assert any(is_false_accusation(one.made, one.answer) for one in played(kind, lines, name))


def made(throttle: Throttle | None = None, **changes: float) -> Made:
    line = Line(**{"rate_bytes_per_s": 1e6, "rtt_s": 0.02, "jitter": 0.0, **changes})  # type: ignore[arg-type]
    return Made(seed=1, kind="by hand", line=line, throttle=throttle)


def rate(world: World, name: str, address: int = 0, at_s: float = 0.0) -> float:
    """Return the rate of the last quarter of a transfer of 2 MB."""
    points, _ = world.transfer(name, address, 2_000_000, at_s, 300.0)
    late = [one for one in points if one[1] >= 0.75 * points[-1][1]]
    return (late[-1][1] - late[0][1]) / (late[-1][0] - late[0][0])


def test_a_line_without_a_throttle_goes_at_its_rate() -> None:
    assert rate(World.of(made()), "suspect") == pytest.approx(1e6, rel=0.05)


@pytest.mark.parametrize("polices", [False, True])
def test_a_throttle_slows_the_suspect_to_its_rate_and_nobody_else(polices: bool) -> None:
    throttle = Throttle(rate_bytes_per_s=5e4, burst_bytes=30_000, polices=polices)
    world = World.of(made(throttle))
    assert rate(world, "control") == pytest.approx(1e6, rel=0.05)
    assert rate(world, "suspect", at_s=100) == pytest.approx(5e4, rel=0.3 if polices else 0.02)
    assert slowed_rate(made(throttle)) <= 5e4 * 1.02
    assert rate(world, "random", at_s=500) == pytest.approx(1e6, rel=0.05)


def test_a_burst_goes_at_the_lines_rate() -> None:
    world = World.of(made(Throttle(rate_bytes_per_s=1e4, burst_bytes=100_000)))
    points, _ = world.transfer("suspect", 0, 150_000, 0.0, 60.0)
    assert next(at for at, got in points if got >= 99_000) < 0.5
    assert points[-1][0] > 4


@pytest.mark.parametrize(
    ("scope", "same_address", "other_address"),
    [(Scope.FLOW, False, False), (Scope.ADDRESS, True, False), (Scope.SOURCE, True, True)],
)
def test_state_is_kept_for_what_it_is_said_to_be(
    scope: Scope, same_address: bool, other_address: bool
) -> None:
    world = World.of(made(Throttle(rate_bytes_per_s=5e4, scope=scope, remembers_s=60)))
    points, _ = world.transfer("suspect", 0, 100_000, 0.0, 60.0)
    end_s = points[-1][0]
    assert (rate(world, "control", 0, end_s + 1) < 1e5) is same_address
    assert (rate(world, "control", 1, end_s + 45) < 1e5) is other_address
    assert rate(world, "control", 0, end_s + 600) > 5e5


def test_an_allow_list_slows_the_random_name_and_a_freeze_lets_no_more_through() -> None:
    world = World.of(made(Throttle(rate_bytes_per_s=5e4, allow_list=True)))
    assert rate(world, "control") > 5e5
    assert rate(world, "random", at_s=100) < 1e5
    frozen = World.of(made(Throttle(rate_bytes_per_s=1e9, burst_bytes=1e9, freezes_after_bytes=20_000)))
    points, complete = frozen.transfer("suspect", 0, 100_000, 0.0, 20.0)
    assert not complete
    assert points[-1][1] == 20_000


@pytest.mark.parametrize("kind", list(KINDS))
def test_time_lines_never_fall_and_end_in_time(kind: str) -> None:
    for seed in range(6):
        world = World.of(draw(seed, kind))
        for number, name in enumerate(("control", "suspect", "random")):
            points, complete = world.transfer(name, number % 2, 180_224, number * 100.0, 20.0)
            assert all(one[0] <= two[0] and one[1] <= two[1] for one, two in pairwise(points))
            assert points[-1][0] <= 20.0 or complete
            assert points[-1][1] <= 180_224


def test_a_kind_is_drawn_again_from_its_seed() -> None:
    assert draw(5, "cell") == draw(5, "cell") != draw(6, "cell")
    assert play(draw(5, "targeted")).answer in Answer


def test_the_bound_on_a_share_is_the_exact_one() -> None:
    assert upper_bound(0, 100) == pytest.approx(1 - 0.05**0.01)
    assert upper_bound(0, 10_000) == pytest.approx(3.0e-4, rel=0.01)


def test_the_map_that_is_published_is_what_follows_from_the_region() -> None:
    assert picture() == MAP.read_text(encoding="utf-8"), "this mends it: python -m tests.throttling --map"
