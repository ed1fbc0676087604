"""The whole made country at work: networks, sites, resolvers, name servers, clocks; what changes in it, by one word.

`Country` builds it in the namespaces of its caller, and runs its servers for as long as the process lasts: `leave_after`
ends it. The caller's own namespace is the first home's device. It must never begin outside of namespaces made for it.
"""

import datetime as dt
import os
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from tests import namespaces
from tests.nation.atlas import ACCESS, BY_NAME, NAME_SERVER, PUBLIC_RESOLVER, RESOLVER, SITES, site_of
from tests.nation.resolver import Book, Lie, Resolver
from tests.nation.sites import RunningSite, Trust
from tests.nation.wiring import Home, build, of_the_country
from tests.servers.dns import DnsServer, zone
from tests.servers.http import http, page
from tests.servers.ntp import NtpServer, truthful
from tests.servers.tcp import TcpServer, stay_silent

NTP_ADDRESS: Final = BY_NAME["cdn"].address(123)
CLOCKS: Final = ("cdn", "uni", "foundation", "registry")
"""Networks with an NTP server, at their host 123."""
OTHER_PORTS: Final = ("uni", "foundation", "registry")
"""Networks with a server on TCP port 43, at their host 43."""
BLOCK_PAGE: Final = "10.10.34.34"
"""Where the country's block page stands, as Iran's does: inside, at a private address."""
_BLOCK_PAGE: Final = (
    b'<html><head><title>10.10.34.34</title></head><body><iframe src="http://10.10.34.34?type=Invalid Site"></iframe>'
    b"</body></html>"
)
_T = TypeVar("_T")


class Country:
    """The country. `walls` are the links that get a place for a censor; `ahead` is how far its clocks are.

    `resolvers` and `sites` may be looked up to change what they do; `dead` holds names that exist nowhere.
    """

    def __init__(
        self,
        folder: Path,
        *,
        homes: Sequence[Home],
        walls: Collection[str] = (),
        ahead: dt.timedelta = dt.timedelta(),
        dead: Collection[str] = (),
        dns64: bool = False,
    ) -> None:
        self.folder = folder
        self.homes = tuple(homes)
        self.resolvers: dict[str, Resolver] = {}
        self.sites: dict[str, RunningSite] = {}
        self._walls = frozenset(walls)
        self._ahead = ahead
        self._dead = frozenset(dead)
        self._dns64 = dns64

    def begin(self) -> None:
        """Build it and start its servers. Everything ends with this process and its namespaces, and not before."""
        build(self.homes, self._walls)
        self._begin()

    @property
    def trusted(self) -> dict[str, str]:
        """Return the environment in which a program trusts the country's authority and no other."""
        return {"SSL_CERT_FILE": str(self.trust.known.trusted), "SSL_CERT_DIR": str(self.folder / "nobody")}

    def resolv_conf(self, home: Home, *servers: str) -> str:
        """Return what the home's network tells a device of resolvers: its provider's, or `servers`."""
        network = BY_NAME[home.access]
        return "".join(
            f"nameserver {one}\n"
            for one in (servers or [network.address(RESOLVER, family) for family in sorted(home.families)])
        )

    def site(self, name: str) -> RunningSite:
        """Return the running site of a host name."""
        return self.sites[site_of(name).names[0]]

    def become(self, name: str, fault: str, location: str = "") -> None:
        """Let the site of `name` have `fault` (`tests.nation.sites.FAULTS`) from now on."""
        running = self.site(name)
        with namespaces.inside(running.site.network):
            running.become(fault, location)

    def learn(self, where: str) -> None:
        """Let the resolver of `where` have every name in its cache."""
        with namespaces.inside(where):
            self.resolvers[where].learn(name for site in SITES for name in site.names)

    def lie(self, where: str, *lies: Lie) -> None:
        """Let the resolver of `where` (an access network, or `pubdns`) tell `lies` from now on, before its cache."""
        self.resolvers[where].lies = lies

    def _begin(self) -> None:
        self.trust = Trust(self.folder / "certificates", ahead=self._ahead)
        refusable = of_the_country(self.homes)
        for site in SITES:
            for address in site.addresses:
                _own(address, site.network)
            with namespaces.inside(site.network):
                running = self.sites[site.names[0]] = RunningSite(site, self.trust, refusable)
                running.start()
        _own(BLOCK_PAGE, "ix")
        behaviour = http(lambda _request: page(_BLOCK_PAGE, status=403))
        _start("ix", lambda: TcpServer(behaviour, address=BLOCK_PAGE, port=80))
        self._begin_names()
        for where in OTHER_PORTS:
            self._begin_at(where, 43, lambda address: TcpServer(stay_silent, address=address, port=43))
        ahead_ns = round(self._ahead.total_seconds() * 1e9)
        for where in CLOCKS:
            self._begin_at(
                where,
                123,
                lambda address: NtpServer(
                    lambda question: [truthful(question, ahead_ns=ahead_ns)], address=address, port=123
                ),
            )

    def _begin_at(
        self, where: str, number: int, make: Callable[[str], AbstractContextManager[object]]
    ) -> None:
        """Start a server at host `number` of a network."""
        address = BY_NAME[where].address(number)
        _own(address, where)
        _start(where, lambda: make(address))

    def _begin_names(self) -> None:
        book: Book = {name: site.addresses for site in SITES for name in site.names if name not in self._dead}
        at_home = {name: addresses for name, addresses in book.items() if name.endswith(".xn")}
        answers = zone(dict(book))
        _own(NAME_SERVER, "names")
        _start("names", lambda: DnsServer(answers, address=NAME_SERVER, port=53))
        for where in ACCESS:
            network = BY_NAME[where]
            own = (network.address(RESOLVER), network.address(RESOLVER, 6))
            self._run_resolver(where, own, at_home, dns64=self._dns64)
        public = BY_NAME["pubdns"]
        self._run_resolver("pubdns", (PUBLIC_RESOLVER, public.address(8, 6)), {}, dns64=False)

    def _run_resolver(self, where: str, addresses: tuple[str, ...], book: Book, *, dns64: bool) -> None:
        for address in addresses:
            _own(address, where)
        self.resolvers[where] = _start(where, lambda: Resolver(addresses, book, NAME_SERVER, dns64=dns64))


def _own(address: str, node: str) -> None:
    namespaces.ip(f"addr add {address}{'/128 dev lo nodad' if ':' in address else '/32 dev lo'}", node=node)


def _start(node: str, make: Callable[[], AbstractContextManager[_T]]) -> _T:
    """Make and enter a server in `node`."""
    with namespaces.inside(node):
        return make().__enter__()


def leave_after(main: Callable[[list[str]], int]) -> NoReturn:
    """Call `main` with the arguments and end the process at once, with all that the country has in it.

    Its servers wait for nobody: a connection whose packets a censor swallows would never let them end.
    """
    status = 1
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    finally:
        error = sys.exception()
        if error is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
