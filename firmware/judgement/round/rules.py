"""The rules about a round, in one table: which verdict, because of what, and what would overturn it. Pure.

The first whose condition holds speaks; the last one always holds and says `inconclusive`. A rule must never conclude
from a target alone (reference targets in unrelated networks decide), from a DNS answer (resolvers answer from their cache in
a cut), or from silence that a fault in the host's own network explains.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from firmware.judgement.facts import MIN_OK, RoundFacts
from firmware.judgement.round import conditions as when
from firmware.model.record import Rung
from firmware.model.verdict_words import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table: when `condition` holds, the verdict is `verdict`, because of `sentence`.

    The evidence is what was seen on `rungs`. `overturned_by` says what would make the verdict wrong.
    """

    rule_id: str
    verdict: VerdictWord
    sentence: str
    overturned_by: str
    rungs: tuple[Rung, ...]
    condition: Callable[[RoundFacts], bool]


_LOCAL: Final = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER)
_FAR: Final = (Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        rule_id="link-down",
        verdict=VerdictWord.LOCAL_FAULT,
        sentence="The device has no link: the cable is out, or the Wi-Fi is not joined; and nothing answers.",
        overturned_by="An answer from anything beyond the device in the same round.",
        rungs=_LOCAL,
        condition=when.link_down,
    ),
    Rule(
        rule_id="no-address",
        verdict=VerdictWord.LOCAL_FAULT,
        sentence="The link is up and the device was given no usable address; and nothing answers.",
        overturned_by="An answer from anything beyond the device in the same round.",
        rungs=_LOCAL,
        condition=when.no_address,
    ),
    Rule(
        rule_id="gateway-absent",
        verdict=VerdictWord.LOCAL_FAULT,
        sentence="There is no router, or nobody has its address on the host's network; and nothing answers.",
        overturned_by="An answer from anything beyond the router in the same round.",
        rungs=_LOCAL,
        condition=when.gateway_absent,
    ),
    Rule(
        rule_id="gateway-lost",
        verdict=VerdictWord.LOCAL_FAULT,
        sentence="The router answered within the last hour and does not now; and nothing beyond it answers.",
        overturned_by="An answer from anything beyond the router in the same round.",
        rungs=_LOCAL,
        condition=when.gateway_lost,
    ),
    Rule(
        rule_id="through-a-tunnel",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="What goes far leaves by a tunnel (a VPN) and comes out elsewhere: nothing can be said of the "
        "country's networks.",
        overturned_by="A round without the tunnel.",
        rungs=_FAR,
        condition=when.tunnelled,
    ),
    Rule(
        rule_id="captive-portal",
        verdict=VerdictWord.CAPTIVE_PORTAL,
        sentence="A plain-HTTP check is answered with a page or a redirect of somebody else's, and no target "
        "anywhere proves itself.",
        overturned_by="Any target that proves itself by its certificate in the same round.",
        rungs=_FAR,
        condition=when.captive_portal,
    ),
    Rule(
        rule_id="international-cut",
        verdict=VerdictWord.INTERNATIONAL_CUT,
        sentence=f"Nothing outside the country answers, in at least {when.MIN_CONTROLS} unrelated networks, while at "
        f"least {when.MIN_DOMESTIC} unrelated domestic networks prove themselves: after that silence in the same "
        "round, or in this round with the same silence in the round before.",
        overturned_by="One answer from any international reference target or platform; or domestic anchors that turn "
        "out to be answered from inside the host's own network.",
        rungs=_FAR,
        condition=when.international_cut,
    ),
    Rule(
        rule_id="international-silent-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Nothing outside the country answers and domestic networks did, but none was asked again "
        "after that silence: the line may have dropped in between.",
        overturned_by="The next round, or a domestic answer after the silence.",
        rungs=_FAR,
        condition=when.international_silent,
    ),
    Rule(
        rule_id="isp-or-wider-outage",
        verdict=VerdictWord.ISP_OR_WIDER_OUTAGE,
        sentence=f"Nothing beyond the host's network answers, in at least {when.MIN_CONTROLS} unrelated networks, "
        "while the router or the provider's resolver does: after that silence in the same round, or in this "
        "round with the same silence in the round before.",
        overturned_by="One answer from any domestic anchor, international reference target or platform; or another "
        "device behind the same router that reaches one.",
        rungs=tuple(Rung),
        condition=when.outage,
    ),
    Rule(
        rule_id="all-silent-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Nothing beyond the host's network answers and the router did, but it was not asked again "
        "after that silence: the line may have dropped in between.",
        overturned_by="The next round, or an answer of the router after the silence.",
        rungs=tuple(Rung),
        condition=when.all_silent,
    ),
    Rule(
        rule_id="certificates-refused",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Every international reference target answers, and none with a certificate that can be verified: the "
        "device's clock is wrong, or somebody answers for all of them.",
        overturned_by="The same reference targets once the device's clock is known to be right.",
        rungs=_FAR,
        condition=when.certificates_refused,
    ),
    Rule(
        rule_id="names-unresolved",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The provider's resolver fails and no name at all is resolved; what is asked by its address "
        "is another matter.",
        overturned_by="The next round in which names resolve.",
        rungs=(Rung.RESOLVER, *_FAR),
        condition=when.names_unresolved,
    ),
    Rule(
        rule_id="resolver-lies",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The resolver gives every name it is asked the same answer, and nobody there proves to be any of "
        "them: no single name is blocked.",
        overturned_by="One of those answers proving itself, or a name with another.",
        rungs=(Rung.RESOLVER, *_FAR),
        condition=when.resolver_lies,
    ),
    Rule(
        rule_id="protocol-filtering",
        verdict=VerdictWord.PROTOCOL_FILTERING,
        sentence=f"One protocol or port is silent in at least {when.MIN_CONTROLS} unrelated networks outside, in this "
        "round and the one before, while another reaches one of the same networks and proves it.",
        overturned_by="One answer by the protocol that is silent.",
        rungs=_FAR,
        condition=when.protocol_filtering,
    ),
    Rule(
        rule_id="protocols-part-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="One protocol or port is silent outside and another is not, in this round alone.",
        overturned_by="The next round.",
        rungs=_FAR,
        condition=when.protocols_part,
    ),
    Rule(
        rule_id="delay-and-loss",
        verdict=VerdictWord.CONGESTION,
        sentence=f"On every far rung the best time is at least {when.SLOW_FACTOR:.0f} times the ordinary one of the "
        f"rounds before, and at least a share of {when.LOSSY} of the targets lose packets: a full line.",
        overturned_by="A target that is as fast as ever: then the delay is not the line's.",
        rungs=_FAR,
        condition=when.congestion,
    ),
    Rule(
        rule_id="platform-blocked-by-name",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The reference targets outside are well, and of at least one platform its own verdict is that its name gets a false answer, or none.",
        overturned_by="What would overturn the verdict on that platform; see the rules about one page.",
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.BLOCKED_DNS),
    ),
    Rule(
        rule_id="platform-blocked-by-address",
        verdict=VerdictWord.BLOCKED_TCP,
        sentence="The reference targets outside are well, and of at least one platform its own verdict is that connections to it are stopped.",
        overturned_by="What would overturn the verdict on that platform; see the rules about one page.",
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.BLOCKED_TCP),
    ),
    Rule(
        rule_id="platform-blocked-in-handshake",
        verdict=VerdictWord.BLOCKED_TLS,
        sentence="The reference targets outside are well, and of at least one platform its own verdict is that its TLS handshake is stopped.",
        overturned_by="What would overturn the verdict on that platform; see the rules about one page.",
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.BLOCKED_TLS),
    ),
    Rule(
        rule_id="platform-blocked-by-page",
        verdict=VerdictWord.BLOCKED_HTTP,
        sentence="The reference targets outside are well, and of at least one platform its own verdict is that its page is stopped or another's is shown.",
        overturned_by="What would overturn the verdict on that platform; see the rules about one page.",
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.BLOCKED_HTTP),
    ),
    Rule(
        rule_id="platform-down",
        verdict=VerdictWord.SERVICE_DOWN,
        sentence="The reference targets outside are well, and at least one platform fails here and for a vantage outside too.",
        overturned_by="A vantage in another network that gets it.",
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.SERVICE_DOWN),
    ),
    Rule(
        rule_id="controls-reached",
        verdict=VerdictWord.OK,
        sentence=f"Reference targets in at least {MIN_OK} unrelated networks outside the country prove "
        "themselves, and at least half of the networks tried are reached. Platforms that failed are in the "
        "evidence: one blocked site, or three, is not an outage.",
        overturned_by="Reference targets that turn out to be answered from inside the country.",
        rungs=_FAR,
        condition=when.ok,
    ),
    Rule(
        rule_id="no-control",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="No international reference target could be tried, so nothing can be said of anything else.",
        overturned_by="A round in which the reference targets are tried.",
        rungs=tuple(Rung),
        condition=when.no_control,
    ),
    Rule(
        rule_id="mixed-evidence",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Some of what should be up is and some is not, in no pattern that a rule knows: loss, "
        "congestion, a partial cut, or too few answers.",
        overturned_by="The next round.",
        rungs=tuple(Rung),
        condition=when.always,
    ),
)
"""The rules, in the order in which they are asked."""
