"""The course of one look of the vantage: what it asks when, so that its own line is seen all the while. Pure.

The reference targets first, then all else; while anything is out, two of the references again and again; and where anything
failed, all of them once more at the end. Why: `collector.vantage.own_line`. Times are CLOCK_BOOTTIME, as arguments.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.store.vantage_streaks import NS, Key
from collector.vantage.own_line import (
    OwnLine,
    Proof,
    is_connected,
    is_doubtful,
    is_unanswered,
    needs_six,
    others_asked,
    proof_of,
    stands_on_six,
)
from collector.vantage.targets import VantageTarget
from firmware.judgement.observation import Outlook, from_record
from firmware.model.record import Record, Zone
from firmware.model.task import Task

STAGGER_NS: Final = 100_000_000
"""Between two starts, so that the vantage's own line is no bottleneck."""
TASK_S: Final = 40
START_NS: Final = NS
"""A measuring process has so long until its first task."""
SOON_NS: Final = 50_000_000
FIRST_NS: Final = 5 * NS
"""So long all else waits for the reference targets at most."""
WITNESS_NS: Final = 1_500_000_000
"""From one look at the own line to the next, while anything is out: three fit into what may stay unseen."""
WITNESS_FIRST_NS: Final = 500_000_000
"""So soon the first: a line whose answers take seconds is seen no less often for it."""
WITNESSES: Final = 2
_LIGHT: Final = frozenset({"tcp", "tls", "ping"})
"""Tests that cost little, to see by whether IPv6 is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    task: Task
    target: VantageTarget
    is_again: bool


class Course:
    """One look at `targets` from one address: hand over what `begin` returns, `end` what comes back, until it `is_over`."""

    def __init__(self, targets: Sequence[VantageTarget]) -> None:
        self.records: list[Record] = []
        """What was measured of the targets, each once."""
        self.again: list[Record] = []
        """What was measured to see how the own line is."""
        self._targets = tuple(targets)
        self._references = [one for one in targets if one.neutral_network]
        self._waiting = [one for one in targets if not one.neutral_network]
        self._began_ns = 0
        self._turn = 0
        self._asked: dict[str, _Asked] = {}
        self._out: dict[str, _Asked] = {}
        self._rest_ns = 0
        self._witness_ns = 0
        self._main_until_ns = 0
        self._proofs: list[Proof] = []
        self._reached: list[tuple[VantageTarget, Proof]] = []
        """Which of the targets were reached, and what that proves of the line."""
        self._is_connected = False
        self._is_closing = False
        self._closing_ns = 0

    @property
    def until_ns(self) -> int:
        """Return when the last of what was asked is up; what is asked of the line alone keeps no look waiting for its targets."""
        asked = [one for one in self._asked.values() if self._is_closing or not one.is_again]
        return max((one.task.deadline_boottime_ns for one in asked), default=0)

    @property
    def unanswered(self) -> int:
        """Return how many of the targets have not been told of."""
        return len(self._targets) - len(self.records)

    @property
    def is_over(self) -> bool:
        """Return whether there is nothing more to come that would tell anything."""
        doubtful = self._doubtful()
        if self._is_closing:
            is_told = not self.unanswered and all(map(self.line().believes, doubtful))
            return is_told or not self._is_again_out
        return not self.unanswered and not (self._is_connected and doubtful)

    @property
    def _is_again_out(self) -> bool:
        return any(one.is_again for one in self._out.values())

    def task(self, task_id: str) -> Task | None:
        """Return a task that is out; None for another."""
        asked = self._out.get(task_id)
        return None if asked is None else asked.task

    def due_ns(self, now_ns: int) -> int | None:
        """Return when to `begin` again though nothing ended; None where nothing is to be asked until something does."""
        if self._waiting:
            return max(now_ns, self._rest_ns)
        if not self._is_connected or not self.unanswered or self._is_closing:
            return None
        return max(now_ns, min(self._witness_ns, self._main_until_ns))

    def begin(self, now_ns: int) -> list[Task]:
        """Return what to ask now."""
        if not self._asked and self._references:
            self._rest_ns = now_ns + START_NS + FIRST_NS
            first = self._ask(self._references, now_ns + START_NS)
            self._began_ns = max(one.start_boottime_ns for one in first)
            return first
        if self._waiting and (self._is_connected or not self._out or now_ns >= self._rest_ns):
            rest, self._waiting = self._waiting, []
            self._witness_ns = now_ns + WITNESS_FIRST_NS
            return self._ask(rest, now_ns + (SOON_NS if self._asked else START_NS))
        if self._waiting or not self._is_connected:
            return []
        if self.unanswered and now_ns < self._main_until_ns:
            return self._witness(now_ns) if self._witness_ns <= now_ns else []
        if self._is_closing or not (self._doubtful() or self.unanswered):
            return []
        self._is_closing, self._closing_ns = True, now_ns
        return self._ask(
            [*self._references, *self._others_for(self._doubtful())], now_ns + SOON_NS, is_again=True
        )

    def end(self, task_id: str, record: Record) -> None:
        """Take what became of a task."""
        asked = self._out.pop(task_id)
        (self.again if asked.is_again else self.records).append(record)
        proof = proof_of(asked.target, record)
        if proof is not None:
            insort(self._proofs, proof, key=lambda one: one.ended_ns)
            self._reached.append((asked.target, proof))
        self._is_connected = self._is_connected or is_connected(self._targets, self.records)

    def line(self) -> OwnLine:
        """Return how the own line was, as far as can be told by now."""
        closing = [
            from_record(one).outlook for one in self.again if one.start.boottime_ns >= self._closing_ns
        ]
        is_all_in = self._is_closing and not self._is_again_out
        is_missed = any(one is not Outlook.EXCLUDED for one in closing) and Outlook.REACHED not in closing
        return OwnLine(
            is_connected=self._is_connected,
            is_dead=is_all_in and is_missed,
            began_ns=self._began_ns,
            proofs=tuple(self._proofs),
        )

    def _doubtful(self) -> list[Record]:
        return [one for one in self.records if is_doubtful(one)]

    def _witness(self, now_ns: int) -> list[Task]:
        self._witness_ns = now_ns + WITNESS_NS
        turn = self._witnesses()
        is_six_out = any(stands_on_six(one.target.key) for one in self._out.values() if not one.is_again)
        six = self._one_reached(_is_over_six) if is_six_out else []
        return self._ask([*turn, *six], now_ns + SOON_NS, is_again=True)

    def _witnesses(self) -> list[VantageTarget]:
        """Return references that were reached in this look, in turns: one over IPv4 if any was, and others."""
        reached = [target for target, proof in self._reached if proof.is_reference]
        four = [target for target, proof in self._reached if proof.is_reference and 4 in proof.families]
        self._turn += 1
        found: dict[Key, VantageTarget] = {}
        for among in (four or reached, reached)[:WITNESSES]:
            known = list({one.key: one for one in among if one.key not in found}.values())
            for one in known[self._turn % len(known) :][:1] if known else ():
                found[one.key] = one
        return list(found.values())

    def _others_for(self, doubtful: Sequence[Record]) -> list[VantageTarget]:
        """Return what else to ask again: something by each that a failure took beside the line, if anything was reached by it."""
        found: list[VantageTarget] = []
        resolvers = frozenset(
            one for record in doubtful for one in others_asked(record) if is_unanswered(record)
        )
        if any(map(needs_six, doubtful)):
            found += self._one_reached(_is_over_six)
        return [*found, *self._one_reached(lambda _target, proof: bool(proof.resolvers & resolvers))]

    def _one_reached(self, shows: Callable[[VantageTarget, Proof], bool]) -> list[VantageTarget]:
        """Return the first target that was reached so that it `shows` something, if there is one."""
        return [target for target, proof in self._reached if shows(target, proof)][:1]

    def _ask(self, targets: Sequence[VantageTarget], start_ns: int, *, is_again: bool = False) -> list[Task]:
        tasks = []
        for number, target in enumerate(targets):
            task = _task(str(len(self._asked)), target, start_ns + number * STAGGER_NS)
            asked = _Asked(task=task, target=target, is_again=is_again)
            self._asked[task.task_id] = self._out[task.task_id] = asked
            if not is_again:
                self._main_until_ns = task.deadline_boottime_ns
            tasks.append(task)
        return tasks


def _is_over_six(target: VantageTarget, proof: Proof) -> bool:
    return target.key.test in _LIGHT and 6 in proof.families


def _task(task_id: str, target: VantageTarget, begin_ns: int) -> Task:
    return Task(
        task_id=task_id,
        test=target.key.test,
        target=target.key.target,
        target_name=target.key.target_name,
        options=target.options,
        zone=Zone.INTERNATIONAL,
        start_boottime_ns=begin_ns,
        deadline_boottime_ns=begin_ns + TASK_S * NS,
    )
