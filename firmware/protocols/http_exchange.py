"""One HTTP/1.1 request over one stream, and what came back, with the times of its reading.

h11 speaks the protocol (imported inside: the worker may never need it); this moves the bytes. The request is
dressed as the commonest browser's: an unusual User-Agent would mark the device on the wire and draw answers
that people do not get. `Accept-Encoding` asks for gzip alone, which the standard library undoes and which
spares the host's line most of a page. This file must never follow a redirect, resolve a name or open anything.
"""

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.record import Phase, Stamp
from firmware.net.access import Net
from firmware.net.stamps import ArrivalStamp, Departure, offsets
from firmware.protocols.http_urls import OPERATION, Url

if TYPE_CHECKING:
    import h11

USER_AGENT: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0 Safari/537.36"
"""Chrome on Windows, whose user agent has been frozen but for the major version since 2022."""

_HEADERS: Final = (
    ("User-Agent", USER_AGENT),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Encoding", "gzip"),
    ("Accept-Language", "en-US,en;q=0.9"),
)

FIRST_BYTE_TIMEOUT_S: Final = 15.0
"""From the request sent to the answer's first byte; the body has until the task's deadline."""
LEFT_BEHIND_S: Final = 0.5
"""How long is looked for an answer where the request could not be sent: what came before that is there already."""

_MAX_HEAD: Final = 65_536
MAX_TIMINGS: Final = 100
_GZIP: Final = 31
"""zlib's window bits for a gzip wrapper."""


class ByteStream(Protocol):
    """What carries the exchange: a TCP stream, or TLS on one."""

    @property
    def sent(self) -> Departure | None:
        """The last send."""

    @property
    def first_arrival(self) -> ArrivalStamp | None:
        """When what came first after it came."""

    @property
    def last_arrival(self) -> ArrivalStamp | None:
        """When the last of it came."""

    @property
    def segments(self) -> int:
        """How many segments had come when the first was looked at; 0 where that is not known."""

    def elapsed(self, sent: Departure, arrival: ArrivalStamp) -> Phase:
        """Return the time between, and its class."""

    async def send_all(self, data: bytes, *, deadline_ns: int | None = None) -> None:
        """Send every byte."""

    async def receive(self, *, deadline_ns: int | None = None) -> bytes:
        """Return what came, b"" at the end."""


@dataclass(slots=True, kw_only=True)
class Response:
    """What came back, as far as it came; filled as it is read, so that a failure midway keeps the rest.

    `body` has its content encoding undone, and is cut at the cap (`body_is_truncated`); `body_is_encoded` says
    that it came in an encoding not asked for and is kept as it came. `read_timing` are pairs of bytes read so
    far (headers included, as they came) and ns from the request's sending to their last segment's arrival, all of
    the class `read_timing_stamp`. `phases`: `first_byte` (request sent to first byte back, or to the first that
    could be decrypted) and `body` (from there to the end). `request` is the sending; `first_segments` how many
    segments had come when the first was looked at: with more than one, `first_byte` may be a later one's; None
    where that is not known. `write_failure` is how the sending failed where an answer was there all the same.
    """

    status: int | None = None
    http_version: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    body_is_truncated: bool = False
    body_is_encoded: bool = False
    bytes_read: int = 0
    read_timing: list[tuple[int, int]] = field(default_factory=list)
    read_timing_stamp: Stamp = Stamp.USER
    request: Departure | None = None
    first_segments: int | None = None
    phases: dict[str, Phase] = field(default_factory=dict)
    write_failure: str | None = None

    def header(self, name: str) -> str | None:
        """Return a header's first value, None without it. `name` in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def request_headers(url: Url) -> list[tuple[str, str]]:
    """Return the headers of the request for `url`, in a browser's order."""
    return [("Host", url.authority), ("Connection", "keep-alive"), *_HEADERS]


def thin(timing: "list[tuple[int, int]]", limit: int = MAX_TIMINGS) -> "list[tuple[int, int]]":
    """Return at most `limit` of the pairs, evenly, first and last among them."""
    if len(timing) <= limit:
        return list(timing)
    step = (len(timing) - 1) / (limit - 1)
    return [timing[round(index * step)] for index in range(limit)]


async def exchange(
    net: Net, stream: ByteStream, url: Url, response: Response, *, method: str, body_cap: int
) -> None:
    """Ask for `url` and read the answer into `response`, at most `body_cap` bytes of body.

    Raises `MeasurementFailedError`: `read` and `write` for the stream's failures, `http_round_trip` for an answer
    that is not HTTP (`http_request_failed`) or ends too early (`eof_error`). An answer that was there before the
    request could be sent is read as a browser reads it, and stands where it is whole; else the failure to write does.
    """
    import h11  # noqa: PLC0415  # see the module's docstring

    connection = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    head = connection.send(h11.Request(method=method, target=url.target, headers=request_headers(url)))
    end = connection.send(h11.EndOfMessage())
    reader = _Reader(net, stream, connection, response, body_cap)
    try:
        await stream.send_all((head or b"") + (end or b""))
    except MeasurementFailedError as unsent:
        response.write_failure = unsent.failure
        reader.hurry(LEFT_BEHIND_S)
        try:
            await reader.read_all()
        except (MeasurementFailedError, h11.RemoteProtocolError):
            raise unsent from None
        return
    response.request = stream.sent
    reader.hurry(FIRST_BYTE_TIMEOUT_S)
    try:
        await reader.read_all()
    except h11.RemoteProtocolError as error:
        failure = Failure.EOF if reader.ended else Failure.HTTP_REQUEST_FAILED
        raise MeasurementFailedError(failure, operation=OPERATION, message=str(error)) from error
    finally:
        reader.tell_times()


class _Reader:
    """Reads one response through h11 into a `Response`."""

    def __init__(
        self, net: Net, stream: ByteStream, connection: "h11.Connection", response: Response, body_cap: int
    ) -> None:
        self.ended = False
        self._stream = stream
        self._connection = connection
        self._response = response
        self._body_cap = body_cap
        self._net = net
        self._first_byte_deadline_ns: int | None = None
        self._first: ArrivalStamp | None = None
        self._reads: list[tuple[int, ArrivalStamp]] = []
        self._inflate: zlib._Decompress | None = None

    def hurry(self, timeout_s: float) -> None:
        """Have the first byte come within `timeout_s` from now."""
        self._first_byte_deadline_ns = self._net.now_ns() + round(timeout_s * 1e9)

    async def read_all(self) -> None:
        """Read to the end of the message or to the cap."""
        import h11  # noqa: PLC0415

        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                await self._receive()
            elif isinstance(event, h11.Response):
                self._head(event)
            elif isinstance(event, h11.Data):
                self._data(bytes(event.data))
                if self._response.body_is_truncated:
                    return
            elif isinstance(event, h11.EndOfMessage):
                return
            elif not isinstance(event, h11.InformationalResponse):
                raise MeasurementFailedError(Failure.HTTP_REQUEST_FAILED, operation=OPERATION)

    async def _receive(self) -> None:
        response = self._response
        deadline_ns = None if response.bytes_read else self._first_byte_deadline_ns
        data = await self._stream.receive(deadline_ns=deadline_ns)
        if not data:
            self.ended = True
        elif self._stream.last_arrival is not None:
            response.bytes_read += len(data)
            self._reads.append((response.bytes_read, self._stream.last_arrival))
            if self._first is None:
                self._first = self._stream.first_arrival
                response.first_segments = self._stream.segments or None
        self._connection.receive_data(data)

    def _head(self, event: "h11.Response") -> None:
        response = self._response
        response.status = event.status_code
        response.http_version = event.http_version.decode("ascii", "replace")
        response.headers = [
            (name.decode("latin-1"), value.decode("utf-8", "replace"))
            for name, value in event.headers.raw_items()
        ]
        encoding = (response.header("content-encoding") or "identity").strip().lower()
        if encoding in ("gzip", "x-gzip"):
            self._inflate = zlib.decompressobj(_GZIP)
        else:
            response.body_is_encoded = encoding not in ("identity", "")

    def _data(self, data: bytes) -> None:
        response = self._response
        room = self._body_cap - len(response.body)
        if self._inflate is not None:
            try:
                data = self._inflate.decompress(data, room + 1)
            except zlib.error as error:
                raise MeasurementFailedError(
                    Failure.HTTP_REQUEST_FAILED, operation=OPERATION, message=f"gzip: {error}"
                ) from error
        response.body += data[:room]
        response.body_is_truncated = len(data) > room

    def tell_times(self) -> None:
        """Work out the times, which are known when the request's stamps have come."""
        response, first = self._response, self._first
        if response.request is None or first is None:
            return
        response.phases["first_byte"] = self._stream.elapsed(response.request, first)
        moments = [first, *(arrival for _, arrival in self._reads)]
        (first_ns, *times), response.read_timing_stamp = offsets(response.request, moments)
        sizes = [size for size, _ in self._reads]
        response.read_timing = list(zip(sizes, times, strict=True))
        response.phases["body"] = Phase(ns=times[-1] - first_ns, stamp=response.read_timing_stamp)
