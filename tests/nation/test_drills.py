"""The drills over time: the weather is the seed's, and nobody is accused in it. Short here, whole with --long."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nation.weather import DAY_ROUNDS, day
from tests.needs import ROOT


def drill(*words: str, limit_s: float) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.nation", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), first=st.integers(0, DAY_ROUNDS - 1))
def test_the_same_seed_is_the_same_weather_from_any_round_on(seed: int, first: int) -> None:
    whole = list(day(seed, DAY_ROUNDS))
    assert list(day(seed, DAY_ROUNDS - first, first=first)) == whole[first:]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_the_weather_is_ugly_and_no_worse(seed: int) -> None:
    for weather in day(seed, DAY_ROUNDS):
        assert 0 <= weather.loss <= 0.10
        assert 0 <= weather.delay_ms <= 800
    assert any(weather.site_down for weather in day(seed, DAY_ROUNDS))
    assert any(weather.maintenance for weather in day(seed, DAY_ROUNDS))


@pytest.mark.namespace
@pytest.mark.timeout(600)
def test_a_short_ugly_while_accuses_nobody() -> None:
    assert "0 false alarms" in drill("false-alarms", "--rounds", "8", "--parts", "1", limit_s=500)


@pytest.mark.namespace
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_an_ugly_day_accuses_nobody() -> None:
    assert "0 false alarms" in drill("false-alarms", limit_s=7000)


@pytest.mark.namespace
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_cut_is_said_within_thirty_seconds() -> None:
    assert "the goal is 30 s" in drill("transitions", "--times", "3", limit_s=3500)
