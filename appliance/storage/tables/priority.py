"""What a record is worth when not all can be kept: decided here, done by `appliance.outbox.box`. Pure.

Four values, given up in this order, each from its oldest record on:

    ROUTINE  a success like the one before it
    FAILING  a failure like the one before and the one after it
    SAMPLE   one round in `SAMPLE_EVERY` of both, whole; each round's conclusion, which names what failed in it
    KEPT     a change (the first of its kind, the first and the last failure of a run of them), a new verdict or suspicion, a gap

So what an outage leaves behind longest is its edges, and before them one round in eight of it and what each round came to.
A cut of months is nearly all failures like the one before: were they worth more than conclusions, as they once were, its first
weeks would keep a dozen time-outs of every round and not one verdict. `LastSeen` gives each record its value as it is stored; that a
failure was the last of its run is known only when the next success comes, and then `Ranking.promoted` says so.
Nothing here reads a clock: a clock that jumps must not make records worthless.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from firmware.judgement.confidence.said import said_and_concluded
from firmware.model.record import Record

SAMPLE_EVERY: Final = 8
MAX_KEYS: Final = 4096
"""Targets remembered; past it the one longest unheard of is forgotten, and its next record counts as a change."""
FULL_AT: Final = 0.97
FULL_AFTER: Final = 0.95
CONCLUSION: Final = "ladder"
GAP: Final = "gap"


class Priority(IntEnum):
    """What a record is worth, least first."""

    ROUTINE = 0
    FAILING = 1
    SAMPLE = 2
    KEPT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """What of a record decides its value: `key` is what was measured, `said` what came of it."""

    key: str
    said: str
    failed: bool
    round_id: int | None = None
    is_conclusion: bool = False
    is_gap: bool = False


@dataclass(frozen=True, slots=True)
class Ranking:
    """A record's value, and the seq of an earlier record that turned out to be worth keeping (None: none)."""

    value: Priority
    promoted: int | None = None


@dataclass(frozen=True, slots=True)
class _Last:
    seq: int
    said: str
    failed: bool


@dataclass(slots=True)
class LastSeen:
    """What was last said of each target. Records are told to it in the order of their seqs."""

    _last: OrderedDict[str, _Last] = field(default_factory=OrderedDict)

    def add(self, seq: int, facts: RecordFacts) -> Ranking:
        """Take the next record and return its worth."""
        if facts.is_gap:
            return Ranking(Priority.KEPT)
        before = self._last.pop(facts.key, None)
        self._last[facts.key] = _Last(seq, facts.said, facts.failed)
        if len(self._last) > MAX_KEYS:
            self._last.popitem(last=False)
        if before is None or before.said != facts.said:
            return Ranking(Priority.KEPT, before.seq if before is not None and before.failed else None)
        if facts.is_conclusion or (facts.round_id or 0) % SAMPLE_EVERY == 0:
            return Ranking(Priority.SAMPLE)
        return Ranking(Priority.FAILING if facts.failed else Priority.ROUTINE)

    def copy(self) -> "LastSeen":
        """Return another that is told of what comes next without this one."""
        return LastSeen(self._last.copy())

    @property
    def open_failures(self) -> frozenset[int]:
        """Return the seqs that are the last word on their target, and failures: each may be the last of its run."""
        return frozenset(last.seq for last in self._last.values() if last.failed)


def facts_of(record: Record) -> RecordFacts:
    """Return what of `record` decides its value."""
    if record.test == CONCLUSION:
        # What was held back counts as well: the first round that suspected a cut is a change.
        said = ("", "") if record.verdict is None else said_and_concluded(record.verdict)
        return RecordFacts(
            key=CONCLUSION,
            said=" ".join(said),
            failed=said[0] != "ok",
            round_id=record.round_id,
            is_conclusion=True,
        )
    failure = record.outcome.failure
    return RecordFacts(
        key=f"{record.test} {record.target_name or record.target} {record.uplink}",
        said=failure or "",
        failed=failure is not None,
        round_id=record.round_id,
        is_gap=record.test == GAP,
    )


@dataclass(frozen=True, slots=True)
class Candidates:
    """What of a window to give up, which to mark as `KEPT`, and up to which seq the window was dealt with."""

    chosen: tuple[int, ...]
    promoted: tuple[int, ...]
    upto: int


def pick(
    window: Sequence[tuple[int, Priority]], *, level: Priority, wanted: int, open_failures: Collection[int]
) -> Candidates:
    """Choose up to `wanted` of `window` ((seq, value), ascending, not empty) to give up at `level`.

    All below `level` must have been given up before: the caller goes through the levels in order, each from where
    it last got to. A failure that may be its run's last is not taken but marked, except at the last level.
    """
    chosen: list[int] = []
    promoted: list[int] = []
    upto = window[0][0] - 1
    for seq, value in window:
        if len(chosen) >= wanted:
            break
        upto = seq
        if value > level:
            continue
        if level is not Priority.KEPT and seq in open_failures:
            promoted.append(seq)
        else:
            chosen.append(seq)
    return Candidates(tuple(chosen), tuple(promoted), upto)


def to_ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending `seqs` as exact inclusive ranges."""
    ranges: list[tuple[int, int]] = []
    for seq in seqs:
        if ranges and ranges[-1][1] + 1 == seq:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges


def rows_to_evict(*, used_bytes: int, cap_bytes: int, rows: int) -> int:
    """Return how many of `rows` must go so that what is used falls from above `FULL_AT` to `FULL_AFTER` of the cap."""
    if rows == 0 or used_bytes <= FULL_AT * cap_bytes:
        return 0
    share = (used_bytes - FULL_AFTER * cap_bytes) / used_bytes
    return max(1, min(rows, round(rows * share)))
