"""One question to a real resolver on loopback: every answer is kept, forged ones are told apart."""

import socket
from typing import Final

import dns.message
import pytest

from firmware.model.failures import Failure
from firmware.protocols.dns_exchange import Exchange, Patience, Question, Server, ask
from tests import ports
from tests.probing import probe
from tests.servers.dns import Answers, DnsServer, Respond, reply

FORGED: Final = "10.10.34.34"
TRUE: Final = "93.184.216.34"
LONG_NS: Final = 10_000_000_000


def asked(
    respond: Respond,
    *,
    address: str = "127.0.0.1",
    attempts: int = 1,
    timeout_ns: int = LONG_NS,
    window_ns: int = 0,
) -> Exchange:
    """Ask `www.example.org` A of a server that answers with `respond`."""
    with DnsServer(respond, address=address) as server:
        patience = Patience(attempts=attempts, timeout_ns=timeout_ns, window_ns=window_ns)
        question = Question(name="www.example.org", record_type="A")
        place = Server(address=server.address, port=server.port)
        return probe(lambda net: ask(net, place, question, patience))


def truthful(query: dns.message.Message, transport: str) -> Answers:
    yield reply(query, TRUE)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_plain_answer(address: str) -> None:
    exchange = asked(truthful, address=address)
    assert exchange.failure is None
    assert exchange.values() == (TRUE,)
    assert exchange.phases["resolve"].ns > 0
    assert not exchange.differing_answers


def test_an_injected_first_answer_shows() -> None:
    def injector(query: dns.message.Message, transport: str) -> Answers:
        yield reply(query, FORGED)
        yield 0.05
        yield reply(query, TRUE)

    exchange = asked(injector, window_ns=3_000_000_000)
    assert [heard.reply.values("A") for heard in exchange.heard] == [(FORGED,), (TRUE,)]
    assert exchange.heard[0].after.ns < exchange.heard[1].after.ns
    assert exchange.differing_answers
    assert exchange.failure == Failure.DNS_BOGON  # what a stub resolver would have believed
    kept = exchange.to_json("192.0.2.53")
    assert kept["differing_answers"] is True
    assert kept["resolver"] == "192.0.2.53"
    assert "strays" not in kept


def test_the_same_answer_twice_does_not_differ() -> None:
    def twice(query: dns.message.Message, transport: str) -> Answers:
        yield reply(query, TRUE, ttl=60)
        yield reply(query, TRUE, ttl=59)

    exchange = asked(twice, window_ns=300_000_000)
    assert len(exchange.heard) == 2
    assert not exchange.differing_answers


def test_a_wrong_id_is_kept_apart_and_the_right_one_is_believed() -> None:
    def guessing(query: dns.message.Message, transport: str) -> Answers:
        yield reply(query, FORGED, query_id=query.id ^ 1)
        yield reply(query, TRUE)

    exchange = asked(guessing)
    assert exchange.failure is None
    assert exchange.values() == (TRUE,)
    assert [stray["reason"] for stray in exchange.strays] == ["wrong_id"]
    assert exchange.to_json("@isp")["strays"] == exchange.strays


def test_only_wrong_ids() -> None:
    def guessing(query: dns.message.Message, transport: str) -> Answers:
        yield reply(query, FORGED, query_id=query.id ^ 1)

    assert asked(guessing, timeout_ns=300_000_000).failure == Failure.DNS_WRONG_QUERY_ID


def test_only_rubbish() -> None:
    def broken(query: dns.message.Message, transport: str) -> Answers:
        yield reply(query, TRUE)[:-3]
        yield b"x"

    exchange = asked(broken, timeout_ns=300_000_000)
    assert exchange.failure == Failure.DNS_SERVER_MISBEHAVING
    assert [stray["reason"] for stray in exchange.strays] == ["malformed", "malformed"]


def test_an_answer_from_another_port_is_not_heard() -> None:
    def beside(query: dns.message.Message, transport: str) -> Answers:
        return []

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:

        class Spy(DnsServer):
            def _serve_udp(self) -> None:
                data, client = self._udp.recvfrom(65535)
                elsewhere.sendto(reply(dns.message.from_wire(data), FORGED), client)

        with Spy(beside) as server:
            place = Server(address=server.address, port=server.port)
            patience = Patience(attempts=1, timeout_ns=300_000_000, window_ns=0)
            exchange = probe(
                lambda net: ask(net, place, Question(name="www.example.org", record_type="A"), patience)
            )
    assert exchange.heard == []
    assert exchange.failure == Failure.TIMEOUT


def test_silence_is_tried_again_and_then_a_time_out() -> None:
    exchange = asked(lambda query, transport: [], attempts=3, timeout_ns=50_000_000)
    assert exchange.failure == Failure.TIMEOUT
    assert exchange.queries_sent == 3


def test_a_second_attempt_is_timed_from_its_own_query() -> None:
    seen: list[int] = []

    def deaf_once(query: dns.message.Message, transport: str) -> Answers:
        seen.append(query.id)
        if len(seen) > 1:
            yield reply(query, TRUE)

    exchange = asked(deaf_once, attempts=5, timeout_ns=2_000_000_000)
    assert exchange.failure is None
    assert exchange.heard[0].attempt == len(seen) - 1 > 0
    assert len(set(seen)) == len(seen)


def test_nothing_listening_is_refused_at_once() -> None:
    closed = Server(address="127.0.0.1", port=ports.take_one())
    exchange = probe(
        lambda net: ask(
            net,
            closed,
            Question(name="www.example.org", record_type="A"),
            Patience(attempts=2, timeout_ns=LONG_NS, window_ns=0),
        )
    )
    assert exchange.failure == Failure.CONNECTION_REFUSED


def test_a_truncated_answer_is_fetched_over_tcp() -> None:
    def long(query: dns.message.Message, transport: str) -> Answers:
        yield reply(query, TRUE) if transport == "tcp" else reply(query, truncated=True)

    exchange = asked(long)
    assert exchange.failure is None
    assert [heard.transport for heard in exchange.heard] == ["udp", "tcp"]
    assert exchange.values() == (TRUE,)
    assert not exchange.differing_answers
    assert set(exchange.phases) == {"resolve", "connect", "resolve_tcp"}


def test_a_truncated_answer_whose_tcp_side_hangs_up() -> None:
    def stingy(query: dns.message.Message, transport: str) -> Answers:
        if transport == "tcp":
            raise OSError
        yield reply(query, truncated=True)

    exchange = asked(stingy)
    assert exchange.failure == Failure.EOF
    assert len(exchange.heard) == 1


def test_a_flood_ends() -> None:
    def flood(query: dns.message.Message, transport: str) -> Answers:
        for number in range(2000):
            yield reply(query, f"8.8.{number % 250}.8")

    exchange = asked(flood, window_ns=1_000_000)
    assert 1 <= len(exchange.heard) <= 16
    assert exchange.differing_answers or len(exchange.heard) == 1
