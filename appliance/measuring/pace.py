"""How often rounds come: quickly while there is news or all is not well, calmly else, as far as the day's bytes bear it. Pure.

Quick rounds are made of what the calm ones leave over, and something of that is always kept for news. It must never let a
long emergency cost the calm rounds, nor a round that costs too much the rest of its day. Times are CLOCK_BOOTTIME in ns.
"""

from typing import Final

from appliance.measuring.budget import DAY_NS, Budget
from appliance.measuring.slots import ScheduledJob
from firmware.model.verdict_words import VerdictWord

QUICK_ROUNDS: Final = 20
"""How many rounds come at the quick cadence after the start and after a change of verdict: ten minutes of them."""
NEWS_ROUNDS: Final = 2
"""How many quick rounds after a change of verdict may draw on what is kept for news: they confirm it."""
KEPT_ROUNDS: Final = 20
"""The bytes of so many rounds are left over for news, however long all is not well."""
SLOW: Final = 2
"""A calm day that costs more than the budget bears is measured so many times more slowly, rather than not to its end."""
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
        self._round_bytes = float(calm.usual_bytes)
        self._verdict: str | None = None
        self._aspect = ""

    @property
    def slowest_ns(self) -> int:
        """The longest period."""
        return SLOW * self._calm.period_ns

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
        self._quick_left = QUICK_ROUNDS if changed else max(0, self._quick_left - 1)
        self._verdict, self._aspect = verdict, aspect

    def wanted_ns(self, now_ns: int) -> int:
        """Return the period that rounds are to have from now on."""
        well = self._verdict is None or self._verdict in STEADY
        is_news = self._quick_left > QUICK_ROUNDS - NEWS_ROUNDS
        hurried = self._quick_left > 0 or not well
        kept = 0 if is_news else KEPT_ROUNDS * self._calm.usual_bytes
        if hurried and self.bears_one_more(now_ns, kept=kept):
            return self._quick_ns
        is_borne = self._budget.sustains(self._calm.most_bytes, self._bytes_per_day, now_ns)
        return self._calm.period_ns if is_borne else self.slowest_ns

    def bears_one_more(self, now_ns: int, *, kept: int = 0) -> bool:
        """Return whether one round more than the calm ones can be paid for, and `kept` bytes are left over."""
        # Beside that round itself, the next calm one at its dearest, and one more: grids do not meet evenly.
        count = 2 * self._calm.usual_bytes + self._calm.most_bytes + kept
        return self._budget.sustains(count, self._bytes_per_day, now_ns)

    @property
    def _bytes_per_day(self) -> float:
        """About what the calm rounds, at what they cost of late, and all beside them cost in 24 hours."""
        return self._beside_bytes + self._round_bytes * DAY_NS / self._calm.period_ns
