"""What became of the targets of one round, judged with the vantage of that time: the collector's own view.

Judged when asked for, not when a record arrives: `firmware.judgement` is pure and a round takes milliseconds, so
what comes late (the record, or the vantage's samples around it) and rules that were mended since all count. Reads
only, and concludes nothing itself: `firmware.judgement.round.from_records` does, of the same records as the device. This
file must never judge a record by a vantage whose time only might be its own.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from collector.store.answers import RecordRow, RoundRow
from collector.store.history import DeviceHistory
from collector.store.queries import Queries
from collector.store.second_looks import SecondQueries
from collector.store.vantage_log import VantageQueries
from collector.store.vantage_streaks import NS, Key
from collector.vantage.log import joined
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.round.from_records import HISTORY_ROUNDS, LISTS, ended_ns, judge_stored
from firmware.judgement.round.verdict import RoundJudgement
from firmware.judgement.site.evidence import Looked, SecondView, SiteView
from firmware.judgement.site.refusal import MARGIN_S
from firmware.judgement.site.verdict import WebJudgement
from firmware.model.jsontypes import RecordError
from firmware.model.record import ClockQuality, Record, Rung, Verdict, from_json
from firmware.model.statement import Statement

DAY_NS: Final = 24 * 3600 * NS


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTarget:
    """One target of a round: its record, the verdict on it, and the vantage it was judged by, or why by none."""

    row: RecordRow
    judgement: WebJudgement
    vantage: SiteView | None
    why_no_vantage: Statement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRound:
    """A round, and its platforms in the order they were measured. `row` is the device's conclusion, `judged` ours.

    It ended at `ended_boottime_ns` of its boot. `device_lists` are the lists of fingerprints that its device went by beside
    those that come along.
    """

    row: RoundRow
    judged: RoundJudgement
    targets: tuple[JudgedTarget, ...]
    ended_boottime_ns: int
    device_lists: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Return our verdict."""
        return self.judged.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What the vantage saw of one target, and why that is nothing, or not on both sides."""

    vantage: SiteView | None
    why: Statement | None


class Judging:
    """Judges rounds of devices. Every method may be called from any thread and raises `StoreError`."""

    def __init__(self, queries: Queries, fingerprints: Fingerprints | None = None) -> None:
        """Judge by `fingerprints`, those that come along unless given."""
        self._fingerprints = fingerprints
        self._queries = queries
        self._history = DeviceHistory(queries)
        self._vantage = VantageQueries(queries)
        self._beside = SecondQueries(queries)

    def round(
        self, device: str, *, until: tuple[str, int] | None = None, history: int = HISTORY_ROUNDS
    ) -> JudgedRound | None:
        """Return the device's last round, or the last up to `until` (epoch, seq), judged; None without a round.

        `history` is how many rounds before it are looked at: all that a rule may ask of, unless told.
        """
        newest = self._history.rounds(device, 1).rounds if until is None else ()
        # As of that record: what revised an earlier round since was not known when this one was judged.
        until = (newest[-1].row.epoch, newest[-1].row.seq) if newest else until
        found = self._history.rounds(device, history + 1, until=until).rounds
        if not found:
            return None
        last = next((one for one in found if (one.row.epoch, one.row.seq) == until), found[-1])
        end_ns = ended_ns(last.record)
        rows = tuple(self._records(last.row))
        platforms = {
            record.target_name: (row, record)
            for row, record in rows
            if record.rung is Rung.PLATFORMS and ended_ns(record) <= end_ns
        }
        # The round cannot have ended after its conclusion arrived; a measurement may arrive before it.
        received_ns = max((row.received_ns for row, record in rows if record.test == "ladder"), default=0)
        views = {
            name: self._view(row, record, until_ns=end_ns, received_ns=max(received_ns, row.received_ns))
            for name, (row, record) in platforms.items()
        }
        judged = judge_stored(
            last.record,
            [record for _, record in rows],
            [one.record for one in found if one is not last],
            {name: view.vantage for name, view in views.items() if view.vantage is not None},
            fingerprints=self._fingerprints,
        )
        targets = tuple(
            _target(platforms[name][0], judgement, views[name]) for name, judgement in judged.pages.items()
        )
        return JudgedRound(
            row=last.row,
            judged=judged,
            targets=tuple(sorted(targets, key=lambda one: one.row.seq)),
            ended_boottime_ns=end_ns,
            device_lists=_lists_of(last.record),
        )

    def vantage_for(self, row: RecordRow, record: Record) -> tuple[SiteView | None, Statement | None]:
        """Return what the vantage saw of a record's target around its time; None with the reason where it did not."""
        view = self._view(row, record, until_ns=record.start.boottime_ns, received_ns=row.received_ns)
        return (view.vantage if view.why is None else None), view.why

    def view_at_end(self, row: RecordRow, record: Record) -> tuple[SiteView | None, Statement | None]:
        """Return the view of a record's target as of its end, also one from before alone; and why there is none."""
        found = self._view(row, record, until_ns=ended_ns(record), received_ns=row.received_ns)
        is_of_then = found.vantage is not None and found.vantage.looked is not Looked.AFTER
        return (found.vantage, None) if is_of_then else (None, found.why)

    def _view(self, row: RecordRow, record: Record, *, until_ns: int, received_ns: int) -> _View:
        """Return the view of a record's target as of `until_ns` of the record's boot."""
        key = Key(test=record.test, target=record.target, target_name=record.target_name)
        if row.start.quality is not ClockQuality.UNSYNCHRONISED:
            record = replace(record, start=row.start)  # by sync points from before and after it
        after_ns = until_ns - record.start.boottime_ns
        moment = replace(record.start, boottime_ns=until_ns, utc_ns=max(0, record.start.utc_ns + after_ns))
        first_ns, last_ns = span(replace(record, start=moment), received_ns)
        streaks = (
            *self._vantage.around(key, first_ns),
            *self._vantage.within(key, first_ns, last_ns),
            *self._vantage.around(key, last_ns),
        )
        moment_ns = max(first_ns, min(moment.utc_ns, last_ns))
        vantage, why = joined(
            tuple({streak.first_utc_ns: streak for streak in streaks}.values()), moment_ns, first_ns, last_ns
        )
        if vantage is not None:
            beside = self._beside.by(row.device, key, first_ns - round(MARGIN_S * NS))
            second = tuple(
                SecondView(stand=one.stand, before_s=(last_ns - one.utc_ns) / NS, failure=one.failure)
                for one in beside
            )
            vantage = replace(vantage, second=second)
        return _View(vantage=vantage, why=why)

    def _records(self, row: RoundRow) -> Iterator[tuple[RecordRow, Record]]:
        for one in self._queries.measurements(row):
            try:
                yield one, from_json(json.loads(one.body))
            except (ValueError, RecordError):
                continue  # kept, shown as it is, and no evidence


def _target(row: RecordRow, judgement: WebJudgement, view: _View) -> JudgedTarget:
    is_of_then = view.vantage is not None and view.vantage.looked in (Looked.BEFORE, Looked.AROUND)
    return JudgedTarget(
        row=row,
        judgement=judgement,
        vantage=view.vantage if is_of_then else None,
        why_no_vantage=None if is_of_then else view.why,
    )


def _lists_of(conclusion: Record) -> tuple[str, ...]:
    told = conclusion.outcome.detail.get(LISTS)
    return tuple(one for one in told if isinstance(one, str)) if isinstance(told, list) else ()


def span(record: Record, received_ns: int) -> tuple[int, int]:
    """Return between which times a record can have been measured, as far as its device knew its clock.

    It cannot have been later than it arrived. Without a bound on the clock's error that is from the time it says until it arrived; where it says a time after
    that, from a day before.
    """
    start = record.start
    if start.error_ns is not None:
        last_ns = min(start.utc_ns + start.error_ns, received_ns)
        return min(start.utc_ns - start.error_ns, last_ns), last_ns
    return (start.utc_ns if start.utc_ns <= received_ns else received_ns - DAY_NS), received_ns
