"""The collector's own line fails in the midst of its vantage's looks: what is said then."""

import pytest

from firmware.model.verdict_words import VerdictWord as Word
from tests.country.play import play
from tests.country.truth import Home, Ill, Provider, Truth, Wrong

HOME = Home(number=0, provider=Provider(name="AS64500", kind="fixed"), province="Tehran", line="fibre")
BLOCKED = Wrong(
    ill=Ill.BLOCKED_TLS, since_s=400, until_s=7_200, homes=frozenset({0}), hosts=frozenset({"x.com"})
)
SWEEP_S = 612.0
"""When the second sweep of a country begins whose first device was heard at 12 s; it asks for a second, then for three, and x last."""


def words(truth: Truth, name: str) -> set[tuple[str, str]]:
    """Return what was said of a platform, and by which rules."""
    return {one[1:3] for told in play(truth).rounds for one in told.targets if one[0] == name}


@pytest.mark.parametrize("dead_s", [12.0, 108.0])
@pytest.mark.parametrize("dies_s", [SWEEP_S + 1.8, SWEEP_S + 2.5, SWEEP_S + 3.2])
def test_a_blocked_platform_is_not_down_because_the_collectors_line_died_while_it_looked(
    dies_s: float, dead_s: float
) -> None:
    dead = Wrong(ill=Ill.COLLECTOR_DOWN, since_s=dies_s, until_s=dies_s + dead_s)
    said = words(Truth(seed=1, hours=0.22, homes=(HOME,), wrongs=(BLOCKED, dead)), "x")
    assert Word.SERVICE_DOWN not in {word for word, _ in said}
    assert Word.BLOCKED_TLS in {word for word, _ in said}
