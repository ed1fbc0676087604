"""The verdict on one page: what one measurement of it carries, by the first of `WEB_RULES` that holds. Pure.

This file must never take a failure alone for blocking, nor a DNS answer for a page.
Why each rule is as it is: docs/explanation/verdicts.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from firmware.judgement.confidence.said import said_of
from firmware.judgement.confidence.table import LOW, Speaker
from firmware.judgement.fingerprints.load import builtin
from firmware.judgement.fingerprints.table import Fingerprint, Fingerprints
from firmware.judgement.line_loss import NO_TRIES, TargetTries
from firmware.judgement.site.evidence import Looked, SiteView, Stand, WebEvidence
from firmware.judgement.site.facts import RoundView, WebFacts
from firmware.judgement.site.journey import RAN_OUT, Stage
from firmware.judgement.site.pages import is_slow
from firmware.judgement.site.pairs import tried_again, tries_of
from firmware.judgement.site.places import family_at
from firmware.judgement.site.rules import WEB_RULES
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Verdict
from firmware.model.statement import Statement, stated
from firmware.model.verdict_words import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class WebJudgement:
    """The verdict on one page, and how much stands behind what its rule concludes: `high`, `medium` or `low`.

    `low`: it rests on a vantage that is only the last known one, lacks one altogether, or is inconclusive. How likely it
    is so is a number, which stands in its evidence (`firmware.judgement.confidence`).
    """

    verdict: Verdict
    confidence: str
    step: str
    """Where the journey ended: `none`, `dns`, `tcp`, `tls`, `http`, `handshake` or `page`."""
    tries: TargetTries = NO_TRIES
    families: tuple[int, ...] = ()
    """The address families over which it was connected to."""


def judge(
    evidence: WebEvidence,
    vantage: SiteView | None,
    *,
    fingerprints: Fingerprints | None = None,
    round: RoundView | None = None,
) -> WebJudgement:
    """Return the verdict on one page; `ok` means that this page is to be had.

    `vantage` is what somebody outside saw, None where nobody looked; `fingerprints` those that come along unless
    given; `round` what the device's own round said around it, None for evidence of others.
    """
    known = builtin() if fingerprints is None else fingerprints
    return judge_facts(WebFacts.of(evidence, vantage, fingerprints=known, round=round), vantage)


def judge_facts(facts: WebFacts, vantage: SiteView | None) -> WebJudgement:
    """Return the verdict on a page that has been counted already; see `judge`."""
    rule = next(rule for rule in WEB_RULES if rule.condition(facts))
    rests_on_vantage = rule.verdict is not VerdictWord.OK and (not rule.is_sure or rule.needs_vantage)
    is_weak = rule.verdict is VerdictWord.INCONCLUSIVE or rule.is_unsure
    if is_weak or (facts.is_stale and rests_on_vantage):
        confidence = LOW
    else:
        confidence = "high" if rule.is_sure else "medium"
    concluded = Verdict(
        verdict=rule.verdict,
        rule_id=rule.rule_id,
        evidence=tuple(_evidence(facts, vantage)),
    )
    return WebJudgement(
        verdict=said_of(Speaker.SITE, concluded, certainty=confidence, is_told_of_others=facts.round is None),
        confidence=confidence,
        step=str(facts.stage),
        tries=tries_of(facts),
        families=tuple(sorted({family_at(one.address) for one in facts.connects if one.failure is None})),
    )


def _evidence(facts: WebFacts, vantage: SiteView | None) -> Iterator[Statement]:
    yield _came_to(facts)
    yield from _lookups(facts)
    yield from _beside(facts)
    yield from _over_rounds(facts)
    for known in (facts.known_answer, facts.known_page):
        if known is not None:
            yield _fingerprint(known)
    for handshake in facts.handshakes:
        if handshake.failure == Failure.TIMEOUT and handshake.bytes_read:
            yield stated("handshake-slow", address=handshake.address, bytes=handshake.bytes_read)
    yield from _from_outside(facts, vantage)
    yield from _from_beside(facts)
    if facts.round is not None and facts.round.references_reached is not None:
        yield stated("round-reached" if facts.round.references_reached else "round-not-reached")
    if facts.round is not None and facts.round.verdict:
        yield stated("round-verdict", verdict=facts.round.verdict, rule_id=facts.round.rule_id)
    if facts.round is not None and facts.round.country_verdict:
        verdict, rule_id = facts.round.country_verdict, facts.round.country_rule_id
        yield stated("country-verdict", verdict=verdict, rule_id=rule_id)
    if facts.stage is Stage.HTTP and facts.evidence.requests:
        size = facts.evidence.requests[-1].body_length
        progress = facts.evidence.requests[-1].progress
        if progress and (is_slow(progress) or facts.failure == Failure.TIMEOUT):
            last_bytes, last_ns = progress[-1]
            code = "transfer-slow" if is_slow(progress) else "transfer-stopped"
            yield stated(code, bytes=max(size, last_bytes), last_ns=last_ns)


def _fingerprint(known: Fingerprint) -> Statement:
    match: JsonObject = {"name": known.name, "location": known.location, "confidence": known.confidence}
    if known.of is None:
        return stated("fingerprint", **match)
    listed: JsonObject = {"list": known.of.name, "day": known.of.day, "digest": known.of.digest}
    return stated("fingerprint-of-list", source=known.source, **match, **listed)


def _beside(facts: WebFacts) -> Iterator[Statement]:
    """Yield what came of an innocuous name, and of the own name after it."""
    for handshake in facts.controls:
        if handshake.failure is None:
            yield stated("innocuous-name-answered", address=handshake.address)
        else:
            yield stated("innocuous-name-failed", address=handshake.address, failure=handshake.failure)
    for where, failure in tried_again(facts):
        yield stated("own-name-again", address=where, failure=failure)


def _over_rounds(facts: WebFacts) -> Iterator[Statement]:
    """Yield what the line lost, and how often the page failed beside that, where a verdict may rest on it."""
    if facts.round is None:
        return
    lost, counted = facts.round.references, facts.round.excess
    if facts.failure in RAN_OUT and lost.tried:
        yield stated("reference-handshakes", tried=lost.tried, timed_out=lost.timed_out, resent=lost.resent)
    if counted is not None and counted.is_beyond_loss:
        yield stated(
            "failed-beyond-loss", failed=counted.failed, rounds=counted.rounds, since_s=round(counted.since_s)
        )


def _came_to(facts: WebFacts) -> Statement:
    url = facts.evidence.url
    if facts.stage is Stage.PAGE and facts.page is not None:
        return stated(
            "page-proven" if facts.page_proven else "page-unproven", url=url, status=facts.page.status
        )
    if facts.stage is Stage.SHAKEN:
        return stated("page-handshake", url=url)
    if facts.stage is Stage.NONE:
        return stated("page-not-measured", url=url)
    step, failure = str(facts.stage), facts.failure or ""
    if facts.is_first_hop:
        return stated("page-failed", url=url, step=step, failure=failure)
    return stated("page-failed-elsewhere", url=url, step=step, failure=failure, host=facts.host)


def _lookups(facts: WebFacts) -> Iterator[Statement]:
    for lookup in facts.evidence.lookups:
        asked = {"hostname": lookup.hostname, "resolver": lookup.resolver or lookup.engine or "system"}
        if lookup.failure is not None:
            yield stated("name-failed", failure=lookup.failure, **asked)
        elif lookup.addresses:
            yield stated("name-resolved", addresses=[*lookup.addresses], **asked)
        else:
            yield stated("name-without-address", **asked)
        if lookup.late:
            yield stated("name-answered-again", addresses=[*lookup.late], **asked)


def _from_outside(facts: WebFacts, vantage: SiteView | None) -> Iterator[Statement]:
    if vantage is None:
        yield stated("vantage-nobody")
    elif not vantage.reachable:
        yield stated("vantage-unreachable")
    elif vantage.looked is Looked.AFTER:
        yield stated("vantage-after")
    elif vantage.looked is Looked.CHANGED:
        yield stated("vantage-changed")
    elif facts.vantage is None:
        yield stated("vantage-too-old", age_s=vantage.age_s)
    else:
        source = str(vantage.source)
        if facts.is_stale:
            yield stated("vantage-last-known", source=source, age_s=vantage.age_s)
        else:
            yield stated("vantage", source=source)
        yield from _seen_outside(vantage)


def _from_beside(facts: WebFacts) -> Iterator[Statement]:
    """Yield what was seen of a page that refuses connections from where it treats whoever asks alike."""
    if facts.round is None or facts.vantage is None or facts.stage is not Stage.TCP:
        return
    for one in facts.vantage.second:
        if one.failure is not None:
            yield stated("second-vantage-failed", failure=one.failure, before_s=one.before_s)
        elif one.stand is Stand.SECOND:
            yield stated("second-vantage-reached", before_s=one.before_s)
        else:
            yield stated("reached-inside", before_s=one.before_s)
    if not facts.vantage.second:
        yield stated("no-second-view")


def _seen_outside(vantage: SiteView) -> Iterator[Statement]:
    if not vantage.saw_dns:
        yield stated("vantage-name-not-asked")
    elif vantage.dns_failure is not None:
        yield stated("vantage-name-failed", failure=vantage.dns_failure)
    else:
        yield stated("vantage-name-resolved", addresses=len(vantage.addresses))
    if not vantage.saw_http:
        yield stated("vantage-page-not-asked")
    elif vantage.http_failure is not None:
        yield stated("vantage-page-failed", failure=vantage.http_failure)
    else:
        yield stated("vantage-page-answered", status=vantage.status)
