"""A probe is answered by whoever is there, whatever it says; silence is no answer."""

import select
import socket

import pytest

from appliance.delivery.network.reachability import RESOLVE_EVERY_S, ReachabilityProbe, is_silence


def ready(sock: socket.socket, limit_s: float) -> bool:
    return bool(select.select([], [sock], [], limit_s)[1])


def test_an_open_port_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = ReachabilityProbe("127.0.0.1", server.getsockname()[1])
        sock = probe.send(0.0)
        assert sock is not None
        assert ready(sock, 30)
        assert probe.is_answered()
        assert not probe.is_answered(), "one probe, one answer"


def test_a_refusal_is_an_answer_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    probe = ReachabilityProbe("127.0.0.1", port)
    sock = probe.send(0.0)
    assert sock is not None
    assert ready(sock, 30)
    assert probe.is_answered()


def test_silence_is_none_and_the_next_knock_takes_the_place_of_the_last() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)  # room for one, and then a SYN is dropped
        with socket.create_connection(server.getsockname()):
            probe = ReachabilityProbe(*server.getsockname())
            first = probe.send(0.0)
            assert first is not None
            assert not ready(first, 0.3)
            second = probe.send(3.0)
            assert second is not None
            assert first.fileno() == -1
            probe.cancel()
            assert second.fileno() == -1


def test_a_name_that_is_not_known_is_not_asked_for_at_each_knock(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fails(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    probe = ReachabilityProbe("collector.invalid", 443)
    for second in range(round(RESOLVE_EVERY_S)):
        assert probe.send(second) is None
    assert len(asked) == 1
    assert probe.send(RESOLVE_EVERY_S) is None
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("failure", "operation", "is_silent"),
    [
        ("generic_timeout_error", "connect", True),
        ("host_unreachable", "connect", True),
        ("generic_timeout_error", "tls_handshake", False),
        ("connection_refused", "connect", False),
        ("dns_nxdomain_error", "resolve", False),
    ],
)
def test_what_counts_as_silence(failure: str, operation: str, is_silent: bool) -> None:
    assert is_silence(failure, operation) is is_silent
