"""The authority on disk: what it issues holds up before OpenSSL, what it refuses, what a revocation leaves."""

import datetime as dt
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.authority import Authority
from provisioning.certificates import ISSUING_LIFETIME, LIFETIME, Role, make_key, make_request
from provisioning.errors import BadRequestError, ProvisioningError
from tests.needs import program

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
DEVICE = "abcd0123efgh4567"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "authority"
    Authority.make(made, name="Test", now=NOW)
    return made


def openssl(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([program("openssl"), *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def verify(path: Path, chain: bytes, folder: Path, *options: str) -> tuple[int, str]:
    leaf = folder / "leaf.pem"
    leaf.write_bytes(chain)
    at = str(int((NOW + dt.timedelta(days=30)).timestamp()))
    return openssl(
        *("verify", "-attime", at, "-CAfile", str(path / "root.crt")),
        *("-untrusted", str(path / "issuing.crt"), "-x509_strict", *options, str(leaf)),
    )


@pytest.mark.parametrize(
    ("role", "purpose", "other"),
    [
        (Role.DEVICE, "sslclient", "sslserver"),
        (Role.COLLECTOR, "sslclient", "sslserver"),
        (Role.BROKER, "sslserver", "sslclient"),
        (Role.MEASUREMENT_SERVER, "sslserver", "sslclient"),
    ],
)
def test_a_certificate_is_good_for_its_role_and_no_other(
    path: Path, tmp_path: Path, role: Role, purpose: str, other: str
) -> None:
    with Authority.open(path) as authority:
        chain = authority.issue(
            "somebody", role, make_key().public_key(), now=NOW, hosts=("localhost", "::1")
        )
    assert verify(path, chain, tmp_path, "-purpose", purpose)[0] == 0
    assert verify(path, chain, tmp_path, "-purpose", other)[0] != 0


def test_a_devices_key_never_has_to_be_here(path: Path, tmp_path: Path) -> None:
    key = make_key()
    with Authority.open(path) as authority:
        device, chain = authority.issue_device(make_request(DEVICE, key), now=NOW)
    assert device == DEVICE
    assert x509.load_pem_x509_certificate(chain).public_key() == key.public_key()
    assert verify(path, chain, tmp_path, "-purpose", "sslclient")[0] == 0


def test_keys_are_their_owners_only(path: Path) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir() if file.suffix == ".key"}
    assert modes == {"root.key": 0o600, "issuing.key": 0o600}


def test_the_root_key_may_be_away(path: Path) -> None:
    (path / "root.key").unlink()
    with Authority.open(path) as authority:
        authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
        authority.revoke(DEVICE, now=NOW)


def test_one_name_is_not_given_to_two(path: Path) -> None:
    with Authority.open(path) as authority:
        authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
        with pytest.raises(BadRequestError, match="has a certificate already"):
            authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
        authority.revoke(DEVICE, now=NOW, reason="card lost")
        authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
        revoked = [one.revoked.reason if one.revoked else None for one in authority.issued()]
    assert sorted(revoked, key=str) == [None, "card lost"]


def test_a_revoked_certificate_is_refused_by_the_list(path: Path, tmp_path: Path) -> None:
    with Authority.open(path) as authority:
        _, chain = authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
        _, other = authority.issue_device(make_request("b" * 16, make_key()), now=NOW)
        assert authority.revoke(DEVICE, now=NOW) == 1
        assert authority.revoke(DEVICE, now=NOW) == 0
    checked = ("-crl_check", "-CRLfile", str(path / "revoked.crl"))
    status, said = verify(path, chain, tmp_path, *checked)
    assert status != 0
    assert "certificate revoked" in said
    assert verify(path, other, tmp_path, *checked)[0] == 0


class TestRenewal:
    """What devices asked for through a collector."""

    def test_the_next_key_gets_the_next_certificate(self, path: Path) -> None:
        later = NOW + LIFETIME - dt.timedelta(days=10)
        key = make_key()
        with Authority.open(path) as authority:
            authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
            (path / "requests" / f"{DEVICE}.csr").write_bytes(make_request(DEVICE, key))
            assert authority.renew(now=later) == ((DEVICE, ""),)
            newest = authority.issued()[-1]
        assert x509.load_pem_x509_certificate(newest.chain).public_key() == key.public_key()
        assert newest.not_after == later + LIFETIME
        assert not list((path / "requests").iterdir())

    def test_a_request_asked_twice_is_served_once(self, path: Path) -> None:
        key = make_key()
        with Authority.open(path) as authority:
            authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
            for days in (400, 401):
                (path / "requests" / f"{DEVICE}.csr").write_bytes(make_request(DEVICE, key))
                assert authority.renew(now=NOW + dt.timedelta(days=days)) == ((DEVICE, ""),)
            assert len(authority.issued()) == 2

    def test_who_asks_for_one_after_the_other_gets_none_too_early(self, path: Path) -> None:
        """As a device does whose clock is years ahead: it finds every certificate past the middle of its time."""
        with Authority.open(path) as authority:
            authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
            said = []
            for days in range(0, 800, 20):
                (path / "requests" / f"{DEVICE}.csr").write_bytes(make_request(DEVICE, make_key()))
                said += [refused for _, refused in authority.renew(now=NOW + dt.timedelta(days=days))]
            assert len(authority.issued()) == 1 + said.count("") == 4
            assert said[0].startswith("it has one since ")

    @pytest.mark.parametrize(
        ("asks_for", "said"),
        [(DEVICE, "in force"), ("c" * 16, "it names device cccc"), ("", "not a certificate request")],
    )
    def test_what_is_not_due_to_it_is_refused(self, path: Path, asks_for: str, said: str) -> None:
        text = make_request(asks_for, make_key()) if asks_for else b"nonsense"
        (path / "requests" / f"{DEVICE}.csr").write_bytes(text)
        with Authority.open(path) as authority:
            ((name, refused),) = authority.renew(now=NOW)
            assert name == DEVICE
            assert said in refused
            assert not authority.issued()


def test_an_authority_that_ran_out_says_so_and_still_revokes(path: Path) -> None:
    """The collector believes a key after its certificate has run out, so it must be possible to take it back then."""
    late = NOW + ISSUING_LIFETIME + dt.timedelta(days=3)
    with Authority.open(path) as authority:
        authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
        with pytest.raises(ProvisioningError, match=r"issuing\.crt: it ran out on .* provision ca"):
            authority.issue_device(make_request("c" * 16, make_key()), now=late)
        assert authority.revoke(DEVICE, now=late, reason="lost") == 1
        assert [one.name for one in authority.revocations()] == [DEVICE]


def test_a_clock_that_is_years_late_dates_nothing(path: Path) -> None:
    """A certificate of then would have run out already; by a revocation of then all that was said since would count no more."""
    early = NOW - dt.timedelta(days=3000)
    with Authority.open(path) as authority:
        authority.issue_device(make_request(DEVICE, make_key()), now=NOW)
        with pytest.raises(BadRequestError, match=r"this machine's clock says .* set the clock"):
            authority.issue_device(make_request("c" * 16, make_key()), now=early)
        with pytest.raises(BadRequestError, match="set the clock"):
            authority.revoke(DEVICE, now=early)
        assert authority.revocations() == ()


def test_a_changed_request_is_refused(path: Path) -> None:
    request = bytearray(x509.load_pem_x509_csr(make_request(DEVICE, make_key())).public_bytes(Encoding.DER))
    at = request.index(DEVICE.encode())
    request[at : at + 1] = b"z"
    text = x509.load_der_x509_csr(bytes(request)).public_bytes(Encoding.PEM)
    with Authority.open(path) as authority, pytest.raises(BadRequestError, match="does not hold"):
        authority.issue_device(text, now=NOW)


def test_an_authority_is_never_made_over_another(path: Path) -> None:
    before = (path / "root.key").read_bytes()
    with pytest.raises(BadRequestError, match="not empty"):
        Authority.make(path, name="Again", now=NOW)
    assert (path / "root.key").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("issuing.key", b"nonsense", "not a private key"), ("revoked.json", b"{", "not a list of revocations")],
)
def test_a_damaged_file_is_named(path: Path, name: str, content: bytes, said: str) -> None:
    (path / name).write_bytes(content)
    with Authority.open(path) as authority, pytest.raises(ProvisioningError, match=f"{name}.*{said}"):
        authority.issue_device(make_request(DEVICE, make_key()), now=NOW)


def test_without_the_issuing_key_it_says_so(path: Path) -> None:
    (path / "issuing.key").unlink()
    with Authority.open(path) as authority, pytest.raises(BadRequestError, match="issuing key is not here"):
        authority.issue_device(make_request(DEVICE, make_key()), now=NOW)


def test_what_is_no_authority_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="tidegauge provision ca"), Authority.open(tmp_path):
        pass
