"""Which list of collectors a device goes by: only its authority's, only a newer one, and none once it has run out."""

import datetime as dt
from pathlib import Path

import pytest

from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from firmware.model.jsontypes import RecordError
from firmware.wire import trust_list
from provisioning.authority import Authority, write
from provisioning.certificates import Role, key_pem, make_key, make_request, pem

DEVICE = "abcd0123efgh4567"
NOW = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


class World:
    """An authority with two collectors, and a device's identity."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "authority"
        Authority.make(self.authority, name="Test", now=NOW)
        files, key = IdentityFiles(data=folder / "device"), make_key()
        files.folder.mkdir(parents=True)
        with Authority.open(self.authority) as authority:
            for name in ("first", "second"):
                authority.issue(name, Role.COLLECTOR, make_key().public_key(), now=NOW)
            _, chain = authority.issue_device(make_request(DEVICE, key), now=NOW)
            write(files.trust, pem(authority.root))
        write(files.certificate, chain)
        write(files.key, key_pem(key))
        self.device = DeviceIdentity.load(files, device=DEVICE)

    def listed(self, days: int = 0, **options: object) -> bytes:
        """Return the next list, made `days` after the beginning."""
        with Authority.open(self.authority) as authority:
            authority.list_collectors(now=NOW + days * DAY, **options)  # type: ignore[arg-type]
        return (self.authority / trust_list.FILE_NAME).read_bytes()

    def reloaded(self) -> DeviceIdentity:
        return DeviceIdentity.load(self.device.files, device=DEVICE)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_newer_list_is_held_and_outlasts_a_restart_and_an_older_one_is_never_gone_back_to(
    world: World,
) -> None:
    first, second = world.listed(), world.listed(1)
    assert world.device.take_list(second) is not None
    number = world.device.held.number
    assert world.device.take_list(first) is None
    assert world.device.take_list(second) is None
    assert (world.device.held.number, world.reloaded().held.number) == (number, number)


@pytest.mark.filterwarnings(
    "ignore::cryptography.utils.CryptographyDeprecationWarning"
)  # of what a flip makes
def test_no_bit_of_a_list_can_be_changed(world: World) -> None:
    listed = world.listed()
    for at in range(len(listed)):
        changed = bytearray(listed)
        changed[at] ^= 1
        try:
            taken = world.device.take_list(bytes(changed))
        except RecordError:
            continue
        # What is not signed (white space, the case of hex digits) says the same.
        assert taken is None or taken == world.device.held.trust
        assert world.device.held.number in {0, trust_list.decode_text(trust_list.decode(listed).text).number}


def test_a_list_by_another_authority_counts_for_nothing(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other"
    Authority.make(other, name="Other", now=NOW)
    with Authority.open(other) as authority:
        authority.list_collectors(now=NOW)
    with pytest.raises(RecordError, match="not signed by our authority"):
        world.device.take_list((other / trust_list.FILE_NAME).read_bytes())


def test_a_device_certificate_cannot_sign_a_list(world: World) -> None:
    listed = trust_list.decode(world.listed())
    forged = trust_list.SignedList(
        text=listed.text,
        signature=listed.signature,
        chain=world.device.files.certificate.read_bytes(),
    )
    with pytest.raises(RecordError, match="not signed by our authority"):
        world.device.take_list(trust_list.encode(forged))


def test_a_revoked_collector_counts_no_longer_and_the_other_does(world: World) -> None:
    with Authority.open(world.authority) as authority:
        authority.revoke("first", now=NOW + DAY, reason="taken")
    listed = world.listed(2)
    assert world.device.take_list(listed) is not None
    held = world.device.held.trust
    assert held is not None
    assert [one.name for one in held.revoked] == ["first"]
    assert [one.name for one in held.collectors if held.counts(one.key)] == ["second"]


def test_a_list_by_the_root_outranks_any_by_the_issuing_key(world: World) -> None:
    """The issuing key was stolen too: whoever has it can give any number, and is heard no longer."""
    world.device.take_list(world.listed(1, number=900))
    by_root = world.listed(2, root_key=world.authority / "root.key", number=7)
    assert world.device.take_list(by_root) is not None
    assert world.device.held.by_root
    thief = world.listed(3, number=5000)
    decoded = trust_list.decode(thief)
    if not decoded.is_by_root:
        assert world.device.take_list(thief) is None


def test_it_outlasts_the_longest_cut_seen(world: World) -> None:
    made = trust_list.decode_text(trust_list.decode(world.listed()).text)
    assert made.not_after_utc_ns - made.issued_utc_ns >= 180 * 86_400 * 10**9
