"""The pages for people: devices, one device, what the words mean, the API's reference. Server-rendered HTML.

Each gathers rows, lays them out through the pure modules beside it, and fills a template. Decides nothing.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, JSONResponse

from collector.judgement.gather import VANTAGE_S, line_of
from collector.judgement.scope import SCOPE_RULES, ScopeRule
from collector.page import cards, countries, health, matrix, reference, times
from collector.page.api import until_of, until_text
from collector.page.cards import Card
from collector.page.errors import BadParameterError, UnknownDeviceError
from collector.page.headers import FOREVER, LIVE, STEADY
from collector.page.models import DEVICE_FORM, EPOCH_FORM
from collector.page.rendering import Templates
from collector.page.site_lines import SiteLines
from collector.page.times import Clock, Moment
from collector.store.answers import DeviceRow, RecordRow
from collector.store.history import DeviceHistory
from collector.store.queries import Queries
from collector.store.scopes import ScopeQueries
from collector.store.vantage_log import VantageQueries
from firmware.judgement.fingerprints.lists import Lists
from firmware.judgement.round.rules import RULES, Rule
from firmware.language.translator import Translator
from firmware.model.failures import ADDITIONS, Failure
from firmware.model.record import Rung, from_json
from firmware.model.verdict_words import COLLECTOR_ONLY, VerdictWord

REFRESH_S: Final = 30
DEVICES_A_PAGE: Final = 20
ROUNDS_SHOWN: Final = 48
STRIPS_SHOWN: Final = 4
"""The device's page shows this many strips of `ROUNDS_SHOWN` rounds, the newest first."""
RECORDS_SHOWN: Final = 40
REJECTS_SHOWN: Final = 20
EVIDENCE_SHOWN: Final = 12
CHANGES_SHOWN: Final = 6

_UNTIL: Final = re.compile(f"{EPOCH_FORM}:[1-9][0-9]{{0,18}}")
_DEVICE: Final = re.compile(DEVICE_FORM)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLine:
    """One record in the device page's table."""

    at: Moment
    test: str
    rung: str
    target: str
    result: str
    failure: str
    meaning: str
    took: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectLine:
    """One refusal in the device page's table."""

    at: Moment
    seq: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLine:
    """One epoch in the device page's table."""

    epoch: str
    produced: int
    stored: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """One rule in a table of the page that says what the words mean."""

    rule_id: str
    verdict: str
    sentence: str
    overturned_by: str


class Pages:
    """The pages' routes. `openapi` returns the API's document."""

    def __init__(
        self,
        queries: Queries,
        templates: Templates,
        now_ns: Clock,
        openapi: Callable[[], dict[str, Any]],
        translator_of: Callable[[Request], Translator],
        *,
        lists: Lists,
    ) -> None:
        self._translator_of = translator_of
        self._queries = queries
        self._history = DeviceHistory(queries)
        self._sites = SiteLines(queries, lists)
        self._scopes = ScopeQueries(queries)
        self._vantage = VantageQueries(queries)
        self._templates = templates
        self._now_ns = now_ns
        self._openapi = openapi

    def router(self) -> APIRouter:
        """Return the routes; none of them is part of the API's document."""
        router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/", self.index)
        router.add_api_route("/device/{device}", self.device)
        router.add_api_route("/about", self.about)
        router.add_api_route("/api", self.reference)
        router.add_api_route("/api/openapi.json", self.document)
        router.add_api_route(self._templates.stylesheet_path, self.stylesheet)
        return router

    def index(self, request: Request) -> Response:
        """Return the page of all devices, twenty a page."""
        now_ns, translator = self._now_ns(), self._translator_of(request)
        devices = cards.order(self._queries.devices(), now_ns)
        pages = max(1, math.ceil(len(devices) / DEVICES_A_PAGE))
        page = _page_number(request, pages, translator)
        shown = devices[(page - 1) * DEVICES_A_PAGE : page * DEVICES_A_PAGE]
        return self._live(
            request,
            "index.html",
            now_ns,
            translator,
            here="/",
            summary=cards.summary(devices, now_ns, translator),
            countries=self._countries(now_ns, translator),
            cards=[self._card(device, now_ns, translator) for device in shown],
            page=page,
            pages=pages,
            evidence_shown=EVIDENCE_SHOWN,
        )

    def device(self, device: str, request: Request) -> Response:
        """Return the page of one device: its rounds, evidence, records, completeness, health and refusals."""
        if not _DEVICE.fullmatch(device):
            raise UnknownDeviceError(device)
        row = self._queries.device(device)
        if row is None:
            raise UnknownDeviceError(device)
        now_ns, translator = self._now_ns(), self._translator_of(request)
        until = _until(request, translator)
        found = self._history.rounds(device, ROUNDS_SHOWN * STRIPS_SHOWN, until=until)
        records = [
            _record_line(record, translator) for record in self._history.last_records(device, RECORDS_SHOWN)
        ]
        last = found.rounds[-1] if found.rounds else None
        sites = self._sites.of(device, until, translator)
        return self._live(
            request,
            "device.html",
            now_ns,
            translator,
            refreshing=until is None,
            card=self._card(row, now_ns, translator),
            matrices=matrix.strips(
                matrix.of(
                    found,
                    cards.missing_seqs(row),
                    translator,
                    silence=None if until else cards.silence(row, now_ns),
                ),
                ROUNDS_SHOWN,
            ),
            until=None if until is None or last is None else cards.moment_of(last.row, translator),
            older_href="" if found.before is None else f"/device/{device}?until={until_text(found.before)}",
            cite_href="" if last is None else f"/device/{device}?until={until_text(last.row)}",
            targets=sites.targets,
            beside=sites.beside,
            lists=sites.lists,
            records=records,
            meanings=sorted({(line.failure, line.meaning) for line in records if line.meaning}),
            epochs=_epoch_lines(row, translator),
            health=health.lines(row, translator),
            rejects=[
                RejectLine(
                    at=Moment(ns=reject.received_ns),
                    seq="" if reject.seq is None else translator.number(reject.seq),
                    reason=reject.reason,
                )
                for reject in self._queries.rejects(device, limit=REJECTS_SHOWN)
            ],
        )

    def about(self, request: Request) -> Response:
        """Return the page that says what the words mean, from the tables the software itself reasons with."""
        translator = self._translator_of(request)
        html = self._templates.page(
            "about.html",
            translator,
            here="/about",
            rungs=[(translator.say(f"rung.{one}"), translator.say(f"rung.{one}.meaning")) for one in Rung],
            verdicts=[
                (
                    word,
                    translator.verdict(word),
                    translator.say(f"verdict.{word}.meaning"),
                    word in COLLECTOR_ONLY,
                )
                for word in VerdictWord
            ],
            rules=[_rule_line(rule, translator) for rule in RULES],
            scope_rules=[_rule_line(rule, translator) for rule in SCOPE_RULES],
            failures=[(word, translator.failure(word), word in ADDITIONS) for word in Failure],
        )
        return _steady(request, HTMLResponse(html))

    def reference(self, request: Request) -> Response:
        """Return the API's document, laid out for reading."""
        document = self._openapi()
        html = self._templates.page(
            "api.html",
            self._translator_of(request),
            here="/api",
            base=str(request.base_url).rstrip("/"),
            operations=reference.operations(document),
            models=reference.models(document),
        )
        return _steady(request, HTMLResponse(html))

    def document(self, request: Request) -> Response:
        """Return the API's document itself."""
        return _steady(request, JSONResponse(self._openapi()))

    def stylesheet(self) -> Response:
        """Return the style sheet, under the hash of its content."""
        return Response(self._templates.stylesheet, media_type="text/css", headers={"cache-control": FOREVER})

    def _countries(self, now_ns: int, translator: Translator) -> list[countries.Country]:
        holding = self._scopes.holding()
        if not holding:
            return []
        connected = line_of(self._vantage, now_ns).connected
        return [
            countries.country(
                one,
                self._scopes.changes(one.assessment.country, limit=CHANGES_SHOWN),
                now_ns,
                translator,
                connected=connected,
                vantage_s=VANTAGE_S,
            )
            for one in holding
        ]

    def _card(self, device: DeviceRow, now_ns: int, translator: Translator) -> Card:
        found = self._history.rounds(device.id, ROUNDS_SHOWN)
        laid_out = matrix.of(
            found,
            cards.missing_seqs(device),
            translator,
            silence=cards.silence(device, now_ns),
            brief=True,
        )
        return cards.card(device, self._history.verdict_streak(device.id), laid_out, now_ns, translator)

    def _live(
        self,
        request: Request,
        name: str,
        now_ns: int,
        translator: Translator,
        *,
        refreshing: bool = True,
        **values: object,
    ) -> Response:
        """Return a page of the present, which looks again by itself unless the reader paused it."""
        paused = request.query_params.get("refresh") == "off"
        html = self._templates.page(
            name,
            translator,
            now=Moment(ns=now_ns),
            refresh_s=REFRESH_S if refreshing and not paused else 0,
            pause_href=_pause_href(request, paused=paused) if refreshing else "",
            **values,
        )
        return HTMLResponse(html, headers={"cache-control": LIVE, "vary": "Accept-Language"})


def _rule_line(rule: Rule | ScopeRule, translator: Translator) -> RuleLine:
    return RuleLine(
        rule_id=rule.rule_id,
        verdict=rule.verdict,
        sentence=translator.rule(rule.rule_id, rule.numbers),
        overturned_by=translator.overturned_by(rule.rule_id),
    )


def _page_number(request: Request, pages: int, translator: Translator) -> int:
    text = request.query_params.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= pages):
        allowed = translator.say("allowed.page", pages=pages)
        raise BadParameterError(parameter="page", found=text[:100], allowed=allowed)
    return int(text)


def _until(request: Request, translator: Translator) -> tuple[str, int] | None:
    text = request.query_params.get("until")
    if text is not None and not _UNTIL.fullmatch(text):
        raise BadParameterError(parameter="until", found=text[:100], allowed=translator.say("allowed.until"))
    return until_of(text)


def _pause_href(request: Request, *, paused: bool) -> str:
    """Return this page's address with its refresh turned the other way."""
    kept = {name: value for name, value in request.query_params.items() if name != "refresh"}
    url = request.url.include_query_params(refresh="off") if not paused else None
    if url is not None:
        return f"{url.path}?{url.query}"
    bare = request.url.replace(query="").include_query_params(**kept)
    return f"{bare.path}?{bare.query}" if bare.query else bare.path


def _steady(request: Request, response: Response) -> Response:
    """Return what changes only with the software: with a tag, and without a body for who has it already."""
    tag = f'W/"{hashlib.sha256(response.body).hexdigest()[:16]}"'
    if tag in request.headers.get("if-none-match", ""):
        response = Response(status_code=304)
    response.headers["etag"] = tag
    response.headers["cache-control"] = STEADY
    response.headers["vary"] = "Accept-Language"
    return response


def _record_line(row: RecordRow, translator: Translator) -> RecordLine:
    record = from_json(json.loads(row.body))
    failure = record.outcome.failure or ""
    operation = record.outcome.failed_operation
    if not failure:
        result = record.verdict.verdict if record.verdict else translator.say("page.record_ok")
    elif operation:
        result = translator.say("page.record_failed_in", failure=failure, operation=operation)
    else:
        result = failure
    return RecordLine(
        at=times.by_device(row.start.utc_ns, row.start.quality, row.start.error_ns, translator),
        test=record.test,
        rung="" if record.rung is None else translator.say(f"rung.{record.rung}"),
        target=record.target_name or record.target,
        result=result,
        failure=failure,
        meaning=translator.failure(failure) if failure else "",
        took=times.took(record.runtime_ns, translator),
    )


def _epoch_lines(row: DeviceRow, translator: Translator) -> list[EpochLine]:
    return [
        EpochLine(
            epoch=epoch.epoch,
            produced=epoch.produced,
            stored=epoch.stored,
            lines=cards.epoch_lines(epoch, translator),
        )
        for epoch in reversed(row.completeness.epochs)
    ]
