"""What the same measurement brought on the same kind of line, while the same was wrong: it may be told again.

Nine of ten measurements of a country are alike. One is told again only where nothing that bears on it begins or ends
meanwhile, where what is wrong happens to every packet or to none, and where the line loses none of the packets that it
takes: what a line loses is drawn packet by packet all the same (`Line.passes`), and what meets a loss is measured. Those
packets take their places in the line's queues (`Line.takes`), so that what is measured waits for them. This file must
never make up a result.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from firmware.model.jsontypes import JsonValue
from firmware.model.task import Result, Task, TaskStep
from firmware.net import loop as loop_module
from firmware.worker import runner
from tests.country.hosts import Hosts
from tests.country.lines import Line, Taken
from tests.country.sockets import Machines
from tests.country.truth import Home, Ill, Truth, Wrong
from tests.country.virtual_time import BEGAN_UTC_NS, BOOTED_NS, NS, since_s

VARIANTS: Final = 8
"""So many results of one kind are gathered before one of them stands for another."""
_CLOCKS: Final = frozenset({"t1_utc_ns", "t2_utc_ns", "t3_utc_ns", "t4_utc_ns", "t4_boottime_ns"})
"""What an `ntp` measurement read from clocks, in its detail: every clock of a country goes alike."""
_ELSEWHERE: Final = frozenset({Ill.POWER_CUT, Ill.COLLECTOR_DOWN})
"""What bears on no measurement: a device without power makes none."""
_SPARING: Final = frozenset({Ill.ALLOW_LIST, Ill.CUT})
"""What bears on all hosts but those it names."""
_CHANCE: Final = frozenset({Ill.LINE_WORSE, Ill.LINE_FULL})
"""What happens to some packets and not to others, or to each at its moment."""
_TOGETHER_S: Final = 0.02

Situation = frozenset[Wrong]
"""What is wrong, whenever it is and whoever else it is for: nothing on the way remembers (`whenever`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a measurement brought, and how long after its start the worker told that it had connected, if it did before.

    `up` and `down` are how many packets it sent and got over the line, `lost` how many of them the line lost; `packets` are
    what came to the line's queues, with times since its start.
    """

    result: Result
    connected_ns: int | None = None
    up: int = 0
    down: int = 0
    lost: int = 0
    packets: tuple[Taken, ...] = ()

    def at(self, task: Task, start_ns: int) -> Result:
        """Return the result as that of a task that began at `start_ns`."""
        result = self.result
        later_ns = start_ns - result.start_boottime_ns
        outcome, detail = result.outcome, result.outcome.detail
        if not _CLOCKS.isdisjoint(detail):
            outcome = replace(outcome, detail=_moved(detail, later_ns))
        return replace(
            result,
            task_id=task.task_id,
            start_boottime_ns=start_ns,
            start_utc_ns=start_ns - BOOTED_NS + BEGAN_UTC_NS,
            outcome=outcome,
        )


async def measured_by(
    machines: Machines, task: Task, connected: Callable[[], None] = lambda: None
) -> Measured:
    """Measure as the worker does; `connected` is called when it tells that a task that is still out has connected."""
    told_ns: list[int] = []

    def tell(_step: TaskStep) -> bool:
        told_ns.append(loop_module.boottime_ns())
        connected()
        return True

    job = machines.loop.current()
    try:
        result = await runner.run_task(machines.loop, task, tell)
    finally:
        way = machines.end(job)
    return Measured(
        result=result,
        connected_ns=told_ns[0] - result.start_boottime_ns if told_ns else None,
        up=0 if way is None else way.up,
        down=0 if way is None else way.down,
        lost=0 if way is None else way.lost,
        packets=() if way is None else _together(way.packets, since_s(result.start_boottime_ns)),
    )


def _together(packets: Iterable[Taken], start_s: float) -> tuple[Taken, ...]:
    """Return packets since a start, those of one direction as one that come to its queue at nearly the same time."""
    found: list[Taken] = []
    for at_s, size, up in sorted(packets, key=lambda one: (one[2], one[0])):
        if found and found[-1][2] is up and at_s - start_s - found[-1][0] < _TOGETHER_S:
            found[-1] = (found[-1][0], found[-1][1] + size, up)
        else:
            found.append((at_s - start_s, size, up))
    return tuple(found)


Repertoire = dict[tuple[object, ...], list[Measured]]
"""What a country's measurements brought, by what was measured, on which kind of line, in which situation."""


class Bearing:
    """What of a truth bears on one home's measurements, and what stands for them meanwhile."""

    def __init__(
        self,
        truth: Truth,
        home: Home,
        *,
        hosts: Hosts,
        line: Line,
        repertoire: Repertoire,
        rng: random.Random,
    ) -> None:
        self._home = home
        self._hosts = hosts
        self._line = line
        self._known = repertoire
        self._rng = rng
        self._wrongs = tuple(
            one
            for one in truth.wrongs
            if one.ill not in _ELSEWHERE and (not one.homes or home.number in one.homes)
        )
        self._of_host: dict[str, tuple[tuple[Wrong, Wrong], ...]] = {}

    def again(self, task: Task, now_ns: int) -> Measured | None:
        """Return what may stand for a task's measurement that begins now; None where it is to be measured."""
        start_s = since_s(max(now_ns, task.start_boottime_ns))
        situation = self._situation(task, start_s, start_s)
        known = () if situation is None else self._known.get(key_of(self._home.place, task, situation), ())
        if len(known) < VARIANTS:
            return None
        chosen = self._rng.choice(known)
        until_s = start_s + chosen.result.runtime_ns / NS + 0.01
        if self._situation(task, start_s, until_s) is None:
            return None
        passes = self._line.passes(chosen.up, chosen.down, since_s=start_s, until_s=until_s)
        if not passes:
            return None
        self._line.takes(chosen.packets, start_s)
        return chosen

    def learn(self, task: Task, measured: Measured) -> None:
        """Take note of what was measured, if it may stand for another: one of which a packet was lost may not."""
        result = measured.result
        start_s = since_s(result.start_boottime_ns)
        situation = self._situation(task, start_s, start_s + result.runtime_ns / NS)
        if measured.lost or situation is None:
            return
        known = self._known.setdefault(key_of(self._home.place, task, situation), [])
        if len(known) < VARIANTS:
            known.append(measured)

    def _situation(self, task: Task, from_s: float, until_s: float) -> Situation | None:
        """Return what bears on a task all that time; None where anything begins or ends, or is left to chance."""
        found = []
        for one, what in self._bearing_on(task):
            if one.until_s <= from_s or one.since_s > until_s:
                continue
            if one.since_s > from_s or one.until_s <= until_s or one.ill in _CHANCE or one.share < 1:
                return None
            found.append(what)
        return frozenset(found)

    def _bearing_on(self, task: Task) -> Iterable[tuple[Wrong, Wrong]]:
        host = self._hosts.of_target.get(task.target_name, "")
        if host not in self._of_host:
            self._of_host[host] = tuple(
                (one, whenever(one))
                for one in self._wrongs
                if not one.hosts or one.ill in _SPARING or host in one.hosts
            )
        return self._of_host[host]


def whenever(wrong: Wrong) -> Wrong:
    """Return what is wrong, without its time and its homes: what it does to a packet depends on neither."""
    return replace(wrong, since_s=0.0, until_s=0.0, homes=frozenset())


def _moved(detail: Mapping[str, JsonValue], later_ns: int) -> dict[str, JsonValue]:
    """Return what was read from clocks as of so much later."""
    return {
        key: value + later_ns if key in _CLOCKS and isinstance(value, int) else value
        for key, value in detail.items()
    }


def key_of(place: str, task: Task, situation: Situation = frozenset()) -> tuple[object, ...]:
    """Return what two measurements have in common of which one may stand for the other."""
    # What is told again must have had as long to end.
    time_s = round((task.deadline_boottime_ns - task.start_boottime_ns) / NS)
    return (place, task.test, task.target_name, time_s, situation)
