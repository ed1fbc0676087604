"""The collector on the virtual clock: the product's store, its vantage and its verdicts on countries.

Messages of devices are validated, committed and acknowledged by the product. The vantage is `VantageThread` itself, which
says when it is due, to sweep or to look at what it was asked: its targets are measured by the product's measurements on the
collector's own line, and the country is judged anew after each look.
A country is judged by `AssessmentKeeper` every 30 s while anything in it is not well or has changed, and every ten minutes
otherwise, which leaves out nothing: a judging depends on the store and the time alone. This file must never decide what
is said.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Final
from unittest import mock

from appliance.outbox.box import Outbox
from collector.judgement.thread import EVERY_S, AssessmentKeeper
from collector.messages import OutgoingMessage
from collector.settings import SecondVantageSettings, VantageSettings
from collector.store.arrivals import PresenceArrived
from collector.store.queries import Queries
from collector.store.scopes import MAX_SAID, Assessment, ScopeQueries
from collector.store.vantage_log import VantageLog
from collector.vantage import sweep as sweep_module
from collector.vantage import thread as thread_module
from collector.vantage.asking import Look
from collector.vantage.course import Course
from collector.vantage.judging import JudgedRound, Judging
from collector.vantage.sweep import Sweep
from collector.vantage.targets import VantageTarget, read_plans
from collector.vantage.thread import VantageThread
from firmware.clock import clocks
from firmware.model.plan import Plan
from firmware.model.statement import probability_in
from firmware.model.task import Task
from firmware.worker import runner
from tests.country.sockets import Machine, Machines
from tests.country.virtual_time import NS, Agenda, utc_since_s
from tests.drills.exchange import Collector, greet, send_batch

_CALM_S: Final = 600.0
_STIRRED_S: Final = 1_200.0
"""For so long after anything has changed a country is judged every 30 s."""
_SECOND_ADDRESS: Final = "192.0.2.2"
_BOOT_ID: Final = "c0111ec7-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountrySaid:
    """A verdict on the country, as it holds at a moment, or as it was said afterwards, at `later_s`, of that moment.

    `since_s` is since when it is so, and `error_s` how far off that may be (None: it may have begun any time before).
    """

    at_s: float
    verdict: str
    rule_id: str
    where: str
    confidence: str = ""
    since_s: float | None = None
    error_s: float | None = None
    later_s: float | None = None


class _Picked(Exception):  # noqa: N818  # no error: it carries what a sweep is about to measure out of it
    def __init__(self, targets: Sequence[VantageTarget]) -> None:
        super().__init__()
        self.targets = tuple(targets)


def _said_at(at_s: float, one: Assessment) -> CountrySaid:
    where = one.basis.get("where")
    return CountrySaid(
        at_s=at_s,
        verdict=one.verdict,
        rule_id=one.rule_id,
        where=where if isinstance(where, str) else "",
        confidence=str(probability_in(one.evidence) or ""),
        since_s=None if one.since_ns is None else utc_since_s(one.since_ns),
        error_s=None if one.since_error_ns is None else one.since_error_ns / NS,
    )


class Centre:
    """One collector. `said` is called with the country's verdict at each judging, `took` when something was taken in."""

    def __init__(
        self,
        *,
        folder: Path,
        country: str,
        agenda: Agenda,
        machines: Machines,
        machine: Machine,
        second: Machine | None,
        has_vantage: bool,
        sweep_s: int,
        said: Callable[[CountrySaid], None],
        took: Callable[[], None],
        seed: str,
    ) -> None:
        folder.mkdir()
        self._agenda = agenda
        self._machines = machines
        self._sources = (machine,) if second is None else (machine, second)
        self._said = said
        self._took = took
        self._rng = random.Random(f"{seed}/centre")
        self._collector = Collector(folder)
        database = folder / "collector.sqlite3"
        self._queries = Queries(database)
        self._keeper = AssessmentKeeper(database, self._queries)
        self._holding = ScopeQueries(self._queries)
        self._judging = Judging(self._queries)
        self._log = VantageLog.open(database)
        self._country = country
        self._news: dict[str, Callable[[bytes], None]] = {}
        self._greeted: set[str] = set()
        self._judgings = 0
        self._stirred_s = 0.0
        self._settings = VantageSettings(enabled=has_vantage, every_s=sweep_s)
        self._vantage = VantageThread(
            database,
            self._queries,
            self._settings,
            second=None
            if second is None
            else SecondVantageSettings(source_address=_SECOND_ADDRESS, country=country),
            send=self._send_news,
            say=lambda _text: None,
            now_s=lambda: agenda.clock.since_s,
        )
        self._collector.after_batch = self._vantage.note
        self._is_measuring = not has_vantage
        self._awaited = 0
        self._await_vantage()
        agenda.after(EVERY_S, self._judge)

    def close(self) -> None:
        """Let go of what is held."""
        self._log.close()
        self._keeper.close()
        self._queries.close()
        self._collector.close()

    # What devices say.

    def converse(self, outbox: Outbox) -> bool:
        """Take a hello and a batch; return whether anything more waits."""
        self._collector.now_ns = self._agenda.clock.utc_ns()
        if outbox.device in self._greeted:
            self._greeted.remove(outbox.device)
            greet(outbox, self._collector, country=self._country)
            clock = SimpleNamespace(time_ns=self._agenda.clock.utc_ns)
            with mock.patch.object(thread_module, "time", clock):
                news = self._vantage.answer_hello(outbox.hello(software="", country=self._country))
            if news is not None:
                self._send_news(news)
        send_batch(outbox, self._collector, rng=self._rng)
        self._await_vantage()
        self._took()
        return outbox.counts().waiting > 0

    def presence(self, device: str, *, online: bool, take_news: Callable[[bytes], None] | None) -> None:
        """Take note that a device is connected or not, as its broker says."""
        self.stir()
        received_ns = self._agenda.clock.utc_ns()
        self._collector.store.commit([PresenceArrived(device=device, online=online, received_ns=received_ns)])
        if take_news is None:
            self._news.pop(device, None)
        else:
            self._news[device] = take_news
            self._greeted.add(device)

    def judged(self, device: str) -> JudgedRound | None:
        """Return the collector's own verdict on a device's last round."""
        return self._judging.round(device)

    # The country.

    def stir(self) -> None:
        """Judge every 30 s for a while: something has changed."""
        was_calm = self._is_calm()
        self._stirred_s = self._agenda.clock.since_s
        if was_calm:
            self._agenda.after(0.0, self._judge)

    def _is_calm(self) -> bool:
        return self._agenda.clock.since_s - self._stirred_s > _STIRRED_S

    def _judge(self) -> None:
        if self._keeper.judge(self._agenda.clock.utc_ns()):
            self._vantage.look()
            self._await_vantage()
        for holding in self._holding.holding():
            said = _said_at(self._agenda.clock.since_s, holding.assessment)
            where = holding.basis.get("where")
            self._said(replace(said, where=where if isinstance(where, str) else ""))
        self._judge_at(_CALM_S if self._is_calm() else EVERY_S)

    def said_later(self) -> Iterator[CountrySaid]:
        """Yield what was said of earlier moments once more had come in, each moment's in the order of its saying."""
        for change in reversed(self._holding.changes(limit=MAX_SAID)):
            at_s = utc_since_s(change.assessment.said_ns)
            for one in change.revisions:
                yield replace(_said_at(at_s, one), later_s=utc_since_s(one.said_ns))

    def _judge_at(self, wait_s: float) -> None:
        self._judgings += 1
        number = self._judgings

        def due() -> None:
            if number == self._judgings:
                self._judge()

        self._agenda.after(wait_s, due)

    # The vantage.

    def _await_vantage(self) -> None:
        """Have the vantage measure when it says that it is due, unless it is at it."""
        self._awaited += 1
        number = self._awaited

        def due() -> None:
            if number == self._awaited and not self._is_measuring:
                self._begin()

        if not self._is_measuring:
            self._agenda.after(max(0.0, self._vantage.due_s() - self._agenda.clock.since_s), due)

    def _begin(self) -> None:
        """Begin a sweep or a look: what it measures is asked of the thread itself, then measured side by side."""
        began_ns = self._agenda.clock.utc_ns()
        look, turn = self._vantage.take(), self._vantage._turn
        try:
            self._swept(began_ns, _pick, look)
        except _Picked as picked:
            self._vantage._turn = turn
            self._is_measuring = True
            self._measure(picked.targets, began_ns, look)
        else:
            self._await_vantage()

    def _measure(self, targets: tuple[VantageTarget, ...], began_ns: int, look: Look) -> None:
        courses = tuple(Course(targets) for _ in self._sources)
        ended: set[int] = set()
        turns = [0] * len(courses)

        async def run(task: Task, number: int) -> None:
            job = self._machines.loop.current()
            result = await runner.run_task(self._machines.loop, task)
            self._machines.end(job)
            if number not in ended:
                with mock.patch.object(clocks, "read_boot_id", _collectors_boot_id):
                    sweep_module.take(courses[number], result)
                self._agenda.after(0.0, lambda: go_on(number))

        def go_on(number: int) -> None:
            course = courses[number]
            turns[number] = turn = turns[number] + 1
            if number in ended:
                return
            if course.is_over:
                ended.add(number)
                if len(ended) == len(courses):
                    self._end(began_ns, tuple(map(sweep_module.sweep_of, courses)), look)
                return
            now_ns = self._agenda.clock.boottime_ns()
            for task in course.begin(now_ns):
                job = self._machines.loop.spawn(run(task, number), name=task.task_id)
                self._machines.by_job[job] = self._sources[number]
            due_ns = course.due_ns(now_ns)
            if due_ns is not None:
                self._agenda.after(
                    (due_ns - now_ns) / NS, lambda: go_on(number) if turns[number] == turn else None
                )

        for number in range(len(courses)):
            go_on(number)

    def _end(self, began_ns: int, sweeps: tuple[Sweep, ...], look: Look) -> None:
        self._swept(began_ns, lambda *_: sweeps, look)
        self._is_measuring = False
        self._judge()
        self._await_vantage()

    def _swept(self, began_ns: int, measure: Callable[..., tuple[Sweep, ...]], look: Look) -> None:
        moments = iter((began_ns,))
        clock = SimpleNamespace(time_ns=lambda: next(moments, self._agenda.clock.utc_ns()))
        with (
            mock.patch.object(sweep_module, "measure_from", measure),
            mock.patch.object(thread_module, "time", clock),
            mock.patch.object(thread_module, "read_plans", _read_plans),
        ):
            self._vantage._measure(self._log, look)

    def _send_news(self, message: OutgoingMessage) -> None:
        device = message.topic.split("/")[2]
        if device in self._news:
            self._news[device](message.payload)


@cache
def _read_plans(directory: Path | None) -> tuple[tuple[Plan, ...], tuple[str, ...]]:
    """Return the plans as the product reads them, once: nobody changes them while a country is played."""
    return read_plans(directory)


def _pick(
    _sources: Sequence[str], targets: Sequence[VantageTarget], _stopping: threading.Event
) -> tuple[Sweep, ...]:
    raise _Picked(targets)


def _collectors_boot_id() -> str:
    return _BOOT_ID
