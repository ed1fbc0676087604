"""The API's answers about measurement servers' halves of tests, each joined with its device's record by device and nonce.

Which of the two is missing, where one is, is told, with what is known of whether it may still come. Thin, as `collector.page.api`.
"""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from collector.errors import StoreError
from collector.page import times
from collector.page.headers import LIVE
from collector.page.models import DEVICE_FORM, EPOCH_FORM, ApiModel, DeviceId, EpochId, NoParameters, Seq
from collector.page.target_api import ERRORS, FOUND
from collector.store.queries import Queries
from collector.store.server_halves import (
    HalfFilter,
    HalfQueries,
    HalfRow,
    ServerLogRow,
    half_to_json,
)
from firmware.model.jsontypes import RecordError
from firmware.model.nonce import PATTERN

MOST: Final = 500
_NONCE: Final = "c0ffee00c0ffee00c0ffee00c0ffee00"
_DEVICE: Final = "k3v9q2m7x1c8n5p4"


class HalvesQuery(BaseModel):
    """Which halves."""

    model_config = ConfigDict(extra="forbid")

    device: str | None = Field(
        default=None, pattern=f"^{DEVICE_FORM}$", description="Only this device’s.", examples=[_DEVICE]
    )
    nonce: str | None = Field(
        default=None, pattern=f"^{PATTERN.pattern}$", description="Only of this test.", examples=[_NONCE]
    )
    server: str | None = Field(default=None, description="Only this server’s.", examples=["measurement"])
    has_record: bool | None = Field(
        default=None, description="Only those whose device’s record is here, or (false) those without one."
    )
    cursor: int = Field(
        default=0, ge=0, le=2**63 - 1, description="After this one: the `next_cursor` of a page."
    )
    limit: int = Field(default=100, ge=1, le=MOST, description="The most halves to return.")


class WithoutHalfQuery(BaseModel):
    """Which records."""

    model_config = ConfigDict(extra="forbid")

    device: str | None = Field(
        default=None, pattern=f"^{DEVICE_FORM}$", description="Only this device’s.", examples=[_DEVICE]
    )
    cursor: int = Field(
        default=0, ge=0, le=2**63 - 1, description="After this one: the `next_cursor` of a page."
    )
    limit: int = Field(default=100, ge=1, le=MOST, description="The most records to return.")


class RecordOfTestOut(ApiModel):
    """The device’s record of a test."""

    device: DeviceId
    epoch: EpochId
    seq: Seq


class ServerHalfOut(ApiModel):
    """What a measurement server said of one test, and the device’s record of the same."""

    server: str = Field(description="The server, by the key that signed it.", examples=["measurement"])
    epoch: str = Field(
        pattern=f"^{EPOCH_FORM}$", description="Which of its logs.", examples=["9f1c04d27ab35e68"]
    )
    number: int = Field(description="Its number there, from 1 without a gap.", examples=[17])
    key_id: str = Field(description="The key that signed it: 16 hexadecimal digits.")
    received_ns: int = Field(
        description="When it was collected, by the collector’s clock: ns since 1970, UTC."
    )
    half: dict[str, Any] = Field(description="The half as the server said it: see the records’ reference.")
    record: RecordOfTestOut | None = Field(
        description="The device’s record of the same test; null: none is here, or not yet."
    )


class ServerHalvesOut(ApiModel):
    """Halves, in the order in which they came."""

    halves: list[ServerHalfOut] = Field(description="The halves.")
    next_cursor: int | None = Field(description="Where to go on; null: there is no more at present.")


class RecordWithoutHalfOut(RecordOfTestOut):
    """A device’s record of a test of which no server’s half is here."""

    nonce: str = Field(description="What names the test.", examples=[_NONCE])
    test: str = Field(description="Which test.")
    target: str = Field(description="What was measured.")
    failure: str | None = Field(description="What failed for the device; null: nothing.")
    start_utc_ns: int = Field(description="When it began, by the device’s clock: ns since 1970.")


class RecordsWithoutHalfOut(ApiModel):
    """Records whose servers’ halves are not here, in order of arrival."""

    records: list[RecordWithoutHalfOut] = Field(description="The records.")
    next_cursor: int | None = Field(description="Where to go on; null: there is no more at present.")


class ServerLogOut(ApiModel):
    """How one log of a measurement server stands: a half that began before `asked` and is not here is not there either."""

    server: str = Field(description="The server.", examples=["measurement"])
    epoch: str = Field(
        pattern=f"^{EPOCH_FORM}$", description="Which of its logs.", examples=["9f1c04d27ab35e68"]
    )
    asked: str = Field(
        description="When it was last heard; noted every ten minutes where nothing is new. UTC, ISO 8601."
    )
    collected_upto: int = Field(description="Up to which number it was collected.")
    last: int = Field(description="The last number that the server has given.")
    stored: int = Field(description="How many of them are here.")
    evicted: int = Field(description="How many the server had to give up for want of room.")
    unwritten: int = Field(
        description="How many it could not write, of those since its start, since its disk took none."
    )
    missing: int = Field(
        description="How many of those collected are neither here nor said to be evicted: they were kept back."
    )


class MeasurementServersOut(ApiModel):
    """Every measurement server that was ever heard."""

    as_of: str = Field(description="When this was asked, UTC, ISO 8601.")
    logs: list[ServerLogOut] = Field(description="Their logs, by name, the one heard last first.")


class HalfApi:
    """The answers, from one store."""

    def __init__(self, queries: Queries, now_ns: times.Clock) -> None:
        self._halves = HalfQueries(queries)
        self._now_ns = now_ns

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        add = partial(router.add_api_route, methods=["GET"], responses=ERRORS, response_description=FOUND)
        add(
            "/api/v1/server-halves",
            self.halves,
            response_model=ServerHalvesOut,
            summary="What measurement servers said of tests, with the devices’ records",
        )
        add(
            "/api/v1/records-without-server-half",
            self.without,
            response_model=RecordsWithoutHalfOut,
            summary="Records of tests of which no measurement server’s half is here",
        )
        add(
            "/api/v1/measurement-servers",
            self.servers,
            response_model=MeasurementServersOut,
            summary="How far each measurement server was heard",
        )
        return router

    def halves(self, response: Response, wanted: Annotated[HalvesQuery, Query()]) -> ServerHalvesOut:
        """Return servers’ halves, each joined with the device’s record of the same test: by device and nonce."""
        response.headers["cache-control"] = LIVE
        found = self._halves.halves(
            HalfFilter(
                device=wanted.device, nonce=wanted.nonce, server=wanted.server, has_record=wanted.has_record
            ),
            after=wanted.cursor,
            limit=wanted.limit + 1,
        )
        page = found[: wanted.limit]
        return ServerHalvesOut(
            halves=[_half(one) for one in page],
            next_cursor=page[-1].id if len(found) > wanted.limit else None,
        )

    def without(
        self, response: Response, wanted: Annotated[WithoutHalfQuery, Query()]
    ) -> RecordsWithoutHalfOut:
        """Return records that name a nonce of which no server’s half is here, or not yet: `/api/v1/measurement-servers` says how far each was heard."""
        response.headers["cache-control"] = LIVE
        found = self._halves.records_without(
            device=wanted.device, after=wanted.cursor, limit=wanted.limit + 1
        )
        page = found[: wanted.limit]
        return RecordsWithoutHalfOut(
            records=[
                RecordWithoutHalfOut(
                    device=row.device,
                    epoch=row.epoch,
                    seq=row.seq,
                    nonce=nonce,
                    test=row.test,
                    target=row.target,
                    failure=row.failure,
                    start_utc_ns=row.start_utc_ns,
                )
                for row, nonce in page
            ],
            next_cursor=page[-1][0].id if len(found) > wanted.limit else None,
        )

    def servers(self, response: Response, _none: Annotated[NoParameters, Query()]) -> MeasurementServersOut:
        """Return how the log of each measurement server stands, by its own signed word and by what is here."""
        response.headers["cache-control"] = LIVE
        return MeasurementServersOut(
            as_of=times.iso_ns(self._now_ns()), logs=[_log(one) for one in self._halves.logs()]
        )


def _half(row: HalfRow) -> ServerHalfOut:
    try:
        told: dict[str, Any] = half_to_json(row)
    except RecordError as error:
        raise StoreError(f"server_half {row.id}: {error}") from error
    record = row.record
    return ServerHalfOut(
        **told,
        record=None if record is None else RecordOfTestOut(device=row.device, epoch=record[0], seq=record[1]),
    )


def _log(row: ServerLogRow) -> ServerLogOut:
    return ServerLogOut(
        server=row.server,
        epoch=row.epoch,
        asked=times.iso_ns(row.asked_ns),
        collected_upto=row.upto,
        last=row.last,
        stored=row.stored,
        evicted=row.evicted,
        unwritten=row.unwritten,
        missing=max(0, row.upto - row.stored - row.evicted),
    )
