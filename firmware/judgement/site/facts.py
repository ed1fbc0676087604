"""What the evidence of one page comes to, counted the way the rules ask. Pure; concludes nothing.

All is said of one hop: where the journey ended, which is the page's own host unless a redirect led elsewhere. Only
what the system's resolver answered is the way a person would go; what another resolver answered is there to compare.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from firmware.judgement.fingerprints.table import Fingerprint, Fingerprints, canonical
from firmware.judgement.line_loss import NO_REFERENCES, Excess, ReferenceHandshakes
from firmware.judgement.site.evidence import (
    VANTAGE_FRESH_S,
    VANTAGE_OLDEST_S,
    Connect,
    HandshakeEvidence,
    Looked,
    Lookup,
    Request,
    SiteView,
    WebEvidence,
)
from firmware.judgement.site.journey import Stage, hop_of, stage_of, to_port, usable
from firmware.judgement.site.pages import alike
from firmware.judgement.site.places import (
    bare,
    host_of,
    is_address,
    is_public,
    near,
    place,
    port_of,
    related,
    same_host,
)

_SYSTEM: Final = frozenset({"getaddrinfo", "system", "golang_net_resolver"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundView:
    """What the device's round of the same minutes says around one target. None: nobody looked.

    `references_reached`: reference targets outside proved themselves, which also proves the clock. `names_resolve`:
    the system's resolver answered for other names. `resolver_lies`: it gives unrelated names one answer.
    `repeated`: this target failed in the same step in the round before, and has failed for `failing_for_s`.
    `verdict` is the round's own, `country_verdict` what was said of the country at that time, each with its rule, "" where
    not known: they are passed on as evidence.
    `references`: its reference handshakes; `references_run_out`: a third of them, or of the round before's, ran out of
    time; `line_is_clean`: hardly any of the last hour's did, or took a packet twice; `line_is_quick`: they took less than two seconds. `excess`: how much oftener the target
    failed over the rounds than its line explains. `paired_before`: the round before had own, innocuous, own as well.
    """

    references_reached: bool | None = None
    names_resolve: bool | None = None
    resolver_lies: bool = False
    tunnelled: bool = False
    repeated: bool | None = None
    failing_for_s: float | None = None
    is_unknown: bool = False
    """Whether the measurement was made in or between rounds of which nothing is known: then nothing is held against it."""
    is_of_its_round: bool = False
    """Whether the target is there to judge the round by, and not to be judged by itself."""
    verdict: str = ""
    rule_id: str = ""
    country_verdict: str = ""
    country_rule_id: str = ""
    references: ReferenceHandshakes = NO_REFERENCES
    references_run_out: bool = False
    line_is_clean: bool | None = None
    line_is_quick: bool | None = None
    excess: Excess | None = None
    paired_before: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFacts:
    """All that a rule about one page may ask."""

    evidence: WebEvidence
    vantage: SiteView | None
    is_unseen: bool
    """Whether no vantage has looked at all, or none for a day: then none is to be waited for."""
    round: RoundView | None
    host: str
    """The hop's."""
    is_first_hop: bool
    stage: Stage
    failure: str | None
    system: tuple[Lookup, ...]
    answers: frozenset[str]
    """The system's addresses for `host`, or the host itself where it is an address."""
    others: frozenset[str]
    late: frozenset[str]
    connects: tuple[Connect, ...]
    handshakes: tuple[HandshakeEvidence, ...]
    """By the host's own name, to the system's addresses."""
    controls: tuple[HandshakeEvidence, ...]
    """By an innocuous name."""
    authenticated: frozenset[str]
    """Addresses where a certificate for `host` was shown, whoever named them."""
    page: Request | None
    page_proven: bool
    known_answer: Fingerprint | None
    known_page: Fingerprint | None
    alike: bool | None

    @classmethod
    def of(
        cls,
        evidence: WebEvidence,
        vantage: SiteView | None,
        *,
        fingerprints: Fingerprints,
        round: RoundView | None,
    ) -> "WebFacts":
        """Count."""
        is_unseen = vantage is None or vantage.age_s > VANTAGE_OLDEST_S
        if vantage is not None and not _may_tell(vantage):
            vantage = None
        first = host_of(evidence.url)
        url, last, ended = hop_of(evidence)
        host = host_of(url)
        asked = [one for one in evidence.lookups if same_host(one.hostname, host) or not one.hostname]
        system = tuple(one for one in asked if _is_system(one))
        other = [one for one in asked if not _is_system(one)]
        answers = _addresses(system) or (frozenset({host}) if is_address(host) else frozenset())
        if not system and not answers:
            # No lookup was noted (another program, or a pinned address): what was connected to is the way that was gone.
            answers = frozenset(bare(one.address) for one in evidence.connects) or frozenset(
                bare(one.address) for one in evidence.handshakes if not one.is_control
            )
        connects = usable(to_port(evidence.connects, answers, port_of(url)))
        by_name = [
            one
            for one in evidence.handshakes
            if not one.is_control and (not one.server_name or same_host(one.server_name, host))
        ]
        handshakes = tuple(one for one in by_name if bare(one.address) in answers)
        is_ours = last is not None and (not last.address or bare(last.address) in answers or not system)
        came = last is not None and last.status is not None and last.failure is None
        page = last if is_ours and came else None
        stage, failure = stage_of(
            evidence,
            system=system,
            answers=answers,
            connects=connects,
            handshakes=handshakes,
            last=last if is_ours else None,
        )
        if stage in (Stage.NONE, Stage.SHAKEN) and ended is not None:
            stage, failure = Stage.HTTP, ended
        return cls(
            evidence=evidence,
            vantage=vantage,
            is_unseen=is_unseen,
            round=round,
            host=host,
            is_first_hop=same_host(host, first),
            stage=stage,
            failure=failure,
            system=system,
            answers=answers,
            others=_addresses(other),
            late=frozenset(canonical(late) for one in asked for late in one.late),
            connects=connects,
            handshakes=handshakes,
            controls=tuple(one for one in evidence.handshakes if one.is_control),
            authenticated=frozenset(bare(one.address) for one in by_name if one.failure is None),
            page=page,
            page_proven=page is not None and _is_proven(evidence),
            known_answer=_known_answer(asked, fingerprints),
            known_page=_known_page(evidence, fingerprints),
            alike=None if page is None or vantage is None or not vantage.saw_http else alike(page, vantage),
        )

    @property
    def has_failed(self) -> bool:
        """Return whether the page failed, or another came."""
        return self.stage in (Stage.DNS, Stage.TCP, Stage.TLS, Stage.HTTP) or self.alike is False

    @property
    def vantage_resolves(self) -> bool:
        """Return whether the vantage got addresses for the page's name, or the whole page behind a redirect."""
        vantage = self.vantage
        if vantage is None:
            return False
        return bool(vantage.saw_dns and vantage.addresses) if self.is_first_hop else self.vantage_got_page

    @property
    def vantage_got_page(self) -> bool:
        """Return whether the vantage got an answer to its request that is no server's error."""
        vantage = self.vantage
        if vantage is None or not vantage.saw_http or vantage.http_failure is not None:
            return False
        return vantage.status is not None and vantage.status < 500

    @property
    def vantage_failed(self) -> bool:
        """Return whether the page failed for the vantage too, in any step that it tried."""
        vantage = self.vantage
        if vantage is None or self.vantage_got_page:
            return False
        # What shows its failure last decides: a name without an address, addresses none of which answers, the page.
        no_name = vantage.saw_dns and not vantage.addresses
        steps = (*vantage.connects.values(), *vantage.handshakes.values())
        all_fail = bool(steps) and all(failure is not None for failure in steps)
        return no_name or all_fail or (vantage.saw_http and self._vantage_page_failed)

    @property
    def _vantage_page_failed(self) -> bool:
        assert self.vantage is not None
        status = self.vantage.status
        return self.vantage.http_failure is not None or (status is not None and status >= 500)

    @property
    def same_network(self) -> bool | None:
        """Return whether the answers agree with the vantage's in an address or a network; None: no telling."""
        vantage = self.vantage
        if vantage is None or not self.is_first_hop or not self.answers or not vantage.addresses:
            return None
        theirs = {canonical(address) for address in vantage.addresses}
        if any(ours == one or near(ours, one) for ours in self.answers for one in theirs):
            return True
        known = {canonical(address): number for address, number in vantage.asns.items()}
        ours_in = {number for one in self.system for number in one.asns}
        ours_in |= {known[address] for address in self.answers if address in known}
        theirs_in = {known[address] for address in theirs if address in known}
        return bool(ours_in & theirs_in) if ours_in and theirs_in else None

    @property
    def answers_impossible(self) -> bool:
        """Return whether every answer is an address that no public server has."""
        return bool(self.system and self.answers) and not any(map(is_public, self.answers))

    @property
    def vantage_public(self) -> bool:
        """Return whether the vantage got a public address."""
        return self.vantage is not None and any(map(is_public, map(canonical, self.vantage.addresses)))

    @property
    def answers_authenticated(self) -> bool:
        """Return whether a system's answer proved itself by certificate."""
        return bool(self.answers & self.authenticated)

    def vantage_endpoint(self, *, handshakes: bool) -> bool | None:
        """Return whether the vantage got through to a place that failed here; None: it tried none of them."""
        if self.vantage is None:
            return None
        seen = self.vantage.handshakes if handshakes else self.vantage.connects
        theirs = {place(where): failure for where, failure in seen.items()}
        tried: list[Connect | HandshakeEvidence] = [*(self.handshakes if handshakes else self.connects)]
        failed = [(bare(one.address), one.port) for one in tried if one.failure is not None]
        found = [theirs[where] for where in failed if where in theirs]
        return any(failure is None for failure in found) if found else None

    @property
    def is_stale(self) -> bool:
        """Return whether the vantage's view is a last known one."""
        return self.vantage is not None and self.vantage.age_s > VANTAGE_FRESH_S


def _may_tell(vantage: SiteView) -> bool:
    """Return whether the vantage looked at a time that says something of the measurement's."""
    is_of_then = vantage.looked in (Looked.BEFORE, Looked.AROUND)
    return vantage.reachable and is_of_then and vantage.age_s <= VANTAGE_OLDEST_S


def _is_proven(evidence: WebEvidence) -> bool:
    """Return whether a certificate stands behind the last page: its own, and that of whoever led there from elsewhere."""
    last = evidence.requests[-1]
    if not last.url.startswith("https://"):
        return False
    return all(
        one.url.startswith("https://") or related(host_of(one.url), host_of(last.url))
        for one in evidence.requests
    )


def _known_answer(asked: Iterable[Lookup], fingerprints: Fingerprints) -> Fingerprint | None:
    return fingerprints.in_answer(value for one in asked for value in (*one.addresses, *one.late, *one.names))


def _known_page(evidence: WebEvidence, fingerprints: Fingerprints) -> Fingerprint | None:
    # What a certificate stands for is the site's own, whatever words it has.
    found = [
        known
        for one in evidence.requests
        if not one.url.startswith("https://")
        and (known := fingerprints.in_page(one.headers, one.body)) is not None
    ]
    return next((one for one in found if one.is_strong), found[0] if found else None)


def _addresses(lookups: Iterable[Lookup]) -> frozenset[str]:
    return frozenset(canonical(address) for one in lookups for address in one.addresses)


def _is_system(lookup: Lookup) -> bool:
    return lookup.resolver in ("@isp", "@system") or lookup.engine in _SYSTEM or not lookup.resolver
