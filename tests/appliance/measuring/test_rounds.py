"""A round's own account, and the history that rules ask: also over a restart, and never of another boot."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from appliance.measuring import rounds
from appliance.measuring.budget import NS, wire_bytes
from appliance.measuring.journal import worker_ended
from appliance.measuring.recent_rounds import RecentRounds
from appliance.measuring.records import (
    Conclusion,
    Scene,
    lost_result,
    of_fault,
    of_missed,
    of_result,
    of_round,
)
from appliance.measuring.rounds import AFRESH_NS, GRACE_NS, RunningRound, most_bytes
from appliance.measuring.slots import Missed, Reason
from firmware.clock.clocks import ClockTracker, SyncPoint
from firmware.judgement.confidence.accusers import concluded
from firmware.judgement.facts import Past, RoundFacts
from firmware.judgement.fingerprints.load import COLUMNS, parse
from firmware.judgement.fingerprints.table import FingerprintList
from firmware.judgement.ladder import Ladder, RungProgress, climb
from firmware.judgement.observation import Observation
from firmware.judgement.pace import is_quick
from firmware.judgement.round.verdict import EARLY_NS, RoundJudgement
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.record import (
    ClockQuality,
    Outcome,
    Phase,
    Record,
    Rung,
    Stamp,
    Verdict,
    from_json,
    to_json,
)
from firmware.model.statement import prose, stated
from firmware.model.statement import to_json as to_json_of
from firmware.model.task import Result, Task
from firmware.plans import load as plans
from firmware.plans.checks import round_bytes
from tests.english import lines
from tests.firmware.rounds import past
from tests.sureness import every_rule_is

PLAN = plans.load("ir")
START = 5_000 * NS
UTC = 1_795_000_000 * NS
BOOT = "3f6c2f0e-6f52-4b2f-9a3e-0d0a1c1d2e3f"
OK = Verdict(
    verdict="ok",
    rule_id="controls-reached",
    evidence=(stated("rung", rung="international", reached=4, tried=4), prose("all")),
    overturned_by="nothing",
)
CUT = Verdict(verdict="international_cut", rule_id="international-cut")
SCENE = Scene(boot_id=BOOT, plan=PLAN, clock=ClockTracker(), boottime_ns=START + 10 * NS, utc_ns=UTC)


def begin(*, late_ns: int = 0, history: Sequence[Past] = ()) -> RunningRound:
    return RunningRound(PLAN, round_id=7, slot_ns=START - late_ns, start_ns=START, history=history)


def handshakes_took(usual_ns: int) -> tuple[Past, ...]:
    """Return a round before, in which every rung was reached in this time."""
    before = past("controls-reached")
    rungs = tuple(replace(state, best_ns=usual_ns, usual_ns=usual_ns) for state in before.ladder.rungs)
    return (replace(before, ladder=Ladder(rungs=rungs)),)


QUICK, SLOW = handshakes_took(NS // 10), handshakes_took(6 * NS)


def answer(
    task: Task,
    failure: str | None = None,
    *,
    operation: str = "connect",
    connect_ns: int = 1000,
    exchange_ns: int | None = None,
) -> Record:
    phases = {} if failure and operation == "connect" else {"connect": Phase(ns=connect_ns, stamp=Stamp.USER)}
    if exchange_ns is not None:
        phases["tls_first_flight"] = Phase(ns=exchange_ns, stamp=Stamp.USER)
    result = Result(
        task_id=task.task_id,
        test_version="0.1.0",
        target=task.target,
        uplink="ethernet",
        start_boottime_ns=task.start_boottime_ns + 1,
        start_utc_ns=UTC,
        runtime_ns=NS,
        outcome=Outcome(
            failure=failure,
            failed_operation=operation if failure else None,
            phases=phases,
            bytes_up=100,
            bytes_down=300,
        ),
    )
    return of_result(SCENE, task, result, slot_ns=task.start_boottime_ns, context={"memory_percent": 4.0})


def test_a_round_is_over_when_all_is_in() -> None:
    current = begin()
    for number, task in enumerate(current.tasks):
        assert not current.is_over(START + number)
        assert current.has(task)
        assert current.take(task, answer(task), START + 5 * NS) == ()
        assert not current.has(task)
    assert current.is_over(START + 5 * NS)
    assert (current.bytes_up, current.bytes_down) == (100 * len(current.tasks), 300 * len(current.tasks))
    assert current.wire_bytes == len(current.tasks) * wire_bytes(400)
    assert current.uplink == "ethernet"
    assert current.ladder(ended=True).rung(Rung.INTERNATIONAL).state is RungProgress.REACHED
    assert current.judge(()).verdict.verdict == "ok"


def test_a_round_is_over_at_its_deadline_and_a_little() -> None:
    current = begin()
    assert current.ends_ns() == START + PLAN.round.deadline_s * NS + GRACE_NS
    assert not current.is_over(current.ends_ns() - 1)
    assert current.is_over(current.ends_ns())
    assert begin(history=QUICK).ends_ns() == START + 29 * NS + GRACE_NS
    assert begin(history=SLOW).ends_ns() == current.ends_ns()
    assert current.ladder().rung(Rung.LINK).state is RungProgress.PENDING
    assert current.ladder(ended=True).rung(Rung.LINK).state is RungProgress.UNKNOWN


def test_silent_references_are_asked_again_once_and_waited_for() -> None:
    current = begin()
    again: list[Task] = []
    for task in current.tasks:
        abroad = task.rung in {Rung.INTERNATIONAL, Rung.PLATFORMS}
        again += current.take(task, answer(task, Failure.TIMEOUT if abroad else None), START + 21 * NS)
    assert again
    assert not current.is_over(START + 22 * NS)
    assert {task.rung for task in again} >= {Rung.GATEWAY, Rung.DOMESTIC}
    for task in again:
        assert current.slot_of(task) == task.start_boottime_ns
        failure = Failure.TIMEOUT if task.rung is Rung.INTERNATIONAL else None
        assert current.take(task, answer(task, failure), START + 22 * NS) == ()
    assert current.is_over(START + 22 * NS)
    assert current.judge(()).verdict.verdict == "international_cut"


FAR_RUNGS = {Rung.INTERNATIONAL, Rung.PLATFORMS}


def silent_abroad(*, silent: set[Rung], history: Sequence[Past] = ()) -> tuple[RunningRound, int]:
    """Return a round in which nothing of `silent` has answered yet, and when its references have been silent for long."""
    current = begin(history=history)
    for task in current.tasks:
        if task.rung not in silent:
            assert current.take(task, answer(task), START + NS) == ()
    return current, current.early_ns


def near_answers_again(current: RunningRound, early_ns: int) -> int:
    """Have all that is asked again answer but the references; return when these have been silent for long enough."""
    for task in current.look(early_ns):
        if task.rung is not Rung.INTERNATIONAL:
            current.take(task, answer(task), early_ns + NS)
    return early_ns + AFRESH_NS + NS


def test_a_dark_round_ends_early_once_the_near_was_asked_again() -> None:
    current, early_ns = silent_abroad(silent=FAR_RUNGS)
    assert early_ns < START + EARLY_NS + 3 * NS
    assert current.look(early_ns - 1) == ()
    assert current.early(tuple, early_ns) is None  # the anchors answered before the silence
    again = current.look(early_ns)
    assert {task.rung for task in again} >= {Rung.GATEWAY, Rung.DOMESTIC}
    assert current.look(early_ns) == ()
    done_ns = early_ns + 3 * NS
    for task in again:
        assert current.early(tuple, done_ns) is None
        if task.rung is not Rung.INTERNATIONAL:
            current.take(task, answer(task), done_ns)
    ended = current.early(tuple, done_ns)
    assert ended is not None
    judged, ladder = ended
    assert judged.verdict.verdict == "international_cut"
    out = judged.verdict.evidence[-2]
    assert (out.code, out.parameters["waited_s"]) == ("taken-to-be-silent", EARLY_NS // NS)
    assert "taken to be silent" in lines(judged.verdict)[-2]
    assert ladder.rung(Rung.INTERNATIONAL).state is RungProgress.FAILED
    assert not current.is_over(done_ns)
    assert current.cost_bytes > current.wire_bytes


def test_a_round_that_is_not_dark_is_judged_again_only_when_something_is_new() -> None:
    current, _ = silent_abroad(silent=FAR_RUNGS)
    silent_ns = max(task.start_boottime_ns for task in current.tasks) + EARLY_NS
    assert not current.may_be_dark(silent_ns - 1)
    assert current.may_be_dark(silent_ns)
    assert current.early(tuple, silent_ns) is None  # the anchors answered before the silence
    assert not current.may_be_dark(silent_ns + NS)
    current.reconsider()
    assert current.may_be_dark(silent_ns + NS)
    assert current.early(tuple, silent_ns + NS) is None
    platform = next(task for task in current.tasks if task.rung is Rung.PLATFORMS)
    current.take(platform, answer(platform, Failure.CONNECTION_REFUSED), silent_ns + NS)
    assert current.may_be_dark(silent_ns + NS)


def test_what_is_asked_again_is_new_though_nothing_comes_of_it() -> None:
    current, _ = silent_abroad(silent=FAR_RUNGS)
    silent_ns = max(task.start_boottime_ns for task in current.tasks) + EARLY_NS
    assert current.early(tuple, silent_ns) is None
    again = current.look(silent_ns)
    assert again
    assert not current.may_be_dark(silent_ns)
    assert current.may_be_dark(max(task.start_boottime_ns for task in again) + EARLY_NS)


def test_one_connection_keeps_a_round_from_being_dark_though_all_else_is_silent() -> None:
    current, early_ns = silent_abroad(silent=FAR_RUNGS)
    done_ns = near_answers_again(current, early_ns)
    *_, last = (task for task in of_round_still_out(current) if task.test in {"tcp", "tls", "http"})
    current.connected(last)
    assert current.early(tuple, done_ns) is None


def test_on_a_slow_line_no_platform_is_dark_after_10_s_though_its_references_have_timed_out() -> None:
    current, _ = silent_abroad(silent=FAR_RUNGS, history=SLOW)
    again: list[Task] = []
    for task in of_round_still_out(current):
        again += current.take(task, answer(task, Failure.TIMEOUT), START + 22 * NS)
    for task in again:
        is_near = task.rung is not Rung.INTERNATIONAL
        current.take(task, answer(task, None if is_near else Failure.TIMEOUT), START + 24 * NS)
    assert current.early(tuple, START + 25 * NS) is None
    assert current.judge(()).verdict.rule_id == "international-cut"


def test_an_outage_ends_early_too_on_a_line_that_was_quick() -> None:
    all_far = {*FAR_RUNGS, Rung.DOMESTIC, Rung.RESOLVER}
    current, early_ns = silent_abroad(silent=all_far, history=QUICK)
    done_ns = near_answers_again(current, early_ns)
    ended = current.early(tuple, done_ns)
    assert ended is not None
    assert ended[0].verdict.verdict == "isp_or_wider_outage"


def test_a_line_of_which_no_handshake_is_known_is_given_its_20_s_and_its_round_a_minute() -> None:
    """Ten seconds say nothing of a line that might take eleven."""
    all_far = {*FAR_RUNGS, Rung.DOMESTIC, Rung.RESOLVER}
    for history in ((), SLOW):
        current, early_ns = silent_abroad(silent=all_far, history=history)
        assert current.look(early_ns + 5 * NS) == ()
        assert current.early(tuple, early_ns + 5 * NS) is None
        assert current.ends_ns() == START + PLAN.round.deadline_s * NS + GRACE_NS
        assert {task.deadline_boottime_ns for task in current.tasks} == {START + 59 * NS}


def test_a_line_whose_handshakes_of_this_very_round_are_slow_is_no_quick_one() -> None:
    current = begin(history=QUICK)
    for task in current.tasks:
        if task.rung not in FAR_RUNGS:
            current.take(task, answer(task, connect_ns=6 * NS), START + 7 * NS)
    assert current.look(current.early_ns) == ()
    assert current.early(tuple, current.early_ns) is None


def test_what_has_connected_is_never_silent() -> None:
    current, early_ns = silent_abroad(silent=FAR_RUNGS)
    first = next(task for task in current.tasks if task.rung is Rung.INTERNATIONAL and task.test == "tls")
    current.connected(first)
    assert current.look(early_ns) == ()
    assert current.early(tuple, early_ns + 3 * NS) is None
    assert current.is_over(current.ends_ns())
    judged = current.judge(())
    assert judged.verdict.verdict == "inconclusive"
    told = [one for one in judged.verdict.evidence if one.code == "connected-so-far"]
    assert [one.parameters["target"] for one in told] == [first.target_name]
    assert current.out_connected == (first.target_name,)
    assert current.out_silent == ()
    failures = current.ladder(ended=True).rung(Rung.INTERNATIONAL).failures
    assert f"{first.target_name}: connected, nothing more so far" in failures


def test_silence_is_written_down_as_silence_and_not_as_a_time_out() -> None:
    current, early_ns = silent_abroad(silent=FAR_RUNGS)
    done_ns = near_answers_again(current, early_ns)
    ended = current.early(tuple, done_ns)
    assert ended is not None
    judged, told = ended
    said = json.dumps([to_json_of(one) for one in judged.verdict.evidence]) + str(told)
    assert str(Failure.TIMEOUT) not in said
    assert "silent-so-far" in said
    assert current.out_silent


def test_a_line_that_is_back_shows_by_what_is_asked_afresh() -> None:
    """The references' own SYNs wait in the kernel's back-off: three that are asked now are answered at once."""
    current, early_ns = silent_abroad(silent=FAR_RUNGS)
    again = current.look(early_ns)
    afresh = [task for task in again if task.rung is Rung.INTERNATIONAL]
    assert len(afresh) == 3
    for task in again:
        current.take(task, answer(task), early_ns + NS)
    assert current.early(tuple, early_ns + 4 * NS) is None
    assert current.judge(()).verdict.verdict != "international_cut"


def test_what_is_asked_afresh_must_be_silent_as_well() -> None:
    current, early_ns = silent_abroad(silent=FAR_RUNGS)
    for task in current.look(early_ns):
        if task.rung is not Rung.INTERNATIONAL:
            current.take(task, answer(task), early_ns + NS)
    last_ns = max(task.start_boottime_ns for task in current.tasks) + EARLY_NS
    afresh_ns = early_ns + AFRESH_NS + 2 * PLAN.round.stagger_ms * 1_000_000
    assert current.early(tuple, max(last_ns, afresh_ns) - 1) is None
    assert current.early(tuple, max(last_ns, afresh_ns)) is not None


def dark_round() -> tuple[RunningRound, int]:
    """Return a round that has ended early with a cut, and when."""
    current, early_ns = silent_abroad(silent=FAR_RUNGS)
    done_ns = near_answers_again(current, early_ns)
    ended = current.early(tuple, done_ns)
    assert ended is not None
    assert ended[0].verdict.verdict == "international_cut"
    return current, done_ns


def of_round_still_out(current: RunningRound) -> list[Task]:
    return [task for task in current.tasks if current.has(task) and task.rung is Rung.INTERNATIONAL]


def test_a_success_that_comes_later_over_a_slow_line_revises_the_round() -> None:
    current, ended_ns = dark_round()
    words = []
    for task in of_round_still_out(current):
        slow = answer(task, connect_ns=12 * NS, exchange_ns=6 * NS)
        assert current.take(task, slow, ended_ns + 5 * NS) == ()
        assert current.is_refuted
        words.append(current.judge(()).verdict.verdict)
    assert words[0] == "inconclusive"
    assert words[-1] == "ok"


def test_a_connection_without_an_answer_revises_it_too_and_a_late_failure_does_not() -> None:
    current, ended_ns = dark_round()
    first, second, *_ = of_round_still_out(current)
    stalled = answer(second, Failure.TIMEOUT, operation="tls_handshake", connect_ns=12 * NS)
    refuted = []
    for task, record in ((first, answer(first, Failure.TIMEOUT)), (second, stalled)):
        current.take(task, record, ended_ns + 8 * NS)
        refuted.append(current.is_refuted)
    assert refuted == [False, True]
    assert current.judge(()).verdict.verdict == "inconclusive"


def test_a_cut_that_was_held_back_is_taken_back_though_the_word_stays() -> None:
    """What goes on by what was concluded: a country's devices would count this one as lost."""
    with every_rule_is(0.98):
        current, early_ns = silent_abroad(silent=FAR_RUNGS)
        ended_ns = near_answers_again(current, early_ns)
        ended = current.early(tuple, ended_ns)
        assert ended is not None
        held = ended[0].verdict
        assert (held.verdict, held.rule_id) == ("inconclusive", "international-cut")
        first, second, *_ = of_round_still_out(current)
        stalled = answer(first, Failure.TIMEOUT, operation="tls_handshake", connect_ns=12 * NS)
        current.take(first, stalled, ended_ns + 8 * NS)
        revised = current.revised((), held)
        assert revised is not None
        said = revised[0].verdict
        assert said.verdict == "inconclusive"
        assert concluded(said.verdict, said.rule_id) == "inconclusive"
        stalled = answer(second, Failure.TIMEOUT, operation="tls_handshake", connect_ns=12 * NS)
        current.take(second, stalled, ended_ns + 9 * NS)
        assert current.is_refuted
        assert current.revised((), said) is None


def test_a_line_that_came_back_after_its_verdict_does_not_take_the_cut_away() -> None:
    """The kernel's next SYN, at 15 s, is answered at once, and so is what is asked over the connection."""
    current, ended_ns = dark_round()
    for task in of_round_still_out(current):
        current.take(task, answer(task, connect_ns=15 * NS, exchange_ns=NS // 50), ended_ns + 3 * NS)
    assert not current.is_refuted


def test_a_round_with_one_answer_from_outside_is_waited_for() -> None:
    current, early_ns = silent_abroad(silent=FAR_RUNGS)
    first = next(task for task in current.tasks if task.rung is Rung.INTERNATIONAL and task.test == "tls")
    current.take(first, answer(first), early_ns - 1)
    assert current.look(early_ns) == ()
    assert current.early(tuple, early_ns + NS) is None


def test_a_late_round_shows_how_late_it_is() -> None:
    current = begin(late_ns=3 * NS)
    first = current.tasks[0]
    assert first.start_boottime_ns == START
    assert current.slot_of(first) == START - 3 * NS


def test_a_round_may_cost_what_it_asks_and_asks_again() -> None:
    assert most_bytes(PLAN) > round_bytes(PLAN)
    assert most_bytes(plans.load()) >= plans.load().round.max_bytes


# What is kept


def test_lost_tasks_are_evidence_of_nothing() -> None:
    current = begin()
    reason = worker_ended("killed by SIGKILL")
    for task in current.tasks:
        result = lost_result(SCENE, task, failure=Failure.WORKER_DIED, reason=reason)
        record = of_result(SCENE, task, result, slot_ns=START, context={})
        assert record.outcome.failure == "worker_died"
        assert record.outcome.detail == {"reason": ["worker-ended", {"how": "killed by SIGKILL"}]}
        assert record.start.boottime_ns == task.start_boottime_ns
        assert record.start.utc_ns == UTC - (SCENE.boottime_ns - task.start_boottime_ns)
        current.take(task, record, START)
    assert current.judge(()).verdict.verdict == "inconclusive"
    assert current.ladder(ended=True).rung(Rung.INTERNATIONAL).state is RungProgress.UNKNOWN


def test_every_kind_of_record_can_be_read_again() -> None:
    current = begin()
    gap = Missed(name="round", first_ns=START, last_ns=START + 90 * NS, count=4, reason=Reason.BUDGET)
    fault = of_fault(
        SCENE,
        target="worker",
        failure=Failure.WORKER_DIED,
        operation="measure",
        count=900,
        reason=worker_ended("r" * 10_000),
        names=[f"task-{number}" for number in range(900)],
    )
    kept = [answer(current.tasks[0]), of_missed(SCENE, gap), fault, conclusion(1, OK)]
    assert [from_json(json.loads(json.dumps(to_json(record)))) for record in kept] == kept
    assert kept[1].outcome.detail == {
        "count": 4,
        "first_boottime_ns": START,
        "last_boottime_ns": START + 90 * NS,
        "reason": ["budget", {}],
    }
    assert kept[1].runtime_ns == 90 * NS
    assert len(json.dumps(to_json(fault))) < 3_000


def test_a_conclusion_carries_the_sync_points() -> None:
    record = conclusion(1, OK, points=(SyncPoint(boottime_ns=1, utc_ns=2, error_ns=3),))
    assert record.outcome.detail["sync_points"] == [[1, 2, 3]]
    scene = replace(
        SCENE, clock=ClockTracker((SyncPoint(boottime_ns=START, utc_ns=UTC - 10 * NS, error_ns=3),))
    )
    assert of_round(scene, _conclusion(1, OK, START + NS)).start.quality is ClockQuality.SYNCHRONISED


# The rounds before


def ladder() -> Ladder:
    return climb(PLAN, {}, ended=True)


def add(history: RecentRounds, verdict: Verdict, ended_ns: int, *, utc_ns: int = UTC) -> None:
    judged = RoundJudgement(verdict=verdict, targets=(), facts=RoundFacts.of(()))
    history.add(judged, ladder(), started_ns=ended_ns - NS, ended_ns=ended_ns, utc_ns=utc_ns)


def _conclusion(
    number: int, verdict: Verdict, start_ns: int, points: tuple[SyncPoint, ...] = ()
) -> Conclusion:
    return Conclusion(
        round_id=number,
        slot_ns=start_ns,
        start_ns=start_ns,
        end_ns=start_ns + 2 * NS,
        uplink="wifi",
        ladder=ladder(),
        verdict=verdict,
        since_utc_ns=UTC - 3600 * NS,
        traffic=(1, 2),
        health={"cpu_percent": 3.5},
        sync_points=points,
    )


def conclusion(
    number: int, verdict: Verdict, *, boot_id: str = BOOT, points: tuple[SyncPoint, ...] = ()
) -> Record:
    scene = replace(SCENE, boot_id=boot_id)
    return of_round(scene, _conclusion(number, verdict, START + number * 30 * NS, points))


def test_a_verdict_is_as_old_as_its_first_round() -> None:
    history = RecentRounds()
    for number, verdict in enumerate([OK, OK, CUT, CUT, OK]):
        add(history, verdict, START + number * NS, utc_ns=UTC + number)
        assert history.since_utc_ns == UTC + [0, 0, 2, 2, 4][number]


def test_rounds_before_have_their_age() -> None:
    history = RecentRounds()
    add(history, OK, START)
    add(history, CUT, START + 30 * NS)
    assert [(past.verdict.verdict, past.age_s) for past in history.before(START + 60 * NS)] == [
        ("ok", 60.0),
        ("international_cut", 30.0),
    ]


def test_the_history_goes_on_after_a_restart() -> None:
    history = RecentRounds.of([conclusion(3, CUT), conclusion(2, CUT), conclusion(1, OK)], boot_id=BOOT)
    (first, *_, last) = history.before(START + 100 * NS)
    assert first.verdict.verdict == "ok"
    assert last.verdict == replace(CUT)
    assert last.age_s == pytest.approx(100 - 92)
    assert last.ladder == ladder()
    assert history.since_utc_ns == UTC - 3600 * NS
    add(history, CUT, START + 200 * NS)
    assert history.since_utc_ns == UTC - 3600 * NS, "the verdict has not changed"


def test_rounds_of_another_boot_have_no_age_but_the_verdict_goes_on() -> None:
    history = RecentRounds.of(
        [conclusion(2, CUT, boot_id="another"), conclusion(1, OK, boot_id="another")], boot_id=BOOT
    )
    assert history.before(START + 100 * NS) == ()
    assert history.since_utc_ns == UTC - 3600 * NS


def test_a_round_of_other_software_is_passed_over() -> None:
    odd = replace(conclusion(2, CUT), outcome=Outcome(detail={"ladder": {"rungs": []}}))
    bare = replace(conclusion(3, CUT), verdict=None)
    history = RecentRounds.of([bare, odd, conclusion(1, OK)], boot_id=BOOT)
    assert [past.verdict.verdict for past in history.before(START + 100 * NS)] == ["ok"]


def test_a_round_goes_by_the_fingerprints_it_was_given() -> None:
    """A platform whose name is answered with an address that only the operator's list knows is blocked by that list."""
    known = parse(
        ",".join(COLUMNS) + "\nmine.1,nat,,dns,full,192.0.2.77,5,XX,me,,\n",
        of=FingerprintList(name="mine.csv", day="2026-11-20", digest="0123456789ab"),
    )
    site = PLAN.on_rung(Rung.PLATFORMS)[0].name
    words = []
    for fingerprints in (None, known):
        current = RunningRound(PLAN, round_id=7, slot_ns=START, start_ns=START, fingerprints=fingerprints)
        for task in current.tasks:
            record = answer(task)
            if task.target_name == site:
                record = _answered_falsely(record)
            current.take(task, record, START + 5 * NS)
        once = current.judge(())
        before = replace(past("controls-reached"), targets=once.targets)
        (judged,) = [one for one in current.judge((before,)).targets if one.name == site]
        words.append((*(one.rule_id for one in once.targets if one.name == site), judged.rule_id))
    assert words == [("seen-once", "page-without-control"), ("seen-once", "known-false-answer")]


def _answered_falsely(record: Record) -> Record:
    """Return a record of a platform whose name was answered with an address at which nothing answers."""
    host = record.target.removeprefix("https://").strip("/")
    number = "192.0.2.77"
    queries: JsonValue = [
        {
            "resolver": "@isp",
            "query_name": host,
            "query_type": "A",
            "failure": None,
            "answers": [{"transport": "udp", "answers": [{"type": "A", "value": number}]}],
        }
    ]
    connects: JsonValue = [{"address": number, "port": 443, "failure": "connection_refused"}]
    outcome = replace(
        record.outcome,
        failure="connection_refused",
        failed_operation="connect",
        detail={"queries": queries, "tcp_connect": connects},
    )
    return replace(record, outcome=outcome)


def test_how_quick_a_line_is_is_asked_for_handshakes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most records of a round say nothing of it, and each would have all the others looked at again."""
    asked: list[int] = []

    def noted(before_ns: Iterable[int], now: Iterable[Observation]) -> bool:
        asked.append(1)
        return is_quick(before_ns, now)

    monkeypatch.setattr(rounds, "is_quick", noted)
    current = begin(history=handshakes_took(NS))
    asked.clear()
    tasks = {task.rung: task for task in current.tasks}
    for task in (tasks[Rung.GATEWAY], tasks[Rung.RESOLVER]):
        current.take(task, answer(task), START + NS)
    assert asked == []
    far = next(one for one in current.tasks if one.rung is Rung.DOMESTIC and one.test in ("tcp", "tls"))
    current.take(far, answer(far), START + NS)
    assert asked == [1]
