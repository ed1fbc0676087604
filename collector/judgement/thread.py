"""Scope verdicts as they are made while the collector runs: every half minute, and soon after a device says hello.

A thread of its own that mostly waits. It must never hold up ingest, and never end because one judging failed.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from collector.errors import StoreError
from collector.judgement.changes import assessment_of, events_of, is_change, listened, outside_of, revision
from collector.judgement.devices import PERIOD_S, SILENT_PERIODS
from collector.judgement.gather import Scopes
from collector.judgement.listening import Listening
from collector.judgement.outside import wants_look
from collector.store.queries import Queries
from collector.store.scopes import ScopeLog, ScopeQueries

EVERY_S: Final = 30.0
SOON_S: Final = 1.0
"""After a nudge it waits so long, so that what comes together is judged together."""
REVISED_FOR_S: Final = 120 * 86_400.0
"""What was said longer ago is revised no more; the longest cut on record lasted 87 days."""
_NS: Final = 1_000_000_000
_LATE_NS: Final = round(SILENT_PERIODS * PERIOD_S * _NS)

log = logging.getLogger(__name__)


class AssessmentKeeper:
    """One store's log of scope verdicts, kept up to date by `judge`. Used by one thread; `close` it."""

    def __init__(
        self, database: Path, queries: Queries, *, retired: Callable[[], Mapping[str, float]] = dict
    ) -> None:
        """`retired` tells which devices their operator has taken out of service, and when (UTC, s)."""
        self._scopes = Scopes(queries, retired=retired)
        self._queries = ScopeQueries(queries)
        self._log = ScopeLog.open(database)
        self._seen: int | None = None
        self._listening: Listening | None = None

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def judge(self, now_ns: int, *, awake_ns: int | None = None, is_linked: bool = True) -> bool:
        """Write down what holds by now, and what is to be revised; return whether the vantage should look at once.

        `awake_ns` is a clock that stands while the host sleeps (None: it did not), `is_linked` whether the broker is heard.
        Raises `StoreError`.
        """
        self._revise(now_ns)
        last_holding = self._queries.holding()
        before_this = self._listening or listened(last_holding, now_ns)
        self._listening = before_this.at(
            now_ns, now_ns if awake_ns is None else awake_ns, is_linked=is_linked
        )
        before = {one.assessment.country: one.assessment for one in last_holding}
        events = {one.assessment.country: events_of(one.basis) for one in last_holding}
        holding, is_look_wanted = [], False
        for scope in self._scopes.now(now_ns, events, deaf_ns=self._listening.deaf_ns):
            is_look_wanted |= wants_look(scope.devices, scope.outside, now_ns / _NS)
            assessment, last = assessment_of(scope, now_ns), before.get(scope.country)
            changed = is_change(assessment, last)
            holding.append(
                (assessment if changed or last is None else replace(assessment, id=last.id), changed)
            )
        self._log.keep(holding, now_ns)
        return is_look_wanted

    def _revise(self, now_ns: int) -> None:
        last = self._queries.last_id()
        since_ns = now_ns - round(REVISED_FOR_S * _NS)
        if self._seen is not None:
            late_ns = self._queries.late_since(self._seen, _LATE_NS)
            if late_ns is None:
                self._seen = last
                return
            since_ns = max(since_ns, late_ns)
        found = []
        for change in self._queries.changes(since_ns=since_ns):
            reconciled = self._scopes.reconciled(
                change.assessment.country,
                change.assessment.said_ns,
                outside_of(change.assessment),
                events_of(change.assessment.basis),
            )
            assessment = None if reconciled is None else revision(change, reconciled, now_ns)
            if assessment is not None:
                found.append(assessment)
        self._log.revise(found)
        self._seen = last


class ScopeThread:
    """Runs from `start` to `stop`. `look` has the vantage look at once; `is_linked` tells whether the broker is heard."""

    def __init__(
        self,
        database: Path,
        queries: Queries,
        *,
        look: Callable[[], None] = lambda: None,
        retired: Callable[[], Mapping[str, float]] = dict,
        is_linked: Callable[[], bool] = lambda: True,
        now_ns: Callable[[], int] = time.time_ns,
        awake_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._database = database
        self._reading = queries
        self._look = look
        self._retired = retired
        self._is_linked = is_linked
        self._now_ns = now_ns
        self._awake_ns = awake_ns
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scopes")

    def start(self) -> None:
        """Begin to judge."""
        self._thread.start()

    def stop(self) -> None:
        """End after the judging that is under way."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def nudge(self) -> None:
        """Have it judge soon. Callable from any thread."""
        self._wake.set()

    def _run(self) -> None:
        keeper: AssessmentKeeper | None = None
        while not self._stopping:
            try:
                keeper = keeper or AssessmentKeeper(self._database, self._reading, retired=self._retired)
                if keeper.judge(self._now_ns(), awake_ns=self._awake_ns(), is_linked=self._is_linked()):
                    self._look()
            except StoreError as error:
                log.warning("%s; scope verdicts go on with the next judging", error)
            except Exception:
                # The outermost loop: a fault costs one judging, not the verdicts.
                log.exception("a judging of the countries failed")
            if self._wake.wait(EVERY_S) and not self._stopping:
                time.sleep(SOON_S)
                self._wake.clear()
        if keeper is not None:
            keeper.close()
