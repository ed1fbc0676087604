"""What one run says: the rate after start-up and burst, a freeze, or why it says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.throttling.pace_of_run import Invalid, RunPace, pace_of
from firmware.judgement.throttling.runs import Ending, NameRole, PairedRun, Purpose
from tests.firmware.judgement.throttling.transfers import transferred

RUN = PairedRun(
    purpose=Purpose.PAIR,
    block=0,
    role=NameRole.SUSPECT,
    address=0,
    payload_bytes=176 * 1024,
    most_s=20.0,
    not_before_s=0.0,
)


@given(rate=st.floats(10_000, 5e6), burst=st.floats(0, 80_000))
def test_a_run_converges_to_what_comes_after_its_burst(rate: float, burst: float) -> None:
    found = pace_of(transferred(RUN, rate, burst_bytes=burst, fast_bytes_per_s=5e6))
    assert isinstance(found, RunPace)
    assert found.bytes_per_s == pytest.approx(rate, rel=0.02)
    assert found.low_bytes_per_s <= rate <= found.high_bytes_per_s
    assert found.converged
    assert found.frozen_after_bytes is None


def test_the_burst_is_told() -> None:
    found = pace_of(transferred(RUN, 20_000, burst_bytes=60_000))
    assert isinstance(found, RunPace)
    assert found.burst_bytes == pytest.approx(60_000, rel=0.1)


def test_a_burst_into_the_second_half_has_not_converged() -> None:
    found = pace_of(transferred(RUN, 20_000, burst_bytes=130_000))
    assert isinstance(found, RunPace)
    assert not found.converged


@given(after=st.floats(1_000, 150_000))
def test_silence_at_the_end_is_a_freeze_and_no_rate(after: float) -> None:
    found = pace_of(transferred(RUN, 500_000, freezes_after_bytes=after))
    assert isinstance(found, RunPace)
    assert found.frozen_after_bytes == pytest.approx(after, abs=1)
    assert found.bytes_per_s < 10_000


def test_a_run_that_is_slow_to_its_end_is_not_frozen() -> None:
    found = pace_of(transferred(RUN, 2_000))
    assert isinstance(found, RunPace)
    assert found.frozen_after_bytes is None
    assert found.bytes_per_s == pytest.approx(2_000, rel=0.02)


def test_what_says_nothing_says_why() -> None:
    assert pace_of(transferred(RUN, 1e5, receiver_limited=True)) is Invalid.RECEIVER_LIMITED
    assert pace_of(transferred(RUN, 1e5, other_share=0.06)) is Invalid.OTHER_TRAFFIC
    assert isinstance(pace_of(transferred(RUN, 1e5, other_share=0.05)), RunPace)
    assert pace_of(transferred(RUN, 1e5, ending=Ending.FAILED)) is Invalid.FAILED
    assert pace_of(transferred(RUN, 500)) is Invalid.TOO_SHORT
