"""A run with what it says, without its time line: all that a test keeps of it. Pure."""

from dataclasses import dataclass

from firmware.judgement.throttling.pace_of_run import Invalid, RunPace, pace_of
from firmware.judgement.throttling.runs import NameRole, PairedRun, Purpose, RunResult
from firmware.judgement.throttling.sizes import early_rate, late_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedRun:
    """A run, when it began and ended, what it cost, and what it says (`pace`; or why nothing).

    `early_bytes_per_s` is the rate in the part that runs of every size have, `late_bytes_per_s` in the one after it
    (None: it got no further).
    """

    run: PairedRun
    began_s: float
    finished_at_s: float
    cost_bytes: int
    pace: RunPace | Invalid
    early_bytes_per_s: float = 0.0
    late_bytes_per_s: float | None = None

    @property
    def is_innocuous(self) -> bool:
        """Return whether it went by another name than the suspect's, and not at once after it."""
        return self.run.role is not NameRole.SUSPECT and self.run.purpose is not Purpose.AFTER


def counted(result: RunResult) -> CountedRun:
    """Return what is kept of a result."""
    pace = pace_of(result)
    early, late = 0.0, None
    if isinstance(pace, RunPace):
        early = pace.bytes_per_s if pace.frozen_after_bytes is not None else early_rate(result.points)
        late = late_rate(result.points)
    return CountedRun(
        run=result.run,
        began_s=result.began_s,
        finished_at_s=result.finished_at_s,
        cost_bytes=result.cost_bytes,
        pace=pace,
        early_bytes_per_s=early,
        late_bytes_per_s=late,
    )
