"""One round on its way, and the rounds before it: what was asked, what came back, when it is over. Pure.

It holds the state of a round and decides nothing that `firmware.judgement.ladder` and `firmware.judgement.round.verdict` decide; times
are arguments, CLOCK_BOOTTIME in ns. A round ends when all is in, or at its deadline and a little: never later.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from appliance.measuring.budget import NS, wire_bytes
from firmware.judgement.facts import Past
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.ladder import Ladder, climb, confirmation_tasks, round_tasks
from firmware.judgement.line_loss import NO_REFERENCES, ReferenceHandshakes
from firmware.judgement.observation import Observation, from_record, owner_of
from firmware.judgement.round.from_records import (
    HISTORY_ROUNDS,
    PastRound,
    judge_records,
    past_round,
    silence,
)
from firmware.judgement.round.verdict import EARLY_NS, RoundJudgement
from firmware.judgement.site.evidence import SiteView
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.plan import Plan
from firmware.model.record import Record, Rung, Verdict
from firmware.model.task import Task
from firmware.model.verdict_words import VerdictWord
from firmware.plans.checks import estimate_bytes

GRACE_NS: Final = NS
"""How long after its deadline a round waits for results that are on their way from the worker."""
DARK: Final = frozenset(
    {VerdictWord.INTERNATIONAL_CUT, VerdictWord.ISP_OR_WIDER_OUTAGE, VerdictWord.LOCAL_FAULT}
)
"""The verdicts for which a round ends early: silence is what they rest on, and more of it would not change them."""
_ASKED_AGAIN: Final = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER, Rung.DOMESTIC)


class RunningRound:
    """A round that began at `start_ns` for the slot `slot_ns`. `tasks` are to be measured at once."""

    def __init__(
        self,
        plan: Plan,
        *,
        round_id: int,
        slot_ns: int,
        start_ns: int,
        fingerprints: Fingerprints | None = None,
    ) -> None:
        self.round_id = round_id
        self.slot_ns = slot_ns
        self.start_ns = start_ns
        self.tasks = round_tasks(plan, round_id, start_ns)
        self.bytes_up = 0
        self.bytes_down = 0
        self.wire_bytes = 0
        self.uplink = ""
        self._plan = plan
        self._fingerprints = fingerprints
        self._open = {task.task_id for task in self.tasks}
        self._first = frozenset(self._open)
        self._seen: dict[str, Observation] = {}
        self._confirmed = False
        self._records: dict[str, Record] = {}
        self._asked = {task.task_id: task for task in self.tasks}
        self._is_early = False

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
        self._seen[task.task_id] = from_record(record)
        self._records[task.task_id] = record
        self.bytes_up += outcome.bytes_up
        self.bytes_down += outcome.bytes_down
        self.wire_bytes += wire_bytes(outcome.bytes_up + outcome.bytes_down)
        self.uplink = record.uplink or self.uplink
        return self._confirmation(self._seen.values(), now_ns)

    def look(self, now_ns: int) -> tuple[Task, ...]:
        """Return what is to be asked once more now that reference targets have been silent long enough, often nothing."""
        if now_ns < self.early_ns() or not self._open:
            return ()
        return self._confirmation(self._with_silence(now_ns).values(), now_ns)

    def early_ns(self) -> int:
        """Return when `look` is worth calling: every task of the round has been asked for `EARLY_NS`."""
        return max(task.start_boottime_ns for task in self.tasks) + EARLY_NS

    def _confirmation(self, seen: Iterable[Observation], now_ns: int) -> tuple[Task, ...]:
        if self._confirmed:
            return ()
        again = confirmation_tasks(self._plan, self.round_id, self.start_ns, seen, now_ns)
        self._confirmed = bool(again)
        self._open.update(task.task_id for task in again)
        self._asked.update((task.task_id, task) for task in again)
        return again

    def _with_silence(self, now_ns: int) -> dict[str, Observation]:
        """Return the observations, with silence for what was asked `EARLY_NS` ago and is still out."""
        return {**self._seen, **self._silent(now_ns)}

    def _silent(self, now_ns: int) -> dict[str, Observation]:
        return {
            task_id: silence(_asked(self._plan, task))
            for task_id in sorted(self._open)
            if (task := self._asked[task_id]).start_boottime_ns + EARLY_NS <= now_ns
        }

    def ends_ns(self) -> int:
        """Return when it is over at the latest."""
        return self.start_ns + self._plan.round.deadline_s * NS + GRACE_NS

    def is_over(self, now_ns: int) -> bool:
        """Return whether all is in, or its time is up."""
        return not self._open or now_ns >= self.ends_ns()

    def ladder(self, *, ended: bool = False) -> Ladder:
        """Return the climb so far."""
        return climb(self._plan, self._seen, ended=ended)

    def judge(self, history: Iterable[Past], views: Mapping[str, SiteView] | None = None) -> RoundJudgement:
        """Return what the round's evidence carries, given the rounds before it and the vantage's last views."""
        return judge_records(self._records.values(), tuple(history), views, fingerprints=self._fingerprints)

    def early(
        self,
        history: Iterable[Past],
        now_ns: int,
        views: Callable[[], Mapping[str, SiteView]] = dict,
    ) -> tuple[RoundJudgement, Ladder] | None:
        """Return the verdict and the ladder if the round may end now, before all is in; else None.

        It may when all that is out has been silent for `EARLY_NS` and the verdict is one of `DARK`. `views` is asked
        for the vantage's last views only then.
        """
        if not self._open or now_ns < self.early_ns():
            return None
        if any(self._asked[task_id].start_boottime_ns + EARLY_NS > now_ns for task_id in self._open):
            return None
        silent = self._silent(now_ns)
        judged = judge_records(
            self._records.values(),
            tuple(history),
            views(),
            silent=silent.values(),
            fingerprints=self._fingerprints,
        )
        if judged.verdict.verdict not in DARK:
            return None
        return judged, climb(self._plan, {**self._seen, **silent}, ended=True)

    @property
    def out(self) -> tuple[str, ...]:
        """The names of the targets that are still out."""
        return tuple(sorted({self._asked[task_id].target_name for task_id in self._open}))

    @property
    def cost_bytes(self) -> int:
        """About what it cost on the wire, with the SYNs of what is still out."""
        return self.wire_bytes + len(self._open) * wire_bytes(0)

    def next_look_ns(self, now_ns: int) -> int:
        """Return when the round is to be looked at next: its early moment, that of what it asked again, or its end."""
        moments = [
            moment
            for task_id in self._open
            if (moment := self._asked[task_id].start_boottime_ns + EARLY_NS) > now_ns
        ]
        return min([self.ends_ns(), *moments])


def most_bytes(plan: Plan) -> int:
    """Return the most bytes a round may cost: what the plan allows it, or all it asks and asks again."""
    again = sum(estimate_bytes(target) for target in plan.targets if target.rung in _ASKED_AGAIN)
    return max(plan.round.max_bytes, sum(estimate_bytes(target) for target in plan.targets) + again)


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


class RecentRounds:
    """The last rounds, for the rules that ask what was before; their ages are as of the moment of asking."""

    def __init__(self) -> None:
        self._rounds: deque[PastRound] = deque(maxlen=HISTORY_ROUNDS)
        self._verdict = ""
        self.since_utc_ns = 0
        """When the present verdict was first reached."""

    @classmethod
    def of(cls, rounds: Iterable[Record], *, boot_id: str) -> "RecentRounds":
        """Return the history that `ladder` records tell, newest first. Only rounds of this boot have an age."""
        history = cls()
        for record in reversed(tuple(rounds)):
            past = past_round(record)
            if past is None:
                continue  # of other software: as if it had not been
            history._add(past, utc_ns=0)
            since_utc_ns = record.outcome.detail.get("since_utc_ns")
            history.since_utc_ns = since_utc_ns if isinstance(since_utc_ns, int) else record.start.utc_ns
            if record.boot_id != boot_id:
                history._rounds.clear()
        return history

    def add(
        self,
        ended_ns: int,
        verdict: Verdict,
        ladder: Ladder,
        *,
        utc_ns: int,
        targets: tuple[TargetJudgement, ...] = (),
        references: ReferenceHandshakes = NO_REFERENCES,
    ) -> None:
        """Add a round that ended at `ended_ns`, `utc_ns` by the wall clock."""
        past = PastRound(
            ended_ns=ended_ns, verdict=verdict, ladder=ladder, targets=targets, references=references
        )
        self._add(past, utc_ns=utc_ns)

    def _add(self, past: PastRound, *, utc_ns: int) -> None:
        if past.verdict.verdict != self._verdict:
            self._verdict, self.since_utc_ns = past.verdict.verdict, utc_ns
        self._rounds.append(past)

    def before(self, now_ns: int) -> tuple[Past, ...]:
        """Return the rounds before `now_ns`, oldest first."""
        return tuple(past.before(now_ns) for past in self._rounds)
