"""The rules about one page, in one table: which verdict, and when. Pure.

Because of what, and what would overturn it, says the catalogue (`firmware.language`) under `rule.…`, by the rule's id.

The first whose condition holds speaks. A rule says `blocked_…` only with a vantage outside that got what failed here, or
with evidence that only a censor's doing explains: a known answer of theirs, a true answer that lost a race. An innocuous
name that passes where the page's own is stopped is none: a server may do that to everyone. The last rule always holds and says `inconclusive`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from firmware.judgement.site import conditions as when
from firmware.judgement.site import enough, pairs, refusal
from firmware.judgement.site.facts import WebFacts
from firmware.model.verdict_words import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRule:
    """One row of the table. `is_sure` says whether a verdict by it rests on more than one view of the page.

    `needs_vantage`: one of them is the vantage's, so that it is as sure as that is fresh. `is_unsure`: a second view is
    lacking, and the verdict is never a headline.
    """

    rule_id: str
    verdict: VerdictWord
    condition: Callable[[WebFacts], bool]
    is_sure: bool = False
    needs_vantage: bool = False
    is_unsure: bool = False


WEB_RULES: Final[tuple[WebRule, ...]] = (
    WebRule(
        rule_id="page-not-measured",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.nothing,
    ),
    WebRule(
        rule_id="page-proven",
        verdict=VerdictWord.OK,
        condition=when.page_proven,
        is_sure=True,
    ),
    WebRule(
        rule_id="site-proven",
        verdict=VerdictWord.OK,
        condition=when.site_proven,
        is_sure=True,
    ),
    WebRule(
        rule_id="resolver-not-well",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.resolver_lies,
    ),
    WebRule(
        rule_id="known-false-answer",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=when.known_answer,
        is_sure=True,
    ),
    WebRule(
        rule_id="known-block-page-elsewhere",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=when.known_page_elsewhere,
        is_sure=True,
    ),
    WebRule(
        rule_id="known-block-page",
        verdict=VerdictWord.BLOCKED_HTTP,
        condition=when.known_page,
        is_sure=True,
    ),
    WebRule(
        rule_id="page-through-tunnel",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.tunnelled,
    ),
    WebRule(
        rule_id="round-not-well",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.round_not_well,
    ),
    WebRule(
        rule_id="round-unknown",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.round_unknown,
    ),
    WebRule(
        rule_id="asked-for-its-round",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.of_its_round,
    ),
    WebRule(
        rule_id="own-side",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.our_side,
    ),
    WebRule(
        rule_id="seen-once",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=enough.seen_once,
    ),
    WebRule(
        rule_id="true-answer-came-second",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=when.race,
        is_sure=True,
    ),
    WebRule(
        rule_id="other-resolver-proves",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=when.denied_here,
        is_sure=True,
    ),
    WebRule(
        rule_id="line-ran-out",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=enough.line_ran_out,
    ),
    WebRule(
        rule_id="time-out-unpaired",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=enough.unpaired,
    ),
    WebRule(
        rule_id="site-refuses-device",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.refuses_device,
    ),
    WebRule(
        rule_id="site-answers-itself",
        verdict=VerdictWord.OK,
        condition=when.proven_error,
        is_sure=True,
    ),
    WebRule(
        rule_id="innocuous-name-unseen",
        verdict=VerdictWord.BLOCKED_TLS,
        condition=pairs.control_name_unseen,
        is_unsure=True,
    ),
    WebRule(
        rule_id="page-without-control",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.no_vantage,
    ),
    WebRule(
        rule_id="answer-for-a-dead-name",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=when.ghost,
    ),
    WebRule(
        rule_id="name-dead-elsewhere",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.dead_name,
    ),
    WebRule(
        rule_id="impossible-answer",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=when.impossible_answer,
    ),
    WebRule(
        rule_id="down-outside-too",
        verdict=VerdictWord.SERVICE_DOWN,
        condition=when.down,
        is_sure=True,
    ),
    WebRule(
        rule_id="control-alone-fails",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.vantage_saw_nothing,
    ),
    WebRule(
        rule_id="control-not-since",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=enough.vantage_not_since,
    ),
    WebRule(
        rule_id="innocuous-name-passes",
        verdict=VerdictWord.BLOCKED_TLS,
        condition=enough.seen_enough(pairs.control_name),
        is_sure=True,
        needs_vantage=True,
    ),
    WebRule(
        rule_id="name-denied",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=enough.seen_enough(when.name_denied),
    ),
    WebRule(
        rule_id="name-never-answered",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=enough.seen_enough(when.name_unanswered),
    ),
    WebRule(
        rule_id="wrong-host-answers",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=enough.seen_enough(when.wrong_host),
    ),
    WebRule(
        rule_id="certificate-or-clock",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.clock,
    ),
    WebRule(
        rule_id="certificate-replaced",
        verdict=VerdictWord.BLOCKED_TLS,
        condition=enough.seen_enough(when.certificate_replaced),
    ),
    WebRule(
        rule_id="answers-elsewhere",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=enough.seen_enough(when.answers_elsewhere),
    ),
    WebRule(
        rule_id=refusal.NOT_REFUSED,
        verdict=VerdictWord.BLOCKED_TCP,
        condition=enough.seen_enough(refusal.is_reached_beside),
    ),
    WebRule(
        rule_id=refusal.REFUSES,
        verdict=VerdictWord.INCONCLUSIVE,
        condition=enough.seen_enough(refusal.is_refused_beside),
    ),
    WebRule(
        rule_id=refusal.MAY_REFUSE,
        verdict=VerdictWord.INCONCLUSIVE,
        condition=enough.seen_enough(refusal.is_untold),
    ),
    WebRule(
        rule_id="connect-stopped",
        verdict=VerdictWord.BLOCKED_TCP,
        condition=enough.seen_enough(when.connect_stopped),
    ),
    WebRule(
        rule_id="handshake-stopped",
        verdict=VerdictWord.BLOCKED_TLS,
        condition=enough.seen_enough(when.handshake_stopped),
    ),
    WebRule(
        rule_id="slow-transfer",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.slow,
    ),
    WebRule(
        rule_id="request-stopped",
        verdict=VerdictWord.BLOCKED_HTTP,
        condition=enough.seen_enough(when.request_stopped),
    ),
    WebRule(
        rule_id="bot-check",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.bot_check,
    ),
    WebRule(
        rule_id="servers-error",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.servers_error,
    ),
    WebRule(
        rule_id="page-alike",
        verdict=VerdictWord.OK,
        condition=when.page_alike,
    ),
    WebRule(
        rule_id="other-page-elsewhere",
        verdict=VerdictWord.BLOCKED_DNS,
        condition=enough.seen_enough(when.other_page_elsewhere),
    ),
    WebRule(
        rule_id="other-page",
        verdict=VerdictWord.BLOCKED_HTTP,
        condition=enough.seen_enough(when.other_page),
    ),
    WebRule(
        rule_id="vantage-looked-too-little",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=enough.vantage_looked_too_little,
    ),
    WebRule(
        rule_id="page-mixed-evidence",
        verdict=VerdictWord.INCONCLUSIVE,
        condition=when.always,
    ),
)
"""The rules about one page, in the order in which they are asked."""
