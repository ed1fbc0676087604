"""What became of the targets of one round, judged with the control of that time: the collector's own view.

Judged when asked for, not when a record arrives: `firmware.judgement.web.verdict` is pure and a round takes milliseconds, so
what comes late (the record, or the control's samples around it) and rules that were mended since all count. Reads
only. This file must never judge a record by a control whose time only might be its own.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from collector.control.log import NS, joined
from collector.control.targets import Key
from collector.store.answers import RecordRow, RoundRow
from collector.store.controls import ControlQueries
from collector.store.history import History
from collector.store.queries import Queries
from firmware.jsontypes import RecordError
from firmware.judgement.facts import Facts
from firmware.judgement.observation import Outlook, from_record
from firmware.judgement.web.evidence import WebControl, WebEvidence
from firmware.judgement.web.facts import RoundView
from firmware.judgement.web.from_record import evidence_of
from firmware.judgement.web.targets import resolver_lies
from firmware.judgement.web.verdict import WebJudgement, judge
from firmware.record import ClockQuality, Record, Rung, from_json

DAY_NS: Final = 24 * 3600 * NS

NO_CONTROL: Final = "no control looked within a day of this measurement"
TIME_UNKNOWN: Final = (
    "when this was measured is not known well enough, and the control found different things meanwhile"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTarget:
    """One target of a round: its record, the verdict on it, and the control it was judged by, or why by none."""

    row: RecordRow
    judgement: WebJudgement
    control: WebControl | None
    why_no_control: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRound:
    """The platforms of one round, in the order they were measured. `row` is the round's own conclusion."""

    row: RoundRow
    targets: tuple[JudgedTarget, ...]


class Judging:
    """Judges rounds of devices. Every method may be called from any thread and raises `StoreError`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._history = History(queries)
        self._controls = ControlQueries(queries)

    def round(self, device: str, *, until: tuple[str, int] | None = None) -> JudgedRound | None:
        """Return the device's last round, or the last up to `until` (epoch, seq), judged; None without a round."""
        found = self._history.rounds(device, 2, until=until).rounds
        if not found:
            return None
        last = found[-1].row
        now = self._records(last)
        before = self._records(found[0].row) if len(found) > 1 else ()
        targets = tuple(
            judged
            for row, record in now
            if record.rung is Rung.PLATFORMS and (judged := self._judge(row, record, last, now, before))
        )
        return JudgedRound(row=last, targets=targets)

    def control_for(self, row: RecordRow, record: Record) -> tuple[WebControl | None, str]:
        """Return what the control saw of a record's target at its time; None with the reason where it cannot be told."""
        key = Key(test=record.test, target=record.target, target_name=record.target_name)
        if row.start.quality is not ClockQuality.UNSYNCHRONISED:
            record = replace(record, start=row.start)  # by sync points from before and after it
        first_ns, last_ns = span(record, row.received_ns)
        runs = (
            *self._controls.around(key, first_ns),
            *self._controls.within(key, first_ns, last_ns),
            *self._controls.around(key, last_ns),
        )
        moment_ns = max(first_ns, min(record.start.utc_ns, last_ns))
        return joined(tuple({run.first_utc_ns: run for run in runs}.values()), moment_ns, first_ns, last_ns)

    def _judge(
        self, row: RecordRow, record: Record, last: RoundRow, now: "_Records", before: "_Records"
    ) -> JudgedTarget | None:
        evidence = evidence_of(record)
        if evidence is None:
            return None
        control, why = self.control_for(row, record)
        view = round_view(record, [one for _, one in now], [one for _, one in before], last.verdict or "")
        return JudgedTarget(
            row=row, judgement=judge(evidence, control, round=view), control=control, why_no_control=why
        )

    def _records(self, row: RoundRow) -> "_Records":
        found: list[tuple[RecordRow, Record]] = []
        for one in self._queries.measurements(row):
            try:
                found.append((one, from_json(json.loads(one.body))))
            except (ValueError, RecordError):
                continue  # kept, shown as it is, and no evidence
        return found


_Records: TypeAlias = Sequence[tuple[RecordRow, Record]]


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


def round_view(record: Record, now: Iterable[Record], before: Iterable[Record], headline: str) -> RoundView:
    """Return what a target's round, and the round before, say around it: the same as the device asks of its own."""
    records = tuple(now)
    facts = Facts.of(from_record(one) for one in records)
    pages = [evidence for one in records if (evidence := evidence_of(one)) is not None]
    past = [evidence_of(one) for one in before if _same_target(one, record)]
    return RoundView(
        controls_reached=facts.controls_well if facts.on(Rung.INTERNATIONAL) else None,
        names_resolve=_names_resolve(facts, record.target_name),
        resolver_lies=resolver_lies(pages),
        tunnelled=facts.tunnelled,
        repeated=_step(past[-1]) == _step(evidence_of(record)) if past else None,
        headline=headline,
    )


def _names_resolve(facts: Facts, target_name: str) -> bool | None:
    """Say whether the resolver answered, for itself or for a name other than the target's; None: nothing was asked."""
    named = [one for one in facts.latest if one.is_by_name and one.target_name != target_name]
    asked = [one for one in (*facts.on(Rung.RESOLVER), *named) if one.outlook is not Outlook.VOID]
    if any(one.outlook is Outlook.REACHED for one in asked):
        return True
    return False if asked else None


def _step(evidence: WebEvidence | None) -> str:
    """Return how far a page's journey came, which its round has no part in."""
    return "" if evidence is None else judge(evidence, None).step


def _same_target(one: Record, other: Record) -> bool:
    return (one.test, one.target_name) == (other.test, other.target_name)
