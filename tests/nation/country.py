"""The whole made country at work: networks, sites, resolvers, name servers, clocks; what changes in it, by one word.

`Country` builds it in the namespaces of its caller and runs its servers until the `with` block ends. The caller's
own namespace is the first home's device. It must never be entered outside of namespaces made for it.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from tests import namespaces
from tests.nation.atlas import ACCESS, BY_NAME, NAME_SERVER, PUBLIC_RESOLVER, RESOLVER, SITES, site_of
from tests.nation.resolver import Book, Lie, Resolver
from tests.nation.sites import RunningSite, Trust
from tests.nation.wiring import Home, build
from tests.servers.dns import DnsServer, zone
from tests.servers.http import http, page
from tests.servers.ntp import NtpServer, truthful
from tests.servers.tcp import TcpServer

NTP_ADDRESS: Final = BY_NAME["cdn"].address(123)
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
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            build(self.homes, self._walls)
            self._begin(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

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

    def lie(self, where: str, *lies: Lie) -> None:
        """Let the resolver of `where` (an access network, or `pubdns`) tell `lies` from now on, before its cache."""
        self.resolvers[where].lies = lies

    def _begin(self, stack: ExitStack) -> None:
        self.trust = Trust(self.folder / "certificates", ahead=self._ahead)
        for site in SITES:
            for address in site.addresses:
                own = f"{address}/{128 if ':' in address else 32} dev lo{' nodad' if ':' in address else ''}"
                namespaces.ip(f"addr add {own}", node=site.network)
            running = _running(site.network, partial(RunningSite, site, self.trust))
            self.sites[site.names[0]] = stack.enter_context(running)
        namespaces.ip(f"addr add {BLOCK_PAGE}/32 dev lo", node="ix")
        behaviour = http(lambda _request: page(_BLOCK_PAGE, status=403))
        stack.enter_context(_running("ix", lambda: TcpServer(behaviour, address=BLOCK_PAGE, port=80)))
        self._begin_names(stack)
        namespaces.ip(f"addr add {NTP_ADDRESS}/32 dev lo", node="cdn")
        ahead_ns = round(self._ahead.total_seconds() * 1e9)
        stack.enter_context(
            _running(
                "cdn",
                lambda: NtpServer(
                    lambda question: [truthful(question, ahead_ns=ahead_ns)], address=NTP_ADDRESS, port=123
                ),
            )
        )

    def _begin_names(self, stack: ExitStack) -> None:
        book: Book = {name: site.addresses for site in SITES for name in site.names if name not in self._dead}
        at_home = {name: addresses for name, addresses in book.items() if name.endswith(".xn")}
        namespaces.ip(f"addr add {NAME_SERVER}/32 dev lo", node="names")
        answers = zone(dict(book))
        stack.enter_context(_running("names", lambda: DnsServer(answers, address=NAME_SERVER, port=53)))
        for where in ACCESS:
            network = BY_NAME[where]
            own = (network.address(RESOLVER), network.address(RESOLVER, 6))
            self._run_resolver(stack, where, own, at_home, dns64=self._dns64)
        public = BY_NAME["pubdns"]
        self._run_resolver(stack, "pubdns", (PUBLIC_RESOLVER, public.address(8, 6)), {}, dns64=False)

    def _run_resolver(
        self, stack: ExitStack, where: str, addresses: tuple[str, ...], book: Book, *, dns64: bool
    ) -> None:
        for address in addresses:
            nodad = "/128 dev lo nodad" if ":" in address else "/32 dev lo"
            namespaces.ip(f"addr add {address}{nodad}", node=where)
        made = _running(where, lambda: Resolver(addresses, book, NAME_SERVER, dns64=dns64))
        self.resolvers[where] = stack.enter_context(made)


@contextmanager
def _running(node: str, make: Callable[[], AbstractContextManager[_T]]) -> Iterator[_T]:
    """Make, enter and leave a server in `node`: what it sends itself to end must not have to travel."""
    with namespaces.inside(node):
        server = make()
        entered = server.__enter__()
    try:
        yield entered
    finally:
        with namespaces.inside(node):
            server.__exit__(None, None, None)
