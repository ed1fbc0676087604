"""The API's answers about targets: what became of each in one round, judged with the vantage of its time, and the vantage.

Thin, as `collector.page.api`: each answer is a query put into a model.
"""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from collector.page import times
from collector.page.api import until_of, until_text
from collector.page.errors import UnknownDeviceError
from collector.page.headers import LIVE
from collector.page.judged import JudgedOut, VantageOut
from collector.page.models import (
    DEVICE_FORM,
    EPOCH_FORM,
    ApiModel,
    DeviceId,
    ErrorOut,
    NoParameters,
    StatementOut,
)
from collector.page.statements import statement_out
from collector.store.queries import Queries
from collector.store.second_looks import SecondLook, SecondQueries
from collector.store.vantage_log import VantageQueries
from collector.store.vantage_streaks import VantageStreak
from collector.vantage.judging import JudgedRound, Judging
from firmware.judgement.fingerprints.lists import Lists
from firmware.language.numbers import ENGLISH
from firmware.language.translator import Translator

SHOWN_NS: Final = 24 * 3600 * times.NS_PER_S
"""The vantage's targets are listed when heard within this long."""
_EPOCH: Final = "9f1c04d27ab35e68"
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": ErrorOut, "description": "A parameter is wrong: which, what was found, what is allowed."},
    503: {"model": ErrorOut, "description": "The store cannot be read at present."},
}
DEVICE_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ErrorOut, "description": "No such device was ever heard."},
    **ERRORS,
}
FOUND: Final = "What was asked for."
DevicePath = Annotated[
    str, Path(pattern=f"^{DEVICE_FORM}$", description="The device’s id: 16 letters and digits.")
]


class TargetsQuery(BaseModel):
    """Of which round."""

    model_config = ConfigDict(extra="forbid")

    until: str | None = Field(
        default=None,
        pattern=f"^{EPOCH_FORM}:[1-9][0-9]{{0,18}}$",
        description="The last round up to this one, as `epoch:seq`; without it, the newest.",
        examples=[f"{_EPOCH}:4186"],
    )


class TargetOut(JudgedOut):
    """One target of a round: the collector’s verdict on it, with the vantage of that time."""


class TargetsOut(ApiModel):
    """The targets of one round."""

    device: DeviceId
    round: str | None = Field(
        description="The round, as `epoch:seq`; null: none has come.", examples=[f"{_EPOCH}:4186"]
    )
    fingerprint_lists: list[str] = Field(
        description="The lists of fingerprints that the collector goes by, beside those that come along: "
        "name, day, the beginning of the SHA-256."
    )
    device_fingerprint_lists: list[str] = Field(
        description="Those that the device went by when it judged the round itself."
    )
    targets: list[TargetOut] = Field(description="Its platforms, as they were measured.")


class VantageStreakOut(ApiModel):
    """One finding of the vantage about one target, which held from its first sample to its last."""

    test: str = Field(description="Which measurement.")
    target: str = Field(description="What was asked.")
    target_name: str = Field(description="Its name in the plan.")
    first: str = Field(description="The first sample of this finding, UTC, ISO 8601.")
    last: str = Field(description="The last one.")
    samples: int = Field(description="How many samples there were.")
    failure: str | None = Field(description="What failed; null: it was reached.")
    failed_operation: str | None = Field(description="In which step.")
    view: VantageOut = Field(description="What was seen.")


class VantageGapOut(ApiModel):
    """A time in which the vantage did not look."""

    from_: str = Field(serialization_alias="from", description="Its beginning, UTC, ISO 8601.")
    to: str = Field(description="Its end.")
    reason: StatementOut = Field(description="Why.")


class SecondLookOut(ApiModel):
    """Whether somebody whom platforms treat like a country’s devices got a target last."""

    stand: str = Field(
        description="`second`: the second vantage; `inside`: the country’s own devices, of which only successes count."
    )
    country: str = Field(description="The country whose devices are treated alike.", examples=["ir"])
    test: str = Field(description="Which measurement.")
    target: str = Field(description="What was asked.")
    target_name: str = Field(description="Its name in the plan.")
    at: str = Field(description="When, UTC, ISO 8601.")
    failure: str | None = Field(description="Why no connection was had; null: it proved itself.")


class VantageListOut(ApiModel):
    """What the vantage saw last."""

    as_of: str = Field(description="When this was answered, UTC, ISO 8601.")
    targets: list[VantageStreakOut] = Field(description="Every target heard of in the last 24 hours.")
    second: list[SecondLookOut] = Field(
        description="The last looks from where platforms treat whoever asks like a country’s devices, of the last 24 hours."
    )
    gaps: list[VantageGapOut] = Field(description="The last times in which it did not look, newest first.")


class TargetApi:
    """The answers, from one store. `now_ns` is the collector's clock."""

    def __init__(self, queries: Queries, now_ns: times.Clock, lists: Lists) -> None:
        self._queries = queries
        self._lists = lists
        self._judging = Judging(queries, lists.fingerprints)
        self._vantage = VantageQueries(queries)
        self._second = SecondQueries(queries)
        self._now_ns = now_ns
        self._english = Translator(ENGLISH)

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        add = partial(router.add_api_route, methods=["GET"], response_description=FOUND)
        add(
            "/api/v1/devices/{device}/targets",
            self.targets,
            response_model=TargetsOut,
            responses=DEVICE_ERRORS,
            summary="A round’s targets, judged with a vantage from outside",
        )
        add(
            "/api/v1/vantage",
            self.vantage,
            response_model=VantageListOut,
            responses=ERRORS,
            summary="What the vantage outside saw last",
        )
        return router

    def targets(
        self, device: DevicePath, response: Response, wanted: Annotated[TargetsQuery, Query()]
    ) -> TargetsOut:
        """Return the platforms of the device’s last round, each judged with what the vantage saw at that time."""
        response.headers["cache-control"] = LIVE
        if self._queries.device(device) is None:
            raise UnknownDeviceError(device)
        found = self._judging.round(device, until=until_of(wanted.until))
        return _round(device, found, self._lists, self._english)

    def vantage(self, response: Response, _none: Annotated[NoParameters, Query()]) -> VantageListOut:
        """Return the last finding about every target, and when the vantage did not look."""
        response.headers["cache-control"] = LIVE
        now_ns = self._now_ns()
        return VantageListOut(
            as_of=times.iso_ns(now_ns),
            targets=[
                _streak(streak, now_ns) for streak in self._vantage.last(since_utc_ns=now_ns - SHOWN_NS)
            ],
            second=[_second(one) for one in self._second.last(since_utc_ns=now_ns - SHOWN_NS)],
            gaps=[
                VantageGapOut(
                    from_=times.iso_ns(gap.from_utc_ns),
                    to=times.iso_ns(gap.to_utc_ns),
                    reason=statement_out("gap", gap.reason, self._english),
                )
                for gap in self._vantage.gaps()
            ],
        )


def _round(device: str, found: JudgedRound | None, lists: Lists, english: Translator) -> TargetsOut:
    return TargetsOut(
        device=device,
        round=None if found is None else until_text(found.row),
        fingerprint_lists=[*lists.labels],
        device_fingerprint_lists=[] if found is None else [*found.device_lists],
        targets=[]
        if found is None
        else [
            TargetOut.of(one.row, one.judgement, one.vantage, one.why_no_vantage, english)
            for one in found.targets
        ],
    )


def _streak(streak: VantageStreak, now_ns: int) -> VantageStreakOut:
    return VantageStreakOut(
        test=streak.key.test,
        target=streak.key.target,
        target_name=streak.key.target_name,
        first=times.iso_ns(streak.first_utc_ns),
        last=times.iso_ns(streak.last_utc_ns),
        samples=streak.samples,
        failure=streak.failure,
        failed_operation=streak.failed_operation,
        view=VantageOut(
            reachable=streak.view.reachable,
            age_s=max(0, now_ns - streak.last_utc_ns) / times.NS_PER_S,
            dns_failure=streak.view.dns_failure,
            http_failure=streak.view.http_failure,
            status=streak.view.status,
        ),
    )


def _second(look: SecondLook) -> SecondLookOut:
    return SecondLookOut(
        stand=str(look.stand),
        country=look.country,
        test=look.key.test,
        target=look.key.target,
        target_name=look.key.target_name,
        at=times.iso_ns(look.utc_ns),
        failure=look.failure,
    )
