"""TCP connect: whether a host accepts a connection, and how far away it is.

The time is the kernel's own sample of the handshake (TCP_INFO), unless it retransmitted. Nothing is sent over
the connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from firmware.model.failures import MeasurementFailedError
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome, Phase
from firmware.model.task import OptionValue
from firmware.net.access import CONNECT_TIMEOUT_S, ConnectAttempt, Net
from firmware.net.targets import Options, parse_host_port
from firmware.protocols.names import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    """One connect.

    Phases `resolve` (where a resolver was asked) and `connect`. `detail`: `address`, `family`, `port`,
    `resolved_from` (`literal`, `hosts`, `dns`), `retransmissions` (of the SYN; None where the kernel does not
    say), `tcp_info_bytes` (how much TCP_INFO this kernel returns), `elapsed_ns` (this process's time to
    success or failure).
    """

    name: ClassVar[str] = "tcp"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "connect to HOST:PORT and time the handshake"

    host: str
    port: int
    families: tuple[int, ...]
    timeout_ms: int

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take `HOST:PORT`; options `family` (4, 6, any), `timeout_ms`. Raises `TargetError`."""
        place = parse_host_port(target, port_required=True)
        reader = Options(cls.name, options)
        test = cls(
            host=place.host,
            port=place.known_port,
            families=reader.families(),
            timeout_ms=reader.integer("timeout_ms", int(CONNECT_TIMEOUT_S * 1000), low=1, high=120_000),
        )
        reader.finish()
        return test

    async def measure(self, net: Net) -> Outcome:
        """Resolve, then connect to the first address."""
        phases: dict[str, Phase] = {}
        detail: dict[str, JsonValue] = {"port": self.port}
        error: MeasurementFailedError | None = None
        try:
            resolved = await resolve(net, self.host, families=self.families)
            if resolved.phase is not None:
                phases["resolve"] = resolved.phase
            detail["resolved_from"] = resolved.source
            address = resolved.addresses[0]
            with await net.connect_tcp(address, self.port, timeout_s=self.timeout_ms / 1000) as stream:
                phases["connect"] = stream.connect
        except MeasurementFailedError as raised:
            error = raised
        if net.attempts:
            detail.update(describe(net, net.attempts[-1]))
        return net.outcome(phases=phases, detail=detail, error=error)


def describe(net: Net, attempt: ConnectAttempt) -> dict[str, JsonValue]:
    """Return one attempt's part of the detail; the host's own addresses and its gateway's become words."""
    return {
        "address": net.host.label(attempt.address),
        "family": 6 if ":" in attempt.address else 4,
        "port": attempt.port,
        "retransmissions": attempt.tcp_info.total_retrans,
        "tcp_info_bytes": attempt.tcp_info.returned_bytes,
        "elapsed_ns": attempt.elapsed_ns,
    }
