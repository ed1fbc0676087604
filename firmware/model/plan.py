"""What a plan is: the targets of a round, the cadence, what is measured beside the rounds.

Plain values, nothing read and nothing checked here: `firmware.plans.load` loads a plan, `firmware.plans.reader` and
`firmware.plans.checks` refuse a broken one. A plan must never say what the network *should* answer beyond what
a test's own options say: what an answer means is for `firmware.judgement.round.verdict`.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from firmware.model.record import Rung, Zone
from firmware.model.task import OptionValue

SCHEMA: Final = 1
"""The version of the plan file's form."""

GENERIC: Final = "zz"
"""The country of a plan for no country in particular (ISO 3166-1 leaves `zz` to its users)."""

ROUND_MAX_BYTES: Final = 100_000
"""What a round may cost at most, on a clean line (design)."""
ROUND_MAX_S: Final = 60
"""How long a round may last at most, on a line whose own handshakes are slow (design)."""
CADENCE_MIN_S: Final = 30
"""How far apart rounds are at the least: as long as one may last on a line that is not slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Whose network a target stands in. Two networks are unrelated when neither number nor operator is one.

    `operator` names who runs it when one company has several numbers; empty otherwise.
    """

    asn: int
    name: str
    operator: str = ""

    @property
    def owner(self) -> str:
        """What one counts when one counts unrelated networks: the operator, else the number, as `AS13335`."""
        return self.operator or f"AS{self.asn}"

    def __str__(self) -> str:
        return f"AS{self.asn} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTarget:
    """One thing each round asks: `test`, `target` and `options` in the form of `firmware.measurements`.

    `source` says where the choice comes from, `why` why it is on this rung. `network` is None on the local
    rungs, where the network is the host's own.
    """

    name: str
    rung: Rung
    zone: Zone
    test: str
    target: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    network: Network | None = None
    source: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """One measurement beside the rounds, every `every_s` seconds, spread by the schedule. On no rung."""

    name: str
    zone: Zone
    test: str
    target: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    network: Network | None = None
    source: str = ""
    why: str = ""
    every_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often: seconds from round to round when calm and on a transition, and the bytes a day may cost."""

    calm_s: int
    transition_s: int
    budget_bytes_per_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundLimits:
    """How a round runs: milliseconds between two starts, seconds to its deadline, bytes it may cost.

    The deadline is that of a line whose handshakes are slow, or of which none is known; on any other a round has
    `firmware.judgement.ladder.QUICK_DEADLINE_S` at the most.
    """

    stagger_ms: int = 40
    deadline_s: int = 59
    max_bytes: int = ROUND_MAX_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFault:
    """One thing wrong with a plan: where, what was found, what is allowed. `line` is 0 where none is to blame.

    With an empty `allowed`, `found` is the whole sentence, as a test says it of its target.
    """

    place: str
    found: str
    allowed: str
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return where + (f"found {self.found}; allowed is {self.allowed}" if self.allowed else self.found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A country's plan. `file` is where it was read, `revised` the day its targets were last looked at."""

    file: str
    country: str
    name: str
    revised: dt.date
    cadence: Cadence
    round: RoundLimits = RoundLimits()
    targets: tuple[PlannedTarget, ...]
    tasks: tuple[PlannedTask, ...] = ()
    warnings: tuple[PlanFault, ...] = ()
    """What is odd in it, and hinders nothing."""

    @property
    def label(self) -> str:
        """Which plan and which revision, as kept with every record: `ir 2026-11-21`."""
        return f"{self.country} {self.revised.isoformat()}"

    def on_rung(self, rung: Rung) -> tuple[PlannedTarget, ...]:
        """Return the targets of one rung, in the plan's order."""
        return tuple(target for target in self.targets if target.rung is rung)

    def target(self, name: str) -> PlannedTarget | None:
        """Return the target of that name, if the plan has it."""
        return next((target for target in self.targets if target.name == name), None)

    def unrelated_networks(self, rung: Rung, tests: Iterable[str]) -> frozenset[str]:
        """Return the owners of the networks that `rung` asks with one of `tests`."""
        wanted = frozenset(tests)
        return frozenset(
            target.network.owner
            for target in self.on_rung(rung)
            if target.network is not None and target.test in wanted
        )


class PlanError(ValueError):
    """A plan cannot be used. `faults` holds everything that is wrong with it, not only the first thing."""

    def __init__(self, file: str | Path, faults: Iterable[PlanFault]) -> None:
        self.file = str(file)
        self.faults = tuple(faults)
        super().__init__(
            "\n".join(
                f"{self.file}:{fault.line}: {fault}" if fault.line else f"{self.file}: {fault}"
                for fault in self.faults
            )
        )
