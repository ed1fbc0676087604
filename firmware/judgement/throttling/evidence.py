"""What a paired test came to as evidence: codes and parameters (decision 36). Pure.

Everything that was measured is stated, whatever the answer; a test that is inconclusive says why.
"""

from collections.abc import Iterator
from math import exp
from typing import Final

from firmware.judgement.throttling.findings import Answer, PairedFinding, Why
from firmware.model.statement import Statement, stated

WHY_CODES: Final = {
    Why.NOT_SIGNIFICANT: "paired-not-significant",
    Why.CONTROL_SLOWED: "paired-control-slowed",
    Why.WASH_OUT_TOO_SHORT: "paired-wash-out-too-short",
    Why.RANDOM_NAME_SLOW: "paired-random-name-slow",
    Why.RUNS_FAILED: "paired-runs-failed",
    Why.OUT_OF_REGION: "paired-out-of-region",
    Why.NOT_SWAPPED: "paired-not-swapped",
    Why.NOT_CONFIRMED: "paired-not-confirmed",
}
"""Why a test is inconclusive → the code that says so."""


def evidence_of(finding: PairedFinding) -> tuple[Statement, ...]:
    """Return what a test came to, in the order in which it is read."""
    return tuple(_stated(finding))


def _stated(finding: PairedFinding) -> Iterator[Statement]:
    factor, rate = finding.factor, finding.suspect_bytes_per_s
    if factor is not None and finding.p is not None:
        yield stated(
            "paired-runs",
            blocks=finding.blocks,
            factor=factor.value,
            low=factor.low,
            high=factor.high,
            p=finding.p,
        )
    if finding.frozen_after_bytes is not None:
        yield stated("paired-frozen", bytes=finding.frozen_after_bytes)
    if rate is not None:
        yield stated(
            "paired-rate",
            bytes_per_s=round(rate.value),
            low_bytes_per_s=round(rate.low),
            high_bytes_per_s=round(rate.high),
        )
    carried = finding.carry_over
    for code, slower in (
        ("paired-control-at-once", carried.at_once),
        ("paired-control-elsewhere", carried.elsewhere),
        ("paired-control-washed-out", carried.washed_out),
    ):
        if slower is not None:
            yield stated(code, factor=exp(slower))
    if (
        finding.answer in (Answer.CLEAN, Answer.ALIKE)
        and finding.below_bytes_per_s is not None
        and finding.burst_bytes is not None
    ):
        yield stated(
            "paired-seen-below",
            below_bytes_per_s=round(finding.below_bytes_per_s),
            burst_bytes=finding.burst_bytes,
        )
    if finding.why is not None:
        yield stated(WHY_CODES[finding.why])
