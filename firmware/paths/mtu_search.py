"""The search for the biggest packet that a path takes: which size to try next, from what became of those before. Pure.

The first size tried is the biggest that may be asked for; where a router says what would fit, that is tried next,
and believed only when it gets through (routers have told 0, and more than they took). Where nobody says anything,
halves: a black hole is found too. This file must never see a packet.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class MtuSearch:
    """What is known of the sizes (bytes of IP packets): `good` gets through, `bad` does not (None: none known yet)."""

    good: int
    ceiling: int
    bad: int | None = None
    _hints: list[int] = field(default_factory=list)

    def next_size(self) -> int | None:
        """Return the size to try, None when the path's MTU is known."""
        above = self.ceiling + 1 if self.bad is None else self.bad
        if above - self.good <= 1:
            return None
        if self.bad is None:
            return self.ceiling
        told = [hint for hint in self._hints if self.good < hint < above]
        if told:
            return told[-1]
        # What a router said and what was found to pass: one more byte settles it.
        return self.good + 1 if self.good in self._hints else (self.good + above) // 2

    def passed(self, size: int) -> None:
        """Note that a packet of `size` got through."""
        self.good = max(self.good, size)

    def stopped(self, size: int, hint: int = 0) -> None:
        """Note that one did not, and what a router says would (0: nothing)."""
        self.bad = size if self.bad is None else min(self.bad, size)
        self._hints.append(hint)

    @property
    def mtu(self) -> int | None:
        """The path's MTU, None while it is not known exactly."""
        return self.good if self.next_size() is None else None
