"""When a rule about one page holds: the conditions of `firmware.judgement.site.rules`, in the table's order. Pure.

Each asks the facts and nothing else. Why each is as it is: docs/explanation/verdicts.md.
"""

from typing import Final

from firmware.judgement.site.enough import vantage_not_since
from firmware.judgement.site.facts import WebFacts
from firmware.judgement.site.journey import (
    CERTIFICATE,
    OUR_SIDE,
    STOPPED,
    UNCLEAR_NAMES,
    WRONG_CERTIFICATE,
    Stage,
)
from firmware.judgement.site.pages import is_bot_check, is_slow
from firmware.judgement.site.pairs import was_answering
from firmware.model.failures import Failure

_NO_NAME: Final = frozenset(
    {
        Failure.DNS_NXDOMAIN,
        Failure.DNS_NO_ANSWER,
        Failure.DNS_REFUSED,
        Failure.DNS_BOGON,
        Failure.DNS_NON_RECOVERABLE,
    }
)
"""Answers that deny a name, as against no answer at all."""
_REFUSALS: Final = frozenset({401, 403, 429, 451})


def nothing(facts: WebFacts) -> bool:
    """Return whether nothing was measured that could tell."""
    return facts.stage is Stage.NONE and not facts.answers


def page_proven(facts: WebFacts) -> bool:
    """Return whether a certificate stands behind the page that came."""
    return facts.page_proven and facts.page is not None and (facts.page.status or 0) < 400


def site_proven(facts: WebFacts) -> bool:
    """Return whether the site proved itself in its handshake, where no page was asked for."""
    return facts.stage is Stage.SHAKEN and facts.answers_authenticated


def known_answer(facts: WebFacts) -> bool:
    """Return whether a resolver's answer is a censor's, and nothing there proves itself; of rounds, in two.

    In the first it may have begun to give every name that answer, after those that were asked before this one.
    """
    if facts.round is not None and facts.round.repeated is False:
        return False
    known = facts.known_answer
    return known is not None and known.is_strong and not facts.answers_authenticated


def known_page(facts: WebFacts) -> bool:
    """Return whether an unproven answer is a censor's page."""
    known = facts.known_page
    return known is not None and known.is_strong


def known_page_elsewhere(facts: WebFacts) -> bool:
    """Return whether a censor's page came from an address that is not the page's."""
    is_elsewhere = facts.same_network is False or facts.answers_impossible
    return known_page(facts) and is_elsewhere and not facts.answers_authenticated


def round_not_well(facts: WebFacts) -> bool:
    """Return whether the round's reference targets were not reached."""
    return facts.round is not None and facts.round.references_reached is False


def round_unknown(facts: WebFacts) -> bool:
    """Return whether nothing is known of the round of a device's measurement."""
    return facts.round is not None and facts.round.is_unknown


def of_its_round(facts: WebFacts) -> bool:
    """Return whether the target is one that rounds are judged by."""
    return facts.round is not None and facts.round.is_of_its_round


def tunnelled(facts: WebFacts) -> bool:
    """Return whether the host's traffic leaves elsewhere."""
    return facts.round is not None and facts.round.tunnelled


def resolver_lies(facts: WebFacts) -> bool:
    """Return whether the resolver is at fault for every name."""
    lies = facts.round is not None and (facts.round.resolver_lies or facts.round.names_resolve is False)
    return lies and not facts.answers_authenticated


def our_side(facts: WebFacts) -> bool:
    """Return whether the host's own side could not try.

    That there is no way to an address that no public server has is the doing of whoever gave it.
    """
    led_astray = facts.failure == Failure.NETWORK_UNREACHABLE and facts.answers_impossible
    return facts.failure in OUR_SIDE and not led_astray


def race(facts: WebFacts) -> bool:
    """Return whether a later answer proves itself by certificate and the one that came first does not."""
    true_ones = (facts.late - facts.answers) & facts.authenticated
    return bool(true_ones) and not facts.answers_authenticated


def denied_here(facts: WebFacts) -> bool:
    """Return whether the system's resolver denies the name, or gives what nobody has, and another's answer proves itself."""
    denied = facts.stage is Stage.DNS and facts.failure in _NO_NAME
    false = facts.answers_impossible or facts.failure in WRONG_CERTIFICATE
    return (denied or false) and bool(facts.others & facts.authenticated) and not facts.answers_authenticated


def refuses_device(facts: WebFacts) -> bool:
    """Return whether the site itself refuses, and the vantage is not refused alike."""
    if facts.page is None or not facts.page_proven:
        return False
    status, vantage = facts.page.status or 0, facts.vantage
    refused = status in _REFUSALS or status >= 500
    return (
        refused
        and (vantage is None or not vantage.saw_http or vantage.status != status)
        and not (status >= 500 and facts.vantage_failed)
    )


def proven_error(facts: WebFacts) -> bool:
    """Return whether the site itself answers with an error."""
    return facts.page_proven and facts.page is not None and (facts.page.status or 0) < 500


def no_vantage(facts: WebFacts) -> bool:
    """Return whether no vantage says anything."""
    return facts.vantage is None


def impossible_answer(facts: WebFacts) -> bool:
    """Return whether the answer is no public address and the vantage has one."""
    is_false = facts.answers_impossible and facts.vantage_public and not facts.answers_authenticated
    return is_false and not vantage_not_since(facts)


def ghost(facts: WebFacts) -> bool:
    """Return whether a name that is dead outside is answered by a forger."""
    # A provider's landing page for mistyped names is its own resolver's; another's answer shows who forges on the way.
    forged = facts.answers_impossible or bool(facts.answers & facts.others)
    return dead_name(facts) and forged and not vantage_not_since(facts)


def dead_name(facts: WebFacts) -> bool:
    """Return whether a name that is denied outside is answered here; no answer there may be the vantage's own line's doing."""
    vantage = facts.vantage
    if vantage is None or not vantage.saw_dns or vantage.addresses:
        return False
    dead = vantage.dns_failure is None or vantage.dns_failure in _NO_NAME
    return dead and facts.is_first_hop and bool(facts.system and facts.answers)


def down(facts: WebFacts) -> bool:
    """Return whether the page fails for the vantage too."""
    if facts.page is not None and (facts.page.status or 0) < 500:
        return False
    return facts.vantage_failed


def vantage_saw_nothing(facts: WebFacts) -> bool:
    """Return whether only the vantage failed."""
    return facts.vantage_failed


def name_denied(facts: WebFacts) -> bool:
    """Return whether the name is denied here and not for the vantage."""
    return facts.stage is Stage.DNS and facts.failure in _NO_NAME and facts.vantage_resolves


def name_unanswered(facts: WebFacts) -> bool:
    """Return whether this one name is never answered."""
    others = facts.round is not None and facts.round.names_resolve is True
    twice = facts.round is not None and facts.round.repeated is True
    silent = facts.stage is Stage.DNS and facts.failure in UNCLEAR_NAMES
    return silent and others and twice and facts.vantage_resolves


def wrong_host(facts: WebFacts) -> bool:
    """Return whether a stranger answers at an address that is not the page's."""
    differs = facts.same_network is False or (
        facts.same_network is None and bool(facts.others - facts.answers)
    )
    is_wrong = facts.stage is Stage.TLS and facts.failure in WRONG_CERTIFICATE
    return is_wrong and bool(facts.system) and differs and facts.vantage_got_page


def clock(facts: WebFacts) -> bool:
    """Return whether the clock may be what is wrong."""
    # reference targets that prove themselves prove the clock as well.
    proven_clock = facts.round is not None and facts.round.references_reached is True
    dated = facts.failure == Failure.SSL_INVALID_CERTIFICATE
    return facts.stage is Stage.TLS and dated and not proven_clock


def certificate_replaced(facts: WebFacts) -> bool:
    """Return whether a stranger's certificate is shown at the page's address."""
    through = facts.vantage_endpoint(handshakes=True)
    sound = through if through is not None else facts.vantage_got_page
    return facts.stage is Stage.TLS and facts.failure in CERTIFICATE and bool(sound)


def answers_elsewhere(facts: WebFacts) -> bool:
    """Return whether the answers lie in other networks and nothing there works."""
    failed = facts.stage in (Stage.TCP, Stage.TLS, Stage.HTTP)
    return (
        failed and facts.same_network is False and facts.vantage_got_page and not facts.answers_authenticated
    )


def connect_stopped(facts: WebFacts) -> bool:
    """Return whether connections are stopped that the vantage gets."""
    through = facts.vantage_endpoint(handshakes=False)
    if facts.stage is not Stage.TCP or facts.failure is None or through is False:
        return False
    return bool(through) or (
        (not facts.is_first_hop or facts.same_network is True) and facts.vantage_got_page
    )


def handshake_stopped(facts: WebFacts) -> bool:
    """Return whether handshakes are stopped that the vantage gets."""
    if facts.stage is not Stage.TLS or facts.failure not in STOPPED | {Failure.SSL_FAILED_HANDSHAKE}:
        return False
    if was_answering(facts):
        return False
    through = facts.vantage_endpoint(handshakes=True)
    there = not facts.is_first_hop or facts.same_network is True
    return bool(through) or (through is None and there and facts.vantage_got_page)


def _over_tls(url: str) -> bool:
    return url.startswith("https:")


def slow(facts: WebFacts) -> bool:
    """Return whether the page, or the handshake before it, was still coming or had begun to come when time ran out."""
    if facts.stage is Stage.TLS:
        return was_answering(facts)
    if facts.stage is not Stage.HTTP or not facts.evidence.requests:
        return False
    last = facts.evidence.requests[-1]
    # A line that is policed hard stands still for seconds: that it stood still at the end tells nothing.
    # And over TLS nothing shows before a whole record of up to 16 KiB is in.
    has_begun = last.status is not None or last.body_length > 0 or bool(last.progress) or _over_tls(last.url)
    return is_slow(last.progress) or (facts.failure == Failure.TIMEOUT and has_begun)


def request_stopped(facts: WebFacts) -> bool:
    """Return whether the request is stopped and the vantage gets the page."""
    return facts.stage is Stage.HTTP and facts.failure in STOPPED and facts.vantage_got_page


def bot_check(facts: WebFacts) -> bool:
    """Return whether the answer asks for proof of being human."""
    return facts.page is not None and is_bot_check(facts.page) and facts.alike is not True


def servers_error(facts: WebFacts) -> bool:
    """Return whether the answer is a server's error."""
    status = 0 if facts.page is None else facts.page.status or 0
    return (status >= 500 or status == 429) and facts.alike is not True


def page_alike(facts: WebFacts) -> bool:
    """Return whether the page is like the vantage's."""
    return facts.page is not None and facts.alike is True


def other_page_elsewhere(facts: WebFacts) -> bool:
    """Return whether another page came from an address that is not the page's."""
    differs = facts.same_network is False or facts.answers_impossible
    return facts.page is not None and facts.alike is False and differs and facts.vantage_got_page


def other_page(facts: WebFacts) -> bool:
    """Return whether another page came."""
    return facts.page is not None and facts.alike is False and facts.vantage_got_page


def always(facts: WebFacts) -> bool:  # noqa: ARG001  # a condition takes the facts
    """Return whether this is asked at all."""
    return True
