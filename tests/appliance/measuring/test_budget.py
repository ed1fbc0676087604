"""No 24 hours cost more than the budget, and what is spent in a hurry never takes what the calm rounds need."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.measuring.budget import BUCKET_NS, DAY_NS, NS, Budget, wire_bytes

HOUR = 3600 * NS


def test_what_is_reserved_is_not_there_for_others() -> None:
    budget = Budget(1000)
    assert budget.reserve("round", 700, 0)
    assert not budget.reserve("clock", 400, 0)
    assert budget.reserve("clock", 300, 0)
    budget.settle("round", 100, NS)
    assert budget.spent(NS) == 400
    assert budget.reserve("round", 600, NS)


def test_it_comes_back_after_a_day() -> None:
    budget = Budget(1000)
    budget.settle("round", 1000, 0)
    assert not budget.reserve("round", 1, DAY_NS - NS)
    assert budget.reserve("round", 1000, DAY_NS + BUCKET_NS)


def test_what_cost_more_than_was_reserved_is_booked_whole() -> None:
    budget = Budget(1000)
    assert budget.reserve("round", 500, 0)
    budget.settle("round", 5000, NS)
    assert budget.spent(NS) == 5000
    assert not budget.reserve("round", 0, NS)


@given(
    limit=st.integers(0, 2000),
    runs=st.lists(
        st.tuples(st.integers(0, 6 * HOUR), st.integers(0, 300 * NS), st.integers(0, 500), st.floats(0, 1)),
        max_size=80,
    ),
)
def test_no_24_hours_cost_more_than_the_budget(limit: int, runs: list[tuple[int, int, int, float]]) -> None:
    budget = Budget(limit)
    now_ns = 0
    spent: list[tuple[int, int]] = []
    for pause_ns, runtime_ns, most, share in runs:
        now_ns += pause_ns
        if not budget.reserve("round", most, now_ns):
            continue
        cost = int(most * share)
        spent.append((now_ns + int(runtime_ns * share), cost))  # somewhere between start and end
        now_ns += runtime_ns
        budget.settle("round", cost, now_ns)
    for moment_ns, _ in spent:
        assert sum(cost for at_ns, cost in spent if moment_ns - DAY_NS < at_ns <= moment_ns) <= limit


@given(
    spent=st.lists(st.tuples(st.integers(0, 3 * DAY_NS), st.integers(0, 100)), max_size=50),
    pause_ns=st.integers(0, 2 * DAY_NS),
)
def test_the_account_survives_a_restart(spent: list[tuple[int, int]], pause_ns: int) -> None:
    budget = Budget(10_000)
    for at_ns, count in sorted(spent):
        budget.settle("round", count, at_ns)
    end_ns = 3 * DAY_NS
    kept = budget.ages(end_ns)
    # The same boot: the ages have grown by the pause. It may err upwards by one bucket, never downwards.
    again = Budget(
        10_000, now_ns=end_ns + pause_ns, spent=[(age_ns + pause_ns, count) for age_ns, count in kept]
    )
    assert again.spent(end_ns + pause_ns) == budget.spent(end_ns + pause_ns)
    # Another boot, whose clock began anew: the account goes on as if no time had passed, or a bucket's less.
    other = Budget(10_000, now_ns=5 * NS, spent=kept)
    assert other.spent(5 * NS) >= sum(count for at_ns, count in spent if end_ns - DAY_NS < at_ns)


@given(
    limit=st.integers(1000, 20_000),
    calm_share=st.floats(0.1, 0.9),
    hurried=st.lists(st.booleans(), min_size=1, max_size=400),
)
def test_hurrying_within_what_is_left_never_starves_the_calm_rounds(
    limit: int, calm_share: float, hurried: list[bool]
) -> None:
    """A round every half hour when calm and every ten minutes in a hurry: no calm one is ever refused."""
    calm_ns, quick_ns = HOUR // 2, HOUR // 6
    cost = max(1, int(limit * calm_share * calm_ns / DAY_NS))
    per_day = cost * DAY_NS / calm_ns
    budget = Budget(limit)
    now_ns = 0
    calm_due_ns = 0
    for wants in hurried * 3:
        if now_ns >= calm_due_ns:
            assert budget.reserve("round", cost, now_ns), "a calm round was refused"
            calm_due_ns = now_ns + calm_ns
            budget.settle("round", cost, now_ns)
        elif wants and budget.sustains(cost, per_day, now_ns):
            assert budget.reserve("round", cost, now_ns)
            budget.settle("round", cost, now_ns)
        now_ns += quick_ns


def test_a_long_emergency_leaves_the_night_its_rounds() -> None:
    # A calm day takes 60 of 100; without a limit a hurry would take 240.
    budget = Budget(100_000)
    calm, quick = 24, 6
    rounds = [0]
    for minute in range(0, 3 * 24 * 60, quick):
        now_ns = minute * 60 * NS
        if minute - rounds[-1] >= calm or budget.sustains(1000, 60_000, now_ns):
            assert budget.reserve("round", 1000, now_ns)
            budget.settle("round", 1000, now_ns)
            rounds.append(minute)
    assert max(after - before for before, after in itertools.pairwise(rounds)) <= calm
    first_day = [minute for minute in rounds if minute < 24 * 60]
    assert 90 <= len(first_day) <= 100, "what is left over is used"


@pytest.mark.parametrize(("payload", "wire"), [(0, 500), (800, 1400), (80_000, 90_500)])
def test_headers_and_handshakes_are_counted_too(payload: int, wire: int) -> None:
    assert wire_bytes(payload) == wire
