"""What one round's observations come to, counted the way the verdict's rules ask. Pure; concludes nothing.

The unit of evidence is an unrelated network, never a target: three addresses of one company that fail
together are one failure. An observation of no known network counts as none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from firmware.judgement.ladder import Ladder, RungProgress, counts, latest_by_target
from firmware.judgement.observation import Observation, Outlook
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.failures import Failure
from firmware.model.record import Rung, Verdict

PORTAL_STATUSES: Final = frozenset({200, 301, 302, 303, 307, 308, 511})
"""How a sign-in page answers a request for something else: its own page, a redirect, or 511 (RFC 6585).
Block pages answer 403 or 451, which is not among them."""

MIN_OK: Final = 2
"""Unrelated international networks that must prove themselves before they are called well."""

MIN_REFERENCES: Final = 3
"""Unrelated networks that must be silent before their silence means anything."""

FEW: Final = 3
"""Few is at most one in so many of the networks tried. And where one in so many of the reference networks is silent
together with platforms, the outside is not well."""

FAR: Final = (Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS)
FAMILIES: Final = (4, 6)
TUNNEL: Final = "tunnel"

CONFIRMING_S: Final = 180.0
"""A round that ended longer ago than this confirms nothing: much may have happened since."""

ROUTER_MEMORY_S: Final = 3600.0
"""How long it is remembered that the router answers ping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A round of this device before: its verdict, its ladder, and how long before this round's end it ended.

    `targets` is what was said of each platform in it.
    """

    verdict: Verdict
    ladder: Ladder
    age_s: float
    targets: tuple[TargetJudgement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The unrelated networks of one rung, by what became of them, the sets disjoint but for `authenticated`.

    `reached`: at least one target answered. `authenticated`: of those, the networks where the right peer proved
    itself. `tampered`: something answered, never the target. `down`: nothing answered. `unknown`: nothing that
    tells, since names were not resolved or failures have no word. `anonymous`: whether a target of no known network was reached.
    """

    reached: frozenset[str]
    authenticated: frozenset[str]
    tampered: frozenset[str]
    down: frozenset[str]
    unknown: frozenset[str]
    anonymous: bool

    @property
    def any_answer(self) -> bool:
        """Return whether anything answered at all."""
        return bool(self.reached or self.tampered or self.anonymous)

    @property
    def is_silent(self) -> bool:
        """Return whether nothing answered, in enough networks for that to mean something."""
        return not self.any_answer and len(self.down) >= MIN_REFERENCES

    @property
    def tried(self) -> int:
        """Return in how many unrelated networks something was tried."""
        return len(self.reached) + len(self.tampered) + len(self.down) + len(self.unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFacts:
    """All that a rule may ask: the last observation of each target, counts of networks, the past, the platforms."""

    latest: tuple[Observation, ...]
    domestic: Reach
    international: Reach
    platforms: Reach
    outside: Reach
    """Reference targets and platforms together: a network that either reaches is reached."""
    history: tuple[Past, ...]
    resolver_lies: bool = False
    """Whether the resolver gives unrelated names one answer: set by `judge_round`, from the round's pages."""
    targets: tuple[TargetJudgement, ...] = ()
    """What is said of each platform by itself: set by `judge_round`, once that has been asked."""

    @classmethod
    def of(cls, observations: Iterable[Observation], history: Sequence[Past] = ()) -> "RoundFacts":
        """Count. The order of `observations` does not matter; `history` is oldest first."""
        latest = tuple(latest_by_target(observations).values())
        return cls(
            latest=latest,
            domestic=_reach(latest, Rung.DOMESTIC),
            international=_reach(latest, Rung.INTERNATIONAL),
            platforms=_reach(latest, Rung.PLATFORMS),
            outside=_reach(latest, Rung.INTERNATIONAL, Rung.PLATFORMS),
            history=tuple(history),
        )

    def on(self, rung: Rung) -> tuple[Observation, ...]:
        """Return what counts on one rung."""
        return tuple(seen for seen in self.latest if seen.rung is rung and counts(seen))

    def failed(self, rung: Rung) -> tuple[Observation, ...]:
        """Return what was tried on one rung and not reached; empty if anything on it was reached."""
        tried = self.on(rung)
        return () if any(seen.outlook is Outlook.REACHED for seen in tried) else tried

    def reached(self, rung: Rung) -> tuple[Observation, ...]:
        """Return what was reached on one rung."""
        return tuple(seen for seen in self.on(rung) if seen.outlook is Outlook.REACHED)

    @property
    def references_well(self) -> bool:
        """Return whether reference targets outside prove themselves, in two networks and in half of those tried."""
        reach = self.international
        return len(reach.authenticated) >= MIN_OK and len(reach.reached) * 2 >= reach.tried

    def of_family(self, rung: Rung, family: int) -> Reach:
        """Return what became of the targets of a rung that were asked over one address family (4 or 6) and no other."""
        return _reach((seen for seen in self.latest if seen.family == family), rung)

    @property
    def same_references_silent(self) -> bool:
        """Return whether the reference targets that are reached now, and no other, were reached in the round before."""
        last = self.history[-1] if self.history else None
        if last is None or last.age_s > CONFIRMING_S:
            return False
        failed = {line.partition(": ")[0] for line in last.ladder.rung(Rung.INTERNATIONAL).failures}
        tried = self.on(Rung.INTERNATIONAL)
        reached = {seen.target_name for seen in tried if seen.outlook is Outlook.REACHED}
        silent = {seen.target_name for seen in tried if seen.outlook is Outlook.DOWN}
        return silent <= failed and not reached & failed

    @property
    def outside_well(self) -> bool:
        """Return whether reference targets are well over every family, and not silent together with what people use."""
        return (
            self.references_well and not self.much_silent and not self.few_pass and self.silent_family is None
        )

    @property
    def much_silent(self) -> bool:
        """Return whether a third of the reference networks are silent, and half of the platforms' lost with them.

        A platform whose name is not resolved is lost as well: a resolver that is cut off fails like that.
        """
        references, platforms = self.international, self.platforms
        third = len(references.down) * FEW >= references.tried > 0
        lost = len(platforms.down) + len(platforms.unknown)
        return third and lost >= MIN_OK and lost * 2 >= platforms.tried

    @property
    def few_pass(self) -> bool:
        """Return whether few networks outside are reached and all others are silent."""
        reached = len(self.outside.reached) + self.outside.anonymous
        few = 0 < reached * FEW <= reached + len(self.outside.down)
        return few and len(self.international.down - self.outside.reached) >= MIN_REFERENCES

    @property
    def silent_family(self) -> int | None:
        """Return the address family (4 or 6) over which all reference targets are silent while others answer over the other.

        IPv6 that is announced and leads nowhere is common, and nobody's doing: it counts where it works inside the country.
        """
        four, six = (self.of_family(Rung.INTERNATIONAL, family) for family in FAMILIES)
        if four.is_silent and len(six.reached) >= MIN_OK:
            return 4
        inside = self.of_family(Rung.DOMESTIC, 6).authenticated
        return 6 if six.is_silent and len(four.reached) >= MIN_OK and inside else None

    @property
    def tunnelled(self) -> bool:
        """Return whether what goes far leaves by a tunnel, and so comes out elsewhere."""
        return any(seen.uplink == TUNNEL for rung in FAR for seen in self.on(rung))

    @property
    def anything_far(self) -> bool:
        """Return whether anything beyond the host's network answered. A resolver's answer may be its cache's."""
        return any(reach.any_answer for reach in (self.domestic, self.international, self.platforms))

    @property
    def far_silence_ended_ns(self) -> int:
        """When the last failed attempt at a reference target ended; 0 if none failed."""
        return max((seen.end_ns for seen in self.failed(Rung.INTERNATIONAL)), default=0)

    def proven_after(self, moment_ns: int) -> frozenset[str]:
        """Return the domestic networks that proved themselves in an attempt begun after `moment_ns`."""
        return frozenset(
            seen.network
            for seen in self.on(Rung.DOMESTIC)
            if seen.is_authenticated and seen.network and seen.start_ns >= moment_ns
        )

    def near_after(self, moment_ns: int) -> tuple[Observation, ...]:
        """Return what of `near` was asked after `moment_ns`."""
        return tuple(seen for seen in self.near() if seen.start_ns >= moment_ns)

    def near(self) -> tuple[Observation, ...]:
        """Return what shows that the host's own network works: the gateway's or the resolver's answers.

        A line without a gateway (point to point) has its address for that.
        """
        answers = (*self.reached(Rung.GATEWAY), *self.reached(Rung.RESOLVER))
        return answers or (() if self.on(Rung.GATEWAY) else self.reached(Rung.ADDRESS))

    def portals(self) -> tuple[Observation, ...]:
        """Return the plain-HTTP checks that were answered the way a sign-in page answers."""
        return tuple(
            seen
            for seen in self.on(Rung.INTERNATIONAL)
            if seen.outlook is Outlook.TAMPERED
            and seen.target.startswith("http://")
            and (seen.http_status in PORTAL_STATUSES or seen.failure == Failure.HTTP_UNEXPECTED_REDIRECT_URL)
        )

    def previous(self, *rule_ids: str) -> bool:
        """Return whether the round before this one, if it was not long ago, ended in one of `rule_ids`."""
        last = self.history[-1] if self.history else None
        return last is not None and last.age_s <= CONFIRMING_S and last.verdict.rule_id in rule_ids

    def gateway_fell_silent(self) -> bool:
        """Return whether the gateway does not answer now and did in a remembered round."""
        answered = (RungProgress.REACHED, RungProgress.PARTLY)
        recent = [past for past in self.history if past.age_s <= ROUTER_MEMORY_S]
        before = any(past.ladder.rung(Rung.GATEWAY).state in answered for past in recent)
        return before and bool(self.failed(Rung.GATEWAY))


def _reach(latest: Iterable[Observation], *rungs: Rung) -> Reach:
    tried = [seen for seen in latest if seen.rung in rungs and counts(seen)]
    named = {outlook: _networks(seen for seen in tried if seen.outlook is outlook) for outlook in Outlook}
    reached = named[Outlook.REACHED]
    tampered = named[Outlook.TAMPERED] - reached
    down = named[Outlook.DOWN] - reached - tampered
    return Reach(
        reached=reached,
        authenticated=_networks(seen for seen in tried if seen.is_authenticated),
        tampered=tampered,
        down=down,
        unknown=(named[Outlook.UNRESOLVED] | named[Outlook.UNKNOWN_FAILURE]) - reached - tampered - down,
        anonymous=any(seen.outlook is Outlook.REACHED and not seen.network for seen in tried),
    )


def _networks(observations: Iterable[Observation]) -> frozenset[str]:
    return frozenset(seen.network for seen in observations if seen.network)
