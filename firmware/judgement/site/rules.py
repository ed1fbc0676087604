"""The rules about one page, in one table: which verdict, because of what, and what would overturn it. Pure.

The first whose condition holds speaks. A rule says `blocked_…` only with a vantage outside that got what failed here,
or with evidence that only a censor's doing explains: a known answer of theirs, a true answer that lost a race, an
innocuous name that passes where the page's own is stopped. The last rule always holds and says `inconclusive`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from firmware.judgement.site import conditions as when
from firmware.judgement.site.facts import WebFacts
from firmware.model.verdict_words import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRule:
    """One row of the table. `is_sure` says whether a verdict by it rests on more than one view of the page."""

    rule_id: str
    verdict: VerdictWord
    sentence: str
    overturned_by: str
    condition: Callable[[WebFacts], bool]
    is_sure: bool = False


_LATER: Final = "The same failure for a vantage outside, or the page from another network of the country's."
_CONTROL_LATER: Final = "A vantage's view of the same page."
_NEXT: Final = "The next measurement."

WEB_RULES: Final[tuple[WebRule, ...]] = (
    WebRule(
        rule_id="page-not-measured",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Nothing was measured that could tell.",
        overturned_by=_NEXT,
        condition=when.nothing,
    ),
    WebRule(
        rule_id="page-proven",
        verdict=VerdictWord.OK,
        sentence="The page came, and a certificate proves who sent it; whatever the resolver answered, it led there.",
        overturned_by="A certificate authority that lends itself to the censor.",
        condition=when.page_proven,
        is_sure=True,
    ),
    WebRule(
        rule_id="site-proven",
        verdict=VerdictWord.OK,
        sentence="At an address that the system's resolver gave, a certificate proved the site; its page was not "
        "asked for.",
        overturned_by="A certificate authority that lends itself to the censor; or the page, once it is asked for.",
        condition=when.site_proven,
        is_sure=True,
    ),
    WebRule(
        rule_id="resolver-not-well",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The resolver gives unrelated names one answer, or answers for none: the fault is not one page's.",
        overturned_by="The page failing where other names are resolved truly.",
        condition=when.resolver_lies,
    ),
    WebRule(
        rule_id="known-false-answer",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The name is answered with an address that a censor is known to give, and nothing there proves "
        "itself to be the page's.",
        overturned_by="The fingerprint turning out to match the page's own address.",
        condition=when.known_answer,
        is_sure=True,
    ),
    WebRule(
        rule_id="known-block-page-elsewhere",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="A page that a censor is known to show is answered, from an address that is not the page's.",
        overturned_by="The fingerprint turning out to match the site's own page.",
        condition=when.known_page_elsewhere,
        is_sure=True,
    ),
    WebRule(
        rule_id="known-block-page",
        verdict=VerdictWord.BLOCKED_HTTP,
        sentence="A page that a censor is known to show is answered in clear text, where nothing proves the sender.",
        overturned_by="The fingerprint turning out to match the site's own page.",
        condition=when.known_page,
        is_sure=True,
    ),
    WebRule(
        rule_id="page-through-tunnel",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The host's traffic leaves through a tunnel, so what fails says nothing of the country's networks.",
        overturned_by="A measurement without the tunnel.",
        condition=when.tunnelled,
    ),
    WebRule(
        rule_id="round-not-well",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The reference targets of the same minutes were not reached either: the fault is not one page's.",
        overturned_by="The page failing in a round whose controls are reached.",
        condition=when.round_not_well,
    ),
    WebRule(
        rule_id="own-side",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The host's own network or the device could not try: no route, no such address family, no right.",
        overturned_by=_NEXT,
        condition=when.our_side,
    ),
    WebRule(
        rule_id="seen-once",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The page failed in one round only: loss, a server that restarts or a router that hiccups make that too.",
        overturned_by="The same in the round after.",
        condition=when.seen_once,
    ),
    WebRule(
        rule_id="true-answer-came-second",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="One question got two different answers; the one that came later proves itself by certificate, and "
        "the one that came first does not.",
        overturned_by="The first answer proving itself.",
        condition=when.race,
        is_sure=True,
    ),
    WebRule(
        rule_id="other-resolver-proves",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The system's resolver denies the name or gives an address that cannot be it, and what another "
        "resolver answers proves itself by certificate.",
        overturned_by="A resolver that the host chose to filter for them.",
        condition=when.denied_here,
        is_sure=True,
    ),
    WebRule(
        rule_id="innocuous-name-passes",
        verdict=VerdictWord.BLOCKED_TLS,
        sentence="At the same address and port a TLS handshake by an innocuous name is answered, and one by the "
        "page's name is stopped.",
        overturned_by="A vantage outside that is stopped at the same address by the same name.",
        condition=when.control_name,
        is_sure=True,
    ),
    WebRule(
        rule_id="site-refuses-device",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The site itself, by its certificate, refuses the device or fails: a check for people, a limit, "
        "visitors of one country, or a fault of its own.",
        overturned_by="A vantage that is refused in the same way.",
        condition=when.refuses_device,
    ),
    WebRule(
        rule_id="site-answers-itself",
        verdict=VerdictWord.OK,
        sentence="The site itself answers, by its certificate, with an error of its own.",
        overturned_by="A certificate authority that lends itself to the censor.",
        condition=when.proven_error,
        is_sure=True,
    ),
    WebRule(
        rule_id="page-without-control",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Nobody outside saw whether the page is there, and nothing here tells without: neither a failure "
        "nor a page in clear text.",
        overturned_by=_CONTROL_LATER,
        condition=when.no_control,
    ),
    WebRule(
        rule_id="answer-for-a-dead-name",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The name has no address outside, and here it is answered: with an address that no public server "
        "has, or by every resolver that is asked alike.",
        overturned_by="The same answer for names that were never anybody's.",
        condition=when.ghost,
    ),
    WebRule(
        rule_id="name-dead-elsewhere",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The name has no address for the vantage, and here it is answered with one: a landing page for "
        "mistyped names, a name that only the country knows, or a censor's list that is out of date.",
        overturned_by="The same answer for names that were never anybody's.",
        condition=when.dead_name,
    ),
    WebRule(
        rule_id="impossible-answer",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The name is answered with an address that no public server has, and the vantage gets a public one.",
        overturned_by=_LATER,
        condition=when.impossible_answer,
    ),
    WebRule(
        rule_id="down-outside-too",
        verdict=VerdictWord.SERVICE_DOWN,
        sentence="The page fails here, and for a vantage outside the country too.",
        overturned_by="A vantage in another network that gets the page.",
        condition=when.down,
        is_sure=True,
    ),
    WebRule(
        rule_id="control-alone-fails",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Something is answered in clear text here, and the vantage gets nothing to compare it with.",
        overturned_by=_CONTROL_LATER,
        condition=when.control_saw_nothing,
    ),
    WebRule(
        rule_id="control-not-since",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The page fails here, and the vantage got it last before it began to: it may be down for everyone "
        "by now.",
        overturned_by="A vantage's view from after the page began to fail.",
        condition=when.control_not_since,
    ),
    WebRule(
        rule_id="name-denied",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The system's resolver denies the name, and the vantage resolves it.",
        overturned_by=_LATER,
        condition=when.name_denied,
    ),
    WebRule(
        rule_id="name-never-answered",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The resolver answers other names and not this one, round after round, and the vantage resolves it.",
        overturned_by=_LATER,
        condition=when.name_unanswered,
    ),
    WebRule(
        rule_id="wrong-host-answers",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The name is answered with an address that is not the vantage's nor another resolver's, and who "
        "answers there has no certificate for it.",
        overturned_by=_LATER,
        condition=when.wrong_host,
    ),
    WebRule(
        rule_id="certificate-or-clock",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The certificate is refused for its dates or its making, and nothing shows that the device's clock "
        "is right.",
        overturned_by="The same with reference targets that prove themselves.",
        condition=when.clock,
    ),
    WebRule(
        rule_id="certificate-replaced",
        verdict=VerdictWord.BLOCKED_TLS,
        sentence="Somebody answers for the page with a certificate that is not its own; the vantage gets the page's.",
        overturned_by="A filter that the host or their employer set up; or another certificate for the vantage too.",
        condition=when.certificate_replaced,
    ),
    WebRule(
        rule_id="answers-elsewhere",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="The name is answered with addresses in other networks than the vantage's, nothing at them works, "
        "and the vantage gets the page.",
        overturned_by="One of those addresses proving itself: a cache of the site's that was down.",
        condition=when.answers_elsewhere,
    ),
    WebRule(
        rule_id="connect-stopped",
        verdict=VerdictWord.BLOCKED_TCP,
        sentence="No connection to the page's addresses is to be had, and the vantage connects to the same ones.",
        overturned_by=_LATER,
        condition=when.connect_stopped,
    ),
    WebRule(
        rule_id="handshake-stopped",
        verdict=VerdictWord.BLOCKED_TLS,
        sentence="The address accepts the connection and the TLS handshake by the page's name is stopped; the "
        "control's is not.",
        overturned_by=_LATER,
        condition=when.handshake_stopped,
    ),
    WebRule(
        rule_id="slow-transfer",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The page or its handshake was coming, or had begun to, when time ran out: slow or stopped midway, which a single "
        "transfer cannot tell.",
        overturned_by="A measurement of throughput beside a vantage.",
        condition=when.slow,
    ),
    WebRule(
        rule_id="request-stopped",
        verdict=VerdictWord.BLOCKED_HTTP,
        sentence="The request is answered with a reset, an end or silence, and the vantage gets the page.",
        overturned_by=_LATER,
        condition=when.request_stopped,
    ),
    WebRule(
        rule_id="bot-check",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The answer asks for proof of being human: the site's doing, to this address.",
        overturned_by=_CONTROL_LATER,
        condition=when.bot_check,
    ),
    WebRule(
        rule_id="servers-error",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The answer is a server's error or limit, and the vantage got none.",
        overturned_by=_NEXT,
        condition=when.servers_error,
    ),
    WebRule(
        rule_id="page-alike",
        verdict=VerdictWord.OK,
        sentence="The page came in clear text, and is like the one that the vantage got.",
        overturned_by="A forgery that takes care to look like the page.",
        condition=when.page_alike,
    ),
    WebRule(
        rule_id="other-page-elsewhere",
        verdict=VerdictWord.BLOCKED_DNS,
        sentence="Another page than the vantage's is answered, from an address that is not the page's.",
        overturned_by=_LATER,
        condition=when.other_page_elsewhere,
    ),
    WebRule(
        rule_id="other-page",
        verdict=VerdictWord.BLOCKED_HTTP,
        sentence="Another page than the vantage's is answered in clear text: status, length, title and headers have "
        "nothing in common.",
        overturned_by="The site's own page for this country.",
        condition=when.other_page,
    ),
    WebRule(
        rule_id="page-mixed-evidence",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The page failed or differed in no way that a rule knows.",
        overturned_by=_NEXT,
        condition=when.always,
    ),
)
"""The rules about one page, in the order in which they are asked."""
