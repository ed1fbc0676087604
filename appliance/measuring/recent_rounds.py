"""The rounds of a device before the present one, for the rules that ask what was: kept over a restart, and revised. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from firmware.judgement.facts import Past
from firmware.judgement.ladder import Ladder
from firmware.judgement.round.from_records import HISTORY_ROUNDS, PastRound, past_round
from firmware.judgement.round.verdict import RoundJudgement
from firmware.model.record import Record, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    """A round, when its verdict was first reached, and whether it is of this boot: only such a round has an age."""

    past: PastRound
    since_utc_ns: int
    is_of_boot: bool = True


class RecentRounds:
    """The last rounds, oldest first; their ages are as of the moment of asking."""

    def __init__(self) -> None:
        self._rounds: deque[_Remembered] = deque(maxlen=HISTORY_ROUNDS)

    @classmethod
    def of(cls, rounds: Iterable[Record], *, boot_id: str) -> "RecentRounds":
        """Return the history that `ladder` records tell, newest first, each round once."""
        history = cls()
        for record in reversed(tuple(rounds)):
            past = past_round(record)
            if past is None:
                continue  # of other software: as if it had not been
            said_ns = record.outcome.detail.get("since_utc_ns")
            since_utc_ns = said_ns if isinstance(said_ns, int) else record.start.utc_ns
            is_of_boot = record.boot_id == boot_id
            history._rounds.append(_Remembered(past=past, since_utc_ns=since_utc_ns, is_of_boot=is_of_boot))
        return history

    @property
    def since_utc_ns(self) -> int:
        """When the present verdict was first reached; 0 without a round."""
        return self._rounds[-1].since_utc_ns if self._rounds else 0

    @property
    def last(self) -> PastRound | None:
        """The round that began last, as it stands."""
        return self._rounds[-1].past if self._rounds else None

    def add(
        self, judged: RoundJudgement, ladder: Ladder, *, started_ns: int, ended_ns: int, utc_ns: int
    ) -> None:
        """Add a round that ended at `ended_ns`, `utc_ns` by the wall clock."""
        past = _past(judged, ladder, started_ns, ended_ns)
        self._rounds.append(_Remembered(past=past, since_utc_ns=self._since(past, self._rounds, utc_ns)))

    def revise(
        self, judged: RoundJudgement, ladder: Ladder, *, started_ns: int, ended_ns: int, utc_ns: int
    ) -> int:
        """Put what a round comes to in the place of what was said of it; return since when its verdict holds (UTC, ns)."""
        past = _past(judged, ladder, started_ns, ended_ns)
        rounds = list(self._rounds)
        at = next(
            (
                place
                for place, one in enumerate(rounds)
                if one.is_of_boot and one.past.started_ns == started_ns
            ),
            None,
        )
        since_utc_ns = self._since(past, rounds[: len(rounds) if at is None else at], utc_ns)
        if at is not None:
            self._rounds[at] = _Remembered(past=past, since_utc_ns=since_utc_ns)
        return since_utc_ns

    def before(self, now_ns: int, *, started_ns: int | None = None) -> tuple[Past, ...]:
        """Return the rounds before `now_ns`, oldest first: all, or those that began before `started_ns`."""
        return tuple(
            one.past.before(now_ns)
            for one in self._rounds
            if one.is_of_boot and (started_ns is None or one.past.started_ns < started_ns)
        )

    def verdict_of(self, started_ns: int) -> Verdict | None:
        """Return what is said of the round that began at `started_ns`; None where it is not remembered."""
        found = (one for one in self._rounds if one.is_of_boot and one.past.started_ns == started_ns)
        return next((one.past.verdict for one in found), None)

    @staticmethod
    def _since(past: PastRound, before: Iterable[_Remembered], utc_ns: int) -> int:
        last = next(reversed(tuple(before)), None)
        is_as_before = last is not None and last.past.verdict.verdict == past.verdict.verdict
        return last.since_utc_ns if last is not None and is_as_before else utc_ns


def _past(judged: RoundJudgement, ladder: Ladder, started_ns: int, ended_ns: int) -> PastRound:
    return PastRound(
        started_ns=started_ns,
        ended_ns=ended_ns,
        verdict=judged.verdict,
        ladder=ladder,
        targets=judged.targets,
        references=judged.facts.references,
    )
