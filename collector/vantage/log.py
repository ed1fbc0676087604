"""The log of the vantage: samples become streaks, and a record finds the streak of its time. Pure.

A streak is one finding about one target that stayed the same from its first sample to its last; it ends with a change,
with a gap in the sampling, or after a day. So 400 days of a site that is well are 400 rows, each change is a row, and
a time between two streaks is a time when the vantage did not look. This file must never bridge such a gap: how far
off the nearest sample was is part of every answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from collector.store.vantage_streaks import NS, Sample, VantageStreak
from collector.vantage.own_line import OwnLine, key_of
from firmware.judgement.observation import Outlook, from_record
from firmware.judgement.site.evidence import MOST_LOOKS, Looked, SiteView, VantageSource
from firmware.judgement.site.from_record import vantage_of
from firmware.model.record import Record
from firmware.model.statement import Statement, stated

JOIN_WINDOW_S: Final = 24 * 3600.0
"""A vantage further from a measurement than this says nothing about it. From `VANTAGE_FRESH_S` on it is called old."""

NO_VANTAGE: Final = stated("did-not-look")
ONE_SIDED: Final = stated("one-sided")
CHANGED: Final = stated("changed")

UNREACHABLE: Final = SiteView(source=VantageSource.COLLECTOR, reachable=False, saw_dns=False, saw_http=False)


def sample_of(record: Record, line: OwnLine) -> Sample | None:
    """Return the vantage's own record as a sample; None where nothing was measured, or nothing that counts.

    Of a vantage that is not connected itself, only that is kept. A failure that may be its own line's is none of the target's
    (`collector.vantage.own_line`): it is that the line was gone, where that was seen, and nothing where it was not.
    """
    key, utc_ns = key_of(record), record.start.utc_ns
    unreachable = Sample(key=key, utc_ns=utc_ns, failure=None, failed_operation=None, view=UNREACHABLE)
    if not line.is_connected:
        return unreachable
    if from_record(record).outlook is Outlook.EXCLUDED:
        return None
    if not line.believes(record):
        return unreachable if line.is_dead else None
    nothing = SiteView(source=VantageSource.COLLECTOR, saw_dns=False, saw_http=False)
    return Sample(
        key=key,
        utc_ns=utc_ns,
        failure=record.outcome.failure,
        failed_operation=record.outcome.failed_operation,
        view=vantage_of([record]) or nothing,
    )


def age_s(streak: VantageStreak, utc_ns: int) -> float:
    """Return how far the nearest sample of `streak` is from `utc_ns` at most, in seconds."""
    if utc_ns < streak.first_utc_ns:
        return (streak.first_utc_ns - utc_ns) / NS
    if utc_ns > streak.last_utc_ns:
        return (utc_ns - streak.last_utc_ns) / NS
    between = (streak.last_utc_ns - streak.first_utc_ns) / max(1, streak.samples - 1) / 2 / NS
    return min(between, (utc_ns - streak.first_utc_ns) / NS, (streak.last_utc_ns - utc_ns) / NS)


def nearest(
    streaks: Sequence[VantageStreak], utc_ns: int, *, window_s: float = JOIN_WINDOW_S
) -> SiteView | None:
    """Return the view nearest in time to `utc_ns`, with its age; None where none lies within the window."""
    best = min(streaks, key=lambda streak: age_s(streak, utc_ns), default=None)
    if best is None or age_s(best, utc_ns) > window_s:
        return None
    return replace(best.view, age_s=age_s(best, utc_ns))


def joined(
    streaks: Sequence[VantageStreak], moment_ns: int, first_ns: int, last_ns: int
) -> tuple[SiteView | None, Statement | None]:
    """Return the view for something that ended at `moment_ns`, and on which side of it the vantage looked.

    It may as well have been at any time from `first_ns` to `last_ns`. `streaks` are those that touch that time, and the one
    on either side. None, and why, where the vantage did not look. Where it found different things meanwhile the view says
    so: a site that went down, or came back, between two looks would otherwise pass for one that is blocked. Where it
    looked on one side only, the reason says so: what such a look is worth, `firmware.judgement.site` knows.
    """
    window_ns = round(JOIN_WINDOW_S * NS)
    streaks = [
        streak
        for streak in streaks
        if first_ns - streak.last_utc_ns <= window_ns >= streak.first_utc_ns - last_ns
    ]
    view = nearest(streaks, moment_ns)
    if view is None:
        return None, NO_VANTAGE
    before = [streak for streak in streaks if streak.first_utc_ns <= first_ns]
    after = [streak for streak in streaks if streak.last_utc_ns >= last_ns]
    begin_ns = max((streak.first_utc_ns for streak in before), default=first_ns)
    end_ns = min((streak.last_utc_ns for streak in after), default=last_ns)
    between = [
        streak for streak in streaks if streak.first_utc_ns >= begin_ns and streak.last_utc_ns <= end_ns
    ]
    if len({_outcome(streak) for streak in between}) > 1:
        return replace(view, looked=Looked.CHANGED), CHANGED
    if before:
        last = max(before, key=lambda streak: streak.first_utc_ns)
        seen = _as_of(last, first_ns, last_ns)
        if not after:
            return seen, ONE_SIDED
        known = replace(view, before_s=seen.before_s, earlier_s=seen.earlier_s)
        return replace(known, looked=Looked.AROUND), None
    return (replace(view, looked=Looked.AFTER), ONE_SIDED) if after else (None, ONE_SIDED)


def _as_of(streak: VantageStreak, first_ns: int, last_ns: int) -> SiteView:
    """Return the view that `streak`, which had begun by `first_ns`, gave then, for something that ended by `last_ns`."""
    *earlier, look_ns = streak.looks_by(first_ns)
    before_s = (last_ns - look_ns) / NS
    return replace(
        streak.view,
        age_s=before_s,
        looked=Looked.BEFORE,
        before_s=before_s,
        earlier_s=tuple((look_ns - one) / NS for one in earlier[: -MOST_LOOKS - 1 : -1]),
    )


def _outcome(streak: VantageStreak) -> tuple[bool, ...]:
    """Return what of a finding decides between down and blocked."""
    view = streak.view
    is_well = (view.status or 0) < 500
    return (
        view.reachable,
        streak.failure is None,
        view.dns_failure is None,
        view.http_failure is None and is_well,
    )
