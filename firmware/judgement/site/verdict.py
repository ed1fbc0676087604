"""The verdict on one page: what one measurement of it carries, by the first of `WEB_RULES` that holds. Pure.

This file must never take a failure alone for blocking, nor a DNS answer for a page.
Why each rule is as it is: docs/explanation/verdicts.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from firmware.judgement.fingerprints.load import builtin
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.site.evidence import Looked, WebControl, WebEvidence
from firmware.judgement.site.facts import RoundView, WebFacts
from firmware.judgement.site.journey import Stage
from firmware.judgement.site.pages import is_slow
from firmware.judgement.site.rules import WEB_RULES
from firmware.model.failures import Failure
from firmware.model.record import Verdict
from firmware.model.verdict_words import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class WebJudgement:
    """The verdict on one page, and how much stands behind it: `high`, `medium` or `low`.

    `low`: it rests on a vantage that is only the last known one, or it is inconclusive.
    """

    verdict: Verdict
    confidence: str
    step: str
    """Where the journey ended: `none`, `dns`, `tcp`, `tls`, `http`, `handshake` or `page`."""


def judge(
    evidence: WebEvidence,
    control: WebControl | None,
    *,
    fingerprints: Fingerprints | None = None,
    round: RoundView | None = None,
) -> WebJudgement:
    """Return the verdict on one page; `ok` means that this page is to be had.

    `control` is what somebody outside saw, None where nobody looked; `fingerprints` those that come along unless
    given; `round` what the device's own round said around it, None for evidence of others.
    """
    known = builtin() if fingerprints is None else fingerprints
    facts = WebFacts.of(evidence, control, fingerprints=known, round=round)
    rule = next(rule for rule in WEB_RULES if rule.condition(facts))
    rests_on_control = rule.verdict is not VerdictWord.OK and not rule.is_sure
    if rule.verdict is VerdictWord.INCONCLUSIVE or (facts.is_stale and rests_on_control):
        confidence = "low"
    else:
        confidence = "high" if rule.is_sure else "medium"
    return WebJudgement(
        verdict=Verdict(
            verdict=rule.verdict,
            rule_id=rule.rule_id,
            evidence=tuple(_evidence(facts, control)),
            overturned_by=rule.overturned_by,
        ),
        confidence=confidence,
        step=str(facts.stage),
    )


def _evidence(facts: WebFacts, control: WebControl | None) -> Iterator[str]:
    yield f"{facts.evidence.url}: {_came_to(facts)}"
    for lookup in facts.evidence.lookups:
        late = f"; later answers {', '.join(lookup.late)}" if lookup.late else ""
        said = lookup.failure or ", ".join(lookup.addresses) or "no address"
        yield f"dns: {lookup.hostname} by {lookup.resolver or lookup.engine or 'the system'}: {said}{late}"
    for handshake in facts.controls:
        yield f"tls: an innocuous name at {handshake.address}: {handshake.failure or 'answered'}"
    for known in (facts.known_answer, facts.known_page):
        if known is not None:
            yield f"fingerprint {known.name} ({known.location}, confidence {known.confidence}) matches"
    for handshake in facts.handshakes:
        if handshake.failure == Failure.TIMEOUT and handshake.bytes_read:
            yield f"slow: {handshake.bytes_read} bytes of the handshake with {handshake.address} when time ran out"
    yield from _control_lines(facts, control)
    if facts.round is not None and facts.round.controls_reached is not None:
        reached = "were reached" if facts.round.controls_reached else "were not reached"
        yield f"round: reference targets {reached}"
    if facts.stage is Stage.HTTP and facts.evidence.requests:
        size = facts.evidence.requests[-1].body_length
        progress = facts.evidence.requests[-1].progress
        if progress and (is_slow(progress) or facts.failure == Failure.TIMEOUT):
            last_bytes, last_ns = progress[-1]
            moving = ", and still moving" if is_slow(progress) else ", then nothing until time ran out"
            yield f"slow: {max(size, last_bytes)} bytes in {last_ns / 1e9:.1f} s{moving}"


def _came_to(facts: WebFacts) -> str:
    if facts.stage is Stage.PAGE and facts.page is not None:
        proof = "proven by certificate" if facts.page_proven else "without proof of who answered"
        return f"answered with status {facts.page.status}, {proof}"
    if facts.stage is Stage.SHAKEN:
        return "the handshake came through, by a certificate of its own"
    if facts.stage is Stage.NONE:
        return "nothing was measured that could tell"
    where = "" if facts.is_first_hop else f" on the way to {facts.host}, where it was sent"
    return f"{facts.stage}: {facts.failure}{where}"


def _control_lines(facts: WebFacts, control: WebControl | None) -> Iterator[str]:
    if control is None:
        yield "control: nobody outside looked"
    elif not control.reachable:
        yield "control: could not be asked"
    elif control.looked is Looked.AFTER:
        yield "control: it looked only after this, which says nothing of how it was then"
    elif facts.control is None:
        yield f"control: its last view is {control.age_s / 3600:.0f} h old, too old to say anything"
    else:
        age = f", {control.age_s / 3600:.1f} h from this measurement" if facts.is_stale else ""
        kind = "last known control" if facts.is_stale else "control"
        names = (
            control.dns_failure or f"{len(control.addresses)} addresses" if control.saw_dns else "not asked"
        )
        page = control.http_failure or f"status {control.status}" if control.saw_http else "not asked"
        yield f"{kind} ({control.source}{age}): name {names}; page {page}"
