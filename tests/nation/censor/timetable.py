"""When a rule is in force. Pure: the time since the rules were loaded is an argument, in whole nanoseconds.

It must never count in fractions of seconds: their sums drift apart from the edges they stand for.
"""

from dataclasses import dataclass

from firmware.settings.load import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """When a rule is in force, in seconds since the rules were loaded. Left out: always."""

    from_s: float = setting(0.0, doc="In force from here on.", unit="s", low=0, high=10**8)
    until_s: float | None = setting(
        None, doc="No longer in force from here on.", unit="s", low=0, high=10**8, sample=40.0
    )
    every_s: float | None = setting(
        None, doc="Begin again after so long, for ever.", unit="s", low=0.001, high=10**8, sample=60.0
    )

    def __post_init__(self) -> None:
        if self.until_s is not None and self.until_s <= self.from_s:
            raise ValueError("until_s after from_s")
        if self.every_s is not None and (self.until_s is None or self.until_s > self.every_s):
            raise ValueError("every_s with an until_s that is not after it")

    def holds(self, at_ns: int) -> bool:
        """Return whether the rule is in force `at_ns` after loading."""
        if self.every_s is not None:
            at_ns %= _ns(self.every_s)
        return at_ns >= _ns(self.from_s) and (self.until_s is None or at_ns < _ns(self.until_s))

    def next_change_ns(self, at_ns: int) -> int | None:
        """Return when, after `at_ns`, the answer of `holds` may change next; None for never."""
        base = 0 if self.every_s is None else at_ns - at_ns % _ns(self.every_s)
        edges = [base + _ns(self.from_s)]
        if self.until_s is not None:
            edges.append(base + _ns(self.until_s))
        if self.every_s is not None:
            edges.append(base + _ns(self.every_s) + _ns(self.from_s))
        return min((edge for edge in edges if edge > at_ns), default=None)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
