"""The ladder as a matrix: a column for each round, a gap wherever rounds are not here. Pure.

A gap is a column of its own, never left out: two rounds with hours between them must not look like neighbours.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from statistics import median
from typing import Final

from collector.page import language, times
from collector.page.times import Moment
from collector.store.history import MissedRounds, Rounds, StoredRound
from firmware.judgement.ladder import RungProgress, RungState
from firmware.language.translator import Translator
from firmware.model.record import Rung
from firmware.model.seqs import SeqRanges

NS_PER_S: Final = times.NS_PER_S

TICK_EVERY: Final = 6
"""Every so many columns, counted from the newest, the time is written under the column."""

GAP_S: Final = 900
"""Two rounds further apart than this, and than `GAP_RATIO` ordinary spacings, have a gap between them…"""
GAP_RATIO: Final = 2.5
EXPLAINED_RATIO: Final = 1.6
"""…or than this many ordinary spacings, when something else says so: a restart, records not here."""

FAILURES_SHOWN: Final = 4
"""How many of a cell's failures its title names."""
KINDS_SHOWN: Final = 1
"""How many kinds of failure it names in brief: it is what keeps twenty ragged devices within 50 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One rung in one round: `state` is a word of `RungProgress`, `text` says it, `title` says it in full."""

    state: str
    text: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One round, or what is not here between two (`gap` then says how much, and `cells` is empty)."""

    at: Moment
    title: str
    tick: bool = False
    dated: bool = False
    cells: tuple[Cell, ...] = ()
    gap: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A device's ladder over time: columns oldest first; rungs as `(word, name)`, lowest first."""

    device: str
    rungs: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """What is not here between two moments, and what is known of why."""

    low: Moment
    high: Moment
    apart_ns: int | None
    missed: tuple[MissedRounds, ...]
    missing: int
    restarted: bool


def of(
    found: Rounds,
    missing: Mapping[str, SeqRanges],
    translator: Translator,
    *,
    silence: tuple[int, int] | None = None,
    brief: bool = False,
) -> Matrix:
    """Lay out the rounds of a device; `brief` counts a cell's failures by kind, without the targets' names.

    `missing` holds, by epoch, the seqs nothing is known of. `silence` is when the device was last heard and
    now, both by the collector's clock, when that silence is to show as a gap too.
    """
    columns: list[Column] = []
    ordinary_ns = _ordinary_ns(found.rounds)
    for index, after in enumerate(found.rounds):
        gap = None
        if index:
            gap = _between(
                found.rounds[index - 1], after, found, missing, translator, ordinary_ns=ordinary_ns
            )
        if gap is not None:
            columns.append(_gap_column(gap, translator))
        columns.append(_round_column(after, translator, brief=brief))
    if columns and silence is not None:
        columns.append(_silence(*silence, translator))
    return Matrix(
        device=found.device,
        rungs=tuple((str(rung), translator.say(f"rung.{rung}")) for rung in Rung),
        columns=_with_ticks(columns),
        rounds=len(found.rounds),
    )


def strips(whole: Matrix, columns: int) -> tuple[Matrix, ...]:
    """Cut a matrix into strips of at most `columns` columns, the newest strip first."""
    ends = range(len(whole.columns), 0, -columns)
    parts = [whole.columns[max(0, end - columns) : end] for end in ends]
    return tuple(
        replace(whole, columns=_with_ticks(part), rounds=sum(1 for column in part if not column.gap))
        for part in parts
    )


def _ordinary_ns(rounds: Sequence[StoredRound]) -> float:
    spacings = [_apart_ns(before, after) for before, after in pairwise(rounds)]
    return median([spacing for spacing in spacings if spacing is not None] or [0])


def _apart_ns(before: StoredRound, after: StoredRound) -> int | None:
    """Return the time between two rounds; None where no clock can tell.

    Within a boot the boot clock tells, whatever the wall clock was set to in between.
    """
    if before.row.boot_id == after.row.boot_id:
        return after.record.start.boottime_ns - before.record.start.boottime_ns
    if before.row.clock_error_ns is None or after.row.clock_error_ns is None:
        return None
    return after.row.start_utc_ns - before.row.start_utc_ns


def _between(
    before: StoredRound,
    after: StoredRound,
    found: Rounds,
    missing: Mapping[str, SeqRanges],
    translator: Translator,
    *,
    ordinary_ns: float,
) -> _Gap | None:
    low, high = before.row.seq, after.row.seq
    same = before.row.epoch == after.row.epoch
    gap = _Gap(
        low=_moment(before, translator),
        high=_moment(after, translator),
        apart_ns=_apart_ns(before, after),
        missed=tuple(one for one in found.missed if _lies_between(one, before, after)),
        missing=_overlap(missing.get(after.row.epoch, SeqRanges()), low, high) if same else 0,
        restarted=before.row.boot_id != after.row.boot_id,
    )
    if gap.apart_ns is None or gap.missed:
        return gap
    explained = gap.missing or gap.restarted or not same
    if explained and gap.apart_ns > EXPLAINED_RATIO * ordinary_ns:
        return gap
    return gap if gap.apart_ns > max(GAP_S * NS_PER_S, GAP_RATIO * ordinary_ns) else None


def _lies_between(missed: MissedRounds, before: StoredRound, after: StoredRound) -> bool:
    """Return whether rounds were missed between two: by the boot clock, or by their seq over a restart.

    A round missed because another was still measured has a seq below that other's conclusion.
    """
    if missed.epoch != before.row.epoch or missed.epoch != after.row.epoch:
        return False
    if missed.boot_id == before.row.boot_id == after.row.boot_id:
        return before.record.start.boottime_ns < missed.boottime_ns <= after.record.start.boottime_ns
    return before.row.seq < missed.seq < after.row.seq


def _overlap(ranges: SeqRanges, low: int, high: int) -> int:
    return sum(max(0, min(last, high) - max(first, low) + 1) for first, last in ranges)


def _gap_column(gap: _Gap, translator: Translator) -> Column:
    apart = (
        translator.say("page.gap_unknown")
        if gap.apart_ns is None
        else times.duration(gap.apart_ns, translator)
    )
    parts = [translator.say("page.gap_between", since=gap.low.clock, until=gap.high.clock, duration=apart)]
    if gap.missed:
        reasons = "; ".join(sorted({translator.state("gap", one.reason) for one in gap.missed}))
        missed = sum(one.count for one in gap.missed)
        parts.append(translator.count("page.gap_missed", missed, reasons=reasons))
    if gap.missing:
        parts.append(translator.count("page.gap_missing", gap.missing))
    if gap.restarted:
        parts.append(translator.say("page.gap_restarted"))
    return Column(at=gap.low, title=" ".join(parts), gap=apart)


def _silence(since_ns: int, now_ns: int, translator: Translator) -> Column:
    since = Moment(ns=since_ns)
    title = translator.say(
        "page.gap_silent", time=since.clock, day=language.day(since.date, translator.language)
    )
    return Column(at=Moment(ns=now_ns), title=title, gap=times.duration(now_ns - since_ns, translator))


def _moment(found: StoredRound, translator: Translator) -> Moment:
    return times.by_device(
        found.row.start_utc_ns, found.row.clock_quality, found.row.clock_error_ns, translator
    )


def _round_column(found: StoredRound, translator: Translator, *, brief: bool) -> Column:
    at = _moment(found, translator)
    verdict = (
        translator.verdict(found.row.verdict) if found.row.verdict else translator.say("page.no_verdict")
    )
    return Column(
        at=at,
        title=translator.say("page.round_title", time=at.clock, error=at.error, verdict=verdict),
        cells=tuple(_cell(found.ladder.rung(rung), at.clock, translator, brief=brief) for rung in Rung),
    )


def _cell(state: RungState, time: str, translator: Translator, *, brief: bool) -> Cell:
    text = translator.say(f"page.cell_{state.state}", reached=state.reached, tried=state.tried)
    if state.state is RungProgress.REACHED:
        return Cell(state=str(state.state), text=text, title="")
    failures = _by_kind(state.failures) if brief else state.failures
    most = KINDS_SHOWN if brief else FAILURES_SHOWN
    shown = ", ".join(failures[:most])
    more = len(failures) - most
    title = translator.say(
        "page.cell_title" if shown else "page.cell_title_bare",
        rung=translator.say(f"rung.{state.rung}"),
        what=text,
        failures=translator.say("page.and_more", shown=shown, n=more) if more > 0 else shown,
    )
    # In brief the column's own label has the time: a second copy in every cell is what costs most bytes.
    return Cell(
        state=str(state.state),
        text=text,
        title=title if brief else translator.say("page.timed", time=time, what=title),
    )


def _by_kind(failures: Sequence[str]) -> tuple[str, ...]:
    """Return `what failed` of every `name: what failed`, each kind once with its number, most first."""
    kinds = Counter(failure.partition(": ")[2].rpartition(": ")[2] or failure for failure in failures)
    return tuple(f"{n} × {kind}" if n > 1 else kind for kind, n in kinds.most_common())


def _with_ticks(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Mark every `TICK_EVERY`th column from the newest; the day stands where it changes, and at the newest."""
    last = len(columns) - 1
    ticked: list[Column] = []
    day: date | None = None
    for index, column in enumerate(columns):
        tick = (last - index) % TICK_EVERY == 0
        ticked.append(replace(column, tick=tick, dated=tick and (index == last or column.at.date != day)))
        day = column.at.date if tick else day
    return tuple(ticked)
