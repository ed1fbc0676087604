"""The parts of an exchange that need no server, and an answer that came though nothing could be sent."""

import socket
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.net.access import Net
from firmware.protocols.http_exchange import MAX_TIMINGS, Response, exchange, request_headers, thin
from firmware.protocols.http_urls import parse_url
from tests.probing import probe
from tests.servers.tcp import TcpServer, reset

BLOCKED = b'<html><body><iframe src="http://10.10.34.35:80"></iframe></body></html>'
WHOLE = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%b" % (len(BLOCKED), BLOCKED)
Fetched: TypeAlias = "tuple[MeasurementFailedError | None, Response]"


@given(st.integers(0, 1000), st.integers(2, 200))
def test_thinned_timings_keep_order_ends_and_limit(count: int, limit: int) -> None:
    timing = [(number, number * 2) for number in range(count)]
    kept = thin(timing, limit)
    assert len(kept) == min(count, limit)
    assert kept == sorted(set(kept) & set(timing))
    assert kept[:1] == timing[:1]
    assert kept[-1:] == timing[-1:]


def test_a_full_page_is_thinned_to_what_a_record_holds() -> None:
    assert len(thin([(number, number) for number in range(400)])) == MAX_TIMINGS


def test_the_host_header_comes_first_and_has_the_port_only_when_it_is_unusual() -> None:
    assert request_headers(parse_url("https://example.org/x"))[0] == ("Host", "example.org")
    assert request_headers(parse_url("http://example.org:8080/"))[0] == ("Host", "example.org:8080")
    assert request_headers(parse_url("http://[2001:db8::1]/"))[0] == ("Host", "[2001:db8::1]")


class TestAnInjectedAnswer:
    """A page that is pushed at a connection and followed by a reset, before the request could be sent."""

    def pushed(self, answer: bytes) -> Fetched:
        def behaviour(connection: socket.socket) -> None:
            connection.sendall(answer)
            reset(connection)

        response = Response()

        async def late(net: Net) -> MeasurementFailedError | None:
            with await net.connect_tcp(server.address, server.port) as stream:
                await net.loop.sleep_until(net.now_ns() + 200_000_000)  # the reset is here by then
                try:
                    await exchange(
                        net, stream, parse_url("http://example.org/"), response, method="GET", body_cap=65_536
                    )
                except MeasurementFailedError as error:
                    return error
            return None

        with TcpServer(behaviour) as server:
            return probe(late), response

    def test_it_is_read_and_kept_as_a_browser_does(self) -> None:
        error, response = self.pushed(WHOLE)
        assert error is None
        assert (response.status, bytes(response.body)) == (403, BLOCKED)
        assert response.write_failure is not None
        assert response.phases == {}  # nothing was sent from which a time could run

    def test_one_that_ends_midway_is_kept_as_far_as_it_came(self) -> None:
        error, response = self.pushed(WHOLE[:-5])
        assert error is not None
        assert error.operation == "write"
        assert (response.status, bytes(response.body)) == (403, BLOCKED[:-5])

    def test_without_one_the_failure_to_write_stands(self) -> None:
        error, response = self.pushed(b"")
        assert error is not None
        assert (error.operation, response.status) == ("write", None)
        assert error.failure in (Failure.CONNECTION_RESET, Failure.EOF)
