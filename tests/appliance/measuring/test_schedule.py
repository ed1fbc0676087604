"""The schedule: every slot is run once or told as missed once, slots never drift, devices are spread, no day costs too much."""

import itertools
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.measuring.budget import DAY_NS, NS, Budget
from appliance.measuring.pace import QUICK_ROUNDS, SLOWER
from appliance.measuring.schedule import GAP_HELD_NS, LATE_NS, ROUND, Schedule
from appliance.measuring.slots import Grid, Missed, Reason, ScheduledJob

DEVICE = "k3f9a7c2m1x8q5z0"
CALM = 120 * NS
QUICK = 30 * NS
START = 1_000 * NS
COST = 80_000
MOST = 100_000
CLOCK = ScheduledJob(name="clock", period_ns=50 * NS, usual_bytes=0, most_bytes=0)


def make(
    *,
    budget: int | Budget = 10**12,
    tasks: tuple[ScheduledJob, ...] = (),
    device: str = DEVICE,
    settled_ns: int | None = None,
    now_ns: int = START,
    quick_ns: int = QUICK,
) -> Schedule:
    return Schedule(
        device=device,
        calm=ScheduledJob(name=ROUND, period_ns=CALM, usual_bytes=COST, most_bytes=MOST),
        quick_ns=quick_ns,
        tasks=tasks,
        budget=budget if isinstance(budget, Budget) else Budget(budget),
        now_ns=now_ns,
        settled_ns=settled_ns,
    )


def run_until(
    schedule: Schedule, until_ns: int, *, verdict: str = "ok", runtime_ns: int = NS, cost: int = COST
) -> list[int]:
    """Wake exactly when something is due, as the daemon does; return the slots of the rounds that were run."""
    slots = []
    while (now_ns := schedule.next_due_ns()) <= until_ns:
        for due in schedule.look(now_ns):
            schedule.ended(due.name, cost if due.name == ROUND else 0, now_ns + runtime_ns)
            if due.name == ROUND:
                slots.append(due.slot_ns)
                schedule.concluded(verdict, now_ns + runtime_ns)
    return slots


def slots_of(gaps: Iterable[Missed], grid: Grid) -> list[int]:
    """Return every slot that the gaps speak of."""
    slots: list[int] = []
    for gap in gaps:
        told = list(range(gap.first_ns, gap.last_ns + 1, grid.period_ns))
        assert len(told) == gap.count
        slots += told
    return slots


# The grid


@given(
    period_ns=st.integers(1, 10**13),
    number=st.integers(0, 10**5),
    moment_ns=st.integers(0, 10**15),
    span_ns=st.integers(0, 10**15),
)
def test_a_grids_slots(period_ns: int, number: int, moment_ns: int, span_ns: int) -> None:
    grid = Grid.of(f"device-{number}", "task", period_ns)
    before, after = grid.until(moment_ns), grid.after(moment_ns)
    assert before <= moment_ns < after
    assert after - before == period_ns
    assert before % period_ns == after % period_ns == grid.phase_ns
    assert (
        grid.count(moment_ns, moment_ns + span_ns)
        == sum(1 for _ in range(after, moment_ns + span_ns + 1, period_ns))
        if span_ns // period_ns < 1000
        else True
    )


def test_the_grid_of_a_dividing_period_holds_the_others_slots() -> None:
    calm, quick = Grid.of(DEVICE, ROUND, CALM), Grid.of(DEVICE, ROUND, QUICK)
    assert calm.phase_ns % QUICK == quick.phase_ns


def test_a_fleet_does_not_fire_in_one_second() -> None:
    seconds = [Grid.of(f"device{number:010d}", ROUND, CALM).phase_ns // NS for number in range(12_000)]
    assert max(seconds.count(second) for second in range(120)) < 200, "100 a second would be even"


def test_the_tasks_of_one_device_are_spread_too() -> None:
    seconds = [Grid.of(DEVICE, f"task-{number}", 900 * NS).phase_ns // NS for number in range(9_000)]
    assert max(seconds.count(second) for second in range(900)) < 40, "10 a second would be even"


# The pace


def test_the_first_round_is_due_at_once_and_the_next_a_period_later_at_least() -> None:
    slots = run_until(make(), START + 300 * NS)
    assert slots[0] == START
    assert QUICK <= slots[1] - slots[0] < 2 * QUICK
    assert {b - a for a, b in itertools.pairwise(slots[1:])} == {QUICK}


def test_rounds_come_quickly_after_the_start_and_then_calmly() -> None:
    slots = run_until(make(), START + 3600 * NS)
    spacings = [b - a for a, b in itertools.pairwise(slots)]
    assert spacings[1 : QUICK_ROUNDS - 1] == [QUICK] * (QUICK_ROUNDS - 2)
    assert set(spacings[QUICK_ROUNDS + 1 :]) == {CALM}


def test_a_change_of_verdict_quickens_the_rounds_for_a_while() -> None:
    schedule = make()
    run_until(schedule, START + 3600 * NS)
    assert schedule.period_ns == CALM
    run_until(schedule, START + 3800 * NS, verdict="international_cut")
    assert schedule.period_ns == QUICK
    run_until(schedule, START + 4000 * NS, verdict="ok")
    assert schedule.period_ns == QUICK
    run_until(schedule, START + 6000 * NS, verdict="ok")
    assert schedule.period_ns == CALM


def test_while_all_is_not_well_the_pace_stays_quick() -> None:
    schedule = make()
    slots = run_until(schedule, START + 36_000 * NS, verdict="isp_or_wider_outage")
    assert schedule.period_ns == QUICK
    assert {b - a for a, b in itertools.pairwise(slots[1:])} == {QUICK}


def test_a_long_outage_never_costs_the_calm_rounds() -> None:
    # 720 calm rounds a day cost 57.6 MB; quick ones would cost 230 MB.
    schedule = make(budget=70_000_000)
    slots = run_until(schedule, START + 3 * DAY_NS, verdict="international_cut")
    assert schedule.missed(START + 3 * DAY_NS, all_of_them=True) == []
    assert max(b - a for a, b in itertools.pairwise(slots)) <= 2 * CALM
    first_day = [slot for slot in slots if slot < START + DAY_NS]
    assert 800 <= len(first_day) <= 875


def test_rounds_that_cost_more_than_they_should_are_slowed_rather_than_ended() -> None:
    # At the calm pace 720 of them cost 69 MB a day.
    schedule = make(budget=60_000_000)
    slots = run_until(schedule, START + 3 * DAY_NS, verdict="ok", cost=COST * 6 // 5)
    assert schedule.missed(START + 3 * DAY_NS, all_of_them=True) == []
    assert CALM < max(b - a for a, b in itertools.pairwise(slots)) <= 2 * CALM


@pytest.mark.parametrize("budget", [20_000_000, 30_000_000, 45_000_000])
def test_a_budget_smaller_than_the_calm_day_is_spread_over_it(budget: int) -> None:
    schedule = make(budget=budget)
    slots = run_until(schedule, START + 3 * DAY_NS, verdict="ok")
    assert schedule.missed(START + 3 * DAY_NS, all_of_them=True) == []
    assert max(b - a for a, b in itertools.pairwise(slots)) <= schedule.slowest_ns + CALM


# Every slot is accounted for


Sleeps = st.lists(st.tuples(st.integers(0, 500 * NS), st.booleans()), min_size=1, max_size=60)


@given(Sleeps)
def test_every_slot_of_a_task_is_run_once_or_told_once(sleeps: list[tuple[int, bool]]) -> None:
    """However late the daemon looks, and whatever is still under way."""
    schedule = make(tasks=(CLOCK,))
    grid = Grid.of(DEVICE, "clock", CLOCK.period_ns)
    now_ns = START
    ran: list[int] = []
    told: list[Missed] = []
    for sleep_ns, ends in sleeps:
        now_ns += sleep_ns
        for due in schedule.look(now_ns):
            assert now_ns - due.slot_ns <= LATE_NS or due.slot_ns == START
            ran += [due.slot_ns] if due.name == "clock" else []
        if ends:
            schedule.ended("clock", 0, now_ns)
        told += schedule.missed(now_ns)
        assert schedule.next_due_ns() > now_ns
        assert schedule.settled(now_ns) <= now_ns
    told += schedule.missed(now_ns, all_of_them=True)
    missed = slots_of((gap for gap in told if gap.name == "clock"), grid)
    assert sorted(ran + missed) == list(range(grid.after(START), now_ns + 1, CLOCK.period_ns))


@given(Sleeps, st.lists(st.sampled_from(["ok", "international_cut"]), min_size=1, max_size=10))
def test_rounds_never_drift_and_no_slot_is_told_twice(
    sleeps: list[tuple[int, bool]], verdicts: list[str]
) -> None:
    schedule = make()
    verdict = itertools.cycle(verdicts)
    now_ns = START
    ran: list[int] = []
    told: list[Missed] = []
    for sleep_ns, ends in sleeps:
        now_ns += sleep_ns
        ran += [due.slot_ns for due in schedule.look(now_ns)]
        if ends:
            schedule.ended(ROUND, COST, now_ns)
            schedule.concluded(next(verdict), now_ns)
        told += schedule.missed(now_ns)
    told += schedule.missed(now_ns, all_of_them=True)
    quick = Grid.of(DEVICE, ROUND, QUICK)  # holds the calm grid's slots too
    moments = ran[1:] + [moment for gap in told for moment in (gap.first_ns, gap.last_ns)]
    assert all(quick.until(moment) == moment for moment in moments)
    spans = sorted([(slot, slot) for slot in ran] + [(gap.first_ns, gap.last_ns) for gap in told])
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    assert ran[0] == START + sleeps[0][0] or ran[0] == START


@given(st.integers(2, 200), Sleeps)
def test_at_one_pace_every_slot_of_the_round_is_run_once_or_told_once(
    period_s: int, sleeps: list[tuple[int, bool]]
) -> None:
    period_ns = period_s * NS
    schedule = Schedule(
        device=DEVICE,
        calm=ScheduledJob(name=ROUND, period_ns=period_ns, usual_bytes=1, most_bytes=1),
        quick_ns=period_ns,
        budget=Budget(10**12),
        now_ns=START,
    )
    grid = Grid.of(DEVICE, ROUND, period_ns)
    now_ns = START
    ran: list[int] = []
    for sleep_ns, ends in sleeps:
        now_ns += sleep_ns
        ran += [due.slot_ns for due in schedule.look(now_ns)]
        if ends:
            schedule.ended(ROUND, 1, now_ns)
    missed = slots_of(schedule.missed(now_ns, all_of_them=True), grid)
    expected = list(range(grid.after(START + period_ns - 1), now_ns + 1, period_ns))
    assert sorted(ran + missed) == [START, *expected]


# Why a slot was missed


def test_a_round_that_is_still_running_makes_the_next_slots_one_gap() -> None:
    schedule = make()
    assert schedule.look(START)
    while (now_ns := schedule.next_due_ns()) <= START + 200 * NS:
        assert schedule.look(now_ns) == []
    assert schedule.missed(now_ns) == [], "more may follow"
    schedule.ended(ROUND, COST, now_ns)
    (due,) = schedule.look(schedule.next_due_ns())
    (gap,) = schedule.missed(due.slot_ns)
    assert gap.reason is Reason.RUNNING
    assert gap.last_ns == due.slot_ns - QUICK
    assert gap.count == (gap.last_ns - gap.first_ns) // QUICK + 1 >= 5
    assert schedule.missed(due.slot_ns, all_of_them=True) == []


def test_a_long_sleep_is_one_gap_and_a_slot_just_passed_is_still_run() -> None:
    schedule = make()
    schedule.look(START)
    schedule.ended(ROUND, COST, START + NS)
    grid = Grid.of(DEVICE, ROUND, QUICK)
    slot_ns = grid.after(START + 600 * NS)
    (due,) = schedule.look(slot_ns + LATE_NS)
    assert due.slot_ns == slot_ns
    (gap,) = schedule.missed(slot_ns + LATE_NS)
    assert (gap.name, gap.reason, gap.last_ns) == (ROUND, Reason.STALLED, slot_ns - QUICK)


def test_a_slot_noticed_too_late_is_missed() -> None:
    schedule = make()
    schedule.look(START)
    schedule.ended(ROUND, COST, START + NS)
    slot_ns = Grid.of(DEVICE, ROUND, QUICK).after(START + 600 * NS)
    now_ns = slot_ns + LATE_NS + 1
    assert schedule.look(now_ns) == []
    (gap,) = schedule.missed(now_ns, all_of_them=True)
    assert gap.last_ns == slot_ns
    assert schedule.next_due_ns() == slot_ns + QUICK


def test_a_gap_that_goes_on_is_told_in_parts() -> None:
    schedule = make()
    schedule.look(START)
    told: list[Missed] = []
    for now_ns in range(START, START + 2000 * NS, NS):
        schedule.look(now_ns)
        told += schedule.missed(now_ns)
    assert 5 <= len(told) <= 7
    assert all(gap.last_ns - gap.first_ns <= GAP_HELD_NS for gap in told)
    told += schedule.missed(now_ns, all_of_them=True)
    assert slots_of(told, Grid.of(DEVICE, ROUND, QUICK)) == list(range(told[0].first_ns, now_ns + 1, QUICK))


def test_slots_without_bytes_are_told_as_that() -> None:
    schedule = make(budget=MOST + 10)
    slots = run_until(schedule, START + 1000 * NS)
    assert slots == [START]
    gaps = schedule.missed(START + 1000 * NS, all_of_them=True)
    assert {gap.reason for gap in gaps} == {Reason.BUDGET}


def test_a_budget_too_small_for_one_round_is_told_for_the_first_too() -> None:
    schedule = make(budget=MOST - 1)
    assert run_until(schedule, START + 10 * NS) == []
    (gap,) = schedule.missed(START + 10 * NS, all_of_them=True)
    assert (gap.first_ns, gap.count, gap.reason) == (START, 1, Reason.BUDGET)


@given(budget=st.integers(0, 40 * MOST), hours=st.integers(1, 60), cost=st.integers(0, MOST))
def test_the_budget_of_any_day_is_never_exceeded(budget: int, hours: int, cost: int) -> None:
    schedule = make(budget=budget)
    slots = run_until(schedule, START + hours * 3600 * NS, cost=cost, verdict="international_cut")
    for slot in slots:
        assert sum(slot - DAY_NS < other <= slot for other in slots) * cost <= budget


# Over a restart


def test_what_was_missed_while_the_daemon_was_stopped_is_told() -> None:
    stopped_ns = START - 1000 * NS
    schedule = make(tasks=(CLOCK,), settled_ns=stopped_ns)
    gaps = {gap.name: gap for gap in schedule.missed(START, all_of_them=True)}
    assert {gap.reason for gap in gaps.values()} == {Reason.STOPPED}
    grids = {ROUND: Grid.of(DEVICE, ROUND, QUICK), "clock": Grid.of(DEVICE, "clock", CLOCK.period_ns)}
    assert gaps["clock"].count == grids["clock"].count(stopped_ns, START) == 20
    assert gaps["clock"].first_ns == grids["clock"].after(stopped_ns)
    assert gaps[ROUND].count == Grid.of(DEVICE, ROUND, CALM).count(stopped_ns, START)


@pytest.mark.parametrize("at", ["running", "gap held", "gap to be told"])
def test_what_is_pending_at_a_stop_is_not_taken_for_settled(at: str) -> None:
    schedule = make(tasks=(CLOCK,))
    dues: dict[str, Callable[[], object]] = {
        "running": lambda: schedule.look(START),
        "gap held": lambda: schedule.look(START + 200 * NS),
        "gap to be told": lambda: schedule.look(START + 200 * NS),
    }
    dues[at]()
    if at != "running":
        schedule.ended(ROUND, 0, START + 200 * NS)
        schedule.ended("clock", 0, START + 200 * NS)
    settled_ns = schedule.settled(START + 200 * NS)
    assert START - 1 <= settled_ns < START + 50 * NS
    schedule.ended(ROUND, 0, START + 200 * NS)
    schedule.missed(START + 200 * NS, all_of_them=True)
    assert schedule.settled(START + 200 * NS) == START + 200 * NS


def test_a_clock_that_starts_at_zero() -> None:
    schedule = make(now_ns=0)
    assert run_until(schedule, 100 * NS)[0] == 0


class TestHurry:
    """A round that the sentinel wants."""

    def test_it_is_due_at_once_and_quick_rounds_follow(self) -> None:
        schedule = make()
        run_until(schedule, START + 3600 * NS)
        now_ns = schedule.next_due_ns() - 50 * NS
        assert schedule.period_ns == CALM
        assert schedule.hurry(now_ns)
        assert schedule.next_due_ns() == now_ns
        (due,) = schedule.look(now_ns)
        assert (due.name, due.slot_ns) == (ROUND, now_ns)
        assert schedule.period_ns == QUICK
        assert not schedule.hurry(now_ns + NS)  # it runs
        schedule.ended(ROUND, COST, now_ns + 2 * NS)
        slots = run_until(schedule, now_ns + 300 * NS)
        assert len(slots) >= 9
        assert schedule.missed(now_ns + 300 * NS, all_of_them=True) == []

    def test_it_is_not_made_of_bytes_that_the_calm_rounds_need(self) -> None:
        schedule = make(budget=MOST)
        run_until(schedule, START)
        assert not schedule.hurry(START + 10 * NS)
        assert schedule.look(START + 10 * NS) == []
        assert schedule.missed(START + 10 * NS, all_of_them=True) == []

    @pytest.mark.parametrize("wanted_every_s", [10, 60, 300])
    def test_rounds_that_are_wanted_again_and_again_never_cost_the_calm_ones(
        self, wanted_every_s: int
    ) -> None:
        """An allow-list that lets a few places pass made one more round a minute, and the day's bytes were spent at seven."""
        schedule = make(budget=70_000_000)
        slots = []
        for now_ns in range(START, START + 2 * DAY_NS, wanted_every_s * NS):
            slots += run_until(schedule, now_ns, verdict="allowlisted")
            schedule.hurry(now_ns)
        assert schedule.missed(START + 2 * DAY_NS, all_of_them=True) == []
        assert max(b - a for a, b in itertools.pairwise(slots)) <= 2 * SLOWER * CALM

    @pytest.mark.parametrize("cost", [COST, COST * 6 // 5, MOST])
    def test_a_round_is_wanted_in_vain_by_no_line_whose_rounds_are_dear(self, cost: int) -> None:
        schedule = make(budget=70_000_000)
        run_until(schedule, START + DAY_NS, cost=cost)
        assert schedule.hurry(schedule.next_due_ns() - 1)

    def test_what_changes_with_every_round_is_no_news_that_eats_what_is_kept(self) -> None:
        schedule = make(budget=70_000_000)
        number = 0
        while (now_ns := schedule.next_due_ns()) <= START + DAY_NS:
            for _ in schedule.look(now_ns):
                number += 1
                schedule.ended(ROUND, COST, now_ns + NS)
                words = ("ok", "blocked_tls") if number % 2 else ("inconclusive", "congestion")
                schedule.concluded(words[number // 2 % 2], now_ns + NS, aspect=str(number))
        assert schedule.missed(now_ns, all_of_them=True) == []
        assert schedule.period_ns == CALM
        assert schedule.hurry(schedule.next_due_ns() - 50 * NS)

    def test_after_a_long_outage_there_is_something_left_for_news(self) -> None:
        schedule = make(budget=70_000_000)
        run_until(schedule, START + DAY_NS, verdict="international_cut")
        assert schedule.period_ns == CALM
        assert schedule.hurry(schedule.next_due_ns() - 50 * NS)
        schedule.look(now_ns := schedule.next_due_ns())
        schedule.ended(ROUND, COST, now_ns + NS)
        schedule.concluded("ok", now_ns + NS)
        assert schedule.period_ns == QUICK  # so that the next round confirms it

    @given(st.lists(st.integers(1, 200), max_size=30))
    def test_no_slot_is_lost_or_run_twice(self, waits: list[int]) -> None:
        schedule = make()
        slots = []
        now_ns = START
        for wait in waits:
            slots += run_until(schedule, now_ns)
            now_ns += wait * NS
            if schedule.next_due_ns() > now_ns:
                schedule.hurry(now_ns)
        slots += run_until(schedule, now_ns)
        assert slots == sorted(set(slots))
        assert schedule.missed(now_ns, all_of_them=True) == []


def test_what_is_said_of_platforms_sets_the_pace_and_then_no_more() -> None:
    schedule = make()
    run_until(schedule, START + 3600 * NS)
    assert schedule.period_ns == CALM
    schedule.concluded("ok", START + 3601 * NS, aspect="chat:inconclusive:tls")
    assert schedule.period_ns == QUICK
    for _ in range(QUICK_ROUNDS + 1):
        schedule.concluded("blocked_tls", START + 3601 * NS, aspect="chat:blocked_tls:tls")
    assert schedule.period_ns == CALM
