"""The page, served: routes, templates, errors in one style. `make_app` wires it; nothing else builds its parts.

It reads through `Queries` and `History` only, runs no script in the reader's browser, fetches nothing from
anywhere else, and must never write.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, JSONResponse

from collector.errors import StoreError
from collector.page import headers, language
from collector.page.api import Api
from collector.page.beside_api import BesideApi
from collector.page.errors import BadParameterError, NotStoringError, UnknownDeviceError
from collector.page.half_api import HalfApi
from collector.page.headers import NEVER, Headers
from collector.page.pages import Pages
from collector.page.rendering import Templates
from collector.page.scope_api import ScopeApi
from collector.page.target_api import TargetApi
from collector.page.times import Clock, Moment
from collector.store.queries import Queries
from firmware import __version__
from firmware.judgement.fingerprints.lists import Lists, bring
from firmware.language.numbers import ENGLISH
from firmware.language.translator import CATALOGUES, Translator
from firmware.model.record import Rung

DESCRIPTION: Final = (
    "What devices measured, what they concluded, and how complete their records are. Read-only."
)
_GZIP_FROM_BYTES: Final = 500


def make_app(
    queries: Queries,
    *,
    now_ns: Clock = time.time_ns,
    storing_fault: Callable[[], str | None] = lambda: None,
    retired: Callable[[], Mapping[str, float]] = dict,
    catalogues: Path = CATALOGUES,
    lists: Lists | None = None,
) -> FastAPI:
    """Return the ASGI application that shows what `queries` finds. The caller closes `queries` after serving.

    `storing_fault` says why nothing can be stored at present, None when it can. `retired` tells which devices their operator
    took out of service, and when (UTC, s). `catalogues` are the languages of its pages, `lists` the fingerprints it judges by,
    those that come along unless given.
    """
    app = FastAPI(
        title="Tidegauge collector",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=None,  # served by `Pages`, with its own caching
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(Headers), Middleware(GZipMiddleware, minimum_size=_GZIP_FROM_BYTES)],
    )
    known = bring(()) if lists is None else lists
    templates = Templates()
    translator_of = partial(language.translator_of, catalogues=catalogues)
    app.include_router(Api(queries, now_ns, storing_fault, known).router())
    app.include_router(TargetApi(queries, now_ns, known).router())
    app.include_router(BesideApi(queries, known).router())
    app.include_router(HalfApi(queries, now_ns).router())
    app.include_router(ScopeApi(queries, now_ns, retired=retired).router())
    app.include_router(Pages(queries, templates, now_ns, app.openapi, translator_of, lists=known).router())
    _Errors(templates, now_ns, translator_of).register(app)
    return app


class _Errors:
    """Errors as pages for people and as objects for programs."""

    def __init__(
        self, templates: Templates, now_ns: Clock, translator_of: Callable[[Request], Translator]
    ) -> None:
        self._templates = templates
        self._translator_of = translator_of
        self._now_ns = now_ns

    def register(self, app: FastAPI) -> None:
        app.add_exception_handler(UnknownDeviceError, self.unknown_device)
        app.add_exception_handler(BadParameterError, self.bad_parameter)
        app.add_exception_handler(RequestValidationError, self.invalid)
        app.add_exception_handler(StoreError, self.unavailable)
        app.add_exception_handler(NotStoringError, self.not_storing)
        app.add_exception_handler(HTTPException, self.http)
        app.add_exception_handler(Exception, self.broken)

    def unknown_device(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, UnknownDeviceError)
        text = self._translator(request).say("page.not_found_device", id=error.device)
        return self._answer(
            request, 404, "page.not_found_title", text, parameter="device", found=error.device
        )

    def bad_parameter(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, BadParameterError)
        return self._wrong_parameter(request, error, 400)

    def invalid(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return self._wrong_parameter(request, _first_fault(request, error, self._translator(request)), 422)

    def unavailable(self, request: Request, error: Exception) -> Response:  # noqa: ARG002  # the log has it
        text = self._translator(request).say("page.unavailable_text")
        answer = self._answer(request, 503, "page.unavailable_title", text)
        answer.headers["retry-after"] = "30"
        return answer

    def not_storing(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, NotStoringError)
        return self._answer(
            request,
            503,
            "page.not_storing_title",
            self._translator(request).say("page.not_storing_text", fault=error.fault),
        )

    def http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        keys = {
            404: ("page.not_found_title", "page.not_found_text"),
            405: ("page.not_allowed_title", "page.not_allowed_text"),
        }
        title, text = keys.get(error.status_code, ("page.bad_request_title", "page.bad_request_text"))
        answer = self._answer(request, error.status_code, title, self._translator(request).say(text))
        answer.headers.update(error.headers or {})
        return answer

    def broken(self, request: Request, error: Exception) -> Response:  # noqa: ARG002  # the server logs it
        answer = self._answer(
            request, 500, "page.error_title", self._translator(request).say("page.error_text")
        )
        # This one is sent from outside the middleware.
        headers.add(MutableHeaders(raw=answer.raw_headers))
        return answer

    def _wrong_parameter(self, request: Request, error: BadParameterError, status: int) -> Response:
        text = self._translator(request).say(
            "page.bad_parameter", parameter=error.parameter, found=error.found, allowed=error.allowed
        )
        return self._answer(
            request,
            status,
            "page.bad_request_title",
            text,
            parameter=error.parameter,
            found=error.found,
            allowed=error.allowed,
        )

    def _answer(self, request: Request, status: int, title: str, text: str, **detail: str) -> Response:
        if _is_for_programs(request):
            body: dict[str, Any] = {"error": {"message": text, **detail}}
            return JSONResponse(body, status_code=status, headers={"cache-control": NEVER})
        now, translator = Moment(ns=self._now_ns()), self._translator(request)
        html = self._templates.page(
            "message.html",
            translator,
            title=translator.say(title),
            text=text,
            at=f"{language.day(now.date, translator.language)}, {now.clock} UTC",
        )
        return HTMLResponse(html, status_code=status, headers={"cache-control": NEVER})

    def _translator(self, request: Request) -> Translator:
        """Return the translator of an error: programs are answered in English."""
        return Translator(ENGLISH) if _is_for_programs(request) else self._translator_of(request)


def _first_fault(
    request: Request, error: RequestValidationError, translator: Translator
) -> BadParameterError:
    """Return the first thing wrong with a request to the API."""
    fault = error.errors()[0]
    name = str(fault["loc"][-1])
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_query_names(request)) or translator.say("page.no_parameter")
        return BadParameterError(parameter=name, found=str(fault["input"]), allowed=known)
    return BadParameterError(
        parameter=name, found=str(fault["input"])[:100], allowed=_allowed(name, str(fault["msg"]), translator)
    )


def _allowed(name: str, otherwise: str, translator: Translator) -> str:
    """Return what a parameter may be; `otherwise` for one that has no sentence of its own."""
    key = f"allowed.{name}"
    return translator.say(key, rungs=list(Rung)) if translator.has(key) else otherwise


def _is_for_programs(request: Request) -> bool:
    return request.url.path.startswith("/api/") or request.url.path == "/healthz"


def _query_names(request: Request) -> list[str]:
    """Return the query parameters that the request's path takes, from the OpenAPI document."""
    path = request.scope["route"].path
    operation = request.app.openapi()["paths"][path]["get"]
    return [part["name"] for part in operation.get("parameters", ()) if part["in"] == "query"]
