"""The tasks that are asked beside rounds: made when they are due, and known until they have ended."""

from collections.abc import Iterable
from typing import Final

from appliance.measuring.budget import NS
from appliance.measuring.slots import Due
from firmware.model.plan import PlannedTask
from firmware.model.task import Task

TASK_DEADLINE_NS: Final = 60 * NS


class TasksBeside:
    """Those of a plan's `planned` tasks that are out."""

    def __init__(self, planned: Iterable[PlannedTask]) -> None:
        self._planned = {task.name: task for task in planned}
        self._out: dict[str, str] = {}

    def begin(self, due: Due, now_ns: int) -> Task:
        """Return the task that is due."""
        planned = self._planned[due.name]
        task = Task(
            task_id=f"t/{due.name}/{due.slot_ns}",
            test=planned.test,
            target=planned.target,
            target_name=planned.name,
            options=planned.options,
            zone=planned.zone,
            start_boottime_ns=due.slot_ns,
            deadline_boottime_ns=now_ns + TASK_DEADLINE_NS,
        )
        self._out[task.task_id] = due.name
        return task

    def ended(self, task: Task) -> str:
        """Take note that a task has ended; return the name of the scheduled job that it is of, "" where it is of none."""
        return self._out.pop(task.task_id, "")
