"""The unrelated networks that a round asked, by what became of them: the unit in which evidence is counted. Pure.

An observation of no known network counts as none. This file must never conclude.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from firmware.judgement.observation import Observation, Outlook
from firmware.model.failures import Failure

MIN_REFERENCES: Final = 3
"""Unrelated networks that must be silent before their silence means anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The unrelated networks of one rung, by what became of them, the sets disjoint but for `authenticated`.

    `reached`: at least one target answered. `authenticated`: of those, the networks where the right peer proved
    itself. `tampered`: something answered, never the target. `stalled`: a connection was accepted, and nothing more
    came in time. `down`: nothing answered. `unknown`: nothing that tells, since names were not resolved or failures
    have no word. `anonymous`: whether a target of no known network was reached.
    """

    reached: frozenset[str]
    authenticated: frozenset[str]
    tampered: frozenset[str]
    stalled: frozenset[str]
    down: frozenset[str]
    unknown: frozenset[str]
    anonymous: bool

    @property
    def any_answer(self) -> bool:
        """Return whether anything answered at all."""
        return bool(self.reached or self.tampered or self.stalled or self.anonymous)

    @property
    def tried(self) -> int:
        """Return in how many unrelated networks something was tried."""
        answered = len(self.reached) + len(self.tampered) + len(self.stalled)
        return answered + len(self.down) + len(self.unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyReach:
    """The unrelated networks asked over one address family: those with a target that let connect, and the others."""

    connected: frozenset[str]
    silent: frozenset[str]

    @property
    def is_silent(self) -> bool:
        """Return whether nothing let connect, in enough networks for that to mean something."""
        return not self.connected and len(self.silent) >= MIN_REFERENCES


def reach_of(tried: Sequence[Observation]) -> Reach:
    """Return what became of the networks of what counts as tried, on one rung or on several together."""
    found: dict[Outlook, set[str]] = {outlook: set() for outlook in Outlook}
    for seen in tried:
        if seen.network:
            found[seen.outlook].add(seen.network)
    named = {outlook: frozenset(networks) for outlook, networks in found.items()}
    reached = named[Outlook.REACHED]
    tampered = named[Outlook.TAMPERED] - reached
    stalled = named[Outlook.STALLED] - reached - tampered
    down = named[Outlook.DOWN] - reached - tampered - stalled
    unknown = named[Outlook.UNRESOLVED] | named[Outlook.UNKNOWN_FAILURE]
    return Reach(
        reached=reached,
        authenticated=networks_of(seen for seen in tried if seen.is_authenticated),
        tampered=tampered,
        stalled=stalled,
        down=down,
        unknown=unknown - reached - tampered - stalled - down,
        anonymous=any(seen.outlook is Outlook.REACHED and not seen.network for seen in tried),
    )


def networks_of(observations: Iterable[Observation]) -> frozenset[str]:
    """Return the known networks of observations."""
    return frozenset(seen.network for seen in observations if seen.network)


def fell_silent_connected(seen: Observation) -> bool:
    """Return whether a connection stood, and then nothing came: all that a lost large packet leaves."""
    return seen.failure == Failure.TIMEOUT and seen.has_connected
