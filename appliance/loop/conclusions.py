"""A round's end: what it comes to is kept, everything that goes by it is told, and what is refuted later is judged again.

Whether a round is over and what it comes to, `appliance.measuring.rounds` says. This file must never decide that.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from appliance.delivery.network.sender import Sync
from appliance.events import Event, VerdictReached
from appliance.loop.open_rounds import OpenRounds
from appliance.measuring.journal import Journal
from appliance.measuring.recent_rounds import RecentRounds
from appliance.measuring.rounds import RunningRound
from appliance.measuring.schedule import ROUND, Schedule
from appliance.measuring.sentinel import GONE, Sentinel
from appliance.measuring.worker import Worker
from appliance.notify import Notifier
from firmware.judgement.confidence.accusers import concluded
from firmware.judgement.ladder import Ladder
from firmware.judgement.round.verdict import RoundJudgement
from firmware.judgement.site.evidence import SiteView
from firmware.model.verdict_words import VerdictWord

_log: Final = logging.getLogger(__name__)


class Conclusions:
    """Ends rounds. `views` is what the vantage saw, `commit` writes down what was measured, `tell` is for listeners."""

    def __init__(
        self,
        *,
        rounds: OpenRounds,
        history: RecentRounds,
        worker: Worker,
        journal: Journal,
        schedule: Schedule,
        sentinel: Sentinel,
        sync: Sync,
        notifier: Notifier,
        views: Callable[[], Mapping[str, SiteView]],
        commit: Callable[[], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._rounds = rounds
        self._history = history
        self._worker = worker
        self._journal = journal
        self._schedule = schedule
        self._sentinel = sentinel
        self._sync = sync
        self._notifier = notifier
        self._views = views
        self._commit = commit
        self._tell = tell

    def conclude_if_over(self, now_ns: int) -> bool:
        """End the present round where it is over, or dark; return whether it was."""
        ended = self._rounds.present
        if ended is None:
            return False
        if ended.is_over(now_ns):
            judged = ended.judge(self._history.before(now_ns), self._views())
            ladder = ended.ladder(ended=True)
        elif early := ended.early(lambda: self._history.before(now_ns), now_ns, self._views):
            judged, ladder = early
        else:
            return False
        self._rounds.present = None
        if ended.out_silent:
            self._rounds.ended_early.append(ended)
        self._history.add(
            judged,
            ladder,
            started_ns=ended.start_ns,
            ended_ns=now_ns,
            utc_ns=self._journal.scene().utc_ns,
        )
        self._journal.conclude(
            ended,
            judged,
            ladder,
            ended_ns=now_ns,
            since_utc_ns=self._history.since_utc_ns,
            worker=self._worker.pid,
        )
        self._schedule.ended(ROUND, ended.cost_bytes, now_ns)
        self._spread(ended, judged, ladder, now_ns)
        return True

    def revise_what_was_refuted(self, now_ns: int) -> None:
        """Judge again the rounds of which something came in that had been taken to be silent."""
        for ended in [one for one in self._rounds.ended_early if one.is_refuted]:
            before = self._history.before(now_ns, started_ns=ended.start_ns)
            revised = ended.revised(before, self._history.verdict_of(ended.start_ns), self._views)
            if revised is not None:
                self._revise(ended, *revised, now_ns)
        self._rounds.ended_early = [one for one in self._rounds.ended_early if not one.is_all_in]

    def _revise(self, ended: RunningRound, judged: RoundJudgement, ladder: Ladder, now_ns: int) -> None:
        since_utc_ns = self._history.revise(
            judged,
            ladder,
            started_ns=ended.start_ns,
            ended_ns=now_ns,
            utc_ns=self._journal.scene().utc_at(ended.start_ns),
        )
        if self._rounds.present is not None:
            self._rounds.present.reconsider()
        self._journal.conclude(
            ended,
            judged,
            ladder,
            ended_ns=now_ns,
            since_utc_ns=since_utc_ns,
            worker=self._worker.pid,
            is_revision=True,
        )
        _log.info("round %d was no silence: %s", ended.round_id, judged.verdict.verdict)
        last = self._history.last
        if last is not None and last.started_ns == ended.start_ns:
            self._spread(ended, judged, ladder, now_ns, is_revision=True)
        else:
            self._commit()

    def _spread(
        self,
        ended: RunningRound,
        judged: RoundJudgement,
        ladder: Ladder,
        now_ns: int,
        *,
        is_revision: bool = False,
    ) -> None:
        """Let everything know what the last round comes to."""
        verdict = judged.verdict
        aspect = " ".join(f"{one.name}:{one.verdict}:{one.step}" for one in judged.targets)
        word = concluded(verdict.verdict, verdict.rule_id)
        self._schedule.concluded(word, now_ns, aspect=aspect)
        self._sentinel.concluded(word, now_ns, is_quick=ended.is_quick, connected=ended.connected_references)
        if word in GONE:
            self._sync.link_is_gone()
        elif word != VerdictWord.INCONCLUSIVE:
            self._sync.link_is_back()
        self._commit()
        self._notifier.status(f"round {ended.round_id}: {verdict.verdict}")
        self._tell(
            VerdictReached(
                round_id=ended.round_id,
                ladder=ladder,
                verdict=verdict,
                since_utc_ns=self._history.since_utc_ns,
                is_revision=is_revision,
            )
        )
