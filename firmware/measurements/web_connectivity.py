"""`web_connectivity`: everything that can be learnt about one web page: names, addresses, handshakes, the page.

The target is a URL. Its name is asked of the system's resolvers and, at the same time, of one other (`resolver`),
both listened to for `window_ms` after the first answer, so that a forged answer's true rival shows. Addresses of
both are connected to side by side, the system's first; TLS is spoken to each by the page's name, and where that
fails as a filter would have it, once more by an innocuous one to the same address and port (`firmware.protocols.web_endpoint`).
The first of the system's addresses that gets there is asked for the page, and redirects are followed. Where none
of the addresses tried gets anywhere, those of the other resolver that are left are tried too.

Options: `resolver` (ADDRESS, ADDRESS:PORT, or `none`), `control_sni` (the innocuous name; `none` leaves the control
out), `addresses` (how many to try), `fetch` (false ends after the handshakes), `body_cap` (bytes of body read),
`redirects`, `window_ms`, `family`.

The failure is what a person meets who goes by the system's resolver: `resolve`, else `connect` or `tls_handshake` of
its first address where all failed, else the request's. `detail`: `status`, `url` (where the journey ended),
`resolved_from`; `queries` (`firmware.protocols.dns_exchange`, the other resolver's after the system's; `system` says
whose); `tcp_connect` (`firmware.protocols.reach`); `tls_handshakes` (`firmware.protocols.tls_stream.Handshake`, with `port`,
`is_control`, `was_answered`, `took_ns`, `bytes_read`); `requests`, each as in `http`, with `body_start` (at most 1,200
characters, scrubbed) where no certificate proved the sender. The first request's way is told in the lists above,
a redirect's in its own entry. Everything a server says is scrubbed and cut to size.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Outcome, Phase
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.targets import Options, TargetError, family_of, parse_host, parse_host_port
from firmware.protocols.dns_exchange import PORT, Exchange, Patience, Question, Server, ask
from firmware.protocols.fit import fit
from firmware.protocols.http_fetch import Fetch, follow
from firmware.protocols.http_urls import Url, parse_url
from firmware.protocols.names import TYPE_OF_FAMILY, Resolved, lookup
from firmware.protocols.scrub import scrub_url
from firmware.protocols.web_endpoint import WebEndpoint

RESOLVER: Final = "8.8.8.8"
"""The other resolver: a public one that injectors on the way forge answers of, too, so that both kinds show."""
CONTROL_SNI: Final = "example.com"
NONE: Final = "none"
ADDRESSES: Final = 4
MAX_ADDRESSES: Final = 16
BODY_CAP: Final = 524_288
MAX_REDIRECTS: Final = 10
START_CHARS: Final = 1_200
_ASKED_NS: Final = 4_000_000_000
"""How long the other resolver has for each of its two attempts."""
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConnectivity:
    """One page. `resolver` None asks the system alone, `control_sni` "" makes no control handshake."""

    url: Url
    resolver: Server | None
    control_sni: str
    addresses: int
    fetch: bool
    body_cap: int
    redirects: int
    window_ms: int
    families: tuple[int, ...]

    name: ClassVar[str] = "web_connectivity"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = (
        "resolve a page's name twice, try its addresses, with a control server name, and fetch it"
    )

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take an http or https URL. Raises `TargetError`."""
        given = Options(cls.name, options)
        resolver = given.text("resolver", RESOLVER)
        control_sni = given.text("control_sni", CONTROL_SNI)
        parsed = cls(
            url=parse_url(target),
            resolver=None if resolver == NONE else _server(resolver),
            control_sni="" if control_sni == NONE else parse_host(control_sni),
            addresses=given.integer("addresses", ADDRESSES, low=1, high=MAX_ADDRESSES),
            fetch=given.flag("fetch", default=True),
            body_cap=given.integer("body_cap", BODY_CAP, low=0, high=16 * BODY_CAP),
            redirects=given.integer("redirects", MAX_REDIRECTS, low=0, high=20),
            window_ms=given.integer("window_ms", 300, low=0, high=10_000),
            families=given.families(),
        )
        given.finish()
        return parsed

    async def measure(self, net: Net) -> Outcome:
        """Look the name up, try the addresses, fetch the page."""
        trip = _Trip(net, self)
        await trip.look_up()
        first = trip.choose(self.addresses)
        await trip.visit(first)
        if not any(end.error is None for end in trip.endpoints):
            await trip.visit([address for address in trip.others if address not in first][: self.addresses])
        return trip.outcome()


class _Trip:
    """One measurement on its way."""

    def __init__(self, net: Net, test: WebConnectivity) -> None:
        self.endpoints: list[WebEndpoint] = []
        self.others: tuple[str, ...] = ()
        """Addresses that only the other resolver gave."""
        self._net = net
        self._test = test
        self._resolved = Resolved(host=test.url.host)
        self._asked: list[Exchange] = []
        self._fetches: list[Fetch] = []
        self._failed: MeasurementFailedError | None = None

    async def look_up(self) -> None:
        """Ask both resolvers side by side."""
        system = self._net.loop.spawn(self._ask_system(), name="system")
        try:
            if family_of(self._test.url.host) is None and self._test.resolver is not None:
                await self._ask_other(self._test.resolver)
        finally:
            self._resolved = await system
        found = (value for exchange in self._asked for value in exchange.values())
        known = set(self._resolved.addresses)
        self.others = tuple(dict.fromkeys(one for one in found if one not in known))

    def choose(self, limit: int) -> list[str]:
        """Return the addresses to try first: the system's, with room left for one of the other resolver's.

        Families that the host has no route for are left out, unless that leaves nothing.
        """
        mine, others = self._routed(self._resolved.addresses), self._routed(self.others)
        room = limit - 1 if others and limit > 1 else limit
        return [*mine[:room], *others][:limit] if mine else list(others[:limit])

    async def visit(self, addresses: Iterable[str]) -> None:
        """Try addresses side by side, and fetch the page over the first of the system's that gets there."""
        ends = [
            WebEndpoint(self._net, self._test.url, address, control_sni=self._test.control_sni)
            for address in addresses
        ]
        self.endpoints += ends
        await self._net.loop.gather(self._visit(end) for end in ends)

    async def _visit(self, end: WebEndpoint) -> None:
        with end:
            await end.open()
            stream = end.stream
            wanted = self._test.fetch and end.address in self._resolved.addresses and not self._fetches
            if stream is None or not wanted:
                return
            first = self._request(self._test.url)
            self._fetches = [first]  # before anything is waited for: the next address must see it
            self._fetches, self._failed = await follow(
                first,
                self._test.url,
                lambda fetch: fetch.over(stream, end.address, self._test.body_cap),
                self._request,
                limit=self._test.redirects,
                families=self._test.families,
                body_cap=self._test.body_cap,
            )

    def outcome(self) -> Outcome:
        """Return what came of it."""
        fetches, ends = self._fetches, self.endpoints
        detail: dict[str, JsonValue] = {
            "status": fetches[-1].response.status if fetches else None,
            "url": fetches[-1].shown_url if fetches else self._shown_url(),
            "resolved_from": self._resolved.source,
            "queries": [*self._system_queries(), *self._other_queries()],
            "tcp_connect": [one for end in ends for one in end.tcp_connect],
            "tls_handshakes": [one for end in ends for one in end.tls_handshakes],
            "requests": [fetch.to_json() for fetch in fetches],
        }
        return self._net.outcome(phases=self._phases(), detail=fit(detail), error=self._error())

    def _error(self) -> MeasurementFailedError | None:
        """Return what a person meets who goes by the system's resolver."""
        if self._resolved.failure is not None:
            return MeasurementFailedError(self._resolved.failure, operation="resolve")
        if self._fetches:
            return self._failed
        mine = [end for end in self.endpoints if end.address in self._resolved.addresses]
        errors = [end.error for end in mine if end.error is not None]
        if mine and len(errors) < len(mine):
            return None
        return errors[0] if errors else MeasurementFailedError(Failure.NO_ADDRESS, operation="connect")

    def _phases(self) -> dict[str, Phase]:
        phases = {} if self._resolved.phase is None else {"resolve": self._resolved.phase}
        mine = [end for end in self.endpoints if end.address in self._resolved.addresses]
        best = next((end for end in mine if end.error is None), mine[0] if mine else None)
        phases |= {} if best is None else best.phases
        return phases | (self._fetches[0].phases if self._fetches else {})

    async def _ask_system(self) -> Resolved:
        test = self._test
        window_ns = test.window_ms * _MS
        return await lookup(self._net, test.url.host, families=test.families, window_ns=window_ns)

    async def _ask_other(self, server: Server) -> None:
        patience = Patience(attempts=2, timeout_ns=_ASKED_NS, window_ns=self._test.window_ms * _MS)
        questions = [
            Question(name=self._test.url.host, record_type=TYPE_OF_FAMILY[family])
            for family in self._test.families
        ]
        self._asked = await self._net.loop.gather(
            ask(self._net, server, question, patience) for question in questions
        )

    def _system_queries(self) -> list[JsonObject]:
        return [{"system": True, **query} for query in self._resolved.queries]

    def _other_queries(self) -> list[JsonObject]:
        host = self._net.host
        return [
            {"system": False, **exchange.to_json(host.label(exchange.server.address))}
            for exchange in self._asked
        ]

    def _routed(self, addresses: Iterable[str]) -> tuple[str, ...]:
        given, host = tuple(addresses), self._net.host
        routed = tuple(
            one for one in given if (family := family_of(one)) is None or host.default_route(family)
        )
        return routed or given

    def _request(self, url: Url) -> Fetch:
        return Fetch(self._net, url, "GET", start_chars=START_CHARS)

    def _shown_url(self) -> str:
        own = frozenset(own.address for own in self._net.host.addresses if own.scope != "loopback")
        return scrub_url(str(self._test.url), own=own, server="")


def _server(text: str) -> Server:
    """Read `ADDRESS` or `ADDRESS:PORT`. Raises `TargetError`."""
    place = parse_host_port(text, default_port=PORT)
    if family_of(place.host) is None:
        raise TargetError(
            f"web_connectivity: option resolver: found {text!r}; allowed is {NONE}, ADDRESS, ADDRESS:PORT or "
            "[IPV6-ADDRESS]:PORT"
        )
    return Server(address=place.host, port=place.known_port)
