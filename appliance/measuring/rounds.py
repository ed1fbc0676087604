"""One round on its way, and the rounds before it: what was asked, what came back, when it is over. Pure.

It holds the state of a round and decides nothing that `firmware.judgement.ladder` and `firmware.judgement.verdict` decide; times
are arguments, CLOCK_BOOTTIME in ns. A round ends when all is in, or at its deadline and a little: never later.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from appliance.measuring.budget import NS, wire_bytes
from firmware.jsontypes import RecordError
from firmware.judgement import ladder as ladder_json
from firmware.judgement.facts import Past
from firmware.judgement.ladder import Ladder, climb, confirmation_tasks, round_tasks
from firmware.judgement.observation import Observation, from_record
from firmware.judgement.verdict import decide
from firmware.plan import Plan
from firmware.plans.checks import estimate_bytes
from firmware.record import Record, Rung, Verdict
from firmware.task import Task

GRACE_NS: Final = NS
"""How long after its deadline a round waits for results that are on their way from the worker."""
HISTORY_ROUNDS: Final = 150
"""How many rounds are remembered: more than an hour of quick ones, which is as far back as a rule asks."""
_ASKED_AGAIN: Final = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER, Rung.DOMESTIC)


class Round:
    """A round that began at `start_ns` for the slot `slot_ns`. `tasks` are to be measured at once."""

    def __init__(self, plan: Plan, *, round_id: int, slot_ns: int, start_ns: int) -> None:
        self.round_id = round_id
        self.slot_ns = slot_ns
        self.start_ns = start_ns
        self.tasks = round_tasks(plan, round_id, start_ns)
        self.bytes_up = 0
        self.bytes_down = 0
        self.wire_bytes = 0
        self.uplink = ""
        self._plan = plan
        self._open = {task.task_id for task in self.tasks}
        self._first = frozenset(self._open)
        self._seen: dict[str, Observation] = {}
        self._confirmed = False

    def has(self, task: Task) -> bool:
        """Say whether `task` is one of this round's that is still open."""
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
        self.bytes_up += outcome.bytes_up
        self.bytes_down += outcome.bytes_down
        self.wire_bytes += wire_bytes(outcome.bytes_up + outcome.bytes_down)
        self.uplink = record.uplink or self.uplink
        if self._confirmed:
            return ()
        again = confirmation_tasks(self._plan, self.round_id, self.start_ns, self._seen.values(), now_ns)
        self._confirmed = bool(again)
        self._open.update(task.task_id for task in again)
        return again

    def ends_ns(self) -> int:
        """Return when it is over at the latest."""
        return self.start_ns + self._plan.round.deadline_s * NS + GRACE_NS

    def is_over(self, now_ns: int) -> bool:
        """Say whether all is in, or its time is up."""
        return not self._open or now_ns >= self.ends_ns()

    def ladder(self, *, ended: bool = False) -> Ladder:
        """Return the climb so far."""
        return climb(self._plan, self._seen, ended=ended)

    def verdict(self, history: Iterable[Past]) -> Verdict:
        """Return what the round's evidence carries, given the rounds before it."""
        return decide(tuple(self._seen.values()), tuple(history))


def most_bytes(plan: Plan) -> int:
    """Return the most bytes a round may cost: what the plan allows it, or all it asks and asks again."""
    again = sum(estimate_bytes(target) for target in plan.targets if target.rung in _ASKED_AGAIN)
    return max(plan.round.max_bytes, sum(estimate_bytes(target) for target in plan.targets) + again)


class History:
    """The last rounds, for the rules that ask what was before; their ages are as of the moment of asking."""

    def __init__(self) -> None:
        self._rounds: deque[tuple[int, Verdict, Ladder]] = deque(maxlen=HISTORY_ROUNDS)
        self._verdict = ""
        self.since_utc_ns = 0
        """When the present verdict was first reached."""

    @classmethod
    def of(cls, rounds: Iterable[Record], *, boot_id: str) -> "History":
        """Return the history that `ladder` records tell, newest first. Only rounds of this boot have an age."""
        history = cls()
        for record in reversed(tuple(rounds)):
            if record.verdict is None:
                continue
            try:
                ladder = ladder_json.from_json(record.outcome.detail.get("ladder"))
            except RecordError:
                continue  # of other software: as if it had not been
            history.add(record.start.boottime_ns + record.runtime_ns, record.verdict, ladder, utc_ns=0)
            since_utc_ns = record.outcome.detail.get("since_utc_ns")
            history.since_utc_ns = since_utc_ns if isinstance(since_utc_ns, int) else record.start.utc_ns
            if record.boot_id != boot_id:
                history._rounds.clear()
        return history

    def add(self, ended_ns: int, verdict: Verdict, ladder: Ladder, *, utc_ns: int) -> None:
        """Add a round that ended at `ended_ns`, `utc_ns` by the wall clock."""
        if verdict.verdict != self._verdict:
            self._verdict, self.since_utc_ns = verdict.verdict, utc_ns
        self._rounds.append((ended_ns, verdict, ladder))

    def before(self, now_ns: int) -> tuple[Past, ...]:
        """Return the rounds before `now_ns`, oldest first."""
        return tuple(
            Past(verdict=verdict, ladder=ladder, age_s=(now_ns - ended_ns) / NS)
            for ended_ns, verdict, ladder in self._rounds
        )
