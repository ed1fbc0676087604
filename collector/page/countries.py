"""What the page says of one country: what many devices say together, and what was said before. Pure.

It must never show a verdict without its rule and its age, nor silence as anything but silence; what was said live
stays beside what later records reconcile it with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.judgement.changes import Basis, basis_of, read_basis
from collector.page import texts, times
from collector.page.cards import VerdictInWords
from collector.page.times import NS_PER_S, Moment
from collector.store import scopes
from collector.store.scopes import Change, Holding
from firmware.model.verdict_words import VerdictWord

STALE_S: Final = 300
"""A verdict that was not made anew for so long is shown as one of the past."""

_TONES: Final = {str(VerdictWord.OK): "ok", str(VerdictWord.INCONCLUSIVE): "unsure"}


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
    control: str
    entries: tuple[CountryEntry, ...]


def country(
    holding: Holding, changes: Sequence[Change], now_ns: int, *, connected: bool | None, control_s: float
) -> Country:
    """Return what the page says of a country; `connected` is how the vantage is, None for off."""
    said, age_ns = holding.said, max(0, now_ns - holding.judged_ns)
    ago = times.duration(age_ns)
    return Country(
        id=said.country,
        name=name(said.country),
        now=_line(said, read_basis(holding.basis)),
        stale=ago if age_ns > STALE_S * NS_PER_S else "",
        judged_ago=ago,
        rests=_rests(read_basis(holding.basis), said),
        evidence=holding.evidence,
        overturned_by=said.overturned_by,
        control=control(connected=connected, control_s=control_s),
        entries=tuple(_entries(changes)),
    )


def name(country: str) -> str:
    """Return a country's name; of devices by a plan of no country, that."""
    if country in ("", "zz"):
        return texts.plain("scope_nowhere")
    return texts.COUNTRIES.get(country, country.upper())


def control(*, connected: bool | None, control_s: float) -> str:
    """Return how the vantage outside is."""
    if connected is None:
        return texts.plain("scope_control_off", minutes=round(control_s / 60))
    return texts.plain("scope_control_well" if connected else "scope_control_lost")


def sentence(said: scopes.Assessment, basis: Basis) -> str:
    """Return what a person would say for a verdict on a country."""
    if said.verdict == VerdictWord.INCONCLUSIVE:
        if said.rule_id == "too-few-devices":
            return texts.plain("scope_too_few")
        if basis.silent and basis.silent >= basis.devices / 2:
            return texts.plain("scope_all_silent", silent=basis.silent, devices=basis.devices)
        return texts.plain("scope_mixed")
    return texts.scope_sentence(said.verdict, basis.where or "?")


def _entries(changes: Iterable[Change]) -> Iterable[CountryEntry]:
    for change in changes:
        later, last = [], change.said
        for one in change.revisions:
            basis = basis_of(one)
            same = (one.verdict, basis.where) == (last.verdict, basis_of(last).where)
            key = "scope_confirmed" if same else "scope_revised"
            later.append(_line(one, basis, label=texts.count(key, basis.late)))
            last = one
        yield CountryEntry(live=_line(change.said, basis_of(change.said)), later=tuple(later))


def _line(said: scopes.Assessment, basis: Basis, *, label: str = "") -> Line:
    error_ns = said.since_error_ns
    since = None
    if said.since_ns is not None:
        error = "" if error_ns is None else texts.plain("error_within", error=times.error_bound(error_ns))
        since = Moment(ns=said.since_ns, error=error)
    words = sentence(said, basis)
    return Line(
        at=Moment(ns=said.said_ns),
        said=VerdictInWords(word=said.verdict, tone=_TONES.get(said.verdict, "bad"), sentence=words),
        since=since,
        since_exact=error_ns is not None,
        rule_id=said.rule_id,
        label=label,
    )


def _rests(basis: Basis, said: scopes.Assessment) -> str:
    networks = (
        texts.count("scope_networks", basis.networks)
        if basis.networks
        else texts.plain("scope_networks_none")
    )
    line = texts.count(
        "scope_rests_on",
        basis.devices,
        networks=networks,
        well=basis.well,
        lost=basis.lost,
        silent=basis.silent,
    )
    if not basis.silent:
        return line
    counted = basis.lost and said.verdict not in (*_TONES, VerdictWord.COLLECTOR_FAULT)
    key = "scope_silent_lost" if counted and basis.silent <= basis.lost else "scope_silent_unknown"
    return f"{line}; {texts.plain(key)}"
