"""The rules about a round, in one table: which verdict, and when. Pure.

Because of what, and what would overturn it, says the catalogue (`firmware.language`) under `rule.…`, by the rule's id.
The first whose condition holds speaks; the last one always holds and says `inconclusive`. A rule must never conclude
from a target alone (reference targets in unrelated networks decide), from a DNS answer (resolvers answer from their cache in
a cut), or from silence that a fault in the host's own network explains.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from firmware.judgement.facts import FEW, MIN_OK, RoundFacts
from firmware.judgement.reach import MIN_REFERENCES
from firmware.judgement.round import conditions as when
from firmware.model.record import Rung
from firmware.model.verdict_words import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table: when `condition` holds, the verdict is `verdict`.

    The evidence is what was seen on `rungs`. `numbers` are the limits that its sentence names.
    """

    rule_id: str
    verdict: VerdictWord
    rungs: tuple[Rung, ...]
    condition: Callable[[RoundFacts], bool]
    numbers: Mapping[str, float] = field(default_factory=dict)


_LOCAL: Final = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER)
_FAR: Final = (Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        rule_id="link-down",
        verdict=VerdictWord.LOCAL_FAULT,
        rungs=_LOCAL,
        condition=when.link_down,
    ),
    Rule(
        rule_id="no-address",
        verdict=VerdictWord.LOCAL_FAULT,
        rungs=_LOCAL,
        condition=when.no_address,
    ),
    Rule(
        rule_id="gateway-absent",
        verdict=VerdictWord.LOCAL_FAULT,
        rungs=_LOCAL,
        condition=when.gateway_absent,
    ),
    Rule(
        rule_id="gateway-lost",
        verdict=VerdictWord.LOCAL_FAULT,
        rungs=_LOCAL,
        condition=when.gateway_lost,
    ),
    Rule(
        rule_id="through-a-tunnel",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=_FAR,
        condition=when.tunnelled,
    ),
    Rule(
        rule_id="captive-portal",
        verdict=VerdictWord.CAPTIVE_PORTAL,
        rungs=_FAR,
        condition=when.captive_portal,
    ),
    Rule(
        rule_id="international-cut",
        verdict=VerdictWord.INTERNATIONAL_CUT,
        rungs=_FAR,
        condition=when.international_cut,
        numbers={"networks": MIN_REFERENCES, "domestic": when.MIN_DOMESTIC},
    ),
    Rule(
        rule_id="international-silent-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=_FAR,
        condition=when.international_silent,
    ),
    Rule(
        rule_id="isp-or-wider-outage",
        verdict=VerdictWord.ISP_OR_WIDER_OUTAGE,
        rungs=tuple(Rung),
        condition=when.outage,
        numbers={"networks": MIN_REFERENCES},
    ),
    Rule(
        rule_id="all-silent-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=tuple(Rung),
        condition=when.all_silent,
    ),
    Rule(
        rule_id="certificates-refused",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=_FAR,
        condition=when.certificates_refused,
    ),
    Rule(
        rule_id="names-unresolved",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=(Rung.RESOLVER, *_FAR),
        condition=when.only_names_unresolved,
    ),
    Rule(
        rule_id="resolver-lies",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=(Rung.RESOLVER, *_FAR),
        condition=when.resolver_lies,
    ),
    Rule(
        rule_id="one-family-silent",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=_FAR,
        condition=when.one_family_silent,
    ),
    Rule(
        rule_id="large-packets-vanish",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=_FAR,
        condition=when.large_packets_vanish,
        numbers={"networks": MIN_REFERENCES},
    ),
    Rule(
        rule_id="protocol-filtering",
        verdict=VerdictWord.PROTOCOL_FILTERING,
        rungs=_FAR,
        condition=when.protocol_filtering,
        numbers={"networks": MIN_REFERENCES},
    ),
    Rule(
        rule_id="protocols-part-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=_FAR,
        condition=when.protocols_part,
    ),
    Rule(
        rule_id="few-networks-pass",
        verdict=VerdictWord.ALLOWLISTED,
        rungs=_FAR,
        condition=when.few_pass_again,
        numbers={"networks": MIN_REFERENCES, "few": FEW},
    ),
    Rule(
        rule_id="few-networks-pass-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=_FAR,
        condition=when.few_pass,
    ),
    Rule(
        rule_id="delay-and-loss",
        verdict=VerdictWord.CONGESTION,
        rungs=_FAR,
        condition=when.congestion,
        numbers={"factor": round(when.SLOW_FACTOR), "lossy": when.LOSSY},
    ),
    Rule(
        rule_id="platform-blocked-by-name",
        verdict=VerdictWord.BLOCKED_DNS,
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.BLOCKED_DNS),
    ),
    Rule(
        rule_id="platform-blocked-by-address",
        verdict=VerdictWord.BLOCKED_TCP,
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.BLOCKED_TCP),
    ),
    Rule(
        rule_id="platform-blocked-in-handshake",
        verdict=VerdictWord.BLOCKED_TLS,
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.BLOCKED_TLS),
    ),
    Rule(
        rule_id="platform-blocked-by-page",
        verdict=VerdictWord.BLOCKED_HTTP,
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.BLOCKED_HTTP),
    ),
    Rule(
        rule_id="platform-down",
        verdict=VerdictWord.SERVICE_DOWN,
        rungs=(Rung.INTERNATIONAL, Rung.PLATFORMS),
        condition=when.target_is(VerdictWord.SERVICE_DOWN),
    ),
    Rule(
        rule_id="controls-reached",
        verdict=VerdictWord.OK,
        rungs=_FAR,
        condition=when.ok,
        numbers={"networks": MIN_OK},
    ),
    Rule(
        rule_id="much-is-silent",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=_FAR,
        condition=when.much_silent,
    ),
    Rule(
        rule_id="no-control",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=tuple(Rung),
        condition=when.no_reference,
    ),
    Rule(
        rule_id="mixed-evidence",
        verdict=VerdictWord.INCONCLUSIVE,
        rungs=tuple(Rung),
        condition=when.always,
    ),
)
"""The rules, in the order in which they are asked."""
