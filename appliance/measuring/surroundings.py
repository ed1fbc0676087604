"""The records that wait on a device, each with what is known of its round: what an export of them carries. Pure.

A round's conclusion is stored after its measurements, so what is read is held back until that has come, and what was
measured beside the rounds until the round after it has. What the outbox has let go of already is not counted: then less
is known of a round, and less is said. This file must never look at anything but the records it is given.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from firmware.judgement.round.from_records import HISTORY_ROUNDS, ended_ns, judge_stored
from firmware.judgement.round.surroundings import NearRound, beside_rounds, in_round
from firmware.judgement.round.verdict import RoundJudgement
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.from_record import TESTS
from firmware.judgement.site.round_json import UNKNOWN
from firmware.model.record import Record

MAX_HELD: Final = 5_000
"""So many records are held back at most: a round whose conclusion is not there costs no more memory than that."""
_EARLIER: Final = 20
_NS: Final = 1_000_000_000


@dataclass(slots=True, kw_only=True)
class _Held:
    """A record that is held back until its surroundings are known."""

    seq: int
    body: str
    record: Record | None
    around: RoundView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """A round whose conclusion was read, and what it comes to."""

    conclusion: Record
    judged: RoundJudgement

    def near(self, record: Record) -> NearRound:
        """Return it as the neighbour of a measurement in the same boot."""
        gap_ns = max(
            self.conclusion.start.boottime_ns - ended_ns(record),
            record.start.boottime_ns - ended_ns(self.conclusion),
        )
        return NearRound(judged=self.judged, apart_s=max(0, gap_ns) / _NS)


class _Reading:
    """One reading through the records of an outbox, lowest seq first."""

    def __init__(self) -> None:
        self._held: deque[_Held] = deque()
        self._conclusions: deque[Record] = deque(maxlen=HISTORY_ROUNDS)
        self._last: _Round | None = None
        self._earlier: dict[tuple[str, str, str], deque[Record]] = {}

    def add(self, seq: int, body: str, record: Record | None) -> None:
        """Take the next record; None for a row that is none."""
        self._held.append(_Held(seq=seq, body=body, record=record))
        if record is None:
            self._held[-1].around = UNKNOWN
        elif record.test == "ladder":
            self._conclude(record)
        elif record.round_id is None and record.test not in TESTS:
            self._held[-1].around = UNKNOWN

    def known(self, *, ended: bool = False) -> Iterator[tuple[int, str, RoundView]]:
        """Yield what need not, or may not, be held back any longer, in order; everything once all was read."""
        while self._held and (ended or self._held[0].around is not None or len(self._held) > MAX_HELD):
            one = self._held.popleft()
            around = one.around
            if around is None and one.record is not None and one.record.round_id is None:
                around = self._beside(one.record, None)
            yield one.seq, one.body, around or UNKNOWN

    def _conclude(self, conclusion: Record) -> None:
        mine = [
            (one, one.record)
            for one in self._held
            if one.record is not None and _is_of(one.record, conclusion)
        ]
        judged = judge_stored(
            conclusion, [record for _, record in mine if record.test != "ladder"], self._conclusions
        )
        if conclusion.verdict is not None:
            judged = replace(judged, verdict=conclusion.verdict)
        ended = _Round(conclusion=conclusion, judged=judged)
        for one, record in mine:
            one.around = in_round(judged, record)
        for one in self._held:
            if one.around is not None or one.record is None:
                continue
            if one.record.round_id is not None:
                one.around = UNKNOWN  # of a round that was never concluded
            elif one.record.start.boottime_ns < conclusion.start.boottime_ns or not _is_boot(
                one.record, ended
            ):
                one.around = self._beside(one.record, ended)
        self._conclusions.append(conclusion)
        self._last = ended

    def _beside(self, record: Record, after: _Round | None) -> RoundView:
        key = (record.test, record.target, record.target_name)
        earlier = self._earlier.setdefault(key, deque(maxlen=_EARLIER))
        sides = [
            one.near(record) if one is not None and _is_boot(record, one) else None
            for one in (self._last, after)
        ]
        around = beside_rounds(record, sides[0], sides[1], earlier)
        earlier.append(record)
        return around


def surrounded(records: Iterable[tuple[int, str, Record | None]]) -> Iterator[tuple[int, str, RoundView]]:
    """Yield each record's seq and text, in order, with what its round says around it.

    `records` are an outbox's, lowest seq first: seq, text, and the record that it is, None where it is none.
    """
    reading = _Reading()
    for seq, body, record in records:
        reading.add(seq, body, record)
        yield from reading.known()
    yield from reading.known(ended=True)


def _is_of(record: Record, conclusion: Record) -> bool:
    return record.round_id is not None and (record.boot_id, record.round_id) == (
        conclusion.boot_id,
        conclusion.round_id,
    )


def _is_boot(record: Record, of: _Round) -> bool:
    return record.boot_id == of.conclusion.boot_id
