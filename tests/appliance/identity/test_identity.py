"""A device's identity: what it signs and whom it believes, and how the next certificate takes the place of the last."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity import renewal
from appliance.identity.files import IdentityError
from appliance.identity.identity import DeviceIdentity, UnknownSignerError
from firmware.model.jsontypes import RecordError
from firmware.wire.envelope import OVERHEAD_BYTES, seal, unseal
from provisioning.authority import Authority, write
from provisioning.certificates import Role, key_pem, make_key, make_leaf, pem
from tests.appliance.identity.identified import DEVICE, NOW, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_a_collector_signed_is_believed_once_it_is_known(world: World) -> None:
    identity = world.identity()
    said = world.signer.sign(DEVICE, "ack", b"stored")
    with pytest.raises(UnknownSignerError):
        identity.open("ack", said)
    identity.meet_collector(world.collector_chain)
    assert identity.open("ack", said) == b"stored"
    assert world.identity().open("ack", said) == b"stored", "it is remembered over a restart"


@pytest.mark.parametrize(
    ("device", "leaf"), [("b" * 16, "ack"), (DEVICE, "certificate")], ids=["another device", "another place"]
)
def test_what_was_said_elsewhere_does_not_count_here(world: World, device: str, leaf: str) -> None:
    identity = world.identity()
    identity.meet_collector(world.collector_chain)
    with pytest.raises(RecordError, match="does not hold"):
        identity.open("ack", world.signer.sign(device, leaf, b"stored"))


@given(at=st.integers(OVERHEAD_BYTES - 64, OVERHEAD_BYTES + 5), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(one_world: World, at: int, bit: int) -> None:
    identity = one_world.met
    said = bytearray(one_world.signer.sign(DEVICE, "ack", b"stored"))
    said[at] ^= 1 << bit
    with pytest.raises(RecordError, match="does not hold"):
        identity.open("ack", bytes(said))


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    world.met = world.identity()
    world.met.meet_collector(world.collector_chain)
    return world


def test_a_device_is_no_collector(world: World) -> None:
    with pytest.raises(RecordError, match="not a collector's"):
        world.identity().meet_collector(world.files.certificate.read_bytes())


def test_another_authoritys_collector_is_not_believed(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    with pytest.raises(RecordError, match="not a collector's"):
        world.identity().meet_collector(other.collector_chain)


def test_a_device_cannot_make_itself_a_collector(world: World) -> None:
    """A chain through the device's own certificate, which may not sign others."""
    key = serialization.load_pem_private_key(world.files.key.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    from provisioning.certificates import Issuer

    own = world.identity().certificate
    forged_key = make_key()
    forged = make_leaf(
        "collector", Role.COLLECTOR, forged_key.public_key(), Issuer(certificate=own, key=key), now=NOW
    )
    chain = pem(forged) + world.files.certificate.read_bytes()
    with pytest.raises(RecordError, match="not a collector's"):
        world.identity().meet_collector(chain)


@given(data=st.binary(max_size=300))
def test_no_bytes_raise_anything_but_what_is_said(one_world: World, data: bytes) -> None:
    identity = one_world.met
    for candidate in (data, seal(unseal(identity.sign("live", data)))):
        with pytest.raises(RecordError):
            identity.open("ack", candidate)
    with pytest.raises(RecordError):
        identity.meet_collector(data)


class TestLoading:
    """Parts that do not belong together are told apart, with what to do."""

    def test_another_devices(self, world: World) -> None:
        with pytest.raises(IdentityError, match=r"is for device abcd.*tidegauge identity install"):
            DeviceIdentity.load(world.files, device="b" * 16)

    def test_another_key(self, world: World) -> None:
        write(world.files.key, key_pem(make_key()), mode=0o600)
        with pytest.raises(IdentityError, match="not the key of"):
            world.identity()

    def test_another_root(self, world: World, tmp_path: Path) -> None:
        write(world.files.trust, World(tmp_path / "other").root)
        with pytest.raises(IdentityError, match="not issued under"):
            world.identity()

    @pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "trust.pem"])
    def test_a_damaged_file(self, world: World, name: str) -> None:
        (world.files.folder / name).write_bytes(b"nonsense")
        with pytest.raises(IdentityError, match=name):
            world.identity()

    @pytest.mark.parametrize("name", ["key.pem", "trust.pem"])
    def test_a_missing_file(self, world: World, name: str) -> None:
        (world.files.folder / name).unlink()
        with pytest.raises(IdentityError, match=name):
            world.identity()


class TestRenewal:
    """The next certificate."""

    def renewed(self, world: World) -> bytes:
        request = renewal.request(world.files, device=DEVICE)
        (world.authority / "requests" / f"{DEVICE}.csr").write_bytes(request)
        with Authority.open(world.authority) as authority:
            assert authority.renew(now=NOW + dt.timedelta(days=800)) == ((DEVICE, ""),)
            return [one for one in authority.issued() if one.name == DEVICE][-1].chain

    def test_it_takes_the_old_ones_place(self, world: World) -> None:
        before = world.identity()
        after = renewal.take(before, self.renewed(world))
        assert after is not None
        assert after.certificate.public_key() != before.certificate.public_key()
        assert world.identity().certificate == after.certificate
        assert not world.files.next_key.exists()

    def test_the_same_again_changes_nothing(self, world: World) -> None:
        chain = self.renewed(world)
        after = renewal.take(world.identity(), chain)
        assert after is not None
        assert renewal.take(after, chain) is None

    def test_a_power_cut_in_the_middle_is_mended(self, world: World) -> None:
        chain = self.renewed(world)
        write(world.files.certificate, chain)
        with pytest.raises(IdentityError, match="not the key of"):
            world.identity()
        renewal.recover(world.files)
        assert pem(world.identity().certificate) in chain

    def test_one_nobody_asked_for_is_refused(self, world: World) -> None:
        with Authority.open(world.authority) as authority:
            chain = authority.issue(DEVICE, Role.DEVICE, make_key().public_key(), now=NOW)
        with pytest.raises(RecordError, match="none was asked for"):
            renewal.take(world.identity(), chain)
        renewal.request(world.files, device=DEVICE)
        with pytest.raises(RecordError, match="not for the key"):
            renewal.take(world.identity(), chain)
        world.identity()

    def test_asking_again_asks_with_the_same_key(self, world: World) -> None:
        first, second = (
            x509.load_pem_x509_csr(renewal.request(world.files, device=DEVICE)).public_key() for _ in range(2)
        )
        assert first == second

    @pytest.mark.parametrize(
        ("days", "sure", "due"),
        [
            (1, True, False),
            (364, True, False),
            (366, True, True),
            (9999, True, True),
            (-5000, True, False),
            (-5000, False, True),
        ],
    )
    def test_when_it_is_due(self, *, days: int, sure: bool, due: bool) -> None:
        now_ns = int((NOW + dt.timedelta(days=days)).timestamp() * 1e9)
        span = (NOW, NOW + dt.timedelta(days=730))
        assert renewal.is_due(now_ns, clock_is_sure=sure, not_before=span[0], not_after=span[1]) is due
