"""One question to one resolver: send it, and keep every answer that arrives, not only the first.

A forged answer wins by being early, so after the first answer the flow stays open for a window: a true answer
behind it then shows. Each attempt has an id of its own, so each answer's time is the time since the very query
it answers. UDP, and TCP once where the first answer says that it was truncated. This file must never choose
the resolver, and never raise for what a network did.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Phase
from firmware.net.access import Datagram, Net, UdpFlow
from firmware.protocols import dns_wire
from firmware.protocols.dns_wire import DnsMessage, ReplyError

OPERATION: Final = "resolve"
PORT: Final = 53

MAX_HEARD: Final = 16
"""Answers kept of one exchange: a flood of forgeries must not fill a record."""
_LENGTH: Final = struct.Struct("!H")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A resolver: a literal address and a port."""

    address: str
    port: int = PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. `name` is ASCII without the last dot (`.` is the root); `record_type` one of RECORD_TYPES."""

    name: str
    record_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to try: `attempts` queries, `timeout_ns` for each, and `window_ns` after the first answer."""

    attempts: int
    timeout_ns: int
    window_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsAnswer:
    """One answer. `after` is the time since the query it answers, the `attempt`-th (from 0)."""

    reply: DnsMessage
    after: Phase
    attempt: int
    transport: str = "udp"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """What came of one question to one resolver.

    `heard` are the answers in order of arrival; `strays` what arrived and answered nothing of ours, each with
    its reason (`wrong_id`, `wrong_question`, `no_question`, `not_a_response`, `malformed`, or a failure word
    for an ICMP error that came after an answer). `failure` is the exchange's word, None for a good answer.
    """

    server: Server
    question: Question
    queries_sent: int = 0
    heard: list[DnsAnswer] = field(default_factory=list)
    strays: list[JsonObject] = field(default_factory=list)
    phases: dict[str, Phase] = field(default_factory=dict)
    failure: str | None = None

    @property
    def decisive(self) -> DnsAnswer | None:
        """The answer a stub resolver would go by: the one over TCP if there is one, else the first."""
        over_tcp = [heard for heard in self.heard if heard.transport == "tcp"]
        return next(iter(over_tcp or self.heard), None)

    @property
    def differing_answers(self) -> bool:
        """Whether two complete answers told different things."""
        told = [heard.reply for heard in self.heard if not heard.reply.truncated]
        return any(not dns_wire.same_answer(told[0], other) for other in told[1:])

    def values(self) -> tuple[str, ...]:
        """Return the decisive answer's values of the type asked for."""
        return () if self.decisive is None else self.decisive.reply.values(self.question.record_type)

    def to_json(self, resolver: str) -> JsonObject:
        """Return what a record keeps; `resolver` is how the server may be named there.

        `strays` is there only when there are any.
        """
        answers: list[JsonValue] = [
            {
                "t_ns": heard.after.ns,
                "stamp": str(heard.after.stamp),
                "attempt": heard.attempt,
                "transport": heard.transport,
                **heard.reply.to_json(),
            }
            for heard in self.heard
        ]
        kept: JsonObject = {
            "resolver": resolver,
            "engine": "udp",
            "query_name": self.question.name,
            "query_type": self.question.record_type,
            "queries_sent": self.queries_sent,
            "failure": self.failure,
            "answers": answers,
            "differing_answers": self.differing_answers,
        }
        return kept | {"strays": list(self.strays)} if self.strays else kept


async def ask(net: Net, server: Server, question: Question, patience: Patience) -> Exchange:
    """Ask one resolver. A network failure is the exchange's `failure`."""
    exchange = Exchange(server=server, question=question)
    try:
        with net.open_udp(server.address, server.port) as flow:
            await _over_udp(net, flow, exchange, patience)
        if exchange.heard and exchange.heard[0].reply.truncated:
            await _over_tcp(net, exchange, patience)
    except MeasurementFailedError as error:
        exchange.failure = error.failure
    else:
        exchange.failure = _failure_of(exchange)
    return exchange


async def _over_udp(net: Net, flow: UdpFlow, exchange: Exchange, patience: Patience) -> None:
    """Send until something answers, then listen on for the window."""
    sent: dict[int, int] = {}
    for _ in range(patience.attempts):
        query_id = _fresh_id(sent)
        query = _query(exchange.question, query_id)
        await net.begin(flow.lead_ns)
        start_ns = net.now_ns()
        sent[query_id] = await flow.send(query)
        exchange.queries_sent += 1
        until_ns = start_ns + patience.timeout_ns
        while datagram := await _next(flow, exchange, until_ns):
            was_first = not exchange.heard
            _sort(exchange, flow, datagram, sent, start_ns)
            if was_first and exchange.heard:
                until_ns = datagram.received_ns + patience.window_ns
            elif datagram.received_ns > until_ns:
                break  # a flood: what is always readable would never be late
        if exchange.heard:
            exchange.phases["resolve"] = exchange.heard[0].after
            return


async def _next(flow: UdpFlow, exchange: Exchange, until_ns: int) -> Datagram | None:
    """Receive one; after the first answer an ICMP error is noted and ends the listening."""
    try:
        return await flow.receive(deadline_ns=until_ns)
    except MeasurementFailedError as error:
        if not exchange.heard:
            raise
        _stray(exchange, error.failure, size=0, t_ns=None)
        return None


def _sort(
    exchange: Exchange, flow: UdpFlow, datagram: Datagram, sent: Mapping[int, int], start_ns: int
) -> None:
    """Put one datagram among the answers or among the strays."""
    question = exchange.question
    size, t_ns = len(datagram.data), datagram.received_ns - start_ns
    query_id = dns_wire.query_id_of(datagram.data)
    if query_id is not None and query_id not in sent:
        _stray(exchange, "wrong_id", size=size, t_ns=t_ns)
        return
    try:
        reply = dns_wire.parse_reply(datagram.data)
    except ReplyError:
        _stray(exchange, "malformed", size=size, t_ns=t_ns)
        return
    reason = dns_wire.mismatch(reply, question.name, question.record_type)
    if reason is not None:
        _stray(exchange, reason, size=size, t_ns=t_ns)
    elif len(exchange.heard) < MAX_HEARD:
        sent_id = sent[reply.query_id]
        exchange.heard.append(DnsAnswer(reply=reply, after=flow.rtt(sent_id, datagram), attempt=sent_id))


def _stray(exchange: Exchange, reason: str, *, size: int, t_ns: int | None) -> None:
    if len(exchange.strays) < MAX_HEARD:
        exchange.strays.append({"reason": reason, "bytes": size, "t_ns": t_ns})


async def _over_tcp(net: Net, exchange: Exchange, patience: Patience) -> None:
    """Ask again over TCP (RFC 7766). Raises `MeasurementFailedError`."""
    server, question = exchange.server, exchange.question
    query_id = _fresh_id({})
    query = _query(question, query_id)
    with await net.connect_tcp(server.address, server.port, timeout_s=patience.timeout_ns / 1e9) as stream:
        exchange.phases["connect"] = stream.connect
        deadline_ns = net.now_ns() + patience.timeout_ns
        await stream.send_all(_LENGTH.pack(len(query)) + query, deadline_ns=deadline_ns)
        received = b""
        while len(received) < _LENGTH.size or len(received) < _LENGTH.size + _LENGTH.unpack_from(received)[0]:
            data = await stream.receive(deadline_ns=deadline_ns)
            if not data:
                raise MeasurementFailedError(Failure.EOF, operation=OPERATION)
            received += data
        if stream.sent is None or stream.last_arrival is None:
            raise AssertionError("what was received has arrived")
        after = stream.elapsed(stream.sent, stream.last_arrival)
    exchange.phases["resolve_tcp"] = after
    try:
        reply = dns_wire.parse_reply(received[_LENGTH.size :])
    except ReplyError as error:
        raise MeasurementFailedError(Failure.DNS_SERVER_MISBEHAVING, operation=OPERATION) from error
    if reply.query_id != query_id:
        raise MeasurementFailedError(Failure.DNS_WRONG_QUERY_ID, operation=OPERATION)
    if dns_wire.mismatch(reply, question.name, question.record_type) is not None:
        raise MeasurementFailedError(Failure.DNS_SERVER_MISBEHAVING, operation=OPERATION)
    exchange.heard.append(DnsAnswer(reply=reply, after=after, attempt=exchange.queries_sent, transport="tcp"))
    exchange.queries_sent += 1


def _failure_of(exchange: Exchange) -> str | None:
    decisive = exchange.decisive
    if decisive is not None:
        question = exchange.question
        return dns_wire.failure_of(decisive.reply, question.name, question.record_type)
    if any(stray["reason"] == "wrong_id" for stray in exchange.strays):
        return Failure.DNS_WRONG_QUERY_ID
    return Failure.DNS_SERVER_MISBEHAVING if exchange.strays else Failure.TIMEOUT


def _query(question: Question, query_id: int) -> bytes:
    return dns_wire.build_query(question.name, question.record_type, query_id)


def _fresh_id(used: Mapping[int, int]) -> int:
    while (query_id := int.from_bytes(os.urandom(2), "big")) in used:
        pass
    return query_id
