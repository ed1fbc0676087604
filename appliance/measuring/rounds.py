"""One round on its way: what was asked, what came back, when it is over, and whether it is to be revised. Pure.

It holds the state of a round and decides nothing that `firmware.judgement.ladder` and `firmware.judgement.round.verdict` decide; times
are arguments, CLOCK_BOOTTIME in ns. A round ends when all is in, or at its deadline and a little: never later. What
of a round comes in after its early end may revise it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from appliance.measuring.budget import NS, wire_bytes
from firmware.judgement.confidence.said import said_and_concluded
from firmware.judgement.facts import Past
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.ladder import (
    AFRESH,
    Ladder,
    climb,
    confirmation_tasks,
    quick_deadline_s,
    round_tasks,
)
from firmware.judgement.observation import Observation, Outlook, from_record, owner_of
from firmware.judgement.pace import handshake_ns, is_quick, usual_handshakes_ns
from firmware.judgement.round.from_records import judge_records, refutes_silence, still_out
from firmware.judgement.round.verdict import EARLY_NS, RoundJudgement
from firmware.judgement.site.evidence import SiteView
from firmware.model.plan import Plan
from firmware.model.record import Record, Rung, Verdict
from firmware.model.task import Task
from firmware.model.verdict_words import VerdictWord
from firmware.plans.checks import estimate_bytes

GRACE_NS: Final = NS
"""How long after its deadline a round waits for results that are on their way from the worker."""
AFRESH_NS: Final = 2_500_000_000
"""So long reference targets that are asked afresh must be silent on a quick line: two SYNs, and longer than a handshake."""
DARK: Final = frozenset(
    {VerdictWord.INTERNATIONAL_CUT, VerdictWord.ISP_OR_WIDER_OUTAGE, VerdictWord.LOCAL_FAULT}
)
"""The verdicts for which a round ends early: silence is what they rest on, and more of it would not change them."""
_ASKED_AGAIN: Final = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER, Rung.DOMESTIC)


class RunningRound:
    """A round that began at `start_ns` for the slot `slot_ns`. `tasks` are to be measured at once.

    `history` is the rounds before it: how long silence must last depends on what their handshakes took.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        round_id: int,
        slot_ns: int,
        start_ns: int,
        fingerprints: Fingerprints | None = None,
        history: Iterable[Past] = (),
    ) -> None:
        self.round_id = round_id
        self.slot_ns = slot_ns
        self.start_ns = start_ns
        self._handshakes_ns = usual_handshakes_ns(tuple(history))
        self.is_quick = is_quick(self._handshakes_ns, ())
        """Whether the line is known to be quick, so that ten seconds without any answer are silence."""
        self.tasks = round_tasks(plan, round_id, start_ns, is_quick=self.is_quick)
        self.bytes_up = 0
        self.bytes_down = 0
        self.wire_bytes = 0
        self.uplink = ""
        self._plan = plan
        self._fingerprints = fingerprints
        self._open = {task.task_id for task in self.tasks}
        self._first = frozenset(self._open)
        self._seen: dict[str, Observation] = {}
        self._may_confirm = True
        self._records: dict[str, Record] = {}
        self._asked: dict[str, Task] = {}
        self._silent_from_ns: dict[str, int] = {}
        self._ask(self.tasks)
        references = [task.start_boottime_ns for task in self.tasks if task.rung is Rung.INTERNATIONAL]
        self.early_ns = max(references, default=start_ns) + EARLY_NS
        """When `look` is worth calling: every reference target has been asked for `EARLY_NS`."""
        self._connected: set[str] = set()
        self._taken_silent: frozenset[str] = frozenset()
        self._judged_by: tuple[int, frozenset[str]] | None = None
        self.is_refuted = False
        """Whether something that came in after its early end says that the silence it was judged by was none."""

    def has(self, task: Task) -> bool:
        """Return whether `task` is one of this round's that is still open."""
        return task.task_id in self._open

    def slot_of(self, task: Task) -> int:
        """Return when one of its tasks was due: as far after the slot as it starts after the round's start."""
        late_ns = self.start_ns - self.slot_ns if task.task_id in self._first else 0
        return task.start_boottime_ns - late_ns

    def take(self, task: Task, record: Record, now_ns: int) -> tuple[Task, ...]:
        """Take the record of one of its tasks; return what is to be asked once more now, often nothing."""
        outcome = record.outcome
        self._open.discard(task.task_id)
        self.is_refuted |= task.task_id in self._taken_silent and refutes_silence(record)
        self._seen[task.task_id] = seen = from_record(record)
        self._records[task.task_id] = record
        if seen.rung is Rung.INTERNATIONAL and seen.is_connectivity and seen.outlook is Outlook.REACHED:
            self._may_confirm = False
        if handshake_ns(seen) is not None:
            self.is_quick = is_quick(self._handshakes_ns, self._seen.values())
        self.bytes_up += outcome.bytes_up
        self.bytes_down += outcome.bytes_down
        self.wire_bytes += wire_bytes(outcome.bytes_up + outcome.bytes_down)
        self.uplink = record.uplink or self.uplink
        return self._confirmation(self._seen.values(), now_ns)

    def connected(self, task: Task) -> None:
        """Take note that one of its tasks that are still out has had its connection accepted: it is not silent."""
        if task.task_id in self._open:
            self._connected.add(task.task_id)

    def look(self, now_ns: int) -> tuple[Task, ...]:
        """Return what is to be asked once more now that reference targets have been silent long enough, often nothing."""
        if now_ns < self.early_ns or not self._open or not self.is_quick or not self._may_confirm:
            return ()
        return self._confirmation([*self._seen.values(), *self._silent(now_ns).values()], now_ns)

    def _confirmation(self, seen: Iterable[Observation], now_ns: int) -> tuple[Task, ...]:
        if not self._may_confirm:
            return ()
        again = confirmation_tasks(self._plan, self.round_id, self.start_ns, seen, now_ns)
        self._may_confirm = not again
        self._open.update(task.task_id for task in again)
        self._ask(again)
        return again

    def _ask(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            is_afresh = task.task_id not in self._first and task.rung is Rung.INTERNATIONAL
            self._asked[task.task_id] = task
            patience_ns = AFRESH_NS if is_afresh else EARLY_NS
            self._silent_from_ns[task.task_id] = task.start_boottime_ns + patience_ns

    def _silent(self, now_ns: int) -> dict[str, Observation]:
        """Return silence for what is still out without a connection and was asked long enough ago, by task id."""
        return {
            task_id: still_out(_asked(self._plan, self._asked[task_id]), has_connected=False)
            for task_id in sorted(self._open - self._connected)
            if self._silent_from_ns[task_id] <= now_ns
        }

    def ends_ns(self) -> int:
        """Return when it is over at the latest: a minute after it began where the line is not known to be quick."""
        deadline_s = quick_deadline_s(self._plan) if self.is_quick else self._plan.round.deadline_s
        return self.start_ns + deadline_s * NS + GRACE_NS

    def is_over(self, now_ns: int) -> bool:
        """Return whether all is in, or its time is up."""
        return not self._open or now_ns >= self.ends_ns()

    def ladder(self, *, ended: bool = False) -> Ladder:
        """Return the climb so far."""
        return climb(self._plan, {**self._seen, **self._half_way()}, ended=ended)

    def judge(self, history: Iterable[Past], views: Mapping[str, SiteView] | None = None) -> RoundJudgement:
        """Return what the round's evidence carries, given the rounds before it and the vantage's last views."""
        return judge_records(
            self._records.values(),
            tuple(history),
            views,
            out=self._half_way().values(),
            fingerprints=self._fingerprints,
        )

    def _half_way(self) -> dict[str, Observation]:
        """Return what stands for the targets that are still out and have connected, by task id."""
        names = frozenset(self.out_connected)
        return {
            task_id: still_out(_asked(self._plan, task), has_connected=True)
            for task_id in sorted(self._open if names else ())
            if (task := self._asked[task_id]).target_name in names
        }

    def may_be_dark(self, now_ns: int) -> bool:
        """Return whether `early` is worth calling: all that is out is silent, and nothing is new since it was called last."""
        return (
            now_ns >= self.early_ns
            and self.is_quick
            and bool(self._open)
            and self._open.isdisjoint(self._connected)
            and all(self._silent_from_ns[task_id] <= now_ns for task_id in self._open)
            and self._judged_by != self._evidence()
        )

    def reconsider(self) -> None:
        """Have `early` be worth calling again: the rounds before are not what they were."""
        self._judged_by = None

    def _evidence(self) -> tuple[int, frozenset[str]]:
        """Return what tells whether the round has anything new: how much is in, and what is out."""
        return len(self._records), frozenset(self._open)

    def early(
        self,
        history: Callable[[], Iterable[Past]],
        now_ns: int,
        views: Callable[[], Mapping[str, SiteView]] = dict,
    ) -> tuple[RoundJudgement, Ladder] | None:
        """Return the verdict and the ladder if the round may end now, before all is in; else None.

        It may on a quick line when all that is out has been silent for `EARLY_NS` (`AFRESH_NS` what was asked afresh),
        nothing of it has connected, and the verdict is one of `DARK`. The rounds before (`history`) and the vantage's last
        views are asked for only when there is something to judge.
        """
        if not self.may_be_dark(now_ns):
            return None
        self._judged_by = self._evidence()
        silent = self._silent(now_ns)
        judged = judge_records(
            self._records.values(),
            tuple(history()),
            views(),
            out=silent.values(),
            fingerprints=self._fingerprints,
        )
        if said_and_concluded(judged.verdict)[1] not in DARK:
            return None
        self._taken_silent, self._may_confirm = frozenset(silent), False
        return judged, climb(self._plan, {**self._seen, **silent}, ended=True)

    def revised(
        self,
        history: Iterable[Past],
        verdict: Verdict | None,
        views: Callable[[], Mapping[str, SiteView]] = dict,
    ) -> tuple[RoundJudgement, Ladder] | None:
        """Return what the round comes to by all that has come in since its early end; None where nothing changes.

        `history` is the rounds before it, `verdict` what it has come to so far: what was held back is taken back as well. It
        is judged anew only when something taken to be silent was not (`is_refuted`), and then nothing still out is silence.
        """
        if not self.is_refuted:
            return None
        self.is_refuted = False
        judged = self.judge(history, views())
        is_as_before = verdict is not None and said_and_concluded(judged.verdict) == said_and_concluded(
            verdict
        )
        return None if is_as_before else (judged, self.ladder(ended=True))

    @property
    def out_silent(self) -> tuple[str, ...]:
        """The names of the targets that were taken to be silent where the round ended early."""
        return self._names(self._taken_silent)

    @property
    def out_connected(self) -> tuple[str, ...]:
        """The names of the targets that are still out and have connected."""
        return self._names(self._connected & self._open)

    @property
    def connected_references(self) -> frozenset[str]:
        """The names of the reference targets that accepted a connection, whenever they were asked."""
        accepted = {
            seen.target_name
            for seen in self._seen.values()
            if seen.rung is Rung.INTERNATIONAL and seen.has_connected
        }
        return frozenset(accepted | set(self.out_connected))

    @property
    def is_all_in(self) -> bool:
        """Whether nothing that it asked is still out."""
        return not self._open

    def _names(self, task_ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted({self._asked[task_id].target_name for task_id in task_ids}))

    @property
    def cost_bytes(self) -> int:
        """About what it cost on the wire, with the SYNs of what is still out."""
        return self.wire_bytes + len(self._open) * wire_bytes(0)

    def next_look_ns(self, now_ns: int) -> int:
        """Return when the round is to be looked at next: its early moment, that of what it asked again, or its end."""
        moments = [moment for task_id in self._open if (moment := self._silent_from_ns[task_id]) > now_ns]
        return min([self.ends_ns(), *moments])


def most_bytes(plan: Plan) -> int:
    """Return the most bytes a round may cost: what the plan allows it, or all it asks and asks again."""
    again = sum(estimate_bytes(target) for target in plan.targets if target.rung in _ASKED_AGAIN)
    afresh = sorted(map(estimate_bytes, plan.on_rung(Rung.INTERNATIONAL)))[-AFRESH:]
    asked = sum(estimate_bytes(target) for target in plan.targets) + again + sum(afresh)
    return max(plan.round.max_bytes, asked)


def _asked(plan: Plan, task: Task) -> Observation:
    """Return a task as an observation that nothing has come of yet."""
    return Observation(
        test=task.test,
        rung=task.rung,
        zone=task.zone,
        target=task.target,
        target_name=task.target_name,
        network=owner_of(plan, task.target_name),
        start_ns=task.start_boottime_ns,
        end_ns=task.start_boottime_ns,
        small_segments="max_segment" in task.options,
    )
