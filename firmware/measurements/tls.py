"""`tls`: resolve, connect, shake hands, and keep what the far end showed of itself.

The target is HOST, HOST:PORT or an address; the port is 443 if not given. Options: `sni` (the name asked for
and verified, where it is not the target's own), `alpn` (a comma-separated list; the default is what browsers
offer), `max_segment` (bytes that a TCP segment carries at most, either way: a handshake in small packets passes where
large ones vanish), `family`. The certificate is verified against the system's authorities.

`detail`: `max_segment` where it was set, what `firmware.protocols.tls_stream.Handshake.to_json` documents, with `queries` (the DNS exchanges) and
`tcp_connect` (each attempt). A reset after the ClientHello and a silence are told apart by the failure and by
`flights`. This measurement must never send application data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from firmware.model.failures import MeasurementFailedError
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome, Phase
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.targets import HostPort, Options, TargetError, parse_host, parse_host_port
from firmware.protocols.fit import fit
from firmware.protocols.reach import ReachDetail, reach

PORT: Final = 443
BROWSER_ALPN: Final = "h2,http/1.1"
MIN_SEGMENT: Final = 256
MAX_SEGMENT: Final = 1460
"""What a packet of 1,500 bytes carries over IPv4; fewer than the least are more packets than a handshake is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """One handshake with `place`, asking for and verifying `server_name`."""

    place: HostPort
    server_name: str
    alpn: tuple[str, ...]
    families: tuple[int, ...]
    max_segment: int = 0

    name: ClassVar[str] = "tls"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = (
        "connect and shake hands, with any server name (SNI), and keep the certificates' hashes"
    )

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take HOST, HOST:PORT or [IPV6]:PORT. Raises `TargetError`."""
        place = parse_host_port(target, default_port=PORT)
        given = Options(cls.name, options)
        alpn = tuple(word for word in given.text("alpn", BROWSER_ALPN).split(",") if word)
        if not all(word.isascii() and len(word) <= 255 for word in alpn):
            raise TargetError(f"tls: option alpn: found {alpn!r}; allowed is a list like {BROWSER_ALPN}")
        parsed = cls(
            place=place,
            server_name=parse_host(given.text("sni", place.host)),
            alpn=alpn,
            families=given.families(),
            max_segment=given.integer("max_segment", 0, low=MIN_SEGMENT, high=MAX_SEGMENT)
            if "max_segment" in options
            else 0,
        )
        given.finish()
        return parsed

    async def measure(self, net: Net) -> Outcome:
        """Shake hands once."""
        from firmware.protocols.tls_stream import TlsStream  # noqa: PLC0415  # OpenSSL costs the worker 6 MB

        way = ReachDetail()
        phases: dict[str, Phase] = way.phases
        detail: dict[str, JsonValue] = {"server_name": self.server_name}
        if self.max_segment:
            detail["max_segment"] = self.max_segment
        failed: MeasurementFailedError | None = None
        try:
            with await reach(
                net,
                way,
                self.place.host,
                self.place.known_port,
                families=self.families,
                max_segment=self.max_segment,
            ) as tcp:
                stream = TlsStream(net, tcp, server_name=self.server_name, alpn=self.alpn)
                try:
                    await stream.handshake()
                finally:
                    phases |= stream.story.phases
                    detail |= stream.story.to_json()
        except MeasurementFailedError as error:
            failed = error
        return net.outcome(phases=phases, detail=fit(detail | way.to_json()), error=failed)
