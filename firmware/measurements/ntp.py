"""NTP: what time a server has, how far the local clock is from it, and how well that is known (RFC 5905).

One question at a time, at most three; the first reply that echoes our number counts. It reads the local clock
and never sets it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Outcome, Phase
from firmware.model.task import OptionValue
from firmware.net.access import Datagram, DatagramFlow, Net
from firmware.net.targets import Options, family_of, parse_host_port
from firmware.protocols.names import resolve
from firmware.protocols.ntp_wire import NtpError, NtpReply, decode_reply, encode_question, sample

PORT: Final = 123
_TRIES: Final = 3
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A reply, to which of our sends, and its arrival."""

    reply: NtpReply
    sent_id: int
    arrival: Datagram


@dataclass(frozen=True, slots=True, kw_only=True)
class Ntp:
    """One query of one server.

    Phases `resolve` (where a resolver was asked) and `rtt`. `detail`: `address`, `family`, `port`, `tries`,
    `ignored` (datagrams that answered no question of ours), and of the reply `version`, `leap`, `stratum`,
    `reference`, `precision_ns`, `root_delay_ns`, `root_dispersion_ns`, the four times `t1_utc_ns` (local) to
    `t4_utc_ns` with their `stamp`, `t4_boottime_ns`, `offset_ns` (how far the local clock is behind),
    `delay_ns`, `error_ns` (bounds the offset's error: half the round trip and the server's root distance).
    Where CLOCK_REALTIME stepped between, the last three are not there.
    """

    name: ClassVar[str] = "ntp"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "ask an NTP server the time, and how far the local clock is from it"

    host: str
    port: int
    families: tuple[int, ...]
    timeout_ns: int

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take `HOST` or `HOST:PORT`; options `family`, `timeout_ms` (for each of three tries).

        Raises `TargetError`.
        """
        place = parse_host_port(target, default_port=PORT)
        reader = Options(cls.name, options)
        test = cls(
            host=place.host,
            port=place.known_port,
            families=reader.families(),
            timeout_ns=reader.integer("timeout_ms", 3000, low=1, high=60_000) * _MS,
        )
        reader.finish()
        return test

    async def measure(self, net: Net) -> Outcome:
        """Resolve, ask, and judge the reply; fails with `ntp_unsynchronised` or `ntp_kiss_of_death` too."""
        phases: dict[str, Phase] = {}
        detail: dict[str, JsonValue] = {"port": self.port}
        try:
            resolved = await resolve(net, self.host, families=self.families)
            if resolved.phase is not None:
                phases["resolve"] = resolved.phase
            address = resolved.addresses[0]
            detail.update(address=net.host.label(address), family=family_of(address))
            with net.open_udp(address, self.port) as flow:
                answer = await self._ask(net, flow, detail)
                phases["rtt"] = flow.rtt(answer.sent_id, answer.arrival)
                detail.update(describe(net, flow, answer))
            _judge(answer.reply)
        except MeasurementFailedError as error:
            return net.outcome(phases=phases, detail=detail, error=error)
        return net.outcome(phases=phases, detail=detail)

    async def _ask(self, net: Net, flow: DatagramFlow, detail: dict[str, JsonValue]) -> _Answer:
        """Ask up to three times; return the first true reply. Raises when none came, or an ICMP error did."""
        sent: dict[int, int] = {}
        ignored = 0
        for tries in range(1, _TRIES + 1):
            nonce = int.from_bytes(os.urandom(8)) | 1 << 63
            question = encode_question(nonce)
            sent[nonce] = await flow.send(question)
            detail["tries"] = tries
            until_ns = net.now_ns() + self.timeout_ns
            while (arrival := await flow.receive(deadline_ns=until_ns)) is not None:
                try:
                    reply, echoed = decode_reply(arrival.data, nonces=frozenset(sent))
                except NtpError:
                    ignored += 1
                    detail["ignored"] = ignored
                    continue
                return _Answer(reply=reply, sent_id=sent[echoed], arrival=arrival)
            if net.now_ns() >= net.deadline_ns:
                break
        raise MeasurementFailedError(Failure.TIMEOUT, operation="ntp")


def describe(net: Net, flow: DatagramFlow, answer: _Answer) -> JsonObject:
    """Return the reply's part of the detail."""
    reply = answer.reply
    times = flow.wall_times(answer.sent_id, answer.arrival)
    found: JsonObject = {
        "version": reply.version,
        "leap": reply.leap,
        "stratum": reply.stratum,
        "reference": reply.reference,
        "precision_ns": reply.precision_ns,
        "root_delay_ns": reply.root_delay_ns,
        "root_dispersion_ns": reply.root_dispersion_ns,
        "t1_utc_ns": times.sent_utc_ns,
        "t2_utc_ns": reply.received_utc_ns,
        "t3_utc_ns": reply.transmitted_utc_ns,
        "t4_utc_ns": times.received_utc_ns,
        "stamp": str(times.stamp),
        "t4_boottime_ns": answer.arrival.received_ns,
    }
    if not net.clock_stepped and reply.is_synchronised:
        result = sample(reply, sent_utc_ns=times.sent_utc_ns, received_utc_ns=times.received_utc_ns)
        found.update(offset_ns=result.offset_ns, delay_ns=result.delay_ns, error_ns=result.error_ns)
    return found


def _judge(reply: NtpReply) -> None:
    """Raise for a reply that tells no time."""
    if reply.is_kiss_of_death:
        raise MeasurementFailedError(Failure.NTP_KISS_OF_DEATH, operation="ntp")
    if not reply.is_synchronised:
        raise MeasurementFailedError(Failure.NTP_UNSYNCHRONISED, operation="ntp")
