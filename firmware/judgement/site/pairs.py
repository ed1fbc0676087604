"""A page's own name and an innocuous one, tried at one address and port one after the other: what passed. Pure.

A filter that resets shows in one pair. Where time ran out, loss may be all there is to it: then the own name is tried
again after the innocuous one, and only own, innocuous, own together are a pair.
"""

from collections.abc import Collection
from typing import Final

from firmware.judgement.line_loss import NO_TRIES, TargetTries
from firmware.judgement.site.evidence import HandshakeEvidence
from firmware.judgement.site.facts import WebFacts
from firmware.judgement.site.journey import CERTIFICATE, STOPPED, Stage
from firmware.judgement.site.places import bare
from firmware.model.failures import Failure

RESETS: Final = STOPPED - {Failure.TIMEOUT}
_ANSWERED: Final = CERTIFICATE | {Failure.SSL_FAILED_HANDSHAKE}
"""How a handshake fails that the far end has answered."""


def innocuous_passes(facts: WebFacts, failures: Collection[str] = STOPPED) -> bool:
    """Return whether an innocuous name was answered at an address and port where the own name failed in one of `failures`."""
    answered = {_place(one) for one in facts.controls if _is_answered(one)}
    return any(one.failure in failures and _place(one) in answered for one in facts.handshakes)


def control_name(facts: WebFacts) -> bool:
    """Return whether an innocuous name passes where the page's own is stopped, and the vantage gets through by that."""
    through = facts.vantage_endpoint(handshakes=True)
    vantage_passes = through if through is not None else facts.vantage_got_page
    return _is_name_stopped(facts) and vantage_passes


def control_name_unseen(facts: WebFacts) -> bool:
    """Return whether an innocuous name passes where the page's own is stopped, and there is no vantage to wait for."""
    return _is_name_stopped(facts) and facts.is_unseen


def _is_name_stopped(facts: WebFacts) -> bool:
    return facts.stage is Stage.TLS and innocuous_passes(facts) and not was_answering(facts)


def is_bracketed(facts: WebFacts) -> bool:
    """Return whether own name, innocuous name, own name again came to stopped, answered, stopped at one address and port."""
    answered = {_place(one) for one in facts.controls if _is_answered(one)}
    return any(
        len(own) >= 2 and all(one.failure in STOPPED for one in own)
        for where in answered
        if (own := [one for one in facts.handshakes if _place(one) == where])
    )


def tried_again(facts: WebFacts) -> list[tuple[str, str]]:
    """Return where the own name was tried once more after an innocuous one and failed again: address and failure."""
    seen: set[tuple[str, int]] = set()
    found = []
    for one in facts.handshakes:
        if _place(one) in seen and one.failure is not None:
            found.append((one.address, one.failure))
        seen.add(_place(one))
    return found


def was_answering(facts: WebFacts) -> bool:
    """Return whether time ran out on a handshake whose answer had begun to come: slow, or stopped midway."""
    return any(one.failure == Failure.TIMEOUT and one.bytes_read for one in facts.handshakes)


def tries_of(facts: WebFacts) -> TargetTries:
    """Return how often the page was tried, and in vain: its addresses are tried side by side, and count as one try."""
    if facts.stage is Stage.NONE:
        return NO_TRIES
    again = [
        tried
        for where in {_place(one) for one in facts.handshakes}
        if len(tried := [one for one in facts.handshakes if _place(one) == where]) >= 2
    ]
    own = 2 if again else 1
    if facts.has_failed:
        failed = own
    else:
        failed = int(any(one.failure is not None for tried in again for one in tried))
    return TargetTries(
        own=own,
        own_failed=failed,
        beside=int(bool(facts.controls)),
        beside_failed=int(bool(facts.controls) and not any(map(_is_answered, facts.controls))),
    )


def _is_answered(one: HandshakeEvidence) -> bool:
    return one.failure is None or one.failure in _ANSWERED


def _place(one: HandshakeEvidence) -> tuple[str, int]:
    return bare(one.address), one.port
