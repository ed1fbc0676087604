"""What a round's measurements bring on a line that is well and loses nothing: made once for each kind of line.

The measurements are the product's, on the made networks, without a device. What they bring depends on the kind of line and the
plan alone, so that a country stays its truth's alone. They are made in the time that a round has on a slow line, and
stand for those of a quick one where they fit. This file must never make up a result.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from typing import Final

from firmware.judgement.ladder import round_tasks
from firmware.model.task import Task
from firmware.plans.load import load
from tests.country.hosts import Hosts, home_host
from tests.country.internet import Internet
from tests.country.lines import QUALITIES, Line
from tests.country.repertoire import VARIANTS, Measured, Repertoire, key_of, measured_by
from tests.country.sockets import Machine, Machines
from tests.country.truth import Home
from tests.country.virtual_time import NS, Agenda, VirtualClock, VirtualLoop, virtual

_APART_NS: Final = 60 * NS


def rehearsed(plan: str, homes: Iterable[Home]) -> Repertoire:
    """Return what may be told again of the rounds of a plan in some homes, by the kinds of their lines."""
    kinds = {one.place: one for one in homes}
    return {
        key: list(results)
        for place, one in kinds.items()
        for key, results in _on(plan, one.line, place, one.router_resolves).items()
    }


@cache
def _on(
    plan_name: str, line_name: str, place: str, router_resolves: bool
) -> Mapping[tuple[object, ...], Sequence[Measured]]:
    plan = load(plan_name)
    quality = replace(QUALITIES[line_name], loss_up=0.0, loss_down=0.0, burst_every_s=0.0)
    clock, loop = VirtualClock(), VirtualLoop()
    agenda = Agenda(clock)
    line = Line(quality=quality, seed=f"rehearsal/{place}", router_resolves=router_resolves)
    machines = Machines(clock, loop, Internet(Hosts(plan), {0: line}, (), seed=f"rehearsal/{place}"))
    view = home_host(families=quality.families)
    machine = Machine(home=0, view=lambda: view)
    found: dict[tuple[object, ...], list[Measured]] = {}

    async def run(task: Task) -> None:
        measured = await measured_by(machines, task)
        if measured.result.outcome.failure is None and not measured.lost:
            found.setdefault(key_of(place, task), []).append(measured)

    def begin(number: int) -> None:
        for task in round_tasks(plan, number, clock.boottime_ns(), is_quick=False):
            machines.by_job[loop.spawn(run(task), name=task.task_id)] = machine

    with ExitStack() as stack:
        stack.callback(loop.close)
        for one in (virtual(clock), machines.installed()):
            stack.enter_context(one)
        for number in range(VARIANTS):
            agenda.at(number * _APART_NS, partial(begin, number))
        agenda.run(VARIANTS * _APART_NS, loop)
    # One that did not bring it each time is measured each time.
    known = {key: results for key, results in found.items() if len(results) == VARIANTS}
    for slow, quick in zip(
        round_tasks(plan, 0, 0, is_quick=False), round_tasks(plan, 0, 0, is_quick=True), strict=True
    ):
        results = known.get(key_of(place, slow))
        most_ns = quick.deadline_boottime_ns - quick.start_boottime_ns - NS
        # What ended in the shorter time would have ended so in it.
        if results and all(one.result.runtime_ns < most_ns for one in results):
            known[key_of(place, quick)] = results
    return known
