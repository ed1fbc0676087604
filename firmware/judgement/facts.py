"""What one round's observations come to, counted the way the verdict's rules ask. Pure; concludes nothing.

The unit of evidence is an unrelated network, never a target: three addresses of one company that fail
together are one failure. An observation of no known network counts as none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from firmware.judgement.ladder import Ladder, RungProgress, counts, latest_by_target
from firmware.judgement.line_loss import NO_REFERENCES, ReferenceHandshakes
from firmware.judgement.observation import Observation, Outlook
from firmware.judgement.reach import (
    MIN_REFERENCES,
    FamilyReach,
    Reach,
    fell_silent_connected,
    networks_of,
    reach_of,
)
from firmware.judgement.target_judgement import TargetJudgement
from firmware.model.failures import Failure
from firmware.model.record import Rung, Verdict

PORTAL_STATUSES: Final = frozenset({200, 301, 302, 303, 307, 308, 511})
"""How a sign-in page answers a request for something else: its own page, a redirect, or 511 (RFC 6585).
Block pages answer 403 or 451, which is not among them."""

MIN_OK: Final = 2
"""Unrelated international networks that must prove themselves before they are called well."""

FEW: Final = 3
"""Few is at most one in so many of the networks tried. And where one in so many of the reference networks is silent
together with platforms, the outside is not well."""

FAR: Final = (Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS)
OUTSIDE: Final = (Rung.INTERNATIONAL, Rung.PLATFORMS)
FAMILIES: Final = (4, 6)
_COMMON_PORT: Final = ":443"
"""What targets of both families are asked on."""
HANDSHAKES: Final = frozenset({"tls", "web_connectivity"})
"""Tests whose answer is as large as a certificate chain."""
TUNNEL: Final = "tunnel"

SICK_ROUNDS: Final = 3
"""A network that was silent in so many rounds in a row before a cut is silent for reasons of its own."""
_CUT_RULES: Final = frozenset({"international-cut", "international-silent-unconfirmed"})

CONFIRMING_S: Final = 180.0
"""A round that ended longer ago than this confirms nothing: much may have happened since."""

ROUTER_MEMORY_S: Final = 3600.0
"""How long it is remembered that the router answers ping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A round of this device before: its verdict, its ladder, and how long before this round's end it ended.

    `targets` is what was said of each platform in it, `references` how its reference handshakes went.
    """

    verdict: Verdict
    ladder: Ladder
    age_s: float
    targets: tuple[TargetJudgement, ...] = ()
    references: ReferenceHandshakes = NO_REFERENCES


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFacts:
    """All that a rule may ask: the last observation of each target, counts of networks, the past, the platforms."""

    latest: tuple[Observation, ...]
    tried: Mapping[Rung, tuple[Observation, ...]]
    """What of `latest` counts, by its rung."""
    domestic: Reach
    international: Reach
    platforms: Reach
    outside: Reach
    """Reference targets and platforms together: a network that either reaches is reached."""
    history: tuple[Past, ...]
    far_silence_ended_ns: int = 0
    """When the last of the reference targets' first attempts had failed, where every one of theirs did; else 0.

    Those that are asked again beside the anchors only lengthen that silence.
    """
    resolver_lies: bool = False
    """Whether the resolver gives unrelated names one answer: set by `judge_round`, from the round's pages."""
    targets: tuple[TargetJudgement, ...] = ()
    """What is said of each platform by itself: set by `judge_round`, once that has been asked."""

    @classmethod
    def of(cls, observations: Iterable[Observation], history: Sequence[Past] = ()) -> "RoundFacts":
        """Count. The order of `observations` does not matter; `history` is oldest first."""
        given = tuple(observations)
        latest = tuple(latest_by_target(given).values())
        counted = [seen for seen in latest if counts(seen)]
        tried = {rung: tuple(seen for seen in counted if seen.rung is rung) for rung in Rung}
        return cls(
            latest=latest,
            tried=tried,
            far_silence_ended_ns=_far_silence_ended_ns(given, tried[Rung.INTERNATIONAL]),
            domestic=reach_of(tried[Rung.DOMESTIC]),
            international=reach_of(tried[Rung.INTERNATIONAL]),
            platforms=reach_of(tried[Rung.PLATFORMS]),
            outside=reach_of([seen for rung in OUTSIDE for seen in tried[rung]]),
            history=tuple(history),
        )

    def on(self, rung: Rung) -> tuple[Observation, ...]:
        """Return what counts on one rung."""
        return self.tried[rung]

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

    def of_family(self, rung: Rung, family: int) -> FamilyReach:
        """Return what became of connects to port 443 of the targets that a rung pins to one address family (4 or 6).

        One port, and connects alone, so that what is silent over a family is not taken for what a filter stops.
        """
        tried = [
            seen for seen in self.on(rung) if seen.family == family and seen.target.endswith(_COMMON_PORT)
        ]
        connected = networks_of(seen for seen in tried if seen.has_connected)
        return FamilyReach(connected=connected, silent=networks_of(tried) - connected)

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

    def silent_before(self, rung: Rung) -> frozenset[str]:
        """Return the networks of a rung that were silent in the last rounds, too, that reached abroad or were found cut."""
        known = [
            past
            for past in self.history
            if past.ladder.rung(Rung.INTERNATIONAL).reached or past.verdict.rule_id in _CUT_RULES
        ][-SICK_ROUNDS:]
        if len(known) < SICK_ROUNDS:
            return frozenset()
        failed = [{line.partition(": ")[0] for line in past.ladder.rung(rung).failures} for past in known]
        sick = frozenset.intersection(*map(frozenset, failed))
        silent = [seen for seen in self.on(rung) if seen.outlook is Outlook.DOWN]
        return networks_of(silent) - networks_of(seen for seen in silent if seen.target_name not in sick)

    @property
    def outside_well(self) -> bool:
        """Return whether reference targets are well over every family, and not silent together with what people use."""
        return (
            self.references_well and not self.much_silent and not self.few_pass and self.silent_family is None
        )

    @property
    def much_silent(self) -> bool:
        """Return whether a third of the reference networks are silent or stalled, and half of the platforms' lost with them.

        A platform whose name is not resolved is lost as well: a resolver that is cut off fails like that.
        """
        references, platforms = self.international, self.platforms
        third = len(references.down | references.stalled) * FEW >= references.tried > 0
        lost = len(platforms.down | platforms.stalled | platforms.unknown)
        return third and lost >= MIN_OK and lost * 2 >= platforms.tried

    @property
    def few_pass(self) -> bool:
        """Return whether few networks outside are reached, at the first try, and all others are silent.

        What passes a list loses nothing; what passes a line that loses most of its packets has sent again.
        """
        if any(seen.retransmitted for rung in OUTSIDE for seen in self.reached(rung)):
            return False
        reached = len(self.outside.reached) + self.outside.anonymous
        few = 0 < reached * FEW <= reached + len(self.outside.down)
        return few and len(self.international.down - self.outside.reached) >= MIN_REFERENCES

    @property
    def large_packets_vanish(self) -> bool:
        """Return whether handshakes outside succeed in small packets and all others fall silent once they are connected.

        That is a path whose MTU nobody tells, not a filter: who drops a name or a protocol does not mind the size.
        """
        shaken = [seen for rung in OUTSIDE for seen in self.on(rung)]
        shaken = [seen for seen in shaken if seen.test in HANDSHAKES]
        small = any(seen.small_segments and seen.is_authenticated for seen in shaken)
        large = [seen for seen in shaken if not seen.small_segments]
        vanished = networks_of(seen for seen in large if fell_silent_connected(seen))
        reached = any(seen.outlook is Outlook.REACHED for seen in large)
        return small and not reached and len(vanished) >= MIN_REFERENCES

    @property
    def mute_families(self) -> frozenset[int]:
        """Return the address families over which no reference target answers while one does over the other."""
        tried = {family: self.of_family(Rung.INTERNATIONAL, family) for family in FAMILIES}
        if not any(reach.connected for reach in tried.values()):
            return frozenset()
        return frozenset(family for family, reach in tried.items() if reach.silent and not reach.connected)

    @property
    def silent_family(self) -> int | None:
        """Return the address family (4 or 6) over which all reference targets are silent while others answer over the other.

        IPv6 that is announced and leads nowhere is common, and nobody's doing: it counts where it works inside the country.
        """
        four, six = (self.of_family(Rung.INTERNATIONAL, family) for family in FAMILIES)
        if four.is_silent and len(six.connected) >= MIN_OK:
            return 4
        inside = self.of_family(Rung.DOMESTIC, 6).connected
        return 6 if six.is_silent and len(four.connected) >= MIN_OK and inside else None

    @property
    def references(self) -> ReferenceHandshakes:
        """Return how the reference handshakes went."""
        return ReferenceHandshakes.of(self.on(Rung.INTERNATIONAL))

    @property
    def tunnelled(self) -> bool:
        """Return whether what goes far leaves by a tunnel, and so comes out elsewhere."""
        return any(seen.uplink == TUNNEL for rung in FAR for seen in self.on(rung))

    @property
    def anything_far(self) -> bool:
        """Return whether anything beyond the host's network answered. A resolver's answer may be its cache's."""
        return any(reach.any_answer for reach in (self.domestic, self.international, self.platforms))

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
            for rung in (Rung.DOMESTIC, Rung.INTERNATIONAL)
            for seen in self.on(rung)
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
        return bool(self.failed(Rung.GATEWAY)) and any(
            past.age_s <= ROUTER_MEMORY_S and past.ladder.rung(Rung.GATEWAY).state in answered
            for past in self.history
        )


def _far_silence_ended_ns(given: Iterable[Observation], tried: Iterable[Observation]) -> int:
    if any(seen.outlook is Outlook.REACHED for seen in tried):
        return 0
    failed = {seen.target_name for seen in tried}
    first: dict[str, Observation] = {}
    for seen in sorted(given, key=lambda one: (one.start_ns, one.end_ns)):
        if seen.target_name in failed:
            first.setdefault(seen.target_name, seen)
    return max((seen.end_ns for seen in first.values()), default=0)
