"""When a rule about a round holds: the conditions of `firmware.judgement.round.rules`, in the table's order. Pure.

Each asks the facts and nothing else. Why each threshold is what it is: docs/explanation/verdicts.md.
"""

from collections.abc import Callable
from statistics import median
from typing import Final

from firmware.judgement.facts import FAR, MIN_OK, RoundFacts
from firmware.judgement.observation import AUTHENTICATING_TESTS, Observation, Outlook
from firmware.judgement.pace import line_is_quick
from firmware.judgement.reach import MIN_REFERENCES, fell_silent_connected
from firmware.model.failures import Failure
from firmware.model.record import Rung
from firmware.model.verdict_words import VerdictWord

MIN_DOMESTIC: Final = 2
"""Unrelated domestic networks that must prove themselves before `international_cut`."""

WEB_PORTS: Final = frozenset({"53", "80", "443"})

SLOW_FACTOR: Final = 3.0
SLOW_NS: Final = 200_000_000
"""On a full line the best time of every far rung rises to so many times the ordinary one, and by so much."""
SLOW_HISTORY: Final = 5
"""Rounds that must be remembered before anything is called ordinary."""
LOSSY: Final = 0.2
"""The share of the far targets that lose packets on a full line."""


def link_down(facts: RoundFacts) -> bool:
    """Return whether the link is down."""
    return bool(facts.failed(Rung.LINK)) and not facts.anything_far


def no_address(facts: RoundFacts) -> bool:
    """Return whether there is no address."""
    return bool(facts.failed(Rung.ADDRESS)) and not facts.anything_far


_GATEWAY_ABSENT: Final = frozenset(
    {Failure.NO_GATEWAY, Failure.HOST_UNREACHABLE, Failure.NETWORK_UNREACHABLE}
)


def gateway_absent(facts: RoundFacts) -> bool:
    """Return whether there is no router."""
    failed = facts.failed(Rung.GATEWAY)
    return any(seen.failure in _GATEWAY_ABSENT for seen in failed) and not facts.anything_far


def gateway_lost(facts: RoundFacts) -> bool:
    """Return whether the router fell silent."""
    # A resolver that answers may stand behind the router: then it forwards, and only ignores ping.
    return facts.gateway_fell_silent() and not facts.reached(Rung.RESOLVER) and not facts.anything_far


def captive_portal(facts: RoundFacts) -> bool:
    """Return whether a sign-in page answers and nothing proves itself."""
    authenticated = (
        facts.domestic.authenticated | facts.international.authenticated | facts.platforms.authenticated
    )
    return bool(facts.portals()) and not authenticated


def references_silent(facts: RoundFacts) -> bool:
    """Return whether nothing outside was reached, and enough networks were silent for that to mean something.

    What answers in a target's place (a block page inside the country) breaks no silence and adds none; a connection
    that was accepted breaks it, whatever came over it in time.
    """
    outside = (facts.international, facts.platforms)
    answered = any(reach.reached or reach.stalled or reach.anonymous for reach in outside)
    return not answered and len(facts.international.down) >= MIN_REFERENCES


def domestic_up(facts: RoundFacts) -> bool:
    """Return whether enough domestic networks prove themselves."""
    return len(facts.domestic.authenticated) >= MIN_DOMESTIC


def pinned_domestic_up(facts: RoundFacts) -> bool:
    """Return whether a pinned anchor proves itself where no name is resolved, and none that could be asked fails.

    One that failed before anything was cut is no anchor: its address has moved, or it is down.
    """
    domestic = facts.domestic
    failing = (domestic.down - facts.silent_before(Rung.DOMESTIC)) | domestic.tampered | domestic.stalled
    return names_unresolved(facts) and bool(domestic.authenticated) and not failing


def international_cut(facts: RoundFacts) -> bool:
    """Return whether nothing outside answers and the inside does, asked again; one anchor takes two rounds."""
    before = facts.previous("international-cut", "international-silent-unconfirmed")
    if not references_silent(facts):
        return False
    if domestic_up(facts):
        return len(facts.proven_after(facts.far_silence_ended_ns)) >= MIN_DOMESTIC or before
    return pinned_domestic_up(facts) and before


def international_silent(facts: RoundFacts) -> bool:
    """Return whether nothing outside answers and the inside does."""
    return references_silent(facts) and (domestic_up(facts) or pinned_domestic_up(facts))


def all_silent(facts: RoundFacts) -> bool:
    """Return whether nothing beyond the host's own network answered, and that network itself did."""
    far = (facts.domestic, facts.international, facts.platforms)
    silent = not any(reach.any_answer for reach in far)
    enough = len(facts.domestic.down | facts.international.down) >= MIN_REFERENCES
    well = not (facts.failed(Rung.LINK) or facts.failed(Rung.ADDRESS) or facts.gateway_fell_silent())
    return silent and enough and well and bool(facts.near())


def outage(facts: RoundFacts) -> bool:
    """Return whether nothing beyond the host's network answers, asked again."""
    if not all_silent(facts):
        return False
    still_up = bool(facts.near_after(facts.far_silence_ended_ns))
    return still_up or facts.previous("isp-or-wider-outage", "all-silent-unconfirmed")


def certificates_refused(facts: RoundFacts) -> bool:
    """Return whether reference targets answer with certificates that none verifies."""
    handshakes = [seen for seen in facts.on(Rung.INTERNATIONAL) if seen.test == "tls"]
    networks = {seen.network for seen in handshakes}
    return len(networks) >= MIN_OK and all(seen.outlook is Outlook.TAMPERED for seen in handshakes)


def names_unresolved(facts: RoundFacts) -> bool:
    """Return whether no name is resolved."""
    by_name = [seen for seen in facts.latest if seen.is_by_name and seen.outlook is not Outlook.EXCLUDED]
    none = bool(by_name) and all(seen.outlook is Outlook.UNRESOLVED for seen in by_name)
    return bool(facts.failed(Rung.RESOLVER)) and none


def only_names_unresolved(facts: RoundFacts) -> bool:
    """Return whether no name is resolved, and it is not so that few networks pass as was found when names still were."""
    goes_on = facts.previous("few-networks-pass") and few_pass_again(facts)
    return names_unresolved(facts) and not goes_on


def ok(facts: RoundFacts) -> bool:
    """Return whether the outside is well."""
    return facts.outside_well


def much_silent(facts: RoundFacts) -> bool:
    """Return whether reference targets would be well, were not a third of their networks silent, and half of the platforms'."""
    return facts.references_well and facts.much_silent


def few_pass(facts: RoundFacts) -> bool:
    """Return whether few networks outside are reached and all others are silent, while the inside stands."""
    return facts.few_pass and domestic_up(facts)


def few_pass_again(facts: RoundFacts) -> bool:
    """Return whether the same few, and no other, passed in the round before: loss would choose others."""
    before = facts.previous("few-networks-pass", "few-networks-pass-unconfirmed")
    return few_pass(facts) and before and facts.same_references_silent


def one_family_silent(facts: RoundFacts) -> bool:
    """Return whether reference targets answer over one address family and are all silent over the other."""
    return facts.silent_family is not None


def no_reference(facts: RoundFacts) -> bool:
    """Return whether no reference target was tried."""
    return facts.international.tried == 0


def always(facts: RoundFacts) -> bool:  # noqa: ARG001  # a condition takes the facts
    """Return whether this is asked at all."""
    return True


def tunnelled(facts: RoundFacts) -> bool:
    """Return whether what goes far leaves by a tunnel."""
    return facts.tunnelled


def resolver_lies(facts: RoundFacts) -> bool:
    """Return whether the resolver gives every name the same false answer, while what is asked by address is well."""
    return facts.resolver_lies


def large_packets_vanish(facts: RoundFacts) -> bool:
    """Return whether handshakes outside succeed in small packets alone."""
    return facts.large_packets_vanish


def protocols_part(facts: RoundFacts) -> bool:
    """Return whether some protocols or ports are silent outside where others are not: then nothing is simply well."""
    return bool(_silent_kinds(facts)) or only_web_passes(facts)


def protocol_filtering(facts: RoundFacts) -> bool:
    """Return whether the same was so in the round before, of the same targets: loss would choose others.

    On a line that is not quick each is waited for differently long, and the slower ones run out of time.
    """
    before = facts.previous("protocol-filtering", "protocols-part-unconfirmed")
    return protocols_part(facts) and line_is_quick(facts) and before and facts.same_references_silent


def only_web_passes(facts: RoundFacts) -> bool:
    """Return whether TCP ports apart from the web's and name servers', and plain UDP, are silent where all of the web is well.

    Either alone may be a router's or a provider's habit, and is not said. Where a reference target is not well by the web
    either, it may be places that are silent, and not ports.
    """
    mute = facts.mute_families
    web = [seen for seen in facts.on(Rung.INTERNATIONAL) if seen.test in AUTHENTICATING_TESTS]
    if any(seen.outlook is not Outlook.REACHED and (seen.family != 6 or 6 not in mute) for seen in web):
        return False
    ports = [
        seen
        for seen in facts.on(Rung.INTERNATIONAL)
        if seen.test == "tcp" and seen.target.rsplit(":", 1)[-1] not in WEB_PORTS
    ]
    asked = [seen for seen in facts.latest if seen.rung is Rung.INTERNATIONAL and seen.test == "ntp"]
    datagrams = [seen for seen in asked if seen.outlook not in (Outlook.UNRESOLVED, Outlook.EXCLUDED)]
    if any(seen.failure != Failure.TIMEOUT for seen in datagrams):
        return False
    if any(seen.outlook is not Outlook.DOWN for seen in ports):
        return False
    silent = {seen.network for seen in ports}
    enough = min(len(silent), len({seen.network for seen in datagrams})) >= MIN_REFERENCES
    well = facts.international.authenticated
    return enough and len(well) >= MIN_OK and bool(silent & well)


def _silent_kinds(facts: RoundFacts) -> set[tuple[str, str]]:
    """Return the kinds (test and port) that nothing outside answers while another kind proves the same network.

    A handshake that falls silent once it is connected may want for large packets: it counts only where one in small
    packets fell silent so as well.
    """
    mute = facts.mute_families
    by_kind: dict[tuple[str, str], list[Observation]] = {}
    for rung in (Rung.INTERNATIONAL, Rung.PLATFORMS):
        for seen in facts.on(rung):
            # Networks drop ping for reasons of their own, and IPv6 that leads nowhere is no protocol's fault.
            if seen.test == "ping" or not seen.network or seen.family in mute:
                continue
            if seen.outlook in (Outlook.REACHED, Outlook.STALLED, Outlook.DOWN):
                by_kind.setdefault(_kind(seen), []).append(seen)
    authenticated = {
        kind: {one.network for one in tried if one.is_authenticated} for kind, tried in by_kind.items()
    }
    found = set()
    for kind, tried in by_kind.items():
        small_too = any(one.small_segments and fell_silent_connected(one) for one in tried)
        networks = {one.network for one in tried if small_too or not fell_silent_connected(one)}
        if any(one.outlook is Outlook.REACHED for one in tried) or len(networks) < MIN_REFERENCES:
            continue
        if any(networks & others for other, others in authenticated.items() if other != kind):
            found.add(kind)
    beside = [one for kind, tried in by_kind.items() if kind not in found for one in tried]
    passing = {one.network for one in beside if one.outlook is Outlook.REACHED}
    # Where all else fails in most networks too, it is few places that pass, and no protocol that is stopped.
    return found if 2 * len(passing) >= len({one.network for one in beside}) else set()


def _kind(seen: Observation) -> tuple[str, str]:
    if seen.target.startswith("http://"):
        return "http", "80"
    if seen.test in ("tls", "http", "web_connectivity"):
        port = seen.target.rsplit(":", 1)[-1]
        return "tls", port if port.isdigit() else "443"
    return seen.test, seen.target.rsplit(":", 1)[-1]


def congestion(facts: RoundFacts) -> bool:
    """Return whether delay and loss rose together, on all that lies beyond the host's network."""
    rungs = [rung for rung in FAR if facts.reached(rung)]
    tried = [seen for rung in rungs for seen in facts.on(rung)]
    lost = [seen for seen in tried if seen.retransmitted or seen.failure == Failure.TIMEOUT]
    if Rung.INTERNATIONAL not in rungs or len(lost) < LOSSY * len(tried):
        return False
    return len({seen.network for seen in lost}) >= MIN_OK and all(_risen(facts, rung) for rung in rungs)


def _risen(facts: RoundFacts, rung: Rung) -> bool:
    best = [
        past.ladder.rung(rung).best_ns for past in facts.history if past.verdict.verdict == VerdictWord.OK
    ]
    known = [ns for ns in best if ns is not None]
    now = [seen.best_ns for seen in facts.reached(rung) if seen.best_ns is not None]
    if len(known) < SLOW_HISTORY or not now:
        return False
    ordinary = median(known)
    return min(now) >= SLOW_FACTOR * ordinary and min(now) - ordinary >= SLOW_NS


def target_is(word: VerdictWord) -> Callable[[RoundFacts], bool]:
    """Return the condition that the outside is well and a platform's own rule concludes `word`, and not weakly so."""

    def condition(facts: RoundFacts) -> bool:
        return facts.outside_well and any(
            one.concluded == word and one.confidence != "low" for one in facts.targets
        )

    return condition
