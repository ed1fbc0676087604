"""How often rounds come: quickly while there is news or all is not well, calmly else, as far as the day's bytes bear it. Pure.

Quick rounds are made of what the calm ones leave over, and something of that is always kept for news. It must never let a
long emergency cost the calm rounds, nor a round that costs too much the rest of its day. Times are CLOCK_BOOTTIME in ns.
"""

from collections.abc import Iterator
from typing import Final

from appliance.measuring.budget import DAY_NS, Budget
from appliance.measuring.slots import ScheduledJob
from firmware.model.verdict_words import VerdictWord

QUICK_ROUNDS: Final = 20
"""How many rounds come at the quick cadence after the start and after a change of verdict: ten minutes of them."""
NEWS_ROUNDS: Final = 2
"""How many quick rounds after news may draw on what is kept for it: they confirm it."""
STOOD_ROUNDS: Final = 3
"""A change is news where the verdict before had stood for so many rounds: what changes with every round is none."""
KEPT_ROUNDS: Final = 20
"""The bytes of so many rounds are left over for news, however long all is not well."""
SLOWER: Final = 2
"""News is paid for where the calm rounds can then still come at so many times their period."""
SLOWEST: Final = 4
"""Rounds that the budget does not bear at the calm period come at a longer one, up to so many times as long."""
_MEMORY: Final = 8
"""What a round costs of late is known from about so many."""

STEADY: Final = frozenset(
    {
        VerdictWord.OK,
        VerdictWord.BLOCKED_DNS,
        VerdictWord.BLOCKED_TCP,
        VerdictWord.BLOCKED_TLS,
        VerdictWord.BLOCKED_HTTP,
        VerdictWord.SERVICE_DOWN,
    }
)
"""Verdicts under which the line itself is well: once they are no news, they need no quick rounds."""


class RoundPace:
    """The pace of one device's rounds. `calm` is the round at its calm period, `beside_bytes` what all else costs a day."""

    def __init__(self, *, calm: ScheduledJob, quick_ns: int, beside_bytes: float, budget: Budget) -> None:
        self._calm = calm
        self._quick_ns = quick_ns
        self._beside_bytes = beside_bytes
        self._budget = budget
        self._quick_left = QUICK_ROUNDS
        self._news_left = 0
        self._stood = 0
        self._round_bytes = float(calm.usual_bytes)
        self._verdict: str | None = None
        self._aspect = ""

    @property
    def slowest_ns(self) -> int:
        """The longest period."""
        return SLOWEST * self._calm.period_ns

    def cost(self, count: int) -> None:
        """Take note of what a round cost, in bytes."""
        mean = self._round_bytes + (count - self._round_bytes) / _MEMORY
        self._round_bytes = max(mean, float(self._calm.usual_bytes))

    def hurry(self) -> None:
        """Let quick rounds follow."""
        self._quick_left = QUICK_ROUNDS

    def concluded(self, verdict: str, aspect: str) -> None:
        """Take note of a round's verdict, and of whatever else of it is news when it changes."""
        changed = self._verdict is not None and (verdict, aspect) != (self._verdict, self._aspect)
        is_news = self._verdict is not None and verdict != self._verdict and self._stood >= STOOD_ROUNDS
        self._quick_left = QUICK_ROUNDS if changed else max(0, self._quick_left - 1)
        self._news_left = NEWS_ROUNDS if is_news else max(0, self._news_left - 1)
        self._stood = self._stood + 1 if verdict == self._verdict else 1
        self._verdict, self._aspect = verdict, aspect

    def wanted_ns(self, now_ns: int) -> int:
        """Return the period that rounds are to have from now on."""
        well = self._verdict is None or self._verdict in STEADY
        if self._news_left and self.bears_one_more(now_ns):
            return self._quick_ns
        kept = KEPT_ROUNDS * self._calm.usual_bytes
        if (self._quick_left or not well) and self._sustains(
            self._one_more + kept, self._calm.period_ns, now_ns
        ):
            return self._quick_ns
        count = self._calm.most_bytes + self._calm.usual_bytes
        return next((one for one in self._periods() if self._sustains(count, one, now_ns)), self.slowest_ns)

    def bears_one_more(self, now_ns: int) -> bool:
        """Return whether one round beside the others can be paid for, if these were to come more slowly for it."""
        return self._sustains(
            self._one_more + 2 * self._calm.usual_bytes, SLOWER * self._calm.period_ns, now_ns
        )

    @property
    def _one_more(self) -> int:
        # Beside that round itself, the next one at its dearest, and one more: grids do not meet evenly.
        return 2 * self._calm.usual_bytes + self._calm.most_bytes

    def _periods(self) -> Iterator[int]:
        """Yield the periods of calm rounds, the shortest first: in steps of the quick one, so that all share its slots."""
        step_ns = self._quick_ns if self._calm.period_ns % self._quick_ns == 0 else self._calm.period_ns
        yield from range(self._calm.period_ns, self.slowest_ns, step_ns)

    def _sustains(self, count: int, period_ns: int, now_ns: int) -> bool:
        """Return whether `count` bytes can be spent now, and then a round each period, at what they cost of late, and all else."""
        per_day = self._beside_bytes + self._round_bytes * DAY_NS / period_ns
        return self._budget.sustains(count, per_day, now_ns)
