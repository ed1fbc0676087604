"""The rounds of which something is still out: the present one, and those that were judged early, as dark, and may be refuted."""

from appliance.measuring.rounds import RunningRound
from firmware.model.task import Task


class OpenRounds:
    """`present` is the round under way, None between two; `ended_early` are those that wait for what was silent."""

    def __init__(self) -> None:
        self.present: RunningRound | None = None
        self.ended_early: list[RunningRound] = []

    def of(self, task: Task) -> RunningRound | None:
        """Return the round that an open task is of: the present one, or one that has ended early."""
        rounds = (*(() if self.present is None else (self.present,)), *self.ended_early)
        return next((one for one in rounds if one.has(task)), None)

    def slot_of(self, task: Task) -> int:
        """Return the slot of an open task: its round's, or its own start (CLOCK_BOOTTIME, ns)."""
        of = self.of(task)
        return task.start_boottime_ns if of is None else of.slot_of(task)
