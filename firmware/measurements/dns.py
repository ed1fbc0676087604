"""`dns`: ask a resolver for a name, and keep every answer that arrives.

The target is the name. Options: `resolver` (`@system`: the configured resolvers in order, with resolv.conf's
attempts and time-out; `@isp`: the first configured one; `ADDRESS` or `ADDRESS:PORT`: exactly that one), `type`,
`window_ms` (how long to listen on after the first answer), and for a single resolver `attempts` and
`timeout_ms`. The failure is that of the answer a stub resolver would go by: the first, or the one over TCP
after a truncated first. `detail` is `firmware.protocols.dns_exchange.Exchange.to_json` of the telling exchange, with
`asked` (the option) and, for `@system`, `earlier` (the exchanges before it).

A resolver answers from its cache during a cut: this measurement must never be taken for connectivity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.host_view import Host
from firmware.net.targets import Options, TargetError, family_of, parse_host, parse_host_port
from firmware.protocols.dns_exchange import OPERATION, PORT, Exchange, Patience, Question, Server, ask
from firmware.protocols.dns_wire import RECORD_TYPES
from firmware.protocols.fit import fit
from firmware.protocols.names import ISP, ask_system, label, system_options, system_servers

SYSTEM: Final = "@system"
_DEFAULT_WINDOW_MS: Final = {SYSTEM: 300, ISP: 300}
"""A forgery of the resolver's own questions never reaches us twice, so near resolvers need little patience."""
_FAR_WINDOW_MS: Final = 1000
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """One question to one resolver.

    `window_ms` None stands for the resolver's default: 300 for the host's own, 1000 for others; `attempts` and
    `timeout_ms` 0 for resolv.conf's.
    """

    question: Question
    resolver: str
    window_ms: int | None = None
    attempts: int = 0
    timeout_ms: int = 0

    name: ClassVar[str] = "dns"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "ask a resolver for a name over UDP and keep every answer, forged ones too"

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take a host name (or `.`). Raises `TargetError`."""
        if family_of(target.strip("[]")) is not None:
            raise TargetError(
                f"dns: found address {target!r}; allowed is a name to ask for, like example.org"
            )
        given = Options(cls.name, options)
        record_type = given.word("type", "A", tuple(RECORD_TYPES))
        resolver = given.text("resolver", SYSTEM)
        if resolver not in (SYSTEM, ISP):
            _server(resolver)
        window_ms = given.integer("window_ms", -1, low=-1, high=10_000)
        parsed = cls(
            question=Question(name=target if target == "." else parse_host(target), record_type=record_type),
            resolver=resolver,
            window_ms=None if window_ms < 0 else window_ms,
            attempts=given.integer("attempts", 0, low=0, high=5),
            timeout_ms=given.integer("timeout_ms", 0, low=0, high=20_000),
        )
        given.finish()
        if resolver == SYSTEM and (parsed.attempts or parsed.timeout_ms):
            raise TargetError(
                "dns: options attempts and timeout_ms are for one resolver; @system has resolv.conf's"
            )
        return parsed

    async def measure(self, net: Net) -> Outcome:
        """Ask, and listen on for the window."""
        exchanges = await self._ask(net)
        detail: dict[str, JsonValue] = {"asked": self._asked(net.host)}
        if not exchanges:
            error = MeasurementFailedError(Failure.NO_RESOLVER, operation=OPERATION)
            return net.outcome(phases={}, detail=detail, error=error)
        *earlier, telling = (
            exchange.to_json(self._named(net.host, exchange.server.address)) for exchange in exchanges
        )
        detail |= telling
        if earlier:
            detail["earlier"] = list(earlier)
        last = exchanges[-1]
        failure = None if last.failure is None else MeasurementFailedError(last.failure, operation=OPERATION)
        return net.outcome(phases=last.phases, detail=fit(detail), error=failure)

    async def _ask(self, net: Net) -> tuple[Exchange, ...]:
        window_ms = self.window_ms
        if window_ms is None:
            window_ms = _DEFAULT_WINDOW_MS.get(self.resolver, _FAR_WINDOW_MS)
        if self.resolver == SYSTEM:
            return await ask_system(net, self.question, window_ns=window_ms * _MS)
        servers = system_servers(net.host)[:1] if self.resolver == ISP else (_server(self.resolver),)
        usual = system_options()
        patience = Patience(
            attempts=self.attempts or usual.attempts,
            timeout_ns=(self.timeout_ms or usual.timeout_s * 1000) * _MS,
            window_ns=window_ms * _MS,
        )
        return tuple([await ask(net, server, self.question, patience) for server in servers])

    def _asked(self, host: Host) -> str:
        return (
            self.resolver
            if self.resolver in (SYSTEM, ISP)
            else self._named(host, _server(self.resolver).address)
        )

    def _named(self, host: Host, address: str) -> str:
        """Return a resolver's address as the record may hold it: one the operator gave is public anyway."""
        return label(host, address) if self.resolver in (SYSTEM, ISP) else host.label(address)


def _server(text: str) -> Server:
    """Read `ADDRESS` or `ADDRESS:PORT`. Raises `TargetError`."""
    place = parse_host_port(text, default_port=PORT)
    if family_of(place.host) is None:
        raise TargetError(
            f"dns: option resolver: found {text!r}; allowed is {SYSTEM}, {ISP}, ADDRESS, ADDRESS:PORT "
            "or [IPV6-ADDRESS]:PORT"
        )
    return Server(address=place.host, port=place.known_port)
