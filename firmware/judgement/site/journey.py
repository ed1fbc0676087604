"""Where a journey to a page ended, and in which step; and the failures that tell alike. Pure; concludes nothing."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from firmware.judgement.site.evidence import Connect, HandshakeEvidence, Lookup, Request, WebEvidence
from firmware.judgement.site.places import bare, joined
from firmware.model.failures import Failure

SILENT: Final = frozenset({Failure.TIMEOUT, Failure.DNS_SERVFAIL, Failure.DNS_TEMPORARY_FAILURE})
"""Failures that loss alone can make: they must come twice where somebody can look twice."""
RAN_OUT: Final = frozenset({Failure.TIMEOUT, Failure.DNS_TEMPORARY_FAILURE})
"""Failures that loss alone makes."""
UNCLEAR_NAMES: Final = frozenset({*SILENT, Failure.DNS_SERVER_MISBEHAVING, Failure.DNS_WRONG_QUERY_ID})
WRONG_CERTIFICATE: Final = frozenset({Failure.SSL_INVALID_HOSTNAME, Failure.SSL_UNKNOWN_AUTHORITY})
CERTIFICATE: Final = WRONG_CERTIFICATE | {Failure.SSL_INVALID_CERTIFICATE}
OUR_SIDE: Final = frozenset(
    {
        Failure.NETWORK_UNREACHABLE,
        Failure.NETWORK_DOWN,
        Failure.ADDRESS_FAMILY_NOT_SUPPORTED,
        Failure.PERMISSION_DENIED,
        Failure.NO_RESOLVER,
        Failure.INTERRUPTED,
    }
)
"""Failures of the host's own network or ours: they say nothing of a target."""

STOPPED: Final = frozenset(
    {
        Failure.CONNECTION_RESET,
        Failure.CONNECTION_ABORTED,
        Failure.CONNECTION_ALREADY_CLOSED,
        Failure.EOF,
        Failure.TIMEOUT,
    }
)
"""How a connection that stood ends when somebody on the way wants it to."""


class Stage(StrEnum):
    """How far the journey came."""

    NONE = "none"
    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    HTTP = "http"
    SHAKEN = "handshake"
    """It ended as it was meant to, with a handshake: no page was asked for."""
    PAGE = "page"


def stage_of(
    evidence: WebEvidence,
    *,
    system: tuple[Lookup, ...],
    answers: frozenset[str],
    connects: tuple[Connect, ...],
    handshakes: tuple[HandshakeEvidence, ...],
    last: Request | None,
) -> tuple[Stage, str | None]:
    """Return the step in which the journey ended, and the failure; `page` and None where it arrived."""
    if system and not answers:
        failures = [one.failure for one in system if one.failure is not None]
        # A name with no AAAA is ordinary; what the A question came to tells more.
        telling = [one for one in failures if one != Failure.DNS_NO_ANSWER] or failures
        return Stage.DNS, telling[0] if telling else Failure.DNS_NO_ANSWER
    if last is not None and last.failure is None and last.status is not None:
        return Stage.PAGE, None
    if connects and all(one.failure is not None for one in connects):
        return Stage.TCP, connects[0].failure
    if handshakes and all(one.failure is not None for one in handshakes):
        return Stage.TLS, handshakes[0].failure
    if last is not None and last.failure is not None:
        return Stage.HTTP, last.failure
    if evidence.failure is not None:
        by_step = {"resolve": Stage.DNS, "connect": Stage.TCP, "tls_handshake": Stage.TLS}
        return by_step.get(evidence.failed_operation or "", Stage.HTTP), evidence.failure
    return (Stage.SHAKEN if handshakes else Stage.NONE), None


def hop_of(evidence: WebEvidence) -> tuple[str, Request | None, str | None]:
    """Return where the journey ended, what was answered there if anything, and why it ended if a redirect was the end."""
    if not evidence.requests:
        return evidence.url, None, None
    last = evidence.requests[-1]
    location = next((value for name, value in last.headers if name.lower() == "location"), None)
    if last.failure is not None or last.status is None or last.status // 100 != 3 or location is None:
        return last.url or evidence.url, last, None
    target = joined(last.url, location)
    if not target:
        return last.url, None, Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST
    return target, None, Failure.HTTP_REQUEST_FAILED


def to_port(connects: Iterable[Connect], answers: frozenset[str], port: int | None) -> tuple[Connect, ...]:
    """Return the connects to the answers, those to the hop's own port where there are any."""
    found = tuple(one for one in connects if bare(one.address) in answers)
    return tuple(one for one in found if one.port == port) or found


def usable(connects: Iterable[Connect]) -> tuple[Connect, ...]:
    """Leave out what the host could not try, as long as it could try something."""
    tried = tuple(connects)
    return tuple(one for one in tried if one.failure not in OUR_SIDE) or tried
