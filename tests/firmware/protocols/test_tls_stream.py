"""A handshake that nobody lets begin: what was pushed at the connection is kept."""

import socket

import pytest

from firmware.model.failures import MeasurementFailedError
from firmware.net.access import Net
from firmware.protocols.tls_stream import TlsStream
from tests.probing import probe
from tests.servers.tcp import TcpServer, reset

BLOCKED = b"HTTP/1.1 403 Forbidden\r\n\r\n<html>10.10.34.35</html>"


def test_an_answer_pushed_before_the_client_hello_is_kept() -> None:
    def behaviour(connection: socket.socket) -> None:
        connection.sendall(BLOCKED)
        reset(connection)

    async def late(net: Net) -> bytes:
        with await net.connect_tcp(server.address, server.port) as tcp:
            await net.loop.sleep_until(net.now_ns() + 200_000_000)  # the reset is here by then
            stream = TlsStream(net, tcp, server_name="example.org", alpn=("http/1.1",))
            with pytest.raises(MeasurementFailedError, match="tls_handshake"):
                await stream.handshake()
            return stream.story.answer_start

    with TcpServer(behaviour) as server:
        assert probe(late) == BLOCKED[:64]
