"""`transfer`: move bytes from or to a measurement server once, under any server name, and keep the time line.

The target is ADDRESS:PORT or [IPV6]:PORT: no name is resolved, so that a run goes where it was meant to. Options: `direction`
(`download`, the default, or `upload`), `bytes` (180,224 by default), `sni` (the name asked for: a suspect's, a control's or one that exists nowhere;
without it none is sent), `trust_file` (the fleet authority's root, PEM), `token_file` (a token that this device has signed: `tidegauge
identity token`), `seconds` (after how long it ends by itself, 20 at most). Token and root are read when the task begins, and are in no record.

The server's certificate is verified against the root and its role, never against the name; one that does not verify is kept as
evidence, as in `tls`, and nothing is sent to who showed it. A transfer that is still going on, or silent, when its time is over has not failed:
`ending` is `time`, and `failure` is null, but for one that had no byte of an answer, or of an upload none acknowledged.

`detail`: `nonce` (drawn anew; by it the server's half is found), `direction`, `asked_bytes`, `ending` (`complete`, `time`, `failed`), `points` ([µs since the request was
sent, bytes that the receiver had by then]: of a download as they came, of an upload as they were acknowledged; two at one moment after a
pause of more than 0.1 s) and their class `points_stamp`, `ended_us` (on the same clock), `waited_ns` (of that time, how long this device waited for the
network), `server` (by its certificate), `status`, with a refusal its sentence `refusal`, of an upload `server_bytes` and `server_elapsed_ms` as the server
counted them, `tls` (`firmware.protocols.tls_stream.Handshake`), `tcp_connect`, and from TCP_INFO at the end `tcp`: `rtt_ns`, `min_rtt_ns`, `retransmissions`, `bytes_retransmitted`, `busy_ns`,
`rwnd_limited_ns` (how long our sending waited for the server's window), `sndbuf_limited_ns` (for our own buffer), `wire_bytes` (both ways, with packets' headers).
This measurement must never send a token to who is not a measurement server of the fleet.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Self

from firmware.model import nonce
from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Outcome, Phase
from firmware.model.task import OptionValue
from firmware.net.access import Net, TcpStream
from firmware.net.files import read_text
from firmware.net.targets import HostPort, Options, TargetError, family_of, parse_host, parse_host_port
from firmware.net.transfer_info import parse_transfer_info
from firmware.protocols.fit import fit
from firmware.protocols.reach import ReachDetail, reach

if TYPE_CHECKING:
    from firmware.protocols.transfer_exchange import TransferStory

ROLE: Final = "measurement-server"
"""What the certificate of a measurement server has as its organisational unit."""
DEFAULT_BYTES: Final = 176 * 1024
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_S: Final = 20
_ALPN: Final = ("h2", "http/1.1")
"""As browsers have it; the server takes the second."""
_NONCE_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One transfer with the measurement server at `place`."""

    place: HostPort
    server_name: str
    is_upload: bool
    byte_count: int
    most_s: int
    authority_pem: str = field(repr=False)
    token: str = field(repr=False)

    name: ClassVar[str] = "transfer"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = (
        "download from or upload to a measurement server, with any server name (SNI), and keep bytes over time"
    )

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take ADDRESS:PORT or [IPV6]:PORT. Raises `TargetError`."""
        place = parse_host_port(target, port_required=True)
        if family_of(place.host) is None:
            raise TargetError(f"found {place.host!r}; allowed is an IPv4 or IPv6 address, with a port")
        given = Options(cls.name, options)
        sni = given.text("sni", "")
        parsed = cls(
            place=place,
            server_name=parse_host(sni) if sni else "",
            is_upload=given.word("direction", "download", ("download", "upload")) == "upload",
            byte_count=given.integer("bytes", DEFAULT_BYTES, low=1, high=MAX_BYTES),
            most_s=given.integer("seconds", MAX_S, low=1, high=MAX_S),
            authority_pem=_file(given, "trust_file", "a file with a certificate (PEM)", "BEGIN CERTIFICATE"),
            token=_file(given, "token_file", "a file with a token: tidegauge identity token", "."),
        )
        given.finish()
        return parsed

    async def measure(self, net: Net) -> Outcome:
        """Make one transfer."""
        from firmware.protocols.transfer_exchange import TransferStory  # noqa: PLC0415  # with OpenSSL and h11

        way, story = ReachDetail(), TransferStory()
        phases: dict[str, Phase] = way.phases
        detail: dict[str, JsonValue] = {
            nonce.KEY: os.urandom(_NONCE_BYTES).hex(),
            "direction": "upload" if self.is_upload else "download",
            "asked_bytes": self.byte_count,
        }
        failed: MeasurementFailedError | None = None
        try:
            with await reach(net, way, self.place.host, self.place.known_port) as tcp:
                try:
                    await self._transfer(net, tcp, story, phases, detail)
                finally:
                    info = parse_transfer_info(tcp.raw_info())
                    detail["tcp"] = info.to_json(family_of(self.place.host) or 4)
        except MeasurementFailedError as error:
            failed = error
        if failed is None and not story.points and story.status is None:
            failed = MeasurementFailedError(Failure.TIMEOUT, operation="read")
        detail |= self._told(story) | {"tcp_connect": way.tcp_connect}
        return net.outcome(phases=phases | story.phases, detail=fit(detail), error=failed)

    async def _transfer(
        self,
        net: Net,
        tcp: TcpStream,
        story: "TransferStory",
        phases: dict[str, Phase],
        detail: dict[str, JsonValue],
    ) -> None:
        from firmware.protocols.tls_stream import Pinned, TlsStream  # noqa: PLC0415
        from firmware.protocols.transfer_exchange import TransferRequest, run_transfer  # noqa: PLC0415

        pinned = Pinned(authority_pem=self.authority_pem, role=ROLE)
        tls = TlsStream(net, tcp, server_name=self.server_name, alpn=_ALPN, pinned=pinned)
        try:
            await tls.handshake()
        finally:
            phases |= tls.story.phases
            detail["tls"] = tls.story.to_json()
        detail["server"] = tls.leaf_subject("commonName")
        asked = TransferRequest(
            is_upload=self.is_upload,
            byte_count=self.byte_count,
            most_ns=self.most_s * 1_000_000_000,
            nonce=str(detail[nonce.KEY]),
            token=self.token,
            host=self.server_name or str(self.place),
        )
        await run_transfer(net, tcp, tls, asked, story)

    def _told(self, story: "TransferStory") -> JsonObject:
        """Return what a record keeps of the transfer itself."""
        told: JsonObject = {
            "ending": str(story.ending),
            "points": [[at_ns // 1000, size] for at_ns, size in story.points],
            "points_stamp": str(story.stamp),
            "ended_us": None if story.ended_ns is None else story.ended_ns // 1000,
            "waited_ns": story.waited_ns,
            "status": story.status,
        }
        counted = story.counted_by_server() if self.is_upload else None
        if counted is not None:
            told["server_bytes"], told["server_elapsed_ms"] = counted
        elif story.said:
            told["refusal"] = story.said.decode("utf-8", "replace").strip()
        return told


def _file(given: Options, key: str, allowed: str, mark: str) -> str:
    """Return what the file holds that the option `key` names. Raises `TargetError`, which never has a word of it."""
    path = given.text(key, "")
    found = read_text(path).strip() if path else ""
    if mark not in found:
        raise TargetError(f"transfer: option {key}: found {path!r}, which is none; allowed is {allowed}")
    return found
