"""A measurement with the collector's verdict on it, as the API lays it out: a target of a round, or a page beside the rounds.

Thin: it puts what was judged into a model, and says nothing of its own.
"""

from typing import Any, Self

from pydantic import Field

from collector.page import times
from collector.page.api import moment
from collector.page.models import ApiModel, EpochId, MomentOut, Probability, Seq, StatementOut
from collector.page.statements import evidence_out, statement_out
from collector.store.answers import RecordRow
from firmware.judgement.site.evidence import SiteView
from firmware.judgement.site.verdict import WebJudgement
from firmware.language.translator import Translator
from firmware.model.statement import Statement


class VantageOut(ApiModel):
    """What the vantage outside saw of a target."""

    reachable: bool = Field(
        description="False: the vantage reached nothing itself then, and says nothing of the target."
    )
    age_s: float = Field(description="How far from the end of the round the look is, in seconds.")
    dns_failure: str | None = Field(description="The failure of its lookup; null: none, or it did not ask.")
    http_failure: str | None = Field(description="The failure of its request; null: none, or it made none.")
    status: int | None = Field(description="The page’s status as the vantage got it.", examples=[200])


class JudgedOut(ApiModel):
    """A measurement: the collector’s verdict on it, with the vantage of that time."""

    epoch: EpochId
    seq: Seq
    test: str = Field(description="Which measurement.", examples=["web_connectivity"])
    target: str = Field(description="What was asked.", examples=["https://www.example.org/"])
    target_name: str = Field(description="Its name in the plan.", examples=["example"])
    start: str = Field(description="When, by the device’s clock, UTC, ISO 8601.")
    moment: MomentOut = Field(description="The same by all that is known now, with its error.")
    failure: str | None = Field(description="What failed; null: it was reached.")
    verdict: str = Field(description="The verdict’s word; see /about#verdicts.", examples=["blocked_tls"])
    probability: Probability
    rule_id: str = Field(description="The rule that decided.", examples=["handshake-stopped"])
    evidence: list[StatementOut] = Field(description="What was seen.")
    overturned_by: str = Field(description="What would make the verdict wrong.")
    confidence: str = Field(
        description="How much stands behind what the rule concludes: `high`, `medium` or `low`."
    )
    vantage: VantageOut | None = Field(description="The view it was judged by; null: see `no_vantage`.")
    no_vantage: StatementOut | None = Field(description="Why there is no view; null: there is one.")

    @classmethod
    def of(
        cls,
        row: RecordRow,
        judgement: WebJudgement,
        view: SiteView | None,
        why_no_vantage: Statement | None,
        english: Translator,
        **more: Any,
    ) -> Self:
        """Return a record and what it was judged to be; `more` are the fields that a kind of its own adds."""
        verdict = judgement.verdict
        return cls(
            epoch=row.epoch,
            seq=row.seq,
            test=row.test,
            target=row.target,
            target_name=row.target_name,
            start=times.iso_ns(row.start_utc_ns),
            moment=moment(row.start),
            failure=row.failure,
            verdict=verdict.verdict,
            rule_id=verdict.rule_id,
            probability=verdict.probability,
            evidence=evidence_out(verdict.evidence, english),
            overturned_by=english.overturned_by(verdict.rule_id),
            confidence=judgement.confidence,
            vantage=None if view is None else _vantage_out(view),
            no_vantage=None
            if why_no_vantage is None
            else statement_out("no-vantage", why_no_vantage, english),
            **more,
        )


def _vantage_out(view: SiteView) -> VantageOut:
    return VantageOut(
        reachable=view.reachable,
        age_s=view.age_s,
        dns_failure=view.dns_failure,
        http_failure=view.http_failure,
        status=view.status,
    )
