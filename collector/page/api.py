"""The JSON API, `/api/v1/…`: what the pages show, for programs. Thin: each answer is a query put into a model."""

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from collector.page import cards, times
from collector.page.errors import NotStoringError, UnknownDeviceError
from collector.page.headers import LIVE, NEVER
from collector.page.models import (
    DEVICE_FORM,
    CellOut,
    CompletenessOut,
    DeviceOut,
    DevicesOut,
    DigestOut,
    EpochOut,
    ErrorOut,
    HealthOut,
    MissedOut,
    MomentOut,
    NoParameters,
    RecordOut,
    RecordsOut,
    RecordsQuery,
    RejectOut,
    RejectsOut,
    RejectsQuery,
    RoundOut,
    RoundsOut,
    RoundsQuery,
    SinceOut,
    TransitionOut,
    VerdictOut,
)
from collector.page.statements import statement_out, verdict_out
from collector.page.times import NS_PER_S
from collector.store import chain
from collector.store.answers import DeviceRow, RecordFilter, RecordRow, RejectRow, RoundRow
from collector.store.completeness import Completeness, EpochCompleteness
from collector.store.history import DeviceHistory, MissedRounds, StoredRound
from collector.store.queries import MAX_PAGE, Queries
from collector.vantage.surroundings import Surroundings
from firmware import __version__
from firmware.judgement.fingerprints.lists import Lists
from firmware.language.numbers import ENGLISH
from firmware.language.translator import Translator
from firmware.model.jsontypes import JsonObject, RecordError
from firmware.model.record import ClockQuality, ClockReading, verdict_in
from firmware.ooni.export import surroundings_to_json
from firmware.wire.messages import Transition

NDJSON: Final = "application/x-ndjson"
DEFAULT_RECORDS: Final = 100

DevicePath = Annotated[
    str,
    Path(
        pattern=f"^{DEVICE_FORM}$",
        description="The device’s id: 16 letters and digits.",
        examples=["k3v9q2m7x1c8n5p4"],
    ),
]
_ONE_A_LINE: Final = {"$ref": "#/components/schemas/RecordOut"}
_FOUND: Final = "What was asked for."
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": ErrorOut, "description": "A parameter is wrong: which, what was found, what is allowed."},
    503: {"model": ErrorOut, "description": "The store cannot be read at present."},
}
_DEVICE_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ErrorOut, "description": "No such device was ever heard."},
    **_ERRORS,
}


class Api:
    """The API's answers, from one store. `now_ns` is the collector's clock; `storing_fault` as in `make_app`."""

    def __init__(
        self, queries: Queries, now_ns: times.Clock, storing_fault: Callable[[], str | None], lists: Lists
    ) -> None:
        self._queries = queries
        self._lists = lists
        self._history = DeviceHistory(queries)
        self._now_ns = now_ns
        self._english = Translator(ENGLISH)
        self._storing_fault = storing_fault

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        one = partial(
            router.add_api_route, methods=["GET"], responses=_DEVICE_ERRORS, response_description=_FOUND
        )
        many = partial(router.add_api_route, methods=["GET"], responses=_ERRORS, response_description=_FOUND)
        many("/api/v1/devices", self.devices, response_model=DevicesOut, summary="All devices")
        one("/api/v1/devices/{device}", self.device, response_model=DeviceOut, summary="One device")
        one(
            "/api/v1/devices/{device}/rounds",
            self.rounds,
            response_model=RoundsOut,
            summary="A device’s ladder over time",
        )
        one(
            "/api/v1/devices/{device}/completeness",
            self.completeness,
            response_model=CompletenessOut,
            summary="What of a device’s records is here",
        )
        router.add_api_route(
            "/api/v1/records",
            self.records,
            methods=["GET"],
            response_model=RecordsOut,
            summary="Records, filtered, in order of arrival",
            response_description=_FOUND,
            responses={200: {"content": {NDJSON: {"schema": _ONE_A_LINE}}}, **_ERRORS},
        )
        many("/api/v1/rejects", self.rejects, response_model=RejectsOut, summary="What was refused, and why")
        many(
            "/api/v1/digest",
            self.digest,
            response_model=DigestOut,
            summary="The digest of all that was received and said",
        )
        many("/healthz", self.health, response_model=HealthOut, summary="Whether the collector works")
        return router

    def devices(self, response: Response, _none: Annotated[NoParameters, Query()]) -> DevicesOut:
        """Return every device ever heard, with its last verdict and its completeness."""
        response.headers["cache-control"] = LIVE
        now_ns = self._now_ns()
        found = [self._device(row, now_ns) for row in self._queries.devices()]
        return DevicesOut(as_of=times.iso_ns(now_ns), devices=found)

    def device(
        self, device: DevicePath, response: Response, _none: Annotated[NoParameters, Query()]
    ) -> DeviceOut:
        """Return one device, with its last verdict and its completeness."""
        response.headers["cache-control"] = LIVE
        return self._device(self._known(device), self._now_ns())

    def rounds(
        self, device: DevicePath, response: Response, wanted: Annotated[RoundsQuery, Query()]
    ) -> RoundsOut:
        """Return the device’s rounds, each with its verdict and a cell for every rung.

        With `until`, an answer never changes except by late arrivals: it can be cited.
        """
        response.headers["cache-control"] = LIVE
        self._known(device)
        found = self._history.rounds(device, wanted.limit, until=until_of(wanted.until))
        return RoundsOut(
            device=device,
            rounds=[_round(one) for one in found.rounds],
            missed=[_missed(one, self._english) for one in found.missed],
            older=until_text(found.before) if found.before is not None else None,
        )

    def completeness(
        self, device: DevicePath, response: Response, _none: Annotated[NoParameters, Query()]
    ) -> CompletenessOut:
        """Return the device’s account: produced = stored + tombstoned + rejected + missing, with the gaps."""
        response.headers["cache-control"] = LIVE
        return _completeness(self._known(device).completeness)

    def records(self, request: Request, wanted: Annotated[RecordsQuery, Query()]) -> Response:
        """Return records as their devices made them.

        As JSON, page by page: `next_cursor` leads on. As JSON Lines, everything that matches is streamed, one
        object of the same form a line; after a broken connection go on with the last line’s `cursor`.
        """
        if (wanted.format or _preferred(request)) == "ndjson":
            return StreamingResponse(
                self._lines(wanted), media_type=NDJSON, headers={"cache-control": NEVER, "vary": "Accept"}
            )
        limit = min(wanted.limit or DEFAULT_RECORDS, MAX_PAGE)
        page = self._queries.records(_filter(wanted), after=wanted.cursor, limit=limit)
        answer = RecordsOut(
            records=[_record(row, self._english) for row in page.records], next_cursor=page.next_cursor
        )
        return Response(
            answer.model_dump_json(),
            media_type="application/json",
            headers={"cache-control": LIVE, "vary": "Accept"},
        )

    def rejects(self, response: Response, wanted: Annotated[RejectsQuery, Query()]) -> RejectsOut:
        """Return what arrived and was not accepted, the newest first. The collector keeps the last 200 of each device."""
        response.headers["cache-control"] = LIVE
        found = self._queries.rejects(wanted.device, limit=wanted.limit)
        return RejectsOut(rejects=[_reject(row) for row in found])

    def digest(self, response: Response, _none: Annotated[NoParameters, Query()]) -> DigestOut:
        """Return the end of the digest chain: who keeps it can show later whether anything up to there was changed."""
        response.headers["cache-control"] = LIVE
        with self._queries.reading() as connection:
            head = chain.head(connection)
        return DigestOut(number=head.number, digest=head.digest, head=str(head), at_ns=head.at_ns)

    def health(self, _none: Annotated[NoParameters, Query()]) -> HealthOut:
        """Return whether the store can be read and written, and how much is in it. For monitoring; never kept by a cache."""
        fault = self._storing_fault()
        if fault is not None:
            raise NotStoringError(fault)
        counts = self._queries.counts()
        return HealthOut(
            status="ok",
            version=__version__,
            devices=counts.devices,
            records=counts.records,
            rejects=counts.rejects,
        )

    def _known(self, device: str) -> DeviceRow:
        row = self._queries.device(device)
        if row is None:
            raise UnknownDeviceError(device)
        return row

    def _device(self, row: DeviceRow, now_ns: int) -> DeviceOut:
        last = row.last_round
        return DeviceOut(
            device=row.id,
            country=row.country,
            software=row.software,
            first_heard=times.iso_ns(row.first_seen_ns),
            last_heard=times.iso_ns(row.last_seen_ns),
            lately=not cards.is_silent(row, now_ns),
            online=row.online,
            waiting=row.waiting,
            last_round=None if last is None else _moment(last),
            verdict=_verdict(last, self._english),
            since=self._since(row.id),
            headline=[_transition(transition) for transition in row.headline],
            completeness=_completeness(row.completeness),
        )

    def _since(self, device: str) -> SinceOut | None:
        streak = self._history.verdict_streak(device)
        if streak is None:
            return None
        return SinceOut(
            first_round=_moment(streak.first),
            rounds=streak.rounds,
            exact=streak.before is not None,
            before=None if streak.before is None else _moment(streak.before),
            verdict_before=None if streak.before is None else streak.before.verdict,
        )

    def _lines(self, wanted: RecordsQuery) -> Iterator[bytes]:
        after, left = wanted.cursor, wanted.limit
        around = Surroundings(self._queries, self._lists.fingerprints) if wanted.surroundings else None
        while left is None or left > 0:
            limit = MAX_PAGE if left is None else min(left, MAX_PAGE)
            page = self._queries.records(_filter(wanted), after=after, limit=limit)
            yield b"".join(_line(row, self._english, around) for row in page.records)
            if page.next_cursor is None:
                return
            after = page.next_cursor
            left = None if left is None else left - len(page.records)


def until_of(text: str | None) -> tuple[str, int] | None:
    """Read `epoch:seq`, which has been checked."""
    if text is None:
        return None
    epoch, _, seq = text.partition(":")
    return epoch, min(int(seq), 2**63 - 1)


def until_text(row: RoundRow) -> str:
    """Return `epoch:seq` of a round."""
    return f"{row.epoch}:{row.seq}"


def _preferred(request: Request) -> str:
    return "ndjson" if NDJSON in request.headers.get("accept", "") else "json"


def _filter(wanted: RecordsQuery) -> RecordFilter:
    return RecordFilter(
        device=wanted.device,
        test=wanted.test,
        rung=None if wanted.rung is None else str(wanted.rung),
        failure=wanted.failure,
        since_utc_ns=_ns(wanted.since),
        until_utc_ns=_ns(wanted.until),
    )


def _ns(at: datetime | None) -> int | None:
    if at is None:
        return None
    # In whole microseconds: a float of seconds has not the digits.
    seconds = int(at.replace(microsecond=0).timestamp())
    return max(-(2**63), min(seconds * NS_PER_S + at.microsecond * 1000, 2**63 - 1))


def moment(reading: ClockReading) -> MomentOut:
    """Return a moment as the API tells it."""
    return MomentOut(
        utc=times.iso_ns(reading.utc_ns),
        error_s=None if reading.error_ns is None else reading.error_ns / NS_PER_S,
        clock=reading.quality,
    )


def _moment(row: RoundRow) -> MomentOut:
    return MomentOut(
        utc=times.iso_ns(row.start_utc_ns),
        error_s=None if row.clock_error_ns is None else row.clock_error_ns / NS_PER_S,
        clock=ClockQuality(row.clock_quality),
    )


def _transition(transition: Transition) -> TransitionOut:
    return TransitionOut(
        verdict=transition.verdict,
        rule_id=transition.rule_id,
        since=MomentOut(
            utc=times.iso_ns(transition.since_utc_ns),
            error_s=None if transition.error_ns is None else transition.error_ns / NS_PER_S,
            clock=transition.quality,
        ),
    )


def _verdict(row: RoundRow | None, english: Translator) -> VerdictOut | None:
    verdict = cards.verdict_of(row)
    return None if verdict is None else verdict_out(verdict, english)


def _completeness(account: Completeness) -> CompletenessOut:
    return CompletenessOut(
        device=account.device,
        produced=account.produced,
        stored=account.stored,
        tombstoned=account.tombstoned,
        rejected=account.rejected,
        missing=account.missing,
        share=account.share,
        epochs=[_epoch(epoch) for epoch in account.epochs],
        unnamed_epochs=account.unnamed,
    )


def _epoch(epoch: EpochCompleteness) -> EpochOut:
    return EpochOut(
        epoch=epoch.epoch,
        produced=epoch.produced,
        stored=epoch.stored,
        tombstoned=epoch.tombstoned,
        rejected=epoch.rejected,
        missing=epoch.missing,
        gaps=list(epoch.gaps.ranges),
    )


def _round(one: StoredRound) -> RoundOut:
    return RoundOut(
        epoch=one.row.epoch,
        seq=one.row.seq,
        boot_id=one.row.boot_id,
        round_id=one.row.round_id,
        boottime_ns=one.record.start.boottime_ns,
        start=_moment(one.row),
        verdict=one.row.verdict,
        rule_id=one.row.rule_id,
        cells=[
            CellOut(
                rung=state.rung,
                state=state.state,
                reached=state.reached,
                tried=state.tried,
                best_ns=state.best_ns,
                failures=list(state.failures),
            )
            for state in one.ladder.rungs
        ],
    )


def _missed(one: MissedRounds, english: Translator) -> MissedOut:
    return MissedOut(
        epoch=one.epoch,
        seq=one.seq,
        due=times.iso_ns(one.start_utc_ns),
        moment=moment(one.due),
        count=one.count,
        reason=statement_out("gap", one.reason, english),
    )


def _record(row: RecordRow, english: Translator) -> RecordOut:
    verdict = verdict_in(row.body)
    return RecordOut(
        cursor=row.id,
        device=row.device,
        epoch=row.epoch,
        seq=row.seq,
        received=times.iso_ns(row.received_ns),
        start=moment(row.start),
        record=json.loads(row.body),
        verdict=None if verdict is None else verdict_out(verdict, english),
    )


def _line(row: RecordRow, english: Translator, around: Surroundings | None) -> bytes:
    # The record's own text is passed on as it is, so that no digit of it changes.
    head = {
        "cursor": row.id,
        "device": row.device,
        "epoch": row.epoch,
        "seq": row.seq,
        "received": times.iso_ns(row.received_ns),
        "start": moment(row.start).model_dump(mode="json"),
    }
    verdict = verdict_in(row.body)
    told: JsonObject = {"verdict": None if verdict is None else english.verdict_to_json(verdict)}
    if around is not None:
        with contextlib.suppress(RecordError):  # kept, passed on as it is, and no evidence
            found = around.of(row)
            told |= surroundings_to_json(found.around, found.view)
    return f'{json.dumps(head)[:-1]}, "record": {row.body}, {json.dumps(told)[1:]}\n'.encode()


def _reject(row: RejectRow) -> RejectOut:
    return RejectOut(
        device=row.device,
        epoch=row.epoch,
        seq=row.seq,
        reason=row.reason,
        received=times.iso_ns(row.received_ns),
        topic=row.topic,
        payload_bytes=len(row.payload),
    )
