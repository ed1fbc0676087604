"""When the collector last was not there to hear: it did not run, its host slept, its clock was set, or its broker was out of reach. Pure.

Devices that it did not hear meanwhile need minutes to come back, and its vantage sees nothing amiss: that reaches out, and nobody
is heard by it. This file must never take a time in which the collector was deaf for one in which devices were silent.
"""

from dataclasses import dataclass
from typing import Final

DEAF_NS: Final = 120 * 1_000_000_000
"""What is heard no sooner is missed: four times what lies between two judgings, and no more than devices make good before they are silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How the collector listened until `utc_ns`, by its own clock (UTC).

    `awake_ns` is a clock of this run that stands while the host sleeps, None for what another run wrote. `linked_ns` is when it
    was last linked to its broker, `deaf_ns` when it last was not there to hear; None: never, as far as is known.
    """

    utc_ns: int
    awake_ns: int | None
    linked_ns: int
    deaf_ns: int | None = None

    def at(self, utc_ns: int, awake_ns: int, *, is_linked: bool) -> "Listening":
        """Return how it listened until a later moment, at which it is asked again."""
        passed_ns = utc_ns - self.utc_ns
        if self.awake_ns is None:
            is_missed = not 0 <= passed_ns <= DEAF_NS
            linked_ns = utc_ns
        else:
            is_missed = abs(passed_ns - (awake_ns - self.awake_ns)) > DEAF_NS
            linked_ns = utc_ns if is_linked or is_missed else self.linked_ns
        is_deaf = is_missed or utc_ns - linked_ns > DEAF_NS
        return Listening(
            utc_ns=utc_ns,
            awake_ns=awake_ns,
            linked_ns=linked_ns,
            deaf_ns=utc_ns if is_deaf else self.deaf_ns,
        )
