"""TLS without a socket: two ends wired together in memory."""

import ssl
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.protocols.tls_bio import TlsMachine, utc_s, verifying_context
from tests.needs import program
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


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return an authority in a directory as c_rehash makes it, the only trust there is."""
    made = Authority(tmp_path)
    words = [program("openssl"), "x509", "-noout", "-subject_hash", "-in", str(made.trusted)]
    name = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    folder = tmp_path / "hashed"
    folder.mkdir()
    (folder / f"{name}.0").symlink_to(made.trusted)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    return made


def test_authorities_of_a_directory_are_read_when_a_chain_needs_them(hashed: Authority) -> None:
    context = verifying_context(())
    machine = TlsMachine(context, "www.example.test")
    assert context.cert_store_stats()["x509_ca"] == 0
    shake(machine, Peer(hashed.server_context("www.example.test")))
    assert context.cert_store_stats()["x509_ca"] == 1


def test_whom_no_authority_of_the_directory_vouches_for_is_refused(hashed: Authority, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    machine = TlsMachine(verifying_context(()), "www.example.test")
    with pytest.raises(MeasurementFailedError) as raised:
        shake(machine, Peer(Authority(stranger, "Other").server_context("www.example.test")))
    assert raised.value.failure == Failure.SSL_UNKNOWN_AUTHORITY
    assert hashed.trusted.exists()


def test_a_directory_without_hashed_names_is_no_trust_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for folder in (tmp_path, tmp_path / "nowhere"):
        monkeypatch.setenv("SSL_CERT_DIR", str(folder))
        assert verifying_context(()).verify_mode == ssl.CERT_REQUIRED


@given(st.integers(-2_208_988_800, 32_503_680_000))  # 1900 to 3000
def test_times_of_certificates_are_what_the_standard_library_reads(moment_s: int) -> None:
    when = time.gmtime(moment_s)
    text = f"{time.strftime('%b', when)} {when.tm_mday:2} {when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02} {when.tm_year} GMT"
    assert utc_s(text) == ssl.cert_time_to_seconds(text) == moment_s
