"""One round on its way: what was asked, what came back, what is to be asked again, when it is over. Pure.

It holds the state of a round and decides nothing that `firmware.ladder` and `firmware.verdict` decide; times
are arguments, CLOCK_BOOTTIME in ns. A round ends when all is in, or at its deadline and a little: never later.
"""

from collections.abc import Sequence
from typing import Final

from firmware.facts import Past
from firmware.ladder import Ladder, climb, confirmation_tasks, round_tasks
from firmware.observation import Observation, from_result, owner_of
from firmware.plan_model import Plan
from firmware.record import Verdict
from firmware.task import Result, Task
from firmware.verdict import decide

NS: Final = 1_000_000_000
GRACE_NS: Final = NS
"""How long after its deadline a round waits for results that are on their way from the worker."""
HISTORY_ROUNDS: Final = 8


class Round:
    """A round that began at `start_ns` for the slot `slot_ns`. `tasks` are to be measured at once."""

    def __init__(self, plan: Plan, *, round_id: int, slot_ns: int, start_ns: int) -> None:
        self.round_id = round_id
        self.slot_ns = slot_ns
        self.start_ns = start_ns
        self.tasks = round_tasks(plan, round_id, start_ns)
        self.bytes_up = 0
        self.bytes_down = 0
        self.uplink = ""
        self._plan = plan
        self._open = {task.task_id for task in self.tasks}
        self._seen: dict[str, Observation] = {}
        self._confirmed = False

    @property
    def measured(self) -> int:
        """How many results are in."""
        return len(self._seen)

    def has(self, task: Task) -> bool:
        """Say whether `task` is one of this round's that is still open."""
        return task.task_id in self._open

    def take(self, task: Task, result: Result, now_ns: int) -> tuple[Task, ...]:
        """Take a result; return what is to be asked once more now, often nothing."""
        self._open.discard(task.task_id)
        self._seen[task.task_id] = from_result(task, result, network=owner_of(self._plan, task.target_name))
        self.bytes_up += result.outcome.bytes_up
        self.bytes_down += result.outcome.bytes_down
        self.uplink = result.uplink or self.uplink
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

    def verdict(self, history: Sequence[Past]) -> Verdict:
        """Return what the round's evidence carries, given the rounds before it."""
        return decide(tuple(self._seen.values()), history)


class History:
    """The last rounds, for the rules that ask what was before; their ages are as of the moment of asking."""

    def __init__(self) -> None:
        self._rounds: list[tuple[int, Verdict, Ladder]] = []
        self._since_ns = 0

    def add(self, ended_ns: int, verdict: Verdict, ladder: Ladder) -> bool:
        """Add a round that ended at `ended_ns`; return whether its verdict is another than the one before."""
        changed = not self._rounds or self._rounds[-1][1].verdict != verdict.verdict
        if changed:
            self._since_ns = ended_ns
        self._rounds = [*self._rounds[-HISTORY_ROUNDS + 1 :], (ended_ns, verdict, ladder)]
        return changed

    @property
    def since_ns(self) -> int:
        """When the present verdict was first reached in this run."""
        return self._since_ns

    def before(self, now_ns: int) -> tuple[Past, ...]:
        """Return the rounds before `now_ns`, oldest first."""
        return tuple(
            Past(verdict=verdict, ladder=ladder, age_s=(now_ns - ended_ns) / NS)
            for ended_ns, verdict, ladder in self._rounds
        )
