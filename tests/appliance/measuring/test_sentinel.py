"""The sentinel: a cut and its end are noticed in seconds, one lost probe wants nothing, and no byte goes uncounted."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.measuring.budget import DAY_NS, NS, Budget
from appliance.measuring.sentinel import (
    BYTES_PER_DAY,
    HOLD_NS,
    NAME,
    PATIENCE_MS,
    PERIOD_NS,
    PREFIX,
    PROBE_BYTES,
    SLOW_PATIENCE_MS,
    Sentinel,
    SentinelTarget,
    targets_of,
)
from firmware.model.task import Task
from firmware.plans import load as plans

START = 1_000 * NS
REFERENCES = tuple(
    SentinelTarget(name=f"c{number}", target=f"192.0.2.{number}:443") for number in range(1, 4)
)
ALL = frozenset(one.name for one in REFERENCES)
PATIENCE_NS = PATIENCE_MS * 1_000_000


def make(limit: int = 10**9) -> Sentinel:
    sentinel = Sentinel(REFERENCES, Budget(limit), now_ns=START)
    sentinel.concluded("ok", START, is_quick=True, connected=ALL)
    return sentinel


def due(sentinel: Sentinel) -> int:
    assert sentinel.due_ns is not None
    return sentinel.due_ns


def probe(sentinel: Sentinel) -> Task:
    (task,) = sentinel.look(due(sentinel), in_round=False)
    return task


def silent_until_wanted(sentinel: Sentinel, *, answer: bool = False) -> int:
    """Let every probe come out one way, from the next that is due on; return when a round is wanted."""
    for _ in range(1_000):
        task = probe(sentinel)
        now_ns = task.start_boottime_ns
        while True:
            now_ns += PATIENCE_NS
            again, wanted = sentinel.take(task.task_id, reached=answer, now_ns=now_ns)
            if wanted:
                return now_ns
            if not again:
                break
            (task,) = again
    raise AssertionError("no round is ever wanted")


class TestNoticing:
    """What makes a round wanted."""

    def test_two_references_that_fall_silent(self) -> None:
        sentinel = make()
        first = probe(sentinel)
        now_ns = first.start_boottime_ns + PATIENCE_NS
        (second,), wanted = sentinel.take(first.task_id, reached=False, now_ns=now_ns)
        assert not wanted
        assert second.target != first.target
        assert sentinel.take(second.task_id, reached=False, now_ns=now_ns + PATIENCE_NS) == ((), True)

    def test_one_lost_probe_wants_nothing(self) -> None:
        sentinel = make()
        first = probe(sentinel)
        (second,), _ = sentinel.take(first.task_id, reached=False, now_ns=START + 20 * NS)
        assert sentinel.take(second.task_id, reached=True, now_ns=START + 21 * NS) == ((), False)

    def test_one_answer_while_all_is_dark(self) -> None:
        for gone in ("international_cut", "isp_or_wider_outage", "local_fault"):
            sentinel = make()
            sentinel.concluded(gone, START, is_quick=True, connected=frozenset())
            task = probe(sentinel)
            assert sentinel.take(task.task_id, reached=True, now_ns=START + 11 * NS) == ((), True)

    def test_silence_while_all_is_dark_is_no_news(self) -> None:
        sentinel = make()
        sentinel.concluded("international_cut", START, is_quick=True, connected=frozenset())
        task = probe(sentinel)
        assert sentinel.take(task.task_id, reached=False, now_ns=START + 13 * NS) == ((), False)

    def test_rounds_that_change_nothing_are_wanted_ever_more_seldom(self) -> None:
        """As on a line that loses two packets in a row now and then: the third is answered."""
        sentinel = make()
        wanted_ns = []
        for _ in range(200):
            task = probe(sentinel)
            now_ns = task.start_boottime_ns
            for answer in (False, False, True):
                now_ns += PATIENCE_NS
                again, wanted = sentinel.take(task.task_id, reached=answer, now_ns=now_ns)
                if wanted:
                    wanted_ns.append(now_ns)
                    sentinel.concluded("ok", now_ns + 5 * NS, is_quick=True, connected=ALL)
                if not again:
                    break
                (task,) = again
        apart = [later - before for before, later in itertools.pairwise(wanted_ns)]
        assert len(apart) >= 3
        assert all(b >= HOLD_NS * 2**number for number, b in enumerate(apart))

    def test_a_cut_right_after_a_round_that_changed_nothing_is_noticed_all_the_same(self) -> None:
        sentinel = make()
        now_ns = silent_until_wanted(sentinel)
        sentinel.concluded("ok", now_ns, is_quick=True, connected=ALL)
        assert silent_until_wanted(sentinel) - now_ns <= HOLD_NS + PERIOD_NS + 4 * PATIENCE_NS
        sentinel.concluded("international_cut", now_ns, is_quick=True, connected=frozenset())
        assert silent_until_wanted(sentinel, answer=True) > now_ns

    @pytest.mark.parametrize("verdict", ["ok", "allowlisted", "inconclusive", "blocked_tcp", "congestion"])
    @pytest.mark.parametrize("connected", [frozenset(), frozenset({"c1"}), frozenset({"c1", "c2"}), ALL])
    def test_a_line_that_goes_dark_is_noticed_whoever_answered_before(
        self, verdict: str, connected: frozenset[str]
    ) -> None:
        sentinel = make()
        sentinel.concluded(verdict, START, is_quick=True, connected=connected)
        assert silent_until_wanted(sentinel) <= START + 15 * NS

    @pytest.mark.parametrize("connected", [frozenset(), frozenset({"c1"}), ALL])
    def test_a_line_that_is_back_is_noticed_whoever_answered_before(self, connected: frozenset[str]) -> None:
        """A middlebox that accepts every connection shows all as connected while nothing passes."""
        sentinel = make()
        sentinel.concluded("isp_or_wider_outage", START, is_quick=True, connected=connected)
        assert silent_until_wanted(sentinel, answer=True) <= START + 15 * NS

    def test_a_probe_of_before_the_last_round_is_no_news(self) -> None:
        sentinel = make()
        task = probe(sentinel)
        sentinel.concluded("international_cut", START + 11 * NS, is_quick=True, connected=frozenset())
        assert sentinel.take(task.task_id, reached=True, now_ns=START + 12 * NS) == ((), False)

    def test_who_was_silent_in_the_last_round_is_no_news_by_being_silent(self) -> None:
        sentinel = make()
        sentinel.concluded("allowlisted", START, is_quick=True, connected=frozenset({"c1"}))
        for _ in range(2 * len(REFERENCES)):
            task = probe(sentinel)
            now_ns = task.start_boottime_ns + PATIENCE_NS
            assert sentinel.take(task.task_id, reached=task.target_name == "c1", now_ns=now_ns) == ((), False)

    def test_those_that_an_allow_list_let_pass_are_asked_and_their_silence_is_news(self) -> None:
        sentinel = make()
        sentinel.concluded("allowlisted", START, is_quick=True, connected=frozenset({"c1", "c3"}))
        first = probe(sentinel)
        (second,), _ = sentinel.take(first.task_id, reached=False, now_ns=START + 13 * NS)
        assert {first.target_name, second.target_name} == {"c1", "c3"}
        assert sentinel.take(second.task_id, reached=False, now_ns=START + 16 * NS) == ((), True)

    def test_a_cache_that_answers_all_through_a_cut_is_no_news(self) -> None:
        sentinel = make()
        sentinel.concluded("international_cut", START, is_quick=True, connected=frozenset({"c2"}))
        asked = set()
        for _ in range(6):
            task = probe(sentinel)
            asked.add(task.target_name)
            sentinel.take(task.task_id, reached=False, now_ns=task.start_boottime_ns + PATIENCE_NS)
        assert asked == {"c1", "c3"}
        task = probe(sentinel)
        assert sentinel.take(task.task_id, reached=True, now_ns=task.start_boottime_ns + NS) == ((), True)

    def test_from_a_cut_to_a_wanted_round_in_15_s_at_most(self) -> None:
        # cut right after a probe was answered: the next comes a period later, and two must fail
        assert PERIOD_NS + 2 * PATIENCE_NS <= 15 * NS

    def test_a_line_that_is_slow_or_unknown_is_given_longer_and_a_minutes_round_still_ends_in_90_s(
        self,
    ) -> None:
        unknown = Sentinel(REFERENCES, Budget(10**9), now_ns=START)
        slow, quick = make(), make()
        slow.concluded("ok", START, is_quick=False, connected=ALL)
        tasks = [probe(one) for one in (unknown, slow, quick)]
        allowed = [task.options["timeout_ms"] for task in tasks]
        assert allowed == [SLOW_PATIENCE_MS, SLOW_PATIENCE_MS, PATIENCE_MS]
        task = tasks[1]
        assert task.deadline_boottime_ns - task.start_boottime_ns > SLOW_PATIENCE_MS * 1_000_000
        assert PERIOD_NS + 2 * SLOW_PATIENCE_MS * 1_000_000 + 60 * NS <= 90 * NS


class TestResting:
    """When it is silent itself."""

    def test_in_a_round_it_rests(self) -> None:
        sentinel = make()
        assert sentinel.look(due(sentinel), in_round=True) == ()
        assert sentinel.probes == 0

    def test_without_two_pinned_references_there_is_none(self) -> None:
        assert Sentinel(REFERENCES[:1], Budget(10**9), now_ns=START).due_ns is None

    def test_without_bytes_it_does_not_probe(self) -> None:
        sentinel = make(PROBE_BYTES - 1)
        assert sentinel.look(due(sentinel), in_round=False) == ()
        assert due(sentinel) > START + PERIOD_NS

    def test_a_probe_that_was_not_made_says_nothing(self) -> None:
        sentinel = make()
        task = probe(sentinel)
        assert sentinel.due_ns is None
        sentinel.lost(task.task_id, START + 12 * NS)
        assert due(sentinel) == START + 2 * PERIOD_NS
        assert sentinel.take(task.task_id, reached=False, now_ns=START + 13 * NS) == ((), False)


def test_the_references_are_pinned_and_of_unrelated_networks() -> None:
    for country in plans.countries():
        plan = plans.load(country)
        references = targets_of(plan)
        assert len(references) >= 3
        owners = {
            target.network.owner
            for target in plan.targets
            if target.network
            for one in references
            if one.name == target.name
        }
        assert len(owners) == len(references)
        # what it costs leaves the calm rounds what they need
        assert plan.cadence.budget_bytes_per_day / 8 > BYTES_PER_DAY


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(0, 100_000))
def test_every_byte_is_in_the_budget_and_never_over_it(answers: list[bool], limit: int) -> None:
    budget = Budget(limit)
    sentinel = Sentinel(REFERENCES, budget, now_ns=START)
    now_ns = START
    for reached in answers:
        now_ns = max(now_ns, due(sentinel))
        for task in sentinel.look(now_ns, in_round=False):
            assert task.task_id.startswith(PREFIX)
            now_ns += NS
            again, _ = sentinel.take(task.task_id, reached=reached, now_ns=now_ns)
            for second in again:
                sentinel.take(second.task_id, reached=True, now_ns=now_ns + NS)
        assert budget.spent(now_ns) <= limit
    assert budget.spent(now_ns) == sentinel.probes * PROBE_BYTES
    assert now_ns - START < DAY_NS
    assert PREFIX.rstrip("/") == NAME
