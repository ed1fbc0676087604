"""Whose answers count at a device: of its trust list's collectors, until by what it is sure of that list has run out."""

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.messages.received import ACK, COLLECTOR, TRUST, Received
from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from collector.trust.signing import Signer
from firmware.wire import trust_list
from firmware.wire.vantage_news import LEAF as NEWS
from provisioning.authority import Authority, write
from provisioning.certificates import Role, key_pem, make_key, make_request, pem

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
DEVICE = "abcd0123efgh4567"
DAY_NS = 86_400_000_000_000


class World:
    """A device that has met two collectors of its authority, and a time that it is sure of."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "authority"
        Authority.make(self.authority, name="Test", now=NOW)
        files, key = IdentityFiles(data=folder / "device"), make_key()
        files.folder.mkdir(parents=True)
        self.signers = {name: self.collector(name) for name in ("first", "second")}
        with Authority.open(self.authority) as authority:
            _, chain = authority.issue_device(make_request(DEVICE, key), now=NOW)
            write(files.trust, pem(authority.root))
        write(files.certificate, chain)
        write(files.key, key_pem(key))
        self.now_ns = 0
        self.authentication = MessageAuthentication(
            DeviceIdentity.load(files, device=DEVICE), now_low_ns=lambda: self.now_ns
        )
        for one in self.signers.values():
            self.authentication.open(Received(one.chain, COLLECTOR))

    def collector(self, name: str) -> Signer:
        key = make_key()
        with Authority.open(self.authority) as authority:
            return Signer(key=key, chain=authority.issue(name, Role.COLLECTOR, key.public_key(), now=NOW))

    def hear(self, name: str, leaf: str = ACK) -> bytes | None:
        said = self.signers[name].sign(DEVICE, leaf, b"stored")
        return self.authentication.open(Received(said, leaf))[0]

    def bring_list(self) -> trust_list.TrustList:
        text = (self.authority / trust_list.FILE_NAME).read_bytes()
        self.authentication.open(Received(text, TRUST))
        return trust_list.decode_text(trust_list.decode(text).text)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_before_the_first_list_every_collector_counts(world: World) -> None:
    assert world.authentication.list_number == 0
    assert world.hear("first") == world.hear("second") == b"stored"


def test_one_that_a_list_revokes_counts_no_longer_on_a_connection_that_stands(world: World) -> None:
    world.bring_list()
    assert world.hear("first") == b"stored"
    with Authority.open(world.authority) as authority:
        authority.revoke("first", now=NOW)
    world.bring_list()
    assert world.authentication.has_new_list
    assert world.hear("first") is None
    assert "revokes" in world.authentication.uncounted
    assert world.hear("first", NEWS) is None
    assert world.hear("second") == b"stored"
    assert world.authentication.uncounted == ""


def test_what_another_thread_brought_counts_at_once(world: World) -> None:
    world.bring_list()
    identity = world.authentication.identity
    assert identity is not None
    by_drive = MessageAuthentication(DeviceIdentity.load(identity.files, device=DEVICE))
    with Authority.open(world.authority) as authority:
        authority.revoke("first", now=NOW)
    by_drive.open(Received((world.authority / trust_list.FILE_NAME).read_bytes(), TRUST))
    assert world.hear("first") is None


def test_one_that_the_authority_issued_and_does_not_list_does_not_count(world: World) -> None:
    world.bring_list()
    world.signers["third"] = world.collector("third")
    world.authentication.open(Received(world.signers["third"].chain, COLLECTOR))
    assert world.hear("third") is None
    world.bring_list()
    assert world.hear("third") == b"stored"


def test_a_list_that_has_run_out_lets_nobody_count_and_the_next_one_does(world: World) -> None:
    trust = world.bring_list()
    world.now_ns = trust.not_after_utc_ns
    assert world.hear("first") == b"stored"
    world.now_ns += 1
    assert world.hear("first") is None
    assert "has run out" in world.authentication.uncounted
    # News of the vantage lets go of nothing.
    assert world.hear("first", NEWS) == b"stored"
    with Authority.open(world.authority) as authority:
        authority.list_collectors(now=NOW + dt.timedelta(days=300))
    world.bring_list()
    assert world.hear("first") == b"stored"


def test_a_list_that_cannot_be_read_any_more_lets_nobody_count(world: World) -> None:
    world.bring_list()
    identity = world.authentication.identity
    assert identity is not None
    text = identity.files.trust_list.read_bytes()
    write(identity.files.trust_list, text.replace(b'"signature": "', b'"signature": "z'))
    assert world.hear("first") is None
    assert "cannot be read" in world.authentication.uncounted
    # Whoever brings it again recovers it.
    world.bring_list()
    assert world.hear("first") == b"stored"


def test_a_receipt_says_whose_word_it_was_and_under_which_list(world: World) -> None:
    world.bring_list()
    world.hear("second")
    receipt = world.authentication.receipt(boot_id="b", boottime_ns=7)
    assert receipt is not None
    assert dataclasses.astuple(receipt)[1:] == (2, "b", 7)
    assert trust_list.decode_text(
        trust_list.decode((world.authority / trust_list.FILE_NAME).read_bytes()).text
    ).counts(receipt.key)
    assert MessageAuthentication(None).receipt(boot_id="b", boottime_ns=7) is None
