"""The gate: what passes, what is refused and why, and that a revocation or a new device counts while it stands open."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.identity import renewal
from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from collector.errors import TrustError
from collector.messages import Delivery, OutgoingMessage
from collector.trust.gate import Acceptance, Gate
from collector.trust.registry import LOOK_AGAIN_S, Registry
from collector.trust.signing import Signer
from firmware.wire.envelope import is_sealed
from provisioning.authority import Authority, write
from provisioning.certificates import Role, key_pem, make_key, make_request, pem

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
A, B = "a" * 16, "b" * 16


class World:
    """An authority with two devices and a collector, and a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = folder / "authority"
        Authority.make(self.authority, name="Test", now=NOW)
        key = make_key()
        with Authority.open(self.authority) as authority:
            chain = authority.issue("collector", Role.COLLECTOR, key.public_key(), now=NOW)
        self.a, self.b = self.device(A), self.device(B)
        self.clock_s = 0.0
        registry = Registry(self.authority, lambda: self.clock_s)
        self.gate = Gate(registry=registry, signer=Signer(key=key, chain=chain))

    def device(self, name: str) -> DeviceIdentity:
        """Give a device its identity."""
        files, key = IdentityFiles(data=self.folder / name), make_key()
        files.folder.mkdir(parents=True)
        with Authority.open(self.authority) as authority:
            _, chain = authority.issue_device(make_request(name, key), now=NOW)
            write(files.trust, pem(authority.root))
        write(files.certificate, chain)
        write(files.key, key_pem(key), mode=0o600)
        return DeviceIdentity.load(files, device=name)

    def later(self) -> None:
        """Let the time pass after which it looks again."""
        self.clock_s += LOOK_AGAIN_S

    def said(self, who: DeviceIdentity, leaf: str, payload: bytes = b"{}", *, on: str = "") -> Delivery:
        return delivery(f"p1/up/{on or who.device}/{leaf}", who.sign(leaf, payload))


def delivery(topic: str, payload: bytes) -> Delivery:
    return Delivery(topic=topic, payload=payload, received_ns=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("leaf", ["hello", "live", "bulk"])
def test_what_a_device_signed_passes_without_its_envelope(world: World, leaf: str) -> None:
    admitted = world.gate.admit(world.said(world.a, leaf, b"payload"))
    assert admitted.delivery == delivery(f"p1/up/{A}/{leaf}", b"payload")
    # It has not said which trust list it holds: it is given the newest, once.
    (given,) = admitted.answers
    assert given.topic == f"p1/dn/{A}/trust"
    assert world.a.take_list(given.payload) is not None
    assert not world.gate.admit(world.said(world.a, leaf, b"payload")).answers


def certificates(admitted: Acceptance) -> list[OutgoingMessage]:
    return [one for one in admitted.answers if one.topic == f"p1/dn/{A}/certificate"]


def _unsigned(_: World) -> Delivery:
    return delivery(f"p1/up/{A}/live", b"{}")


def _on_anothers_branch(world: World) -> Delivery:
    return world.said(world.b, "live", on=A)


def _moved(world: World) -> Delivery:
    return delivery(f"p1/up/{A}/bulk", world.a.sign("live", b"{}"))


def _changed(world: World) -> Delivery:
    return delivery(f"p1/up/{A}/live", world.a.sign("live", b"{}") + b"x")


def _cut_short(world: World) -> Delivery:
    return delivery(f"p1/up/{A}/live", world.a.sign("live", b"{}")[:20])


def _stranger(world: World) -> Delivery:
    other = World(world.folder / "other")
    return other.said(other.a, "live")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (_unsigned, "it is not signed"),
        (_on_anothers_branch, f"by device {B}, on the branch of device {A}"),
        (_moved, "does not hold"),
        (_changed, "does not hold"),
        (_cut_short, "cut short"),
        (_stranger, "not known here"),
        (lambda _: delivery("elsewhere", b""), "topic"),
    ],
)
def test_what_does_not_count_is_refused_with_the_reason(
    world: World, made: Callable[[World], Delivery], why: str
) -> None:
    admitted = world.gate.admit(made(world))
    assert why in admitted.refused
    assert admitted.delivery is None
    assert not admitted.answers


def test_a_revocation_counts_without_a_restart(world: World) -> None:
    assert world.gate.admit(world.said(world.a, "live")).delivery
    with Authority.open(world.authority) as authority:
        authority.revoke(A, now=NOW, reason="stolen")
    world.later()
    assert "revoked (stolen)" in world.gate.admit(world.said(world.a, "live")).refused
    assert world.gate.admit(world.said(world.b, "live")).delivery


def test_who_is_retired_has_no_key_left_that_counts(world: World) -> None:
    assert world.gate.retired() == {}
    with Authority.open(world.authority) as authority:
        authority.revoke(A, now=NOW, reason="out of service")
        authority.revoke(B, now=NOW, reason="stolen")
        authority.issue_device(make_request(B, make_key()), now=NOW)
    world.later()
    assert world.gate.retired() == {A: NOW.timestamp()}
    assert Gate().retired() == {}
    (world.authority / "revoked.json").write_text("broken")
    world.later()
    assert world.gate.retired() in ({}, {A: NOW.timestamp()})


def test_a_new_device_counts_without_a_restart(world: World) -> None:
    newcomer = world.device("c" * 16)
    world.later()
    assert world.gate.admit(world.said(newcomer, "live")).delivery


def test_one_that_asks_who_we_are_is_shown_it_and_then_believes_us(world: World) -> None:
    (shown,) = world.gate.admit(world.said(world.a, "ask", b"")).answers
    assert shown.topic == f"p1/dn/{A}/collector"
    world.a.meet_collector(shown.payload)
    ack = world.gate.sealed(OutgoingMessage(topic=f"p1/dn/{A}/ack", payload=b"stored"))
    assert world.a.open("ack", ack.payload) == b"stored"


def test_a_device_gets_its_next_certificate_long_after_the_last_ran_out(world: World) -> None:
    """Offline for years: it asks with the key that has run out, and again with each hello until the new one is there."""
    later = NOW + dt.timedelta(days=3000)
    asked = renewal.request(world.a.files, device=A)
    assert world.gate.admit(world.said(world.a, "renew", asked)).answers == ()
    with Authority.open(world.authority) as authority:
        assert authority.renew(now=later) == ((A, ""),)
    world.later()
    for leaf in ("hello", "renew"):
        (sent,) = certificates(world.gate.admit(world.said(world.a, leaf, asked)))
    assert not list((world.authority / "requests").iterdir())
    renewed = renewal.take(world.a, sent.payload)
    assert renewed is not None
    assert certificates(world.gate.admit(world.said(renewed, "hello"))) == []


def test_a_request_that_is_too_large_is_not_left(world: World) -> None:
    admitted = world.gate.admit(world.said(world.a, "renew", b"x" * 10_000))
    assert "10000 bytes" in admitted.refused


def test_a_request_that_cannot_be_left_stops_nobody_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.authority / "requests").rmdir()
    for _ in range(2):
        assert "cannot be written" in world.gate.admit(world.said(world.a, "renew")).refused
    assert world.gate.admit(world.said(world.b, "live")).delivery is not None
    assert [record.getMessage().endswith("until it can") for record in caplog.records] == [True]


def test_a_certificate_that_cannot_be_read_stops_nobody_else_and_counts_when_it_can(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """As while it is copied here: the file's name is there before all of it is."""
    assert world.gate.admit(world.said(world.a, "live")).delivery is not None
    with Authority.open(world.authority) as authority:
        authority.revoke(B, now=NOW)
    c = world.device("c" * 16)
    (file,) = (world.authority / "issued").glob(f"{c.device}*")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    world.later()
    assert world.gate.admit(world.said(world.a, "live")).delivery is not None
    assert "revoked" in world.gate.admit(world.said(world.b, "live")).refused
    assert "not known" in world.gate.admit(world.said(c, "live")).refused
    assert [record.getMessage().endswith("it counts for nobody") for record in caplog.records] == [True]
    file.write_bytes(whole)
    world.later()
    assert world.gate.admit(world.said(c, "live")).delivery is not None


def test_a_last_will_passes_since_nobody_can_sign_it(world: World) -> None:
    will = delivery(f"p1/st/{A}", b'{"online": false}')
    assert world.gate.admit(will).delivery == will


def test_a_collector_on_one_machine_checks_nothing(world: World) -> None:
    plain = delivery(f"p1/up/{A}/live", b"{}")
    for message in (plain, world.said(world.a, "live")):
        assert Gate().admit(message).delivery == plain
    ack = OutgoingMessage(topic=f"p1/dn/{A}/ack", payload=b"stored")
    assert not is_sealed(Gate().sealed(ack).payload)


@pytest.mark.parametrize("name", ["revoked.json", "root.crt", "issued/broken.crt"])
def test_a_damaged_registry_is_said_and_nothing_passes(world: World, name: str) -> None:
    (world.authority / name).write_bytes(b"nonsense")
    with pytest.raises(TrustError, match=name):
        world.gate.admit(world.said(world.a, "live"))


def test_no_registry_is_said(world: World) -> None:
    gate = Gate(registry=Registry(world.folder / "nowhere"))
    with pytest.raises(TrustError, match="tidegauge provision ca"):
        gate.admit(world.said(world.a, "live"))


def test_a_collector_whose_own_key_was_revoked_takes_nothing_in_and_says_so(world: World) -> None:
    assert world.gate.fault() == ""
    with Authority.open(world.authority) as authority:
        authority.revoke("collector", reason="its machine was taken", now=NOW)
    world.later()
    assert "was revoked (its machine was taken)" in world.gate.fault()
    with pytest.raises(TrustError, match="nothing is acknowledged"):
        world.gate.admit(world.said(world.a, "live", b"payload"))
