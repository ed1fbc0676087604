"""The made country's web sites, well or ill: what each answers on ports 80 and 443 is one word, changed at any time.

`FAULTS` is the list of words. Everything runs in the namespace it was entered in; nothing is asked of any other
host, so that a site's state never depends on another's.
"""

import contextlib
import datetime as dt
import ipaddress
import itertools
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests import namespaces
from tests.nation.atlas import BY_NAME, Site
from tests.servers.http import Pieces, Request, http, page, redirect
from tests.servers.tcp import (
    Behaviour,
    TcpServer,
    close_after_first_bytes,
    reset_after_first_bytes,
    stay_silent,
)
from tests.servers.tls import Authority, over_tls

FAULTS: Final[Mapping[str, str]] = {
    "": "well",
    "refused": "nothing listens: its address refuses",
    "silent": "takes connections and answers nothing",
    "gone": "its address answers nothing at all, not even that nothing listens",
    "resets": "resets at the first bytes",
    "closes": "closes at the first bytes",
    "expired": "its certificate expired yesterday",
    "wrong_name": "its certificate is for another name",
    "unknown_authority": "its certificate is by an authority nobody trusts",
    "maintenance": "answers 503 to every request",
    "captcha_here": "answers 403 and a riddle to the made country, its page to others",
    "refuses_country": "answers nothing at all to the made country's addresses, its page to others",
    "redirect": "sends every request for / on to `location`",
    "redirect_loop": "sends every request on to another page of its own, for ever",
    "big": "its page is larger than what is read of a body",
    "other_page": "a page of another title and length for each request, as news sites have",
}
"""What may be the matter with a site."""

_BIG: Final = 700_000
_PATIENCE_S: Final = 60.0
_RIDDLE: Final = b"<html><title>Just a moment...</title><div class='g-recaptcha'></div></html>"


class Trust:
    """The authority that devices and collector trust, another that nobody does, and the year they live in.

    `ahead` moves every certificate's validity, so that to them this machine's clock is behind by as much.
    """

    def __init__(self, folder: Path, *, ahead: dt.timedelta) -> None:
        for name in ("known", "unknown"):
            (folder / name).mkdir(parents=True)
        self.known = Authority(folder / "known", "Made country authority")
        self.unknown = Authority(folder / "unknown", "Nobody's authority")
        self._now = dt.datetime.now(dt.UTC) + ahead

    def context(self, names: tuple[str, ...], fault: str) -> ssl.SSLContext:
        """Return a server's context for `names`, with what `fault` says is wrong with its certificate."""
        day = dt.timedelta(days=1)
        authority = self.unknown if fault == "unknown_authority" else self.known
        shown = ("www.somebody-else.out",) if fault == "wrong_name" else names
        begins, ends = self._now - 60 * day, self._now + 60 * day
        if fault == "expired":
            begins, ends = self._now - 400 * day, self._now - day
        return authority.server_context(*shown, not_before=begins, not_after=ends)


class RunningSite:
    """One site's servers. `start` them inside its namespace; `become` changes what is the matter with it.

    `country` are the prefixes that it takes for the made country's, by which it tells visitors apart. They end with their
    process: a connection whose packets a censor swallows would never let them end otherwise.
    """

    def __init__(self, site: Site, trust: Trust, country: Sequence[str]) -> None:
        self.site = site
        self._trust = trust
        self._country = tuple(ipaddress.ip_network(prefix) for prefix in country)
        self._fault = ""
        self._location = ""
        self._context = trust.context(site.names, "")
        self._count = itertools.count(1)
        self._servers: list[TcpServer] = []

    @property
    def fault(self) -> str:
        """What is the matter with it at present."""
        return self._fault

    def become(self, fault: str, location: str = "") -> None:
        """Have `fault` from now on. Call it inside the site's namespace."""
        if (fault == _GONE) != (self._fault == _GONE):
            for address in self.site.addresses:
                _swallow(address) if fault == _GONE else _own(address)
        if (fault == _REFUSES) != (self._fault == _REFUSES):
            self._refuse("add" if fault == _REFUSES else "del")
        self._fault, self._location = fault, location
        self._context = self._trust.context(self.site.names, fault)
        if fault in _DEAF:
            for server in self._servers:
                server.stop_listening()
            self._servers = []
        elif not self._servers:
            self.start()

    def start(self) -> None:
        """Listen, on both addresses and both ports."""
        for address in self.site.addresses:
            for port, behaviour in ((80, self._plain), (443, self._secured)):
                server = TcpServer(behaviour, address=address, port=port)
                server.__enter__()
                self._servers.append(server)

    def _refuse(self, do: str) -> None:
        """Have what this site would send to the country vanish, the answer to a connection's first packet with it."""
        for own in map(ipaddress.ip_address, self.site.addresses):
            for prefix in self._country:
                if prefix.version == own.version:
                    family = "-6 " if own.version == 6 else ""
                    namespaces.ip(f"{family}rule {do} pref 60 from {own} to {prefix} blackhole")

    def _plain(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_S)
        _ODD.get(self._fault, self._pages)(connection)

    def _secured(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_S)
        odd = _ODD.get(self._fault)
        if odd is not None:
            odd(connection)
            return
        with contextlib.suppress(ssl.SSLError):  # the client's affair
            over_tls(self._context, self._pages)(connection)

    def _pages(self, connection: socket.socket) -> None:
        client = ipaddress.ip_address(connection.getpeername()[0].removeprefix("::ffff:"))
        abroad = not any(client in prefix for prefix in self._country)
        http(lambda request: self._respond(request, abroad=abroad))(connection)

    def _respond(self, request: Request, *, abroad: bool) -> Pieces:
        if request.target == "/generate_204":
            return page(status=204, content_type="")
        own: dict[str, Any] = {
            f"X_{self.site.network}": "1"
        }  # two sites' answers differ in their headers, too
        match self._fault:
            case "maintenance":
                return page(b"<html><title>Back soon</title></html>", status=503)
            case "captcha_here" if not abroad:
                return page(_RIDDLE, status=403)
            case "redirect" if request.target == "/":
                return redirect(self._location)
            case "redirect_loop":
                return redirect(f"/{int(request.target.strip('/') or 0) + 1}")
            case "big":
                return page(_html(self.site.names[0], _BIG), **own)
            case "other_page":
                number = next(self._count)
                return page(_html(f"Minute {number}", 1_000 + 500 * (number % 5)), **own)
        return page(_html(self.site.names[0], _LENGTHS[self.site.network]), **own)


def _swallow(address: str) -> None:
    """Have what comes for an address vanish: a host that is there and listens to nothing would refuse it."""
    namespaces.ip(f"addr del {_whole(address)} dev lo")
    namespaces.ip(f"route add blackhole {_whole(address)}")


def _own(address: str) -> None:
    namespaces.ip(f"route del blackhole {_whole(address)}")
    namespaces.ip(f"addr add {_whole(address)} dev lo{' nodad' if ':' in address else ''}")


def _whole(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _html(title: str, length: int) -> bytes:
    head = f"<html><head><title>{title}</title></head><body>".encode()
    return head + b"<p>All that stands here.</p>" * ((length - len(head)) // 28) + b"</body></html>"


_LENGTHS: Final = {network: 400 + 180 * number for number, network in enumerate(BY_NAME)}
"""Two sites' pages are not of one length."""
_GONE: Final = "gone"
_REFUSES: Final = "refuses_country"
_DEAF: Final = ("refused", _GONE)
_ODD: Final[Mapping[str, Behaviour]] = {
    "silent": stay_silent,
    "resets": reset_after_first_bytes,
    "closes": close_after_first_bytes,
}
