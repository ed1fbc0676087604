"""Whatever a device's clocks went through, the true time of each record lies inside the bounds that are stated."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.clock.retiming import Timeline
from tests.drills.clock import history


@given(seed=st.integers(0, 2**64))
@settings(max_examples=150, deadline=None)
def test_true_times_lie_inside(seed: int) -> None:
    told = history(random.Random(seed))
    timeline = Timeline.of(told.boots)
    for boot_id, boottime_ns, true_ns in told.truths:
        bounds = timeline.at(boot_id, boottime_ns)
        assert bounds is not None
        assert bounds.low_ns <= true_ns <= bounds.high_ns
