"""A round judged from its records, and the rounds before it from theirs: the one way, on device and collector. Pure.

What a device knows when its round ends is all in what it stores: the measurements that had ended by then, who was taken
to be silent, and its rounds before. So whoever holds the records comes to the same verdict, years later too. This
file must never use what came in after the round's end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from firmware.judgement import ladder as ladder_json
from firmware.judgement import target_judgement
from firmware.judgement.facts import FAR, Past
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.ladder import Ladder
from firmware.judgement.line_loss import NO_REFERENCES, ReferenceHandshakes, handshakes_from_json
from firmware.judgement.observation import Observation, from_record
from firmware.judgement.round.verdict import EARLY_NS, RoundJudgement, judge_round
from firmware.judgement.site.evidence import SiteView, WebEvidence
from firmware.judgement.site.from_record import evidence_of
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.failures import Failure
from firmware.model.jsontypes import RecordError
from firmware.model.record import Record, Verdict

HISTORY_ROUNDS: Final = 150
"""How many rounds are remembered: more than an hour of quick ones, which is as far back as a rule asks."""
LISTS: Final = "fingerprints"
"""Where a round's record names the lists of fingerprints that its device went by, beside those that come along."""
SILENT: Final = "silent"
"""Where a round's record names the targets that were still out, and taken to be silent, when it ended early."""
REFERENCES: Final = "references"
"""Where a round's record says how its reference handshakes went."""
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRound:
    """A round that has ended, at `ended_ns` of its boot's clock, and what was concluded from it."""

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
    silent: Iterable[Observation] = (),
    fingerprints: Fingerprints | None = None,
) -> RoundJudgement:
    """Return the verdict on the round of which `records` are all that had ended by its end; see `judge_round`."""
    measured = [record for record in records if record.rung is not None]
    return judge_round(
        map(from_record, measured),
        history,
        pages=_pages(measured),
        views=views,
        silent=silent,
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
    names = conclusion.outcome.detail.get(SILENT)
    out = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    return judge_records(
        [one for one in given if ended_ns(one) <= end_ns],
        history_of(conclusions, boot_id=conclusion.boot_id, before_ns=end_ns),
        views,
        silent=[
            silence(from_record(one)) for one in given if ended_ns(one) > end_ns and one.target_name in out
        ],
        fingerprints=fingerprints,
    )


def history_of(conclusions: Iterable[Record], *, boot_id: str, before_ns: int) -> tuple[Past, ...]:
    """Return the rounds of one boot that ended before `before_ns`, oldest first, as of that moment."""
    found = [
        past
        for one in conclusions
        if one.boot_id == boot_id and (past := past_round(one)) is not None and past.ended_ns < before_ns
    ]
    found.sort(key=lambda past: past.ended_ns)
    return tuple(past.before(before_ns) for past in found[-HISTORY_ROUNDS:])


def silence(asked: Observation) -> Observation:
    """Return what stands for a target that was asked and had not answered when its round ended early."""
    return Observation(
        test=asked.test,
        rung=asked.rung,
        zone=asked.zone,
        target=asked.target,
        target_name=asked.target_name,
        network=asked.network,
        failure=Failure.TIMEOUT,
        failed_operation="connect",
        start_ns=asked.start_ns,
        end_ns=asked.start_ns + EARLY_NS,
        small_segments=asked.small_segments,
    )


def ended_ns(record: Record) -> int:
    """Return when a measurement or a round ended, CLOCK_BOOTTIME."""
    return record.start.boottime_ns + record.runtime_ns


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
