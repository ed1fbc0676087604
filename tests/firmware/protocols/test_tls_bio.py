"""TLS without a socket: two ends wired together in memory."""

import ssl
from pathlib import Path

import pytest

from firmware.failures import Failure, MeasurementFailedError
from firmware.protocols.tls_bio import TlsMachine, verifying_context
from tests.servers.tls import Authority


class Peer:
    """The server's end, in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.done = False

    def answer(self, data: bytes) -> bytes:
        """Take the client's bytes, go on with the handshake, return what goes back."""
        self.incoming.write(data)
        if not self.done:
            try:
                self.session.do_handshake()
                self.done = True
            except ssl.SSLWantReadError:
                pass
        return self.outgoing.read()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    return made


def shake(machine: TlsMachine, peer: Peer) -> None:
    while not machine.handshake():
        machine.feed(peer.answer(machine.take()))
    if tickets := peer.answer(machine.take()):
        machine.feed(tickets)


def test_two_ends_agree_and_talk(authority: Authority) -> None:
    machine = TlsMachine(verifying_context(("h2",)), "www.example.test")
    peer = Peer(authority.server_context("www.example.test", alpn=["h2"]))
    shake(machine, peer)
    assert machine.facts()["alpn"] == "h2"
    assert len(machine.chain()) == 2
    machine.write(b"ping")
    peer.incoming.write(machine.take())
    assert peer.session.read() == b"ping"
    peer.session.write(b"pong")
    machine.feed(peer.outgoing.read())
    assert machine.read() == b"pong"
    assert machine.read() is None
    machine.feed(b"")
    assert machine.read() == b""


def test_a_handshake_byte_by_byte_is_the_same(authority: Authority) -> None:
    machine = TlsMachine(verifying_context(()), "www.example.test")
    peer = Peer(authority.server_context("www.example.test"))
    done = machine.handshake()
    flight = peer.answer(machine.take())
    for number in range(len(flight)):
        assert not done
        machine.feed(flight[number : number + 1])
        done = machine.handshake()
    assert done


def test_nothing_is_written_before_the_peer_has_proved_itself(authority: Authority) -> None:
    machine = TlsMachine(verifying_context(()), "www.example.test")
    peer = Peer(authority.server_context("other.example.test"))
    with pytest.raises(MeasurementFailedError) as raised:
        shake(machine, peer)
    assert raised.value.failure == Failure.SSL_INVALID_HOSTNAME
    assert (machine.verify_code, "mismatch" in machine.reason) == (62, True)
    assert len(machine.chain()) == 2  # the evidence, off the very session that was refused
    with pytest.raises(MeasurementFailedError):
        machine.write(b"secret")


def test_the_context_is_kept_for_the_same_trust_and_made_anew_for_another(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = verifying_context(())
    assert verifying_context(()) is first
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path, "Other").trusted))
    assert verifying_context(()) is not first
