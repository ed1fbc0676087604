"""Whether enough was seen to say anything: a failure more than once, more than the line's loss, a vantage since. Pure.

Conditions of `firmware.judgement.site.rules` that hold a verdict back. None of them accuses.
"""

from collections.abc import Callable
from typing import Final

from firmware.judgement.line_loss import Excess, server_ratio
from firmware.judgement.site.facts import WebFacts
from firmware.judgement.site.journey import RAN_OUT, Stage
from firmware.judgement.site.pairs import RESETS, innocuous_passes, is_bracketed, was_answering

SERVERS_OWN: Final = 100.0
"""What was seen must be so many times likelier where the page fails here alone than where its server fails for everyone."""


def seen_once(facts: WebFacts) -> bool:
    """Return whether a failure was seen in one round only, and the rounds together are not beyond what the line loses."""
    once = facts.round is not None and facts.round.repeated is False
    return once and facts.has_failed and not _by_count(facts)


def line_ran_out(facts: WebFacts) -> bool:
    """Return whether time ran out here, and the line may be why: for reference handshakes it runs out too, or it is slow.

    A resolver is waited for 5 s, and asks others itself: on a line that is not quick every name may be answered too late.
    """
    if facts.round is None or facts.failure not in RAN_OUT or was_answering(facts):
        return False
    counted = facts.round.excess
    lossy = facts.round.line_is_clean is False and not (counted is not None and counted.is_beyond_loss)
    slow = facts.stage is Stage.DNS and facts.round.line_is_quick is False
    return facts.round.references_run_out or lossy or slow


def unpaired(facts: WebFacts) -> bool:
    """Return whether an innocuous name passed where time ran out, and the own name was not seen to fail on both sides of it."""
    if facts.stage is not Stage.TLS or was_answering(facts) or innocuous_passes(facts, RESETS):
        return False
    paired_before = facts.round is None or facts.round.paired_before is not False
    return innocuous_passes(facts) and not (is_bracketed(facts) and paired_before)


def vantage_not_since(facts: WebFacts) -> bool:
    """Return whether the vantage has not looked since the page began to fail."""
    lasts_s = failing_s(facts)
    if lasts_s is None or facts.vantage is None:
        return False
    before_s = facts.vantage.last_before_s
    return before_s is None or before_s > lasts_s


def seen_enough(condition: Callable[[WebFacts], bool]) -> Callable[[WebFacts], bool]:
    """Return the condition that `condition` holds, and that the vantage has looked often enough to tell for whom."""

    def holds(facts: WebFacts) -> bool:
        return condition(facts) and not _may_fail_for_all(facts)

    return holds


def vantage_looked_too_little(facts: WebFacts) -> bool:
    """Return whether a page that fails here may do so for everyone now and then, and the vantage met the times between."""
    return _may_fail_for_all(facts) and facts.has_failed


def _may_fail_for_all(facts: WebFacts) -> bool:
    counted = None if facts.round is None else facts.round.excess
    if counted is None or facts.vantage is None:
        return False
    return server_ratio(counted, facts.vantage.looks_since(counted.since_s)) < SERVERS_OWN


def is_counted(facts: WebFacts) -> bool:
    """Return whether the failure is not the same as in the round before, and one of too many over the rounds."""
    return _by_count(facts) is not None


def _by_count(facts: WebFacts) -> Excess | None:
    """Return the count over the rounds where the failure is not the same as in the round before, and one of too many."""
    if facts.round is None or facts.round.repeated is not False or facts.round.excess is None:
        return None
    return facts.round.excess if facts.round.excess.is_beyond_loss else None


def failing_s(facts: WebFacts) -> float | None:
    """Return since when the page has failed, or did first where it fails now and then; None: there are no rounds."""
    if facts.round is None:
        return None
    counted = _by_count(facts)
    return facts.round.failing_for_s if counted is None else counted.since_s
