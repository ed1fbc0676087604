"""`http`: fetch a web page as a browser would, over HTTP/1.1, with or without TLS, and follow its redirects.

The target is a URL. Options: `address` (connect there instead of resolving; for the first request only),
`method` (GET or HEAD), `body_cap` (bytes of body kept and read, OONI's 524288 by default), `expect_status` (any
other final status is `http_unexpected_status_code`: 204 for the checks that find a captive portal), `redirects`
(how many to follow: 10, or none where a status is expected), `family`.

The outcome's `phases` are the first request's, so that they compare from round to round. `detail`: `status`
(the last request's), `url` (where the journey ended) and `requests`, in order, each with `url`, `method`,
`status`, `http_version`, `headers`, `body_sha256`, `body_length`, `body_is_truncated`, `body_is_encoded`,
`title`, `read_timing` ([bytes so far, ns] and its class, `read_timing_stamp`), `egress_queue_ns` (the request's
wait in our own queue), `first_segments` (`firmware.protocols.http_exchange.Response`), `address`, `failure`, `phases`, `tls`
(`firmware.protocols.tls_stream.Handshake`), `queries`, `tcp_connect`, and with a failure `message`. The body itself is
not kept. Each request has a connection of its own. Everything a server says is scrubbed (`firmware.protocols.scrub`) and
cut to size (`firmware.protocols.fit`) before it is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Self

from firmware.failures import Failure, MeasurementFailedError
from firmware.jsontypes import JsonObject, JsonValue
from firmware.net.access import Net, TcpStream
from firmware.net.targets import Options, TargetError, family_of
from firmware.protocols.fit import fit
from firmware.protocols.html_title import title_of
from firmware.protocols.http_exchange import Response, exchange, thin
from firmware.protocols.http_urls import OPERATION, Url, next_url, parse_url
from firmware.protocols.reach import Way, reach
from firmware.protocols.scrub import scrub, scrub_headers, scrub_url
from firmware.record import Outcome, Phase
from firmware.task import OptionValue

if TYPE_CHECKING:
    from firmware.protocols.tls_stream import TlsStream

BODY_CAP: Final = 524_288
MAX_REDIRECTS: Final = 10
_ALPN: Final = ("http/1.1",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """One fetch. `address` "" resolves; `expect_status` 0 takes any."""

    url: Url
    address: str
    method: str
    body_cap: int
    expect_status: int
    redirects: int
    families: tuple[int, ...]

    name: ClassVar[str] = "http"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = (
        "fetch a URL over HTTP/1.1, follow redirects, keep status, headers, title and body hash"
    )

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take an http or https URL. Raises `TargetError`."""
        given = Options(cls.name, options)
        expect_status = given.integer("expect_status", 0, low=0, high=599)
        address = given.text("address", "")
        if address and family_of(address) is None:
            raise TargetError(f"http: option address: found {address!r}; allowed is an IPv4 or IPv6 address")
        parsed = cls(
            url=parse_url(target),
            address=address,
            method=given.word("method", "GET", ("GET", "HEAD")),
            body_cap=given.integer("body_cap", BODY_CAP, low=0, high=16 * BODY_CAP),
            expect_status=expect_status,
            redirects=given.integer("redirects", 0 if expect_status else MAX_REDIRECTS, low=0, high=20),
            families=given.families(),
        )
        given.finish()
        return parsed

    async def measure(self, net: Net) -> Outcome:
        """Fetch, following redirects."""
        visited: list[Url] = []
        fetches: list[_Fetch] = []
        failed: MeasurementFailedError | None = None
        url: Url | None = self.url
        try:
            while url is not None:
                visited.append(url)
                address = self.address if len(visited) == 1 else ""
                fetches.append(_Fetch(net, url, self.method))
                await fetches[-1].run(address or url.host, self.families, self.body_cap)
                response = fetches[-1].response
                url = next_url(
                    visited, response.status or 0, response.header("location"), limit=self.redirects
                )
            self._check_status(fetches[-1].response.status)
        except MeasurementFailedError as error:
            failed = error
        detail: dict[str, JsonValue] = {
            "status": fetches[-1].response.status,
            "url": fetches[-1].shown_url,
            "requests": [fetch.to_json() for fetch in fetches],
        }
        return net.outcome(phases=fetches[0].phases, detail=fit(detail), error=failed)

    def _check_status(self, status: int | None) -> None:
        if self.expect_status and status != self.expect_status:
            raise MeasurementFailedError(Failure.HTTP_UNEXPECTED_STATUS_CODE, operation=OPERATION)


class _Fetch:
    """One request on its way, and the account of it."""

    def __init__(self, net: Net, url: Url, method: str) -> None:
        self.response = Response()
        self.phases: dict[str, Phase] = {}
        self._net = net
        self._url = url
        self._method = method
        self._way = Way()
        self._tls: TlsStream | None = None
        self._server = ""
        self._failure: str | None = None
        self._message = ""
        self._own = frozenset(own.address for own in net.host.addresses if own.scope != "loopback")

    @property
    def shown_url(self) -> str:
        """The URL as a record may hold it."""
        return scrub_url(str(self._url), own=self._own, server=self._server)

    async def run(self, host: str, families: tuple[int, ...], body_cap: int) -> None:
        """Connect to `host` and make the request. Raises `MeasurementFailedError`, noted in the account too."""
        try:
            with await reach(self._net, self._way, host, self._url.port, families=families) as tcp:
                self._server = tcp.remote[0]
                stream = await self._secured(tcp) if self._url.scheme == "https" else tcp
                await exchange(
                    self._net, stream, self._url, self.response, method=self._method, body_cap=body_cap
                )
        except MeasurementFailedError as error:
            self._failure, self._message = error.failure, str(error)
            raise
        finally:
            tls = {} if self._tls is None else self._tls.story.phases
            self.phases = self._way.phases | tls | self.response.phases

    async def _secured(self, tcp: TcpStream) -> "TlsStream":
        from firmware.protocols.tls_stream import TlsStream  # noqa: PLC0415  # OpenSSL costs the worker 6 MB

        self._tls = TlsStream(self._net, tcp, server_name=self._url.host, alpn=_ALPN)
        await self._tls.handshake()
        return self._tls

    def to_json(self) -> JsonObject:
        """Return what a record keeps of this request."""
        import hashlib  # noqa: PLC0415  # OpenSSL again

        response, own, server = self.response, self._own, self._server
        body = bytes(response.body)
        title = None if response.body_is_encoded else title_of(body, response.header("content-type") or "")
        timing: list[JsonValue] = [[size, t_ns] for size, t_ns in thin(response.read_timing)]
        phases: JsonObject = {
            name: {"ns": phase.ns, "stamp": str(phase.stamp)} for name, phase in self.phases.items()
        }
        kept: JsonObject = {
            "url": self.shown_url,
            "method": self._method,
            "address": self._net.host.label(server),
            "failure": self._failure,
            "status": response.status,
            "http_version": response.http_version,
            "headers": scrub_headers(response.headers, own=own, server=server),
            "body_sha256": hashlib.sha256(body).hexdigest() if response.status is not None else None,
            "body_length": len(body),
            "body_is_truncated": response.body_is_truncated,
            "body_is_encoded": response.body_is_encoded,
            "title": None if title is None else scrub(title, own=own, server=server),
            "read_timing": timing,
            "read_timing_stamp": str(response.read_timing_stamp),
            "egress_queue_ns": None if response.request is None else response.request.egress_queue_ns,
            "first_segments": response.first_segments,
            "phases": phases,
            "tls": None if self._tls is None else self._tls.story.to_json(),
            **self._way.to_json(),
        }
        if self._failure is not None:
            kept["message"] = scrub(self._message, own=own, server=server)
        return kept
