"""The API's answer about whole countries: the verdict of many devices together, and what it rests on. Thin."""

from typing import Any, Final

from fastapi import APIRouter, Response
from pydantic import Field

from collector.judgement.gather import Scope, Scopes
from collector.page import times
from collector.page.headers import LIVE
from collector.page.models import Answer, DeviceId, ErrorOut
from collector.store.queries import Queries

_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": ErrorOut, "description": "The store cannot be read at present."}
}


class ScopeDeviceOut(Answer):
    """One device as the verdict took it."""

    device: DeviceId
    state: str = Field(description="`well`, `lost`, `silent` or `unclear`.", examples=["well"])
    since: str = Field(description="Since when as far as is known, UTC, ISO 8601.")
    network: str = Field(description="Whose network it is in, as its operator typed it; empty: not said.")
    kind: str = Field(description="`fixed`, `mobile`, or empty.")
    region: str = Field(description="The province its operator typed; empty: not said.")


class ScopeOut(Answer):
    """The verdict on one country."""

    country: str = Field(
        description="Two small letters; empty: devices by a plan of no country.", examples=["ir"]
    )
    verdict: str = Field(description="The verdict’s word.", examples=["mobile_shutdown"])
    rule_id: str = Field(description="The rule that decided.", examples=["mobile-lost-fixed-well"])
    evidence: list[str] = Field(description="What it rests on, line by line.")
    overturned_by: str = Field(description="What would make it wrong.")
    devices: list[ScopeDeviceOut] = Field(description="The devices it rests on.")


class ScopesOut(Answer):
    """The verdict on every country that devices stand in."""

    as_of: str = Field(description="When this was answered, UTC, ISO 8601.")
    scopes: list[ScopeOut] = Field(description="One a country.")


class ScopeApi:
    """The answers, from one store. `now_ns` is the collector's clock."""

    def __init__(self, queries: Queries, now_ns: times.Clock) -> None:
        self._scopes = Scopes(queries)
        self._now_ns = now_ns

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
        return router

    def scopes(self, response: Response) -> ScopesOut:
        """Return the verdict of each country's devices together: whose network, which region, or everything.

        It is made anew from what the store holds at the moment, so rounds that arrive later change it.
        """
        now_ns = self._now_ns()
        response.headers["Cache-Control"] = LIVE
        return ScopesOut(as_of=times.iso_ns(now_ns), scopes=[_scope(one) for one in self._scopes.now(now_ns)])


def _scope(scope: Scope) -> ScopeOut:
    return ScopeOut(
        country=scope.country,
        verdict=scope.verdict.verdict,
        rule_id=scope.verdict.rule_id,
        evidence=list(scope.verdict.evidence),
        overturned_by=scope.verdict.overturned_by,
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
