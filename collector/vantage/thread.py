"""The vantage as it runs: sweep after sweep, and looks in between when asked, into the log and down to the devices.

A thread of its own that mostly waits; the measuring is a process's (`collector.vantage.sweep`). Off unless an
operator says that this machine stands outside. It must never hold up ingest, and never end because a sweep failed:
what was not measured is a gap, with its reason. When it may look beside its sweeps, `collector.vantage.asking` says.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from collector.errors import StoreError
from collector.messages import OutgoingMessage
from collector.settings import SecondVantageSettings, VantageSettings
from collector.store.arrivals import BatchArrived
from collector.store.queries import Queries
from collector.store.second_looks import SecondLook, SecondQueries
from collector.store.vantage_log import Gap, KnownDevice, VantageLog, VantageQueries
from collector.store.vantage_streaks import NS, SAMPLES_MISSED
from collector.vantage import sweep
from collector.vantage.asking import Asking, Look
from collector.vantage.log import sample_of
from collector.vantage.news import Told, message, news_of
from collector.vantage.reports import report_of
from collector.vantage.second import Reached, looks_of
from collector.vantage.sweep import Sweep
from collector.vantage.targets import Chosen, VantageTarget, asked, choose, read_plans, targets_of
from firmware.judgement.site.evidence import VANTAGE_FRESH_S
from firmware.model.plan import Plan
from firmware.model.statement import stated, to_json
from firmware.wire.messages import Hello

HEARD_WITHIN_NS: Final = 400 * 24 * 3600 * NS
"""A device that was silent for longer has its plan measured no more; the longest cut on record lasted 87 days."""
TOLD_BESIDE_NS: Final = round(VANTAGE_FRESH_S) * NS
"""Looks from elsewhere are told when they are no older: none that is counts."""
TOLD_EVERY_NS: Final = 3600 * NS
"""Unchanged news is told again this often, so that a device that is cut off has a recent one."""
BESIDE_A_SWEEP: Final = 50
"""How many of the targets that devices measure beside their rounds one sweep takes, in turns."""
_FIRST_WAIT_S: Final = 2.0
_THIN_EVERY: Final = 100
_IDLE_S: Final = 10.0

log = logging.getLogger(__name__)


class VantageThread:
    """Runs from `start` to `stop`. `send` takes messages for devices, `say` what an operator should know.

    `looked` is called after each look; `now_s` is a clock that never goes back.
    """

    def __init__(
        self,
        database: Path,
        queries: Queries,
        settings: VantageSettings,
        *,
        second: SecondVantageSettings | None = None,
        send: Callable[[OutgoingMessage], None],
        say: Callable[[str], None],
        looked: Callable[[], None] = lambda: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._queries = VantageQueries(queries)
        self._settings = settings
        self._spacing_s = max(settings.every_s, sweep.LASTS_S)
        self._second = second or SecondVantageSettings()
        self._reached = Reached()
        self._beside = SecondQueries(queries)
        self._send = send
        self._say = say
        self._looked = looked
        self._now_s = now_s
        self._asking = Asking()
        self._names: frozenset[str] = frozenset()
        self._swept_ns = 0
        self._sweep_s = now_s() + _FIRST_WAIT_S
        self._is_swept = True
        self._told: dict[str, Told] = {}
        self._said: set[str] = set()
        self._sweeps = 0
        self._turn = 0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vantage")

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def stop(self) -> None:
        """End; a sweep under way is broken off, and what it has brought is dropped."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def answer_hello(self, hello: Hello) -> OutgoingMessage | None:
        """Return the last news for a device that says hello, None before there is any. Callable from any thread."""
        told = self._told.get(hello.country)
        return None if told is None else message(hello.device, told.at(time.time_ns()))

    def look(self) -> None:
        """Have it look at its reference targets soon: devices fell silent. Callable from any thread."""
        self._asking.ask_for_references(self._now_s())
        self._wake.set()

    def note(self, batch: BatchArrived) -> None:
        """Have it look soon at the platforms that a device says it lost, and had not. Callable from any thread."""
        report = report_of(batch)
        if report is not None:
            names = self._names
            self._reached.note(replace(report, proven=report.proven & names))
            self._asking.report(
                report.device,
                failed=report.failed & names,
                reached=report.reached & names,
                now_s=self._now_s(),
            )
            self._wake.set()

    def due_s(self) -> float:
        """Return when it measures next, by its own clock: its sweep, or a look at what was asked."""
        asked_s = self._asking.due_s(self._now_s())
        return self._sweep_s if asked_s is None else min(self._sweep_s, asked_s)

    def take(self) -> Look:
        """Return what is to be measured now."""
        now_s = self._now_s()
        is_sweep = self._sweep_s <= now_s
        if is_sweep:
            self._sweep_s = now_s + self._settings.every_s
        return self._asking.take(now_s, is_sweep=is_sweep)

    def _run(self) -> None:
        vantage_log: VantageLog | None = None
        while not self._stopping.is_set():
            wait_s = self.due_s() - self._now_s()
            if wait_s > 0:
                self._wake.wait(wait_s)
                self._wake.clear()
                continue
            try:
                if vantage_log is None:
                    vantage_log = VantageLog.open(self._database)
                    self._note_absence(vantage_log)
                self._measure(vantage_log, self.take())
                self._looked()
            except StoreError as error:
                log.warning("%s; the vantage goes on with its next sweep", error)
                self._sweep_s = self._now_s() + _IDLE_S
            except Exception:
                # The outermost loop: a fault costs a sweep, not the vantage.
                log.exception("a sweep of the vantage failed")
                self._sweep_s = self._now_s() + self._settings.every_s
        if vantage_log is not None:
            vantage_log.close()

    def _note_absence(self, vantage_log: VantageLog) -> None:
        """Note the time since the last sample as a gap: the collector did not run, or not as a vantage."""
        last_ns, now_ns = vantage_log.last_utc_ns(), time.time_ns()
        if last_ns is not None and now_ns - last_ns > SAMPLES_MISSED * self._spacing_s * NS:
            absence = Gap(from_utc_ns=last_ns, to_utc_ns=now_ns, reason=stated("vantage-not-running"))
            vantage_log.note_gap(absence)

    def _measure(self, vantage_log: VantageLog, look: Look) -> None:
        """Measure once: a sweep of all, or what `look` asks for."""
        began_ns, began_s = time.time_ns(), self._now_s()
        heard = self._queries.heard(since_utc_ns=began_ns - HEARD_WITHIN_NS)
        plans, faults = read_plans(self._settings.plans)
        chosen = choose(
            plans, labels=[one.plan for one in heard], countries_heard=[one.country for one in heard]
        )
        self._tell_unknown(chosen, faults)
        targets = self._in_turn(chosen) if look.is_sweep else asked(targets_of(chosen.plans), look.names)
        if not targets:
            self._sweep_s = min(self._sweep_s, self._now_s() + _IDLE_S)
            return
        sources = ("", self._second.source_address) if self._second.source_address else ("",)
        swept, *others = sweep.measure_from(sources, targets, self._stopping)
        if self._stopping.is_set():
            return
        second = self._looks_beside(chosen.plans, heard, others)
        if swept.fault is not None:
            log.warning("the vantage: %s", to_json(swept.fault))
            vantage_log.note_gap(Gap(from_utc_ns=began_ns, to_utc_ns=time.time_ns(), reason=swept.fault))
        self._keep(vantage_log, swept, second)
        measured = frozenset(one.target_name for one in swept.records)
        is_well = swept.line.is_well
        if look.is_sweep:
            self._swept_ns, self._is_swept = began_ns, is_well
            self._names = frozenset(one.key.target_name for one in targets if one.in_rounds)
        if is_well and self._is_swept:
            devices = [(one.device, one.country) for one in heard if one.online]
            self._publish(chosen.plans, devices, waiting=look.devices)
            self._asking.told(look, measured, began_s)
        elif is_well:
            self._sweep_s = (
                self._now_s()
            )  # its line is back: what the last sweep could not see is to be seen now

    def _looks_beside(
        self,
        plans: Sequence[Plan],
        heard: Sequence[KnownDevice],
        others: Sequence[Sweep],
    ) -> list[SecondLook]:
        """Return what the second vantage found, and what devices reached, each for its country."""
        looks = [one for swept in others for one in looks_of(self._second.country, swept.records, swept.line)]
        if others and not looks:
            log.warning(
                "the second vantage (%s) reaches too few reference targets: it says nothing",
                self._second.source_address,
            )
        for country in {plan.country for plan in plans}:
            devices = [one.device for one in heard if one.country == country]
            of_country = targets_of(plan for plan in plans if plan.country == country)
            looks += self._reached.looks(country, devices, of_country)
        return looks

    def _keep(self, vantage_log: VantageLog, swept: Sweep, second: Sequence[SecondLook]) -> None:
        """Keep what was measured."""
        if not swept.line.is_well:
            log.warning(
                "the vantage reaches its own reference targets no more: it says nothing of the others"
            )
        # What was asked again tells of the line alone; where that is gone, it is when that was seen last.
        records = (*swept.records, *(swept.again if swept.line.is_dead else ()))
        found = (sample_of(one, swept.line) for one in records)
        samples = sorted((one for one in found if one is not None), key=lambda one: one.utc_ns)
        vantage_log.add(samples, every_s=self._spacing_s, second=second)
        if self._sweeps % _THIN_EVERY == 0:
            vantage_log.thin(now_utc_ns=time.time_ns(), days=self._settings.days_kept)
        self._sweeps += 1

    def _in_turn(self, chosen: Chosen) -> list[VantageTarget]:
        """Return what this sweep measures: all that is asked in rounds, and a turn of what is asked beside them."""
        targets = targets_of(chosen.plans)
        beside = [target for target in targets if not target.in_rounds]
        first = self._turn % max(1, len(beside))
        self._turn = first + BESIDE_A_SWEEP if first + BESIDE_A_SWEEP < len(beside) else 0
        return [target for target in targets if target.in_rounds] + beside[first : first + BESIDE_A_SWEEP]

    def _publish(
        self, plans: Sequence[Plan], devices: Sequence[tuple[str, str]], *, waiting: frozenset[str]
    ) -> None:
        """Tell the devices that are connected what is new, or has not been told for a while; those `waiting` in any case."""
        by_ns = time.time_ns()
        streaks = {
            streak.key: streak
            for streak in self._queries.last(since_utc_ns=self._swept_ns, until_utc_ns=by_ns)
            if streak.view.reachable
        }
        second = self._beside.last(since_utc_ns=by_ns - TOLD_BESIDE_NS, until_utc_ns=by_ns)
        for country in {plan.country for plan in plans}:
            beside = [one for one in second if one.country == country]
            wanted = targets_of(plan for plan in plans if plan.country == country)
            found = [streaks[one.key] for one in wanted if one.in_rounds and one.key in streaks]
            if not found:
                continue
            now_ns, before = time.time_ns(), self._told.get(country)
            essence = (
                *((one.key, one.failure, one.failed_operation, one.view.status) for one in found),
                *sorted((one.key, one.stand, one.failure or "") for one in beside),
            )
            news = news_of(found, now_ns, beside)
            is_due = before is None or before.essence != essence or now_ns - before.utc_ns >= TOLD_EVERY_NS
            told_ns = now_ns if is_due or before is None else before.utc_ns
            self._told[country] = Told(essence=essence, utc_ns=told_ns, news=news)
            payload = self._told[country].at(now_ns)
            for device in (name for name, of in devices if of == country and (is_due or name in waiting)):
                self._send(message(device, payload))

    def _tell_unknown(self, chosen: Chosen, faults: Sequence[str]) -> None:
        """Tell the operator, once each, of plans that cannot be measured."""
        told = [
            f"the vantage knows no plan for {name!r}: put its file into the directory that vantage.plans names; "
            "until then its targets are judged without a vantage"
            for name in chosen.unknown
        ]
        for text in (*told, *(f"the vantage leaves out a plan: {fault}" for fault in faults)):
            if text not in self._said:
                self._said.add(text)
                self._say(text)
