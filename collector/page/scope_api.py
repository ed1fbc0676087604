"""The API's answer about whole countries: the verdict of many devices together, and what it rests on. Thin."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from collector.judgement.changes import assessment_of, basis_of, events_of
from collector.judgement.gather import CountryAssessment, Scopes
from collector.page import countries, times
from collector.page.headers import LIVE
from collector.page.models import ApiModel, DeviceId, ErrorOut, Probability, StatementOut
from collector.page.statements import evidence_out
from collector.store.queries import Queries
from collector.store.scopes import MAX_SAID, Assessment, ScopeQueries
from firmware.language.numbers import ENGLISH
from firmware.language.translator import Translator
from firmware.model.statement import probability_in

_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": ErrorOut, "description": "The store cannot be read at present."}
}

_QUERY_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": ErrorOut, "description": "A parameter is wrong: which, what was found, what is allowed."},
    **_ERRORS,
}


class ScopeDeviceOut(ApiModel):
    """One device as the verdict took it."""

    device: DeviceId
    state: str = Field(description="`well`, `lost`, `silent` or `unclear`.", examples=["well"])
    since: str = Field(description="Since when as far as is known, UTC, ISO 8601.")
    network: str = Field(description="Whose network it is in, as its operator typed it; empty: not said.")
    kind: str = Field(description="`fixed`, `mobile`, or empty.")
    region: str = Field(description="The province its operator typed; empty: not said.")


class ScopeOut(ApiModel):
    """The verdict on one country."""

    country: str = Field(
        description="Two small letters; empty: devices by a plan of no country.", examples=["ir"]
    )
    verdict: str = Field(description="The verdict’s word.", examples=["mobile_shutdown"])
    probability: Probability
    rule_id: str = Field(description="The rule that decided.", examples=["mobile-lost-fixed-well"])
    sentence: str = Field(description="The same in a sentence, in English.")
    evidence: list[StatementOut] = Field(description="What it rests on.")
    overturned_by: str = Field(description="What would make it wrong.")
    devices: list[ScopeDeviceOut] = Field(description="The devices it rests on.")


class ScopesOut(ApiModel):
    """The verdict on every country that devices stand in."""

    as_of: str = Field(description="When this was answered, UTC, ISO 8601.")
    scopes: list[ScopeOut] = Field(description="One a country.")


class AssessmentOut(ApiModel):
    """One verdict on a country, as it was said."""

    said: str = Field(description="When the collector said it, UTC, ISO 8601.")
    verdict: str = Field(description="The verdict’s word.", examples=["international_cut"])
    sentence: str = Field(description="The same in a sentence.")
    probability: Probability
    rule_id: str = Field(description="The rule that decided.", examples=["abroad-lost-together"])
    since: str | None = Field(
        description="Since when it holds by the devices’ rounds, UTC; null: they do not tell."
    )
    since_error_s: float | None = Field(
        description="How far off `since` may be, in seconds; null: it may have begun any time before."
    )
    evidence: list[StatementOut] = Field(description="What it rested on.")
    overturned_by: str = Field(description="What would make it wrong.")
    devices: int = Field(description="How many devices it rested on.")
    networks: int = Field(description="In how many networks these were.")
    lost: int = Field(description="How many of them were lost.")
    silent: int = Field(description="How many of them were silent.")
    late: int = Field(description="Reconciled: how many devices told only afterwards. Live: 0.")


class ChangeOut(ApiModel):
    """One change of what was said of a country. What was said live is never changed; what is reconciled with later records stands beside it."""

    country: str = Field(description="Two small letters; empty: devices of no country.", examples=["ir"])
    live: AssessmentOut = Field(description="What was said at the time.")
    until: str | None = Field(description="When something else was said, UTC; null: it still holds.")
    reconciled: list[AssessmentOut] = Field(
        description="What was said of the moment `live.said` by records that arrived later, oldest first."
    )


class ChangesOut(ApiModel):
    """What was said of countries, newest first."""

    as_of: str = Field(description="When this was answered, UTC, ISO 8601.")
    judged: dict[str, str] = Field(description="Country → when it was last judged, UTC.")
    changes: list[ChangeOut] = Field(description="The changes.")


class HistoryQuery(BaseModel):
    """What may be asked of the history."""

    model_config = ConfigDict(extra="forbid")

    country: str | None = Field(
        None, pattern="^[a-z]{2}$", description="Only of this country: two small letters."
    )
    since: AwareDatetime | None = Field(
        None, description="Only said at or after this: ISO 8601 with its zone, such as 2026-11-15T16:00:00Z."
    )
    limit: int = Field(100, ge=1, le=MAX_SAID, description=f"How many changes at most: from 1 to {MAX_SAID}.")


class ScopeApi:
    """The answers, from one store. `now_ns` is the collector's clock."""

    def __init__(
        self, queries: Queries, now_ns: times.Clock, *, retired: Callable[[], Mapping[str, float]] = dict
    ) -> None:
        self._scopes = Scopes(queries, retired=retired)
        self._said = ScopeQueries(queries)
        self._now_ns = now_ns
        self._english = Translator(ENGLISH)

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        router.add_api_route(
            "/api/v1/scopes",
            self.scopes,
            methods=["GET"],
            response_model=ScopesOut,
            summary="What the devices of each country say together",
            response_description="What was asked for.",
            responses=_ERRORS,
        )
        router.add_api_route(
            "/api/v1/scopes/history",
            self.history,
            methods=["GET"],
            response_model=ChangesOut,
            summary="What was said of each country, and what is said of it once later records are reconciled",
            response_description="What was asked for.",
            responses=_QUERY_ERRORS,
        )
        return router

    def history(self, response: Response, wanted: Annotated[HistoryQuery, Query()]) -> ChangesOut:
        """Return the log of verdicts on countries: each change as it was said live, newest first.

        A row is never changed: what records that arrived later say of the same moment stands in `reconciled`.
        """
        now_ns = self._now_ns()
        response.headers["Cache-Control"] = LIVE
        since_ns = 0 if wanted.since is None else max(0, int(wanted.since.timestamp())) * times.NS_PER_S
        found = self._said.changes(wanted.country, since_ns=min(since_ns, 2**63 - 1), limit=wanted.limit)
        return ChangesOut(
            as_of=times.iso_ns(now_ns),
            judged={one.assessment.country: times.iso_ns(one.judged_ns) for one in self._said.holding()},
            changes=[
                ChangeOut(
                    country=one.assessment.country,
                    live=_said(one.assessment, self._english),
                    until=None if one.until_ns is None else times.iso_ns(one.until_ns),
                    reconciled=[_said(later, self._english) for later in one.revisions],
                )
                for one in found
            ],
        )

    def scopes(self, response: Response) -> ScopesOut:
        """Return the verdict of each country's devices together: whose network, which region, or everything.

        It is made anew from what the store holds at the moment, so rounds that arrive later change it.
        """
        now_ns = self._now_ns()
        response.headers["Cache-Control"] = LIVE
        events = {one.assessment.country: events_of(one.basis) for one in self._said.holding()}
        return ScopesOut(
            as_of=times.iso_ns(now_ns),
            scopes=[_scope(one, self._english) for one in self._scopes.now(now_ns, events)],
        )


def _scope(scope: CountryAssessment, english: Translator) -> ScopeOut:
    assessment = assessment_of(scope, 0)
    return ScopeOut(
        country=scope.country,
        verdict=scope.verdict.verdict,
        rule_id=scope.verdict.rule_id,
        probability=scope.verdict.probability,
        sentence=countries.sentence(assessment, basis_of(assessment), english),
        evidence=evidence_out(scope.verdict.evidence, english),
        overturned_by=english.overturned_by(scope.verdict.rule_id),
        devices=[
            ScopeDeviceOut(
                device=one.device,
                state=str(one.state),
                since=times.iso_ns(round(one.since_utc_s * times.NS_PER_S)),
                network=one.network,
                kind=one.kind,
                region=one.region,
            )
            for one in scope.devices
        ],
    )


def _said(assessment: Assessment, english: Translator) -> AssessmentOut:
    basis = basis_of(assessment)
    return AssessmentOut(
        said=times.iso_ns(assessment.said_ns),
        verdict=assessment.verdict,
        sentence=countries.sentence(assessment, basis, english),
        rule_id=assessment.rule_id,
        probability=probability_in(assessment.evidence),
        since=None if assessment.since_ns is None else times.iso_ns(assessment.since_ns),
        since_error_s=None
        if assessment.since_error_ns is None
        else assessment.since_error_ns / times.NS_PER_S,
        evidence=evidence_out(assessment.evidence, english),
        overturned_by=english.overturned_by(assessment.rule_id, assessment.overturned_by),
        devices=basis.devices,
        networks=basis.networks,
        lost=basis.lost,
        silent=basis.silent,
        late=basis.late if assessment.revises else 0,
    )
