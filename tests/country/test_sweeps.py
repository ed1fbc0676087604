"""The vantage's sweeps are close together: what is said then."""

from dataclasses import replace

import pytest

from firmware.model.verdict_words import VerdictWord as Word
from tests.country.play import play
from tests.country.truth import Home, Ill, Provider, Truth, Wrong

HOME = Home(number=0, provider=Provider(name="AS64500", kind="fixed"), province="Tehran", line="fibre")
BLOCKED = Wrong(
    ill=Ill.BLOCKED_TLS, since_s=400, until_s=7_200, homes=frozenset({0}), hosts=frozenset({"x.com"})
)


def words(truth: Truth, name: str) -> set[tuple[str, str]]:
    """Return what was said of a platform, and by which rules."""
    return {one[1:3] for told in play(truth).rounds for one in told.targets if one[0] == name}


@pytest.mark.long
def test_a_platform_is_blocked_by_its_address_also_where_sweeps_are_as_close_together_as_they_may_be() -> (
    None
):
    stopped = replace(BLOCKED, ill=Ill.BLOCKED_TCP)
    truth = Truth(seed=1, hours=0.35, homes=(HOME,), wrongs=(stopped,), has_second=True, sweep_s=10)
    assert (Word.BLOCKED_TCP, "connect-stopped-here-alone") in words(truth, "x")
