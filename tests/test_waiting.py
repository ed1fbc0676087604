"""A wait ends as soon as what it waits for is there, and it ends where that never comes."""

import itertools

import pytest

from tests.waiting import until


def test_it_returns_the_first_true_value() -> None:
    numbers = itertools.count()
    assert until(lambda: next(numbers) // 3, "three", pause_s=0) == 1
    assert next(numbers) == 4


def test_it_ends_and_says_what_did_not_come() -> None:
    asked: list[int] = []
    with pytest.raises(AssertionError, match=r"^after 0 s: not the moon, asked \d+ times$"):
        until(lambda: asked.append(1), lambda: f"the moon, asked {len(asked)} times", limit_s=0, pause_s=0)


def test_it_asks_once_more_after_its_end() -> None:
    asked = iter([False, True])
    assert until(lambda: next(asked), "the second time", limit_s=0, pause_s=0.001)
