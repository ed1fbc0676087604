"""A round judged from its records, and the rounds before it from theirs: the one way, on device and collector. Pure.

What a device knows when its round ends is all in what it stores: the measurements that had ended by then, who was taken
to be silent, who had connected and no more, and its rounds before. So whoever holds the records comes to the same verdict,
years later too. A round that was revised has a second record, with a later end. This file must never use what came in
after the round's end.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from firmware.judgement import ladder as ladder_json
from firmware.judgement import target_judgement
from firmware.judgement.facts import FAR, Past
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.ladder import Ladder
from firmware.judgement.line_loss import NO_REFERENCES, ReferenceHandshakes, handshakes_from_json
from firmware.judgement.observation import Observation, Outlook, from_record
from firmware.judgement.pace import QUICK_NS
from firmware.judgement.round.verdict import EARLY_NS, RoundJudgement, judge_round
from firmware.judgement.site.evidence import SiteView, WebEvidence
from firmware.judgement.site.from_record import evidence_of
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.jsontypes import RecordError
from firmware.model.record import Record, Verdict

Concluded = TypeVar("Concluded")
HISTORY_ROUNDS: Final = 150
"""How many rounds are remembered: more than an hour of quick ones, which is as far back as a rule asks."""
LISTS: Final = "fingerprints"
"""Where a round's record names the lists of fingerprints that its device went by, beside those that come along."""
SILENT: Final = "silent"
"""Where a round's record names the targets that were still out, and taken to be silent, when it ended early."""
REFERENCES: Final = "references"
"""Where a round's record says how its reference handshakes went."""
CONNECTED: Final = "connected"
"""Where it names those that were still out, and had connected."""
REVISES: Final = "revises"
"""Where the record of a revised round has its number again; null in any other."""
MOST_REVISIONS: Final = 6
"""So many more conclusions are read where the last rounds are asked for: a round is seldom revised even twice."""
_EXCHANGES: Final = ("tls_first_flight", "tls_handshake", "first_byte")
"""Phases that take a round trip over a connection that stands."""
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRound:
    """A round that has ended, from `started_ns` to `ended_ns` of its boot's clock, and what was concluded from it."""

    started_ns: int
    ended_ns: int
    verdict: Verdict
    ladder: Ladder
    targets: tuple[TargetJudgement, ...] = ()
    references: ReferenceHandshakes = NO_REFERENCES

    def before(self, now_ns: int) -> Past:
        """Return it as the rules see it at `now_ns` of the same boot."""
        return Past(
            verdict=self.verdict,
            ladder=self.ladder,
            age_s=(now_ns - self.ended_ns) / _NS,
            targets=self.targets,
            references=self.references,
        )


def past_round(conclusion: Record) -> PastRound | None:
    """Return the round that a `ladder` record concludes; None where it says none, or in a form of other software."""
    if conclusion.verdict is None:
        return None
    try:
        ladder = ladder_json.from_json(conclusion.outcome.detail.get("ladder"))
    except RecordError:
        return None
    return PastRound(
        started_ns=conclusion.start.boottime_ns,
        ended_ns=ended_ns(conclusion),
        verdict=conclusion.verdict,
        ladder=ladder,
        targets=_targets_of(conclusion),
        references=handshakes_from_json(conclusion.outcome.detail.get(REFERENCES)),
    )


def judge_records(
    records: Iterable[Record],
    history: Sequence[Past] = (),
    views: Mapping[str, SiteView] | None = None,
    *,
    out: Iterable[Observation] = (),
    fingerprints: Fingerprints | None = None,
) -> RoundJudgement:
    """Return the verdict on the round of which `records` are all that had ended by its end; see `judge_round`."""
    measured = [record for record in records if record.rung is not None]
    return judge_round(
        map(from_record, measured),
        history,
        pages=_pages(measured),
        views=views,
        out=out,
        fingerprints=fingerprints,
    )


def judge_stored(
    conclusion: Record,
    records: Iterable[Record],
    conclusions: Iterable[Record],
    views: Mapping[str, SiteView] | None = None,
    *,
    fingerprints: Fingerprints | None = None,
) -> RoundJudgement:
    """Return the verdict on a round that is over: `conclusion` is its `ladder` record, `records` carry its number.

    `conclusions` are other rounds' of the same device; those of the same boot before this one count. `views` is what
    a vantage outside saw, by the target's name, their ages as of the round's end.
    """
    end_ns = ended_ns(conclusion)
    given = tuple(records)
    late = [one for one in given if ended_ns(one) > end_ns]
    silent, connected = (_names(conclusion, key) for key in (SILENT, CONNECTED))
    return judge_records(
        [one for one in given if ended_ns(one) <= end_ns],
        history_of(conclusions, conclusion),
        views,
        out=[
            still_out(from_record(one), has_connected=one.target_name in connected)
            for one in late
            if one.target_name in silent | connected
        ],
        fingerprints=fingerprints,
    )


def history_of(conclusions: Iterable[Record], current: Record) -> tuple[Past, ...]:
    """Return the rounds of a boot that began before the one that `current` concludes, oldest first, as of its end.

    Of a round that was revised by then the last revision counts.
    """
    end_ns = ended_ns(current)
    found = [
        past
        for one in conclusions
        if one.boot_id == current.boot_id and (past := past_round(one)) is not None
    ]
    found.sort(key=lambda past: past.ended_ns)
    before = {
        past.started_ns: past
        for past in found
        if past.started_ns < current.start.boottime_ns and past.ended_ns < end_ns
    }
    return tuple(before[started_ns].before(end_ns) for started_ns in sorted(before)[-HISTORY_ROUNDS:])


def standing(conclusions: Iterable[Concluded], place_of: Callable[[Concluded], object]) -> list[Concluded]:
    """Return each round once, in the place of its first conclusion, as its last one has it.

    `conclusions` are newest first, `place_of` says which round one is of: its boot, and when in it that began.
    """
    found: dict[object, Concluded] = {}
    for one in conclusions:
        place = place_of(one)
        newest = found.pop(place, one)
        found[place] = newest
    return list(found.values())


def still_out(asked: Observation, *, has_connected: bool) -> Observation:
    """Return what stands for a target that was asked and had not ended when its round was judged.

    It is silent only where no connection was accepted, and that is no time-out.
    """
    return Observation(
        test=asked.test,
        rung=asked.rung,
        zone=asked.zone,
        target=asked.target,
        target_name=asked.target_name,
        network=asked.network,
        is_out=True,
        is_connected=has_connected,
        start_ns=asked.start_ns,
        end_ns=asked.start_ns + EARLY_NS,
        small_segments=asked.small_segments,
    )


def refutes_silence(late: Record) -> bool:
    """Return whether what came after its target was taken to be silent says that it was not: a success, or a connection.

    It does not where what was asked over the connection was answered quickly: then the line is quick, and had come
    back when the kernel sent its next SYN, which may be many seconds after the one before.
    """
    if from_record(late).outlook not in (Outlook.REACHED, Outlook.STALLED):
        return False
    exchange_ns = [late.outcome.phases[name].ns for name in _EXCHANGES if name in late.outcome.phases]
    return not exchange_ns or min(exchange_ns) >= QUICK_NS


def ended_ns(record: Record) -> int:
    """Return when a measurement or a round ended, CLOCK_BOOTTIME."""
    return record.start.boottime_ns + record.runtime_ns


def _names(conclusion: Record, key: str) -> set[str]:
    names = conclusion.outcome.detail.get(key)
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _pages(measured: Sequence[Record]) -> dict[str, WebEvidence]:
    """Return what the round's last measurement of each target saw of its page, by the target's name."""
    # Evidence of the resolver's own rung is of no page.
    far = [record for record in measured if record.rung in FAR]
    ordered = sorted(far, key=lambda record: (record.start.boottime_ns, ended_ns(record)))
    seen = ((record.target_name, evidence_of(record)) for record in ordered)
    return {name: evidence for name, evidence in seen if evidence is not None}


def _targets_of(conclusion: Record) -> tuple[TargetJudgement, ...]:
    try:
        return target_judgement.from_json(conclusion.outcome.detail.get("targets", []))
    except RecordError:
        return ()  # of other software: as if nothing had been said of them
