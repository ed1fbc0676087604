"""The API's answer about pages that a device looks at beside its rounds, such as those of a Citizen Lab list.

Each is judged by the rounds before and after it (`collector.vantage.surroundings`). Thin, as `collector.page.api`.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from collector.page.errors import UnknownDeviceError
from collector.page.headers import LIVE
from collector.page.judged import JudgedOut
from collector.page.models import ApiModel, DeviceId
from collector.page.target_api import DEVICE_ERRORS, FOUND, DevicePath
from collector.store.queries import Queries
from collector.vantage.surroundings import BesideRounds, Surroundings
from firmware.judgement.fingerprints.lists import Lists
from firmware.language.numbers import ENGLISH
from firmware.language.translator import Translator


class BesideQuery(BaseModel):
    """How many."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(
        default=20, ge=1, le=200, description="The most pages to return, those seen last first."
    )


class PageOut(JudgedOut):
    """A page beside the rounds: the collector’s verdict on the last look at it."""

    target_name: str = Field(
        description="Its name in the plan: the list, and the line in it.", examples=["ir/17"]
    )
    round_verdict: str = Field(
        description="The verdict on the round beside it: the one that was not well, or else the nearer; empty: not known.",
        examples=["ok"],
    )
    round_rule_id: str = Field(description="By which rule.", examples=["controls-reached"])
    country_verdict: str = Field(
        description="What is said by now of the country at that time; empty: nothing.", examples=["ok"]
    )


class PagesOut(ApiModel):
    """The pages that a device looks at beside its rounds."""

    device: DeviceId
    pages: list[PageOut] = Field(description="The last look at each, the last first.")


class BesideApi:
    """The answer, from one store, by the fingerprints of `lists`."""

    def __init__(self, queries: Queries, lists: Lists) -> None:
        self._queries = queries
        self._lists = lists
        self._english = Translator(ENGLISH)

    def router(self) -> APIRouter:
        """Return the route."""
        router = APIRouter()
        add = partial(router.add_api_route, methods=["GET"], response_description=FOUND)
        add(
            "/api/v1/devices/{device}/pages",
            self.pages,
            response_model=PagesOut,
            responses=DEVICE_ERRORS,
            summary="Pages beside the rounds, judged by the rounds around them",
        )
        return router

    def pages(
        self, device: DevicePath, response: Response, wanted: Annotated[BesideQuery, Query()]
    ) -> PagesOut:
        """Return the last look at each page of the plan’s lists, judged with what the vantage saw at that time."""
        response.headers["cache-control"] = LIVE
        if self._queries.device(device) is None:
            raise UnknownDeviceError(device)
        found = Surroundings(self._queries, self._lists.fingerprints).beside(device, wanted.limit)
        return PagesOut(device=device, pages=[_page(one, self._english) for one in found])


def _page(one: BesideRounds, english: Translator) -> PageOut:
    around = one.found.around
    return PageOut.of(
        one.row,
        one.judgement,
        one.found.view,
        one.found.why_no_vantage,
        english,
        round_verdict=around.verdict,
        round_rule_id=around.rule_id,
        country_verdict=around.country_verdict,
    )
