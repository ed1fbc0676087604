"""The verdict: what a round's evidence carries, by ordered rules in one table, `RULES`. Pure.

The first rule whose condition holds speaks; the last one always holds and says `inconclusive`. Device and
collector run the same engine; a verdict names its rule, the evidence it used and what would overturn it.
A rule must never conclude from a target alone (controls in unrelated networks decide), from a DNS answer
(resolvers answer from their cache in a cut), or from silence that a fault in the host's own network explains.
Why each threshold is what it is: docs/explanation/verdicts.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from firmware.failures import Failure
from firmware.judgement.facts import Control, Facts, Past
from firmware.judgement.observation import Observation, Outlook
from firmware.judgement.words import VerdictWord
from firmware.record import Rung, Verdict

MIN_DOMESTIC: Final = 2
"""Unrelated domestic networks that must prove themselves before `international_cut`."""

MIN_CONTROLS: Final = 3
"""Unrelated networks that must be silent before their silence means anything."""

MIN_OK: Final = 2
"""Unrelated international networks that must prove themselves before `ok`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table: when `condition` holds, the verdict is `verdict`, because of `sentence`.

    The evidence is what was seen on `rungs`. `overturned_by` says what would make the verdict wrong.
    """

    rule_id: str
    verdict: VerdictWord
    sentence: str
    overturned_by: str
    rungs: tuple[Rung, ...]
    condition: Callable[[Facts], bool]


def decide(
    observations: Iterable[Observation],
    history: Sequence[Past] = (),
    control: Control | None = None,
    *,
    rules: "Sequence[Rule] | None" = None,
) -> Verdict:
    """Return the verdict on one round.

    `observations` are the round's, in any order, one repeated target counting as it was found last; `history`
    the device's rounds before, oldest first; `control` what a control outside saw, or None without one.
    `rules` is the table to use, `RULES` unless told; its last rule must always hold.
    """
    facts = Facts.of(observations, history, control)
    rule = next(rule for rule in (RULES if rules is None else rules) if rule.condition(facts))
    return Verdict(
        verdict=rule.verdict,
        rule_id=rule.rule_id,
        evidence=tuple(_evidence(rule, facts)),
        overturned_by=rule.overturned_by,
    )


def _evidence(rule: Rule, facts: Facts) -> Iterator[str]:
    lines = [line for rung in rule.rungs for line in _rung_lines(facts, rung)]
    yield from lines or ["nothing was measured that could tell"]
    if facts.history:
        past = facts.history[-1]
        yield f"the round before, {past.age_s:.0f} s ago: {past.verdict.verdict} ({past.verdict.rule_id})"


def _rung_lines(facts: Facts, rung: Rung) -> Iterator[str]:
    tried = facts.on(rung)
    if not tried:
        return
    reached = [seen for seen in tried if seen.outlook is Outlook.REACHED]
    times = [seen.best_ns for seen in reached if seen.best_ns is not None]
    best = f", best {min(times) / 1e6:.1f} ms" if times else ""
    networks = {seen.network for seen in tried if seen.network}
    where = f" in {len(networks)} networks" if networks else ""
    yield f"{rung}: {len(reached)} of {len(tried)} reached{where}{best}"
    for seen in tried:
        if seen.failure is not None:
            yield f"{rung}: {seen.target_name} not reached: {seen.why}"


# The conditions, one a rule. Each asks the facts and nothing else.


def _link_down(facts: Facts) -> bool:
    return bool(facts.failed(Rung.LINK)) and not facts.anything_far


def _no_address(facts: Facts) -> bool:
    return bool(facts.failed(Rung.ADDRESS)) and not facts.anything_far


_GATEWAY_ABSENT: Final = frozenset(
    {Failure.NO_GATEWAY, Failure.HOST_UNREACHABLE, Failure.NETWORK_UNREACHABLE}
)


def _gateway_absent(facts: Facts) -> bool:
    failed = facts.failed(Rung.GATEWAY)
    return any(seen.failure in _GATEWAY_ABSENT for seen in failed) and not facts.anything_far


def _gateway_lost(facts: Facts) -> bool:
    # A resolver that answers may stand behind the router: then it forwards, and only ignores ping.
    return facts.gateway_fell_silent() and not facts.reached(Rung.RESOLVER) and not facts.anything_far


def _captive_portal(facts: Facts) -> bool:
    proven = facts.domestic.proven | facts.international.proven | facts.platforms.proven
    return bool(facts.portals()) and not proven


def _controls_silent(facts: Facts) -> bool:
    """Whether nothing outside was reached, and enough networks were silent for that to mean something.

    What answers in a target's place (a block page inside the country) breaks no silence and adds none.
    """
    outside = (facts.international, facts.platforms)
    reached = any(reach.reached or reach.anonymous for reach in outside)
    return not reached and len(facts.international.down) >= MIN_CONTROLS


def _domestic_up(facts: Facts) -> bool:
    return len(facts.domestic.proven) >= MIN_DOMESTIC


def _international_cut(facts: Facts) -> bool:
    if not (_controls_silent(facts) and _domestic_up(facts)):
        return False
    still_up = len(facts.proven_after(facts.far_silence_ended_ns)) >= MIN_DOMESTIC
    return still_up or facts.previous("international-cut", "international-silent-unconfirmed")


def _international_silent(facts: Facts) -> bool:
    return _controls_silent(facts) and _domestic_up(facts)


def _all_silent(facts: Facts) -> bool:
    """Whether nothing beyond the host's own network answered, and that network itself did."""
    far = (facts.domestic, facts.international, facts.platforms)
    silent = not any(reach.any_answer for reach in far)
    enough = len(facts.domestic.down | facts.international.down) >= MIN_CONTROLS
    well = not (facts.failed(Rung.LINK) or facts.failed(Rung.ADDRESS) or facts.gateway_fell_silent())
    return silent and enough and well and bool(facts.near())


def _outage(facts: Facts) -> bool:
    if not _all_silent(facts):
        return False
    still_up = bool(facts.near_after(facts.far_silence_ended_ns))
    return still_up or facts.previous("isp-or-wider-outage", "all-silent-unconfirmed")


def _certificates_refused(facts: Facts) -> bool:
    handshakes = [seen for seen in facts.on(Rung.INTERNATIONAL) if seen.test == "tls"]
    networks = {seen.network for seen in handshakes}
    return len(networks) >= MIN_OK and all(seen.outlook is Outlook.MEDDLED for seen in handshakes)


def _names_unresolved(facts: Facts) -> bool:
    by_name = [seen for seen in facts.latest if seen.is_by_name and seen.outlook is not Outlook.VOID]
    none = bool(by_name) and all(seen.outlook is Outlook.UNNAMED for seen in by_name)
    return bool(facts.failed(Rung.RESOLVER)) and none


def _ok(facts: Facts) -> bool:
    international = facts.international
    half = len(international.reached) * 2 >= international.tried
    return len(international.proven) >= MIN_OK and half


def _no_control(facts: Facts) -> bool:
    return facts.international.tried == 0


def _always(facts: Facts) -> bool:  # noqa: ARG001  # a condition takes the facts
    return True


_LOCAL: Final = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER)
_FAR: Final = (Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        rule_id="link-down",
        verdict=VerdictWord.LOCAL_FAULT,
        sentence="The device has no link: the cable is out, or the Wi-Fi is not joined; and nothing answers.",
        overturned_by="An answer from anything beyond the device in the same round.",
        rungs=_LOCAL,
        condition=_link_down,
    ),
    Rule(
        rule_id="no-address",
        verdict=VerdictWord.LOCAL_FAULT,
        sentence="The link is up and the device was given no usable address; and nothing answers.",
        overturned_by="An answer from anything beyond the device in the same round.",
        rungs=_LOCAL,
        condition=_no_address,
    ),
    Rule(
        rule_id="gateway-absent",
        verdict=VerdictWord.LOCAL_FAULT,
        sentence="There is no router, or nobody has its address on the host's network; and nothing answers.",
        overturned_by="An answer from anything beyond the router in the same round.",
        rungs=_LOCAL,
        condition=_gateway_absent,
    ),
    Rule(
        rule_id="gateway-lost",
        verdict=VerdictWord.LOCAL_FAULT,
        sentence="The router answered within the last hour and does not now; and nothing beyond it answers.",
        overturned_by="An answer from anything beyond the router in the same round.",
        rungs=_LOCAL,
        condition=_gateway_lost,
    ),
    Rule(
        rule_id="captive-portal",
        verdict=VerdictWord.CAPTIVE_PORTAL,
        sentence="A plain-HTTP check is answered with a page or a redirect of somebody else's, and no target "
        "anywhere proves itself.",
        overturned_by="Any target that proves itself by its certificate in the same round.",
        rungs=_FAR,
        condition=_captive_portal,
    ),
    Rule(
        rule_id="international-cut",
        verdict=VerdictWord.INTERNATIONAL_CUT,
        sentence=f"Nothing outside the country answers, in at least {MIN_CONTROLS} unrelated networks, while at "
        f"least {MIN_DOMESTIC} unrelated domestic networks prove themselves: after that silence in the same "
        "round, or in this round with the same silence in the round before.",
        overturned_by="One answer from any international control or platform; or domestic anchors that turn "
        "out to be answered from inside the host's own network.",
        rungs=_FAR,
        condition=_international_cut,
    ),
    Rule(
        rule_id="international-silent-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Nothing outside the country answers and domestic networks did, but none was asked again "
        "after that silence: the line may have dropped in between.",
        overturned_by="The next round, or a domestic answer after the silence.",
        rungs=_FAR,
        condition=_international_silent,
    ),
    Rule(
        rule_id="isp-or-wider-outage",
        verdict=VerdictWord.ISP_OR_WIDER_OUTAGE,
        sentence=f"Nothing beyond the host's network answers, in at least {MIN_CONTROLS} unrelated networks, "
        "while the router or the provider's resolver does: after that silence in the same round, or in this "
        "round with the same silence in the round before.",
        overturned_by="One answer from any domestic anchor, international control or platform; or another "
        "device behind the same router that reaches one.",
        rungs=tuple(Rung),
        condition=_outage,
    ),
    Rule(
        rule_id="all-silent-unconfirmed",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Nothing beyond the host's network answers and the router did, but it was not asked again "
        "after that silence: the line may have dropped in between.",
        overturned_by="The next round, or an answer of the router after the silence.",
        rungs=tuple(Rung),
        condition=_all_silent,
    ),
    Rule(
        rule_id="certificates-refused",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Every international control answers, and none with a certificate that can be verified: the "
        "device's clock is wrong, or somebody answers for all of them.",
        overturned_by="The same controls once the device's clock is known to be right.",
        rungs=_FAR,
        condition=_certificates_refused,
    ),
    Rule(
        rule_id="names-unresolved",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="The provider's resolver fails and no name at all is resolved; what is asked by its address "
        "is another matter.",
        overturned_by="The next round in which names resolve.",
        rungs=(Rung.RESOLVER, *_FAR),
        condition=_names_unresolved,
    ),
    Rule(
        rule_id="controls-reached",
        verdict=VerdictWord.OK,
        sentence=f"Neutral controls in at least {MIN_OK} unrelated networks outside the country prove "
        "themselves, and at least half of the networks tried are reached. Platforms that failed are in the "
        "evidence: one blocked site, or three, is not an outage.",
        overturned_by="Controls that turn out to be answered from inside the country.",
        rungs=_FAR,
        condition=_ok,
    ),
    Rule(
        rule_id="no-control",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="No international control could be tried, so nothing can be said of anything else.",
        overturned_by="A round in which the controls are tried.",
        rungs=tuple(Rung),
        condition=_no_control,
    ),
    Rule(
        rule_id="mixed-evidence",
        verdict=VerdictWord.INCONCLUSIVE,
        sentence="Some of what should be up is and some is not, in no pattern that a rule knows: loss, "
        "congestion, a partial cut, or too few answers.",
        overturned_by="The next round.",
        rungs=tuple(Rung),
        condition=_always,
    ),
)
"""The rules, in the order in which they are asked."""
