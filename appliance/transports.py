"""The ways to the collector, in the order in which each attempt tries them. Pure.

    wss    MQTT over WebSocket over TLS, port 443    looks like any web page; passes where only 80 and 443 are let through
    mqtts  MQTT over TLS, port 8883                  where the web is tampered with and the rest is not
    https  POST over TLS, port 443                   through proxies that end TLS, and with a certificate that has run out
    mqtt   plain, on the machine itself              `tidegauge run`, where nothing leaves the loopback

The messages are the same in each, and so are their signatures. A fifth way needs no network: `tidegauge export --to`. A
device without an identity has only the plain way.
"""

from dataclasses import dataclass
from enum import StrEnum

from firmware.model.failures import Failure


class Transport(StrEnum):
    """How a way speaks; the scheme of its address."""

    WSS = "wss"
    MQTTS = "mqtts"
    HTTPS = "https"
    MQTT = "mqtt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One way: where, and how to speak there. `path` is for the transports that have one."""

    transport: Transport
    host: str
    port: int
    path: str = ""

    @property
    def address(self) -> str:
        """Return `host:port` as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def named(self) -> str:
        """Return it as people read it: the plain one is `broker host:port`, the others have their scheme."""
        return f"broker {self.address}" if self.transport is Transport.MQTT else str(self)

    def __str__(self) -> str:
        return f"{self.transport}://{self.address}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAttempt:
    """What one try of one way came to: `failure` is a df-007 word and `operation` its step, None and "" if it stood."""

    endpoint: Endpoint
    failure: str | None
    operation: str
    start_boottime_ns: int
    runtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Which port each way has; 0 leaves the way out."""

    wss: int = 443
    mqtts: int = 8883
    https: int = 443
    mqtt: int = 1883


def endpoints(host: str, ports: Ports, *, has_identity: bool, path: str = "") -> tuple[Endpoint, ...]:
    """Return the ways to `host` in order: those over TLS with an identity, else the plain one. `path` is a proxy's."""
    if not has_identity:
        return (Endpoint(transport=Transport.MQTT, host=host, port=ports.mqtt),)
    in_order = (
        Endpoint(transport=Transport.WSS, host=host, port=ports.wss, path=f"{path}/mqtt"),
        Endpoint(transport=Transport.MQTTS, host=host, port=ports.mqtts),
        Endpoint(transport=Transport.HTTPS, host=host, port=ports.https, path=path),
    )
    return tuple(endpoint for endpoint in in_order if endpoint.port)


BROKEN_OFF = Failure.CONNECTION_ALREADY_CLOSED
"""What a way's failure is where it stood at the transport's level and nobody answered as ours would."""
