"""Requests for URLs: the way there, TLS where the URL says so, the exchange, the redirects, and the account of it.

`http` and `web_connectivity` keep their requests in the same form, which is made here (`Fetch.to_json`). Everything
a server says is scrubbed before it is kept. This file must never keep what was not scrubbed.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from firmware.model.failures import MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Phase
from firmware.net.access import Net, TcpStream
from firmware.protocols.html_title import title_of
from firmware.protocols.http_exchange import Response, exchange, thin
from firmware.protocols.http_urls import Url, next_url
from firmware.protocols.reach import ReachDetail, reach
from firmware.protocols.scrub import scrub, scrub_headers, scrub_url

if TYPE_CHECKING:
    from firmware.protocols.tls_stream import TlsStream

HTTP_ALPN: Final = ("http/1.1",)


class Fetch:
    """One request on its way, and the account of it.

    `start_chars` is how much of the body's beginning is kept where no certificate proved who sent it: what a block
    page is known by.
    """

    def __init__(self, net: Net, url: Url, method: str, *, start_chars: int = 0) -> None:
        self.response = Response()
        self.phases: dict[str, Phase] = {}
        self._net = net
        self._url = url
        self._method = method
        self._start_chars = start_chars
        self._way = ReachDetail()
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
                await self._exchange(stream, body_cap)
        except MeasurementFailedError as error:
            self._failure, self._message = error.failure, str(error)
            raise
        finally:
            tls = {} if self._tls is None else self._tls.story.phases
            self.phases = self._way.phases | tls | self.response.phases

    async def over(self, stream: "TcpStream | TlsStream", server: str, body_cap: int) -> None:
        """Make the request over a stream that is open already, to `server`; the way there is told elsewhere.

        Raises `MeasurementFailedError`, noted in the account too.
        """
        self._server = server
        try:
            await self._exchange(stream, body_cap)
        except MeasurementFailedError as error:
            self._failure, self._message = error.failure, str(error)
            raise
        finally:
            self.phases = dict(self.response.phases)

    async def _exchange(self, stream: "TcpStream | TlsStream", body_cap: int) -> None:
        await exchange(self._net, stream, self._url, self.response, method=self._method, body_cap=body_cap)

    async def _secured(self, tcp: TcpStream) -> "TlsStream":
        from firmware.protocols.tls_stream import TlsStream  # noqa: PLC0415  # OpenSSL costs the worker 6 MB

        self._tls = TlsStream(self._net, tcp, server_name=self._url.host, alpn=HTTP_ALPN)
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
        if self._start_chars and self._url.scheme == "http" and body and not response.body_is_encoded:
            start = body[: 4 * self._start_chars].decode("utf-8", "replace")[: self._start_chars]
            kept["body_start"] = scrub(start, own=own, server=server)
        if response.write_failure is not None:
            kept["write_failure"] = response.write_failure
        if self._failure is not None:
            kept["message"] = scrub(self._message, own=own, server=server)
        return kept


async def follow(
    first: Fetch,
    url: Url,
    begin: Callable[[Fetch], Awaitable[None]],
    onwards: Callable[[Url], Fetch],
    *,
    limit: int,
    families: tuple[int, ...],
    body_cap: int,
) -> tuple[list[Fetch], MeasurementFailedError | None]:
    """Make the `first` request, for `url`, with `begin`, and follow up to `limit` redirects.

    `onwards` makes the request for where one leads; that has a connection of its own. Returns every request made,
    and what ended the journey before its time, if anything did.
    """
    visited, fetches = [url], [first]
    try:
        await begin(first)
        while True:
            response = fetches[-1].response
            following = next_url(visited, response.status or 0, response.header("location"), limit=limit)
            if following is None:
                return fetches, None
            visited.append(following)
            fetches.append(onwards(following))
            await fetches[-1].run(following.host, families, body_cap)
    except MeasurementFailedError as error:
        return fetches, error
