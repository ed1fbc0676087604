"""Taking the host's own addresses out of what a server says. Pure.

Servers, portals and block pages like to tell a visitor his own address: behind a router it is one that this
device does not even know. So in headers, titles and the paths of URLs every global address other than the
server's is blanked, and every hardware address. Private addresses that are not the host's own stay: a block
page at 10.10.34.34 is the finding. This file must never need to be told what is private: when in doubt it blanks.
"""

import re
import socket
from collections.abc import Collection
from typing import Final

from firmware.model.jsontypes import JsonValue
from firmware.protocols.bogons import is_bogon

BLANK: Final = "@address"
_HARDWARE: Final = re.compile(
    r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}(?P<by>[:-]|%3[Aa]))(?:[0-9A-Fa-f]{2}(?P=by)){4}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])"
)
_IPV4: Final = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)")
_IPV6: Final = re.compile(r"(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:])")
_AUTHORITY: Final = re.compile(
    r"(?P<scheme>(?:[A-Za-z][A-Za-z0-9+.-]*:)?//)(?P<host>\[[^/?#\]]*\]|[^/?#:]*)(?P<port>[^/?#]*)"
)
_COOKIES: Final = frozenset({"set-cookie", "set-cookie2"})

MAX_HEADERS: Final = 40
MAX_HEADER_VALUE: Final = 300


def scrub(text: str, *, own: Collection[str], server: str) -> str:
    """Blank hardware addresses, the host's `own` addresses, and every global address but `server`'s."""

    def judge(match: re.Match[str]) -> str:
        family = socket.AF_INET6 if ":" in match[0] else socket.AF_INET
        try:
            address = socket.inet_ntop(family, socket.inet_pton(family, match[0]))
        except OSError:
            return match[0]
        if address in own:
            return BLANK
        return match[0] if address == server or is_bogon(address) else BLANK

    return _IPV6.sub(judge, _IPV4.sub(judge, _HARDWARE.sub(BLANK, text)))


def scrub_url(text: str, *, own: Collection[str], server: str) -> str:
    """Scrub a URL's path and query; its host is where it leads and stays, unless it is this device's own."""
    start = _AUTHORITY.match(text)
    if start is None:
        return scrub(text, own=own, server=server)
    authority = BLANK + start["port"] if start["host"].strip("[]") in own else start["host"] + start["port"]
    return start["scheme"] + authority + scrub(text[start.end() :], own=own, server=server)


def scrub_headers(
    headers: "Collection[tuple[str, str]]", *, own: Collection[str], server: str
) -> list[JsonValue]:
    """Return headers fit for a record, `[[name, value], …]`: scrubbed, cut to size, cookies by their name only."""
    kept: list[JsonValue] = []
    for name, value in list(headers)[:MAX_HEADERS]:
        lower = name.lower()
        if lower in _COOKIES:
            value = value.partition("=")[0]  # noqa: PLW2901  # what follows identifies a visitor
        elif lower in ("location", "content-location"):
            value = scrub_url(value, own=own, server=server)  # noqa: PLW2901
        else:
            value = scrub(value, own=own, server=server)  # noqa: PLW2901
        kept.append([name[:60], value[:MAX_HEADER_VALUE]])
    return kept
