"""The ladder: every rung in every round, counted rung by rung as it is climbed."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.ladder import (
    NS_PER_MS,
    RungProgress,
    climb,
    confirmation_tasks,
    from_json,
    round_tasks,
    to_json,
)
from firmware.judgement.observation import Observation
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue, RecordError
from firmware.model.record import Rung
from firmware.plans.load import Plan, load
from tests.firmware.rounds import S, seen

START_NS = 1_000 * S
HOME = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER, Rung.DOMESTIC)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load(country="ir")


def results(
    plan: Plan, *rungs: Rung, failure: str | None = None, at_s: float = 0.1
) -> dict[str, Observation]:
    """Return an observation of every target on `rungs`, by task id."""
    return {
        f"r1/{target.name}@{at_s}": seen(target.name, rung, failure, test=target.test, at_s=at_s)
        for rung in rungs
        for target in plan.on_rung(rung)
    }


def plan_network(plan: Plan, one: Observation) -> bool:
    target = plan.target(one.target_name)
    return target is not None and target.network is not None


class TestARound:
    """What a round asks."""

    def test_every_target_of_every_rung_is_asked_once(self, plan: Plan) -> None:
        tasks = round_tasks(plan, 7, START_NS)
        assert sorted(task.target_name for task in tasks) == sorted(target.name for target in plan.targets)
        assert len({task.task_id for task in tasks}) == len(tasks)
        assert {task.round_id for task in tasks} == {7}
        by_name = {task.target_name: task for task in tasks}
        for target in plan.targets:
            task = by_name[target.name]
            assert (task.test, task.target, task.options, task.zone, task.rung) == (
                target.test,
                target.target,
                target.options,
                target.zone,
                target.rung,
            )

    def test_starts_are_staggered_and_all_end_together_before_30_s(self, plan: Plan) -> None:
        tasks = round_tasks(plan, 1, START_NS)
        starts = [task.start_boottime_ns for task in tasks]
        assert starts[0] == START_NS
        gaps = {later - earlier for earlier, later in pairwise(starts)}
        assert gaps == {plan.round.stagger_ms * NS_PER_MS}
        assert {task.deadline_boottime_ns for task in tasks} == {START_NS + 29 * S}
        slow = round_tasks(plan, 1, START_NS, is_quick=False)
        assert {task.deadline_boottime_ns for task in slow} == {START_NS + 59 * S}
        # whoever starts last still has the 20 s a connection may take
        assert all(task.deadline_boottime_ns - task.start_boottime_ns >= 20 * S for task in tasks)

    def test_the_near_rungs_come_first_and_the_far_ones_take_turns(self, plan: Plan) -> None:
        rungs = [task.rung for task in round_tasks(plan, 1, START_NS)]
        assert rungs[:4] == [Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER]
        assert rungs[4:8] == [Rung.INTERNATIONAL, Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.DOMESTIC]
        assert rungs[-1] is Rung.PLATFORMS


class TestConfirmation:
    """What is asked once more before the round ends."""

    def test_nothing_while_a_reference_is_still_out(self, plan: Plan) -> None:
        known = list(results(plan, Rung.INTERNATIONAL, failure=Failure.TIMEOUT).values())[1:]
        assert confirmation_tasks(plan, 1, START_NS, known, START_NS + 20 * S) == ()

    def test_nothing_when_one_reference_was_reached(self, plan: Plan) -> None:
        known = list(results(plan, Rung.INTERNATIONAL, failure=Failure.TIMEOUT).values())
        known[0] = replace(known[0], failure=None)
        assert confirmation_tasks(plan, 1, START_NS, known, START_NS + 20 * S) == ()

    def test_what_was_reached_near_and_at_home_once_all_references_are_lost(self, plan: Plan) -> None:
        lost = results(plan, Rung.INTERNATIONAL, Rung.PLATFORMS, failure=Failure.TIMEOUT)
        home = results(plan, *HOME)
        silent = {key: replace(one, failure=Failure.TIMEOUT) for key, one in home.items() if "aparat" in key}
        now_ns = START_NS + 21 * S
        tasks = confirmation_tasks(plan, 3, START_NS, {**lost, **home, **silent}.values(), now_ns)
        expected = {target.name for rung in HOME for target in plan.on_rung(rung)} - {"aparat"}
        assert {task.target_name for task in tasks if task.rung is not Rung.INTERNATIONAL} == expected
        assert min(task.start_boottime_ns for task in tasks) == now_ns
        # Each may take as long as a connect and a handshake, also past the round's end: none is cut short.
        assert {task.deadline_boottime_ns - task.start_boottime_ns for task in tasks} == {30 * S}
        assert not {task.task_id for task in tasks} & {
            task.task_id for task in round_tasks(plan, 3, START_NS)
        }

    def test_three_silent_references_in_unrelated_networks_are_asked_afresh_and_first(
        self, plan: Plan
    ) -> None:
        silent = results(plan, Rung.INTERNATIONAL, failure=Failure.TIMEOUT)
        refused, other, *_ = [one.target_name for one in silent.values() if plan_network(plan, one)]
        known = [
            replace(one, failure=Failure.CONNECTION_REFUSED) if one.target_name == refused else one
            for one in silent.values()
        ]
        tasks = confirmation_tasks(
            plan, 3, START_NS, [*known, *results(plan, *HOME).values()], START_NS + 21 * S
        )
        afresh = [task for task in tasks if task.rung is Rung.INTERNATIONAL]
        assert tuple(afresh) == tasks[:3]
        assert other in {task.target_name for task in afresh}
        assert refused not in {task.target_name for task in afresh}
        owners = [
            target.network.owner
            for task in afresh
            if (target := plan.target(task.target_name)) and target.network
        ]
        assert len(set(owners)) == len(owners) == 3

    def test_the_anchors_are_given_time_to_answer_where_the_references_were_refused_at_once(
        self, plan: Plan
    ) -> None:
        refused = results(plan, Rung.INTERNATIONAL, failure=Failure.CONNECTION_REFUSED)
        near = results(plan, Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER)
        known = [*refused.values(), *near.values()]
        assert confirmation_tasks(plan, 1, START_NS, known, START_NS + 1 * S) == ()
        after = confirmation_tasks(plan, 1, START_NS, known, START_NS + 5 * S)
        again = {task.rung for task in after}
        assert again == {Rung.INTERNATIONAL, Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER}

    def test_nothing_that_could_not_start_before_the_deadline(self, plan: Plan) -> None:
        lost = results(plan, Rung.INTERNATIONAL, failure=Failure.TIMEOUT)
        known = {**lost, **results(plan, *HOME)}.values()
        late = confirmation_tasks(plan, 1, START_NS, known, START_NS + 59 * S - 200 * NS_PER_MS)
        assert [task.target_name for task in late[3:]] == ["link", "address"]
        assert confirmation_tasks(plan, 1, START_NS, known, START_NS + 60 * S) == ()


class TestTheClimb:
    """How far it is climbed."""

    def test_before_anything_is_known_all_is_pending(self, plan: Plan) -> None:
        ladder = climb(plan, {})
        assert {state.state for state in ladder.rungs} == {RungProgress.PENDING}
        assert not ladder.complete

    def test_it_is_climbed_rung_by_rung(self, plan: Plan) -> None:
        known: dict[str, Observation] = {}
        for rung in Rung:
            known |= results(plan, rung)
            ladder = climb(plan, known)
            assert ladder.rung(rung).state is RungProgress.REACHED
        assert ladder.complete
        assert [state.rung for state in ladder.rungs] == list(Rung)

    def test_counts_best_time_and_failures(self, plan: Plan) -> None:
        known = results(plan, Rung.INTERNATIONAL)
        first, *others = known.values()
        fast = replace(others[0], best_ns=5)
        lost = replace(first, failure=Failure.TIMEOUT, failed_operation="connect")
        state = climb(plan, {"a": lost, "b": fast, **dict(list(known.items())[2:])}).rung(Rung.INTERNATIONAL)
        counted = sum(one.is_connectivity for one in known.values())  # NTP is asked, and never connectivity
        assert (state.state, state.reached, state.tried) == (RungProgress.PARTLY, counted - 1, counted)
        assert state.best_ns == 5
        assert state.failures == (f"{lost.target_name}: connect: generic_timeout_error",)

    def test_what_never_came_is_unknown_once_the_round_has_ended(self, plan: Plan) -> None:
        ladder = climb(plan, results(plan, Rung.LINK), ended=True)
        assert ladder.rung(Rung.LINK).state is RungProgress.REACHED
        assert ladder.rung(Rung.PLATFORMS).state is RungProgress.UNKNOWN
        assert ladder.complete

    def test_a_dns_answer_never_counts_as_reached_on_a_far_rung(self, plan: Plan) -> None:
        known = results(plan, Rung.DOMESTIC, failure=Failure.TIMEOUT)
        known = {key: replace(one, failure=None) if one.test == "dns" else one for key, one in known.items()}
        state = climb(plan, known).rung(Rung.DOMESTIC)
        assert any(one.test == "dns" for one in known.values())
        assert (state.state, state.reached, state.tried) == (RungProgress.FAILED, 0, len(known) - 1)

    def test_a_target_asked_again_counts_as_found_last(self, plan: Plan) -> None:
        up = results(plan, Rung.DOMESTIC)
        down = results(plan, Rung.DOMESTIC, failure=Failure.TIMEOUT, at_s=22)
        assert climb(plan, {**down, **up}).rung(Rung.DOMESTIC).state is RungProgress.FAILED

    def test_the_generic_plans_domestic_rung_is_unknown(self) -> None:
        assert climb(load(), {}).rung(Rung.DOMESTIC).state is RungProgress.UNKNOWN

    def test_what_could_not_be_measured_was_not_tried(self, plan: Plan) -> None:
        state = climb(plan, results(plan, Rung.PLATFORMS, failure=Failure.WORKER_DIED)).rung(Rung.PLATFORMS)
        assert (state.state, state.tried) == (RungProgress.UNKNOWN, 0)

    @given(data=st.data())
    def test_numbers_add_up_and_survive_json(self, plan: Plan, data: st.DataObject) -> None:
        targets = data.draw(st.lists(st.sampled_from(plan.targets), unique_by=lambda target: target.name))
        known = {
            target.name: seen(
                target.name,
                target.rung,
                data.draw(st.sampled_from([None, Failure.TIMEOUT, Failure.MISSED_SLOT])),
                test=target.test,
            )
            for target in targets
        }
        ladder = climb(plan, known, ended=data.draw(st.booleans()))
        for state in ladder.rungs:
            assert 0 <= state.reached <= state.tried <= len(plan.on_rung(state.rung))
            assert len(state.failures) == state.tried - state.reached
            assert (state.best_ns is None) == (state.reached == 0)
        assert from_json(json.loads(json.dumps(to_json(ladder)))) == ladder


def test_a_ladder_that_is_none_is_refused(plan: Plan) -> None:
    good = to_json(climb(plan, {}))
    wrong: dict[str, JsonValue] = {"state": "climbed", "reached": -1, "failures": [1]}
    for key, value in wrong.items():
        link = good["link"]
        assert isinstance(link, dict)
        with pytest.raises(RecordError, match=key):
            from_json({**good, "link": {**link, key: value}})
