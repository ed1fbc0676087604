"""Messages by POST over HTTPS, one at a time, for where MQTT does not pass: a link like the others. Knows no outbox.

    POST PATH/p1/up/<device>/<leaf>   body: the message; answer 200: a bundle of what the collector has to say
    GET  PATH/p1/                     answer 204: somebody of ours is there

It goes through proxies that end TLS, and does not need a client certificate: what counts is who signed. So besides our own
root the system's authorities are taken for the server, since a proxy has one of theirs. One request is open at a time; its
answer comes with it, so nothing waits for the next.
"""

import contextlib
import select
import ssl
import time
from collections import deque
from typing import Any, Final

import requests
import requests.adapters

from appliance.delivery.messages.received import Received
from appliance.delivery.network.link import Connected, ConnectionEvent, Disconnected, Published, SyncSettings
from appliance.threads import drain
from appliance.transports import Endpoint
from firmware.model.failures import Failure, from_os_error
from firmware.model.jsontypes import RecordError
from firmware.wire import bundle as wire_bundle
from firmware.wire.messages import topic

ANSWER_S: Final = 60.0
"""How long an answer is waited for: 16 KiB over 8 kbit/s take 16 s, and the collector commits before it answers."""
MAX_ANSWER_BYTES: Final = 256 * 1024
_ROOT: Final = "/p1/"


class HttpsLink:
    """One connection along `endpoint`, kept alive between requests. `tls` None is for plain HTTP, which only tests use."""

    def __init__(
        self, settings: SyncSettings, endpoint: Endpoint, *, device: str, tls: ssl.SSLContext | None
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._device = device
        self._waiting: deque[tuple[int, str, bytes]] = deque()
        self._last = 0
        self._ready = False
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the host's would learn who talks to whom
        scheme = "http" if tls is None else "https"
        self._base = f"{scheme}://{endpoint.address}{endpoint.path}"
        if tls is not None:
            with contextlib.suppress(OSError):
                tls.load_default_certs()
            self._session.mount("https://", _Adapter(tls))

    def open(self) -> list[ConnectionEvent]:
        """Ask whether one of ours is there: `Connected`, or `Disconnected`."""
        answer = self._ask("GET", _ROOT, b"", self._settings.connect_timeout_s)
        if isinstance(answer, Disconnected):
            return [answer]
        self._ready = True
        return [Connected()]

    def step(self, timeout_s: float, *, wake_fd: int) -> list[ConnectionEvent]:
        """Make the next request if one waits, else wait."""
        if not self._waiting:
            readable, _, _ = select.select([wake_fd], [], [], timeout_s)
            if readable:
                drain(wake_fd)
            return []
        mid, leaf, payload = self._waiting.popleft()
        path = "/" + topic(self._device, "up", leaf)
        answer = self._ask("POST", path, payload, ANSWER_S)
        if isinstance(answer, Disconnected):
            self._ready = False
            return [answer]
        try:
            bundle = wire_bundle.decode(answer)
        except RecordError as error:
            self._ready = False
            return [
                Disconnected(
                    f"{self._endpoint.named} answered as none of ours would ({error})",
                    Failure.HTTP_REQUEST_FAILED,
                    "http",
                )
            ]
        return [Published(mid), *(Received(message.payload, message.leaf) for message in bundle.messages)]

    def publish(self, leaf: str, payload: bytes) -> int:
        """Have a message sent by the next `step`; 0 before `Connected` and after `Disconnected`."""
        if not self._ready:
            return 0
        self._last += 1
        self._waiting.append((self._last, leaf, payload))
        return self._last

    def close(self) -> None:
        """End the connection; what was not sent is in the outbox."""
        self._ready = False
        self._waiting.clear()
        self._session.close()

    def _ask(self, method: str, path: str, body: bytes, patience_s: float) -> bytes | Disconnected:
        named, deadline = self._endpoint.named, time.monotonic() + patience_s
        try:
            with self._session.request(
                method,
                self._base + path,
                data=body or None,
                headers={"Content-Type": "application/octet-stream"} if body else {},
                timeout=(self._settings.connect_timeout_s, patience_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = b""
                for part in response.iter_content(16 * 1024):
                    content += part
                    if len(content) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                        return Disconnected(f"{named} does not come to an end", Failure.TIMEOUT, "http")
                if response.status_code not in (200, 204):
                    said = f"{named} answered with status {response.status_code}"
                    return Disconnected(said, Failure.HTTP_UNEXPECTED_STATUS_CODE, "http")
                return content
        except (requests.RequestException, OSError) as error:
            return self._why_not(error)

    def _why_not(self, error: Exception) -> Disconnected:
        named, cause = self._endpoint.named, _cause(error)
        if isinstance(cause, ssl.SSLError):
            why = getattr(cause, "verify_message", "") or cause.reason or cause
            return Disconnected(
                f"{named}: no secure connection ({why})", from_os_error(cause), "tls_handshake"
            )
        if isinstance(error, requests.exceptions.ConnectTimeout):
            said = f"{named} did not answer within {self._settings.connect_timeout_s:g} s"
            return Disconnected(said, Failure.TIMEOUT, "connect")
        if isinstance(error, requests.exceptions.Timeout):
            return Disconnected(f"{named} did not answer", Failure.TIMEOUT, "http")
        if isinstance(cause, OSError):
            said = f"{named} cannot be reached ({cause.strerror or cause})"
            return Disconnected(said, from_os_error(cause), "connect")
        return Disconnected(f"{named} cannot be reached ({cause})", Failure.HTTP_REQUEST_FAILED, "http")


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes connections with a context of ours."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Hand the context to every connection."""
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Leave the context as it is: requests would load a list of authorities of its own into it."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {key: value for key, value in pool.items() if not key.startswith("ca_cert")}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the connection as the context makes it."""


def _cause(error: Exception) -> BaseException:
    """Return what is at the bottom of an exception: urllib3 and requests wrap it several times."""
    at: BaseException = error
    seen: set[int] = set()
    while id(at) not in seen:
        seen.add(id(at))
        inner = getattr(at, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next(
                (one for one in at.args if isinstance(one, BaseException)), at.__cause__ or at.__context__
            )
        if inner is None or isinstance(at, ssl.SSLError):
            break
        at = inner
    return at
