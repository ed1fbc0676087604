"""URLs of the web, and where a redirect leads. Pure; every mistake is named, none is guessed around.

urllib is imported inside the functions: with what it brings it costs the worker half a megabyte.
"""

import re
from dataclasses import dataclass
from typing import Final

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.net.targets import TargetError, parse_host, parse_port

OPERATION: Final = "http_round_trip"
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""The status codes that move a browser on (RFC 9110 15.4), given a Location."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_ALLOWED: Final = "allowed is http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NO_HOST: Final = re.compile(r"https?:/*(?:[?#]|$)|https?:///", re.IGNORECASE)
_SAFE: Final = "%/:?#[]@!$&'()*+,;=~-._|"
"""What stays as it is in a path and a query; everything else is percent-encoded, as browsers do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """A URL of scheme `http` or `https`: `host` in ASCII without brackets, `target` the path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The Host header's value: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Read a URL; a fragment is dropped. Raises `TargetError`."""
    from urllib.parse import quote, urlsplit  # noqa: PLC0415  # see the module's docstring

    if _CONTROL.search(text) or text != text.strip():
        raise TargetError(f"found {text!r}, with white space or control characters; {_ALLOWED}")
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise TargetError(f"found {text!r} ({error}); {_ALLOWED}") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise TargetError(f"found {text!r}; {_ALLOWED}")
    if "@" in parts.netloc:
        raise TargetError(f"found {text!r}, with a user name; {_ALLOWED}")
    host, port_text = _split(parts.netloc)
    target = quote(parts.path or "/", safe=_SAFE) + (
        "?" + quote(parts.query, safe=_SAFE) if parts.query else ""
    )
    return Url(
        scheme=parts.scheme,
        host=parse_host(host),
        port=parse_port(port_text) if port_text else _DEFAULT_PORTS[parts.scheme],
        target=target,
    )


def redirected(url: Url, location: str) -> Url:
    """Return where `location`, absolute or relative, leads from `url`.

    Raises `MeasurementFailedError`: `http_unexpected_redirect_url` for something other than the web,
    `http_invalid_redirect_location_host` for a host or port that cannot be.
    """
    from urllib.parse import urljoin, urlsplit  # noqa: PLC0415  # see the module's docstring

    if _NO_HOST.match(location.strip()):  # which urljoin would take for a path
        raise _failed(Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST, location)
    try:
        joined = urljoin(str(url), _CONTROL.sub("", location.strip()))
        scheme = urlsplit(joined).scheme
    except ValueError as error:
        raise _failed(Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST, location) from error
    if scheme not in _DEFAULT_PORTS:
        raise _failed(Failure.HTTP_UNEXPECTED_REDIRECT_URL, location)
    try:
        return parse_url(joined)
    except TargetError as error:
        raise _failed(Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST, location) from error


def next_url(visited: "list[Url]", status: int, location: str | None, *, limit: int) -> Url | None:
    """Return where to go after the last of `visited` answered `status`; None where the journey ends.

    Raises `MeasurementFailedError` as `redirected` does, and `http_unexpected_redirect_url` for a circle and
    for more than `limit` redirects. With a limit of 0 the first answer is the end.
    """
    if status not in REDIRECTS or location is None or limit == 0:
        return None
    url = redirected(visited[-1], location)
    if url in visited:
        raise _failed(Failure.HTTP_UNEXPECTED_REDIRECT_URL, f"a circle: {url}")
    if len(visited) > limit:
        raise _failed(Failure.HTTP_UNEXPECTED_REDIRECT_URL, f"more than {limit} redirects")
    return url


def _split(netloc: str) -> tuple[str, str]:
    """Split an authority into host (with its brackets) and port text. Raises `TargetError`."""
    host, colon, port = netloc.rpartition(":")
    if not colon or netloc.endswith("]"):
        return netloc, ""
    if not host or ("[" in netloc) != ("]" in host):
        raise TargetError(f"found host {netloc!r}; {_ALLOWED}")
    return host, port


def _failed(failure: Failure, message: str) -> MeasurementFailedError:
    return MeasurementFailedError(failure, operation=OPERATION, message=message)
