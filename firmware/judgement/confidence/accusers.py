"""The rules that accuse, and of what: by its rule an accusation that was held back is known again. Values only.

A rule is never re-used for another word, and none is removed: records that carry it outlive the software.
"""

from collections.abc import Mapping
from typing import Final

from firmware.model.verdict_words import VerdictWord

ACCUSERS: Final[Mapping[str, VerdictWord]] = {
    # about a round
    "international-cut": VerdictWord.INTERNATIONAL_CUT,
    "isp-or-wider-outage": VerdictWord.ISP_OR_WIDER_OUTAGE,
    "protocol-filtering": VerdictWord.PROTOCOL_FILTERING,
    "few-networks-pass": VerdictWord.ALLOWLISTED,
    "platform-blocked-by-name": VerdictWord.BLOCKED_DNS,
    "platform-blocked-by-address": VerdictWord.BLOCKED_TCP,
    "platform-blocked-in-handshake": VerdictWord.BLOCKED_TLS,
    "platform-blocked-by-page": VerdictWord.BLOCKED_HTTP,
    # about one page
    "known-false-answer": VerdictWord.BLOCKED_DNS,
    "known-block-page-elsewhere": VerdictWord.BLOCKED_DNS,
    "known-block-page": VerdictWord.BLOCKED_HTTP,
    "true-answer-came-second": VerdictWord.BLOCKED_DNS,
    "other-resolver-proves": VerdictWord.BLOCKED_DNS,
    "innocuous-name-unseen": VerdictWord.BLOCKED_TLS,
    "answer-for-a-dead-name": VerdictWord.BLOCKED_DNS,
    "impossible-answer": VerdictWord.BLOCKED_DNS,
    "innocuous-name-passes": VerdictWord.BLOCKED_TLS,
    "name-denied": VerdictWord.BLOCKED_DNS,
    "name-never-answered": VerdictWord.BLOCKED_DNS,
    "wrong-host-answers": VerdictWord.BLOCKED_DNS,
    "certificate-replaced": VerdictWord.BLOCKED_TLS,
    "answers-elsewhere": VerdictWord.BLOCKED_DNS,
    "connect-stopped": VerdictWord.BLOCKED_TCP,
    "connect-stopped-here-alone": VerdictWord.BLOCKED_TCP,
    "handshake-stopped": VerdictWord.BLOCKED_TLS,
    "request-stopped": VerdictWord.BLOCKED_HTTP,
    "other-page-elsewhere": VerdictWord.BLOCKED_DNS,
    "other-page": VerdictWord.BLOCKED_HTTP,
    # about many devices
    "neighbours-lost-too": VerdictWord.TRANSIT_FAULT,
    "mobile-lost-fixed-well": VerdictWord.MOBILE_SHUTDOWN,
    "one-region-lost": VerdictWord.REGIONAL_SHUTDOWN,
    "one-network-lost": VerdictWord.ISP_OUTAGE,
    "abroad-lost-together": VerdictWord.INTERNATIONAL_CUT,
    "networks-lost-together": VerdictWord.TOTAL_SHUTDOWN,
    "most-lost-some-stay-on": VerdictWord.PARTIAL_SHUTDOWN,
    "groups-lost-together": VerdictWord.PARTIAL_SHUTDOWN,
    "allow-list-across-networks": VerdictWord.ALLOWLISTED,
    "filtered-everywhere": VerdictWord.PROTOCOL_FILTERING,
    "platform-blocked-everywhere": VerdictWord.PLATFORM_BLOCKED,
}
"""Each rule's id, and the word that it concludes."""


def concluded(verdict: str, rule_id: str) -> str:
    """Return what a rule concluded: the word that was said, or the accusation that was held back as too unsure.

    What goes on by a verdict (the next round's pace, a country's devices) goes by this, so that the table of numbers
    decides what is said and nothing else.
    """
    return ACCUSERS.get(rule_id, verdict) if verdict == VerdictWord.INCONCLUSIVE else verdict
