"""What the page says of one country: what many devices say together, and what was said before. Pure.

It must never show a verdict without its rule and its age, nor silence as anything but silence; what was said live
stays beside what later records reconcile it with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.judgement.changes import Basis, basis_of, read_basis
from collector.page import times
from collector.page.cards import VerdictInWords, tone_of
from collector.page.times import NS_PER_S, Moment
from collector.store import scopes
from collector.store.scopes import Change, Holding
from firmware.judgement.confidence.accusers import concluded
from firmware.language.translator import Translator
from firmware.model.verdict_words import VerdictWord

STALE_S: Final = 300
"""A verdict that was not made anew for so long is shown as one of the past."""
_NO_LOSS: Final = frozenset({VerdictWord.OK, VerdictWord.INCONCLUSIVE, VerdictWord.COLLECTOR_FAULT})
"""Verdicts that do not count the silent as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was said of a country, and since when it was to hold by it."""

    at: Moment
    said: VerdictInWords
    since: Moment | None
    since_exact: bool
    rule_id: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryEntry:
    """One change: what was said live, and what was said of it afterwards."""

    live: Line
    later: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """One country on the page. `stale` says how long it was not judged, "" while it is."""

    id: str
    name: str
    now: Line
    stale: str
    judged_ago: str
    rests: str
    evidence: tuple[str, ...]
    overturned_by: str
    vantage: str
    entries: tuple[CountryEntry, ...]


def country(
    holding: Holding,
    changes: Sequence[Change],
    now_ns: int,
    translator: Translator,
    *,
    connected: bool | None,
    vantage_s: float,
) -> Country:
    """Return what the page says of a country; `connected` is how the vantage is, None for off."""
    assessment, age_ns = holding.assessment, max(0, now_ns - holding.judged_ns)
    ago = times.duration(age_ns, translator)
    return Country(
        id=assessment.country,
        name=name(assessment.country, translator),
        now=_line(assessment, read_basis(holding.basis), translator),
        stale=ago if age_ns > STALE_S * NS_PER_S else "",
        judged_ago=ago,
        rests=_rests(read_basis(holding.basis), assessment, translator),
        evidence=translator.evidence(holding.evidence),
        overturned_by=translator.overturned_by(assessment.rule_id, assessment.overturned_by),
        vantage=vantage(translator, connected=connected, vantage_s=vantage_s),
        entries=tuple(_entries(changes, translator)),
    )


def name(country: str, translator: Translator) -> str:
    """Return a country's name; of devices by a plan of no country, that."""
    if country in ("", "zz"):
        return translator.say("page.scope_nowhere")
    key = f"country.{country}"
    return translator.say(key) if translator.has(key) else country.upper()


def vantage(translator: Translator, *, connected: bool | None, vantage_s: float) -> str:
    """Return how the vantage outside is."""
    if connected is None:
        return translator.say("page.scope_vantage_off", minutes=round(vantage_s / 60))
    return translator.say("page.scope_vantage_well" if connected else "page.scope_vantage_lost")


def sentence(assessment: scopes.Assessment, basis: Basis, translator: Translator) -> str:
    """Return what a person would say for a verdict on a country."""
    if assessment.verdict == VerdictWord.INCONCLUSIVE:
        if assessment.rule_id == "too-few-devices":
            return translator.say("scope.inconclusive.too_few")
        if concluded(assessment.verdict, assessment.rule_id) != assessment.verdict:
            return translator.say("scope.inconclusive.suspected")
        if assessment.rule_id == "silent-in-one-region":
            return translator.say("scope.inconclusive.silent_in_one_region", where=basis.where)
        if assessment.rule_id == "group-not-well":
            return translator.say("scope.inconclusive.group_not_well", where=basis.where)
        if basis.silent and basis.silent >= basis.devices / 2:
            return translator.say("scope.inconclusive.all_silent", silent=basis.silent, devices=basis.devices)
        return translator.say("scope.inconclusive.mixed")
    key = f"scope.{assessment.verdict}"
    if translator.has(key):
        return translator.say(key, where=basis.where or "?", share=basis.share_lost)
    return translator.verdict(assessment.verdict)


def _entries(changes: Iterable[Change], translator: Translator) -> Iterable[CountryEntry]:
    for change in changes:
        later, last = [], change.assessment
        for one in change.revisions:
            basis = basis_of(one)
            same = (one.verdict, basis.where) == (last.verdict, basis_of(last).where)
            key = "page.scope_confirmed" if same else "page.scope_revised"
            later.append(_line(one, basis, translator, label=translator.count(key, basis.late)))
            last = one
        yield CountryEntry(
            live=_line(change.assessment, basis_of(change.assessment), translator), later=tuple(later)
        )


def _line(assessment: scopes.Assessment, basis: Basis, translator: Translator, *, label: str = "") -> Line:
    error_ns = assessment.since_error_ns
    since = None
    if assessment.since_ns is not None:
        error = (
            ""
            if error_ns is None
            else translator.say("page.error_within", error=times.error_bound(error_ns, translator))
        )
        since = Moment(ns=assessment.since_ns, error=error)
    words = sentence(assessment, basis, translator)
    return Line(
        at=Moment(ns=assessment.said_ns),
        said=VerdictInWords(word=assessment.verdict, tone=tone_of(assessment.verdict), sentence=words),
        since=since,
        since_exact=error_ns is not None,
        rule_id=assessment.rule_id,
        label=label,
    )


def _rests(basis: Basis, assessment: scopes.Assessment, translator: Translator) -> str:
    networks = (
        translator.count("page.scope_networks", basis.networks)
        if basis.networks
        else translator.say("page.scope_networks_none")
    )
    line = translator.count(
        "page.scope_rests_on",
        basis.devices,
        networks=networks,
        well=basis.well,
        lost=basis.lost,
        silent=basis.silent,
    )
    if not basis.silent:
        return line
    counted = basis.lost and assessment.verdict not in _NO_LOSS
    key = "page.scope_silent_lost" if counted and basis.silent <= basis.lost else "page.scope_silent_unknown"
    return f"{line}; {translator.say(key)}"
