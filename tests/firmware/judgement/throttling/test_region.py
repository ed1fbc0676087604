"""The detectable region, and what lies outside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.throttling.region import LineCase, Untold, needed_effect, told_below, untold

MBIT = 125_000.0


def why(**changes: float) -> Untold | None:
    usual = {"line_bytes_per_s": 10 * MBIT, "rtt_s": 0.04, "throttle_bytes_per_s": 0.14 * MBIT}
    waited_s = changes.pop("waited_s", 120.0)
    return untold(LineCase(**{**usual, **changes}), waited_s=waited_s)


def test_what_was_seen_in_the_field_is_inside() -> None:
    """Xue et al. 2021: 130 to 150 kbit/s, of a home's or a telephone's line."""
    for line in (2, 10, 50, 100):
        for rtt_s in (0.02, 0.1, 0.2):
            assert why(line_bytes_per_s=line * MBIT, rtt_s=rtt_s) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"throttle_bytes_per_s": 6 * MBIT}, Untold.FACTOR),
        ({"line_bytes_per_s": 4_000.0, "throttle_bytes_per_s": 500.0}, Untold.LINE),
        ({"burst_bytes": 500_000.0}, Untold.BURST),
        ({"rtt_s": 0.3, "throttle_bytes_per_s": 4 * MBIT}, Untold.START_UP),
        ({"spread": 1.2}, Untold.VARIATION),
        ({"wash_out_s": 600.0}, Untold.WASH_OUT),
        ({"wash_out_s": float("inf")}, Untold.WASH_OUT),
    ],
)
def test_what_cannot_be_told_says_why(changes: dict[str, float], reason: Untold) -> None:
    assert why(**changes) is reason


@given(
    line=st.floats(0.5, 500),
    rtt_s=st.floats(0.005, 0.3),
    share=st.floats(0.001, 0.5),
    spread=st.floats(0, 0.5),
    slower=st.floats(1.01, 5),
)
def test_a_slower_throttle_is_never_harder_to_tell(
    line: float, rtt_s: float, share: float, spread: float, slower: float
) -> None:
    rate = line * MBIT * share
    known = {"line_bytes_per_s": line * MBIT, "rtt_s": rtt_s, "spread": spread}
    if why(throttle_bytes_per_s=rate, **known) is None:
        assert why(throttle_bytes_per_s=rate / slower, **known) is None


def test_what_varies_more_needs_more() -> None:
    assert needed_effect(0.0) < needed_effect(0.1) < needed_effect(0.4)


@pytest.mark.parametrize(("line", "rtt_s"), [(1, 0.02), (10, 0.02), (10, 0.1), (100, 0.04)])
def test_told_below_is_the_edge(line: float, rtt_s: float) -> None:
    edge = told_below(line * MBIT, rtt_s)
    assert edge > 0
    assert why(line_bytes_per_s=line * MBIT, rtt_s=rtt_s, throttle_bytes_per_s=0.98 * edge) is None
    assert why(line_bytes_per_s=line * MBIT, rtt_s=rtt_s, throttle_bytes_per_s=1.05 * edge) is not None
