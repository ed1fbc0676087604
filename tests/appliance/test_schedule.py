"""The schedule: every slot is run once or told as missed once, devices are spread, no day costs too much."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.schedule import (
    DAY_NS,
    NS,
    ROUND,
    TRANSITION_NS,
    Budget,
    Due,
    Missed,
    Periodic,
    Reason,
    Schedule,
    next_slot_ns,
    phase_ns,
)

DEVICE = "k3f9a7c2m1x8q5z0"
CALM = 120 * NS
QUICK = 30 * NS
START = 1_000 * NS


def make(*, budget: int = 10**12, tasks: tuple[Periodic, ...] = (), device: str = DEVICE) -> Schedule:
    return Schedule(
        device=device,
        calm_ns=CALM,
        transition_ns=QUICK,
        round_max_bytes=100_000,
        tasks=tasks,
        budget=Budget(budget),
        now_ns=START,
    )


def run_for(schedule: Schedule, until_ns: int, *, busy: bool = False) -> list[tuple[int, Due]]:
    """Wake exactly when something is due, as the daemon does."""
    happened = []
    now_ns = START
    while (now_ns := max(now_ns, schedule.next_due_ns())) <= until_ns:
        happened.append((now_ns, schedule.due(now_ns, round_running=busy)))
    return happened


def test_the_first_round_is_due_at_once() -> None:
    assert make().due(START, round_running=False).round_slot_ns == START


def test_rounds_come_quickly_after_the_start_and_then_calmly() -> None:
    slots = [
        due.round_slot_ns for _, due in run_for(make(), START + 3600 * NS) if due.round_slot_ns is not None
    ]
    quick = [slot for slot in slots if slot < START + TRANSITION_NS]
    calm = [slot for slot in slots if slot > START + TRANSITION_NS + CALM]
    assert {b - a for a, b in itertools.pairwise(quick[1:])} == {QUICK}
    assert {b - a for a, b in itertools.pairwise(calm)} == {CALM}
    assert QUICK <= slots[1] - slots[0] < 2 * QUICK, "the grid begins a whole period after the first round"


def test_a_change_of_verdict_quickens_the_rounds() -> None:
    schedule = make()
    run_for(schedule, START + 3600 * NS)
    assert schedule.period_ns == CALM
    schedule.verdict_changed(START + 3600 * NS)
    assert schedule.period_ns == QUICK
    assert schedule.next_due_ns() <= START + 3600 * NS + QUICK


@given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.booleans())
def test_every_slot_is_run_or_missed_exactly_once(sleeps_s: list[int], busy: bool) -> None:
    task = Periodic(name="clock", period_ns=50 * NS, max_bytes=0)
    schedule = make(tasks=(task,))
    ran: list[int] = []
    missed: list[Missed] = []
    now_ns = START
    for sleep_s in sleeps_s:
        now_ns += sleep_s * NS
        due = schedule.due(now_ns, round_running=busy)
        ran += [due.task_slots_ns["clock"]] if "clock" in due.task_slots_ns else []
        missed += [entry for entry in due.missed if entry.name == "clock"]
    accounted = set(ran)
    for entry in missed:
        slots = set(range(entry.first_ns, entry.last_ns + 1, task.period_ns))
        assert len(slots) == entry.count
        assert not slots & accounted
        accounted |= slots
    first = next_slot_ns(phase_ns(DEVICE, "clock", task.period_ns), task.period_ns, START)
    assert accounted == set(range(first, now_ns + 1, task.period_ns))


def test_a_round_that_is_still_running_makes_the_next_slot_missed_not_lost() -> None:
    happened = run_for(make(), START + 300 * NS, busy=True)
    missed = [entry for _, due in happened for entry in due.missed]
    assert missed
    assert {entry.reason for entry in missed} == {Reason.BUSY}
    assert all(due.round_slot_ns is None for _, due in happened)


def test_a_long_sleep_is_one_gap_and_the_latest_slot_is_still_run() -> None:
    schedule = make()
    schedule.due(START, round_running=False)
    due = schedule.due(START + 600 * NS, round_running=False)
    assert due.round_slot_ns is not None
    (gap,) = due.missed
    assert gap.name == ROUND
    assert gap.reason is Reason.STALLED
    assert gap.last_ns == due.round_slot_ns - QUICK
    assert gap.count == (gap.last_ns - gap.first_ns) // QUICK + 1


@given(st.integers(0, 3_000_000), st.integers(1, 200))
def test_the_budget_of_any_day_is_never_exceeded(limit: int, hours: int) -> None:
    schedule = make(budget=limit)
    starts = [
        now_ns
        for now_ns, due in run_for(schedule, START + hours * 1200 * NS)
        if due.round_slot_ns is not None
    ]
    for at in starts:
        assert sum(at - DAY_NS < other <= at for other in starts) * 100_000 <= limit


def test_the_budget_comes_back_after_a_day_and_unused_bytes_at_once() -> None:
    budget = Budget(1000)
    budget.spend(0, 1000)
    assert not budget.allows(NS, 1)
    budget.spend(NS, -400)
    assert budget.allows(NS, 400)
    assert not budget.allows(NS, 401)
    assert budget.allows(DAY_NS + 3600 * NS, 1000)
    assert Budget(1000, budget.by_hour()).spent(NS) == budget.spent(NS) == 0


def test_a_fleet_does_not_fire_in_one_second() -> None:
    seconds = [phase_ns(f"device{number:010d}", ROUND, CALM) // NS for number in range(12_000)]
    assert max(seconds.count(second) for second in range(120)) < 200, "100 a second would be even"


@pytest.mark.parametrize("after", [0, 1, 29, 30, 31, 10**6])
def test_next_slot_is_later_and_on_the_grid(after: int) -> None:
    slot = next_slot_ns(7, 30, after)
    assert after < slot <= after + 30
    assert slot % 30 == 7
