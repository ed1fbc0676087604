"""The sentinel: one small probe between the rounds, so that a cut or its end is noticed in seconds. Pure.

Every `PERIOD_NS` one pinned reference target is asked for a connection, another one each time. Silence is asked
again at once of the next reference target; if that is silent too, a round is wanted now. While the last verdict says that
the outside is gone, one answer is enough to want a round. What the last round saw is no news: it is asked who answered in it
while the outside is there, and who was silent in it while it is gone. A round that was wanted and came out as before makes it
harder to want the next. It concludes nothing, its probes make no records, and it rests while a round is under way. It must
never be without anybody to ask. Times are CLOCK_BOOTTIME in ns.
"""

from dataclasses import dataclass
from typing import Final

from appliance.measuring.budget import DAY_NS, NS, Budget, wire_bytes
from firmware.model.plan import Plan
from firmware.model.record import Rung, Zone
from firmware.model.task import Task
from firmware.model.verdict_words import VerdictWord
from firmware.net.targets import family_of

NAME: Final = "sentinel"
PREFIX: Final = f"{NAME}/"
PERIOD_NS: Final = 10 * NS
PATIENCE_MS: Final = 2_500
"""How long a connection may take: a SYN and one more after a second, on a line of up to 1.5 s."""
SLOW_PATIENCE_MS: Final = 8_000
"""The same on a line that is not known to be quick: two silent probes and a round of a minute are 90 s at the most."""
HOLD_NS: Final = 60 * NS
"""A round that was wanted and came out as before is not wanted again within this, then within twice as long, and so on."""
MOST_HOLD_NS: Final = 16 * HOLD_NS
SURER: Final = 2
"""Within that, but for the first minute, so many times as much news wants a round all the same: a cut must not wait."""
PROBE_BYTES: Final = wire_bytes(0)
BYTES_PER_DAY: Final = PROBE_BYTES * DAY_NS / PERIOD_NS
"""What it costs while all is well, as the budget counts it."""

GONE: Final = frozenset(
    {VerdictWord.INTERNATIONAL_CUT, VerdictWord.ISP_OR_WIDER_OUTAGE, VerdictWord.LOCAL_FAULT}
)
"""Verdicts that say that the outside is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelTarget:
    """One pinned reference target: its name in the plan, and `ADDRESS:PORT`."""

    name: str
    target: str


def targets_of(plan: Plan) -> tuple[SentinelTarget, ...]:
    """Return the plan's reference targets that are pinned to an IPv4 address and a port, one a network."""
    found: dict[str, SentinelTarget] = {}
    for one in plan.on_rung(Rung.INTERNATIONAL):
        host, _, port = one.target.rpartition(":")
        if one.test in ("tls", "tcp") and port.isdigit() and family_of(host) == 4 and one.network is not None:
            found.setdefault(one.network.owner, SentinelTarget(name=one.name, target=one.target))
    return tuple(found.values())


class Sentinel:
    """The sentinel of one device. It is first due a period after `now_ns`, and never without two reference targets."""

    def __init__(self, references: tuple[SentinelTarget, ...], budget: Budget, *, now_ns: int) -> None:
        self._references = references if len(references) > 1 else ()
        self._budget = budget
        self._due_ns = now_ns + PERIOD_NS
        self._next = 0
        self._open: str | None = None
        self._asked = ""
        self._news = 0
        self._connected = frozenset(one.name for one in self._references)
        self._verdict = ""
        self._patience_ms = SLOW_PATIENCE_MS
        self._hold_ns = HOLD_NS
        self._held_until_ns = self._rests_until_ns = now_ns
        self.probes = 0

    @property
    def due_ns(self) -> int | None:
        """Return when `look` is to be called next; None while a probe is out, or where there is nobody to ask."""
        return self._due_ns if self._references and self._open is None else None

    def look(self, now_ns: int, *, in_round: bool) -> tuple[Task, ...]:
        """Return the probe that is due now, if one is."""
        if self.due_ns is None or now_ns < self._due_ns:
            return ()
        self._due_ns = now_ns + PERIOD_NS
        return () if in_round else self._ask(now_ns)

    def take(self, task_id: str, *, reached: bool, now_ns: int) -> tuple[tuple[Task, ...], bool]:
        """Take a probe's end; return what to ask at once, and whether a round is wanted now."""
        if task_id != self._open:
            return (), False
        self._open = None
        self._budget.settle(NAME, PROBE_BYTES, now_ns)
        gone = self._verdict in GONE
        is_news = reached == gone and any(one.name == self._asked for one in self._telling)
        self._news = self._news + 1 if is_news else 0
        enough = 1 if gone else 2
        if not is_news:
            return (), False
        if self._news >= enough and now_ns >= self._held_until_ns:
            return (), self._want(now_ns)
        if self._news >= SURER * enough:
            return (), now_ns >= self._rests_until_ns and self._want(now_ns)
        return self._ask(now_ns), False

    def lost(self, task_id: str, now_ns: int) -> None:
        """Take note that a probe was not made, which says nothing."""
        if task_id == self._open:
            self._open = None
            self._budget.settle(NAME, 0, now_ns)

    def concluded(self, verdict: str, now_ns: int, *, is_quick: bool, connected: frozenset[str]) -> None:
        """Take note of a round's verdict and of the targets that accepted a connection in it, by name.

        What the sentinel looks for, and of whom, depends on these, and on the line how long.
        """
        self._connected = connected
        self._patience_ms = PATIENCE_MS if is_quick else SLOW_PATIENCE_MS
        if verdict != self._verdict:
            self._hold_ns = HOLD_NS
            self._held_until_ns = self._rests_until_ns = now_ns
        self._verdict = verdict
        self._due_ns = now_ns + PERIOD_NS
        self._asked, self._news = "", 0

    @property
    def _telling(self) -> tuple[SentinelTarget, ...]:
        """Those whose silence, or answer, would be news; all where there is none."""
        gone = self._verdict in GONE
        return (
            tuple(one for one in self._references if (one.name in self._connected) != gone)
            or self._references
        )

    def _want(self, now_ns: int) -> bool:
        is_first = now_ns >= self._held_until_ns + MOST_HOLD_NS
        self._hold_ns = HOLD_NS if is_first else self._hold_ns
        self._rests_until_ns, self._held_until_ns = now_ns + HOLD_NS, now_ns + self._hold_ns
        self._hold_ns = min(2 * self._hold_ns, MOST_HOLD_NS)
        self._news = 0
        return True

    def _ask(self, now_ns: int) -> tuple[Task, ...]:
        if not self._budget.reserve(NAME, PROBE_BYTES, now_ns):
            return ()
        self._next += 1
        reference = self._telling[self._next % len(self._telling)]
        self.probes += 1
        self._asked = reference.name
        self._open = f"{PREFIX}{self.probes}"
        return (
            Task(
                task_id=self._open,
                test="tcp",
                target=reference.target,
                target_name=reference.name,
                options={"timeout_ms": self._patience_ms},
                zone=Zone.INTERNATIONAL,
                start_boottime_ns=now_ns,
                deadline_boottime_ns=now_ns + (self._patience_ms + 1_000) * 1_000_000,
            ),
        )
