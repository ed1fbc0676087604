"""A stored measurement with what surrounds it: its round, or the rounds on either side, and what was said of its country then.

Everything that is shown or given out of one measurement goes through here, so that a page, an export and a question
about one record say the same. Reads only, and concludes nothing itself: `firmware.judgement.round.surroundings` does. Not safe
for several threads: whoever asks makes one of their own.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from collector.store.answers import RecordRow, RoundRow
from collector.store.neighbours import NeighbourQueries
from collector.store.queries import Queries
from collector.store.scopes import MAX_SAID, Assessment, Change, ScopeQueries
from collector.vantage.judging import JudgedRound, Judging
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.round.from_records import HISTORY_ROUNDS, ended_ns
from firmware.judgement.round.surroundings import NearRound, beside_rounds, in_round, judge_in
from firmware.judgement.site.evidence import SiteView
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.from_record import TESTS
from firmware.judgement.site.round_json import UNKNOWN
from firmware.judgement.site.verdict import WebJudgement
from firmware.model.jsontypes import RecordError
from firmware.model.record import ClockQuality, Record, Verdict, from_json
from firmware.model.statement import Statement

_ROUNDS_HELD: Final = 200
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SurroundedRecord:
    """A record with what is known around it: its round's and country's words and facts, and the vantage's view.

    `why_no_vantage` says why there is no view, or only one from before.
    """

    record: Record
    around: RoundView
    view: SiteView | None
    why_no_vantage: Statement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideRounds:
    """A page that was looked at beside the rounds, with what surrounds it and the verdict on it."""

    row: RecordRow
    found: SurroundedRecord
    judgement: WebJudgement


class Surroundings:
    """Finds what surrounds records, one after the other. Every method raises `StoreError`."""

    def __init__(self, queries: Queries, fingerprints: Fingerprints | None = None) -> None:
        """Judge by `fingerprints`, those that come along unless given."""
        self._fingerprints = fingerprints
        self._judging = Judging(queries, fingerprints)
        self._neighbours = NeighbourQueries(queries)
        self._scopes = ScopeQueries(queries)
        self._queries = queries
        self._countries: dict[str, str] = {}
        self._rounds: OrderedDict[tuple[str, str, int, int], JudgedRound | None] = OrderedDict()
        self._changes: dict[str, tuple[Change, ...]] = {}

    def of(self, row: RecordRow) -> SurroundedRecord:
        """Return a record with what surrounds it. Raises `RecordError` for what is no record."""
        record = from_json(json.loads(row.body))
        found = self._of_round(row, record) if row.round_id is not None else self._beside(row, record)
        said = self._country_at(row)
        if said is None:
            return found
        around = replace(found.around, country_verdict=said.verdict, country_rule_id=said.rule_id)
        return replace(found, around=around)

    def judge(self, found: SurroundedRecord) -> WebJudgement | None:
        """Return the verdict on a record by itself; None for a test that the rules about a page do not know."""
        return judge_in(found.record, found.around, found.view, fingerprints=self._fingerprints)

    def _of_round(self, row: RecordRow, record: Record) -> SurroundedRecord:
        conclusion = self._neighbours.conclusion(row)
        judged = None if conclusion is None else self._round(row.device, *conclusion)
        around = UNKNOWN if judged is None else in_round(judged.judged, record)
        targets = () if judged is None else judged.targets
        target = next((one for one in targets if one.row.seq == row.seq and one.row.epoch == row.epoch), None)
        if target is not None:
            return SurroundedRecord(
                record=record, around=around, view=target.vantage, why_no_vantage=target.why_no_vantage
            )
        view, why = self._judging.vantage_for(row, record)
        return SurroundedRecord(record=record, around=around, view=view, why_no_vantage=why)

    def _beside(self, row: RecordRow, record: Record) -> SurroundedRecord:
        if record.test not in TESTS:
            return SurroundedRecord(record=record, around=UNKNOWN, view=None)
        began_ns = record.start.boottime_ns
        rounds = sorted(self._neighbours.rounds_beside(row), key=lambda one: one.start_boottime_ns)
        before = [one for one in rounds if one.start_boottime_ns <= began_ns][-1:]
        after = [one for one in rounds if one.start_boottime_ns > began_ns][:1]
        near = [self._near(record, one[0]) if one else None for one in (before, after)]
        earlier = [from_json(json.loads(one.body)) for one in self._neighbours.earlier(row)]
        view, why = self._judging.view_at_end(row, record)
        return SurroundedRecord(
            record=record,
            around=beside_rounds(record, near[0], near[1], earlier),
            view=view,
            why_no_vantage=why,
        )

    def _near(self, record: Record, row: RoundRow) -> NearRound | None:
        """Return a round beside a measurement: as its device concluded, with the facts of its own records alone.

        What the rounds before it were asked for is whether one of its own targets had failed before, which is not asked here.
        """
        judged = self._round(row.device, row.epoch, row.seq, history=0)
        if judged is None:
            return None
        words = Verdict(verdict=row.verdict or "", rule_id=row.rule_id or "")
        return NearRound(judged=replace(judged.judged, verdict=words), apart_s=_apart_s(judged, record))

    def _round(
        self, device: str, epoch: str, seq: int, *, history: int = HISTORY_ROUNDS
    ) -> JudgedRound | None:
        key = (device, epoch, seq, history)
        if key not in self._rounds:
            judged = self._judging.round(device, until=(epoch, seq), history=history)
            is_it = judged is not None and (judged.row.epoch, judged.row.seq) == (epoch, seq)
            self._rounds[key] = judged if is_it else None
            if len(self._rounds) > _ROUNDS_HELD:
                self._rounds.popitem(last=False)
        return self._rounds[key]

    def beside(self, device: str, limit: int) -> tuple[BesideRounds, ...]:
        """Return the last look at each page that a device was asked for beside its rounds, judged, the last first."""
        found: list[BesideRounds] = []
        for row in self._neighbours.last_beside(device, tuple(sorted(TESTS)), limit):
            try:
                one = self.of(row)
            except RecordError:
                continue  # kept, shown as it is, and no evidence
            judgement = self.judge(one)
            if judgement is not None:
                found.append(BesideRounds(row=row, found=one, judgement=judgement))
        return tuple(found)

    def _country_at(self, row: RecordRow) -> Assessment | None:
        """Return what is said by now of the time of a record; None where nothing is, or the record's time is not known."""
        if row.device not in self._countries:
            known = self._queries.device(row.device)
            self._countries[row.device] = "" if known is None else known.country
        country = self._countries[row.device]
        if not country or row.start.quality is ClockQuality.UNSYNCHRONISED:
            return None
        if country not in self._changes:
            self._changes[country] = self._scopes.changes(country, limit=MAX_SAID)
        return said_at(self._changes[country], row.start.utc_ns)


def said_at(changes: tuple[Change, ...], utc_ns: int) -> Assessment | None:
    """Return what is said by now of a moment: the verdict that held then, as it was reconciled last."""
    for change in changes:  # the newest first
        said = change.assessment
        since_ns = said.said_ns if said.since_ns is None else min(said.since_ns, said.said_ns)
        if since_ns <= utc_ns:
            return change.revisions[-1] if change.revisions else said
    return None


def _apart_s(judged: JudgedRound, record: Record) -> float:
    """Return how far a round and a measurement in one boot are apart: 0 where they overlap."""
    round_start_ns = judged.row.start_boottime_ns
    gap_ns = max(round_start_ns - ended_ns(record), record.start.boottime_ns - judged.ended_boottime_ns)
    return max(0, gap_ns) / _NS
