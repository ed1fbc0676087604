"""Whom a device hears: a collector it does not know yet is asked who it is, and what it had said is heard then."""

from pathlib import Path

import pytest

from appliance.delivery.messages.authentication import MAX_UNREAD, MessageAuthentication
from appliance.delivery.messages.received import ACK, COLLECTOR, Received
from tests.appliance.identity.identified import DEVICE, World

ASK = (("ask", b""),)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def said(world: World, text: bytes) -> Received:
    return Received(world.signer.sign(DEVICE, ACK, text), ACK)


def test_what_was_said_before_the_collector_was_known_is_heard_once_it_is(world: World) -> None:
    authentication = MessageAuthentication(world.identity())
    first, second = said(world, b"first"), said(world, b"second")
    assert authentication.open(first) == (None, ASK)
    assert authentication.open(second) == (None, ()), "it is asked once"
    assert authentication.unread() == [], "nobody has shown who said it"
    authentication = MessageAuthentication(world.identity())
    assert (authentication.open(first), authentication.open(second)) == ((None, ASK), (None, ()))
    assert authentication.open(Received(world.collector_chain, COLLECTOR)) == (None, ())
    unread = authentication.unread()
    assert [authentication.open(one) for one in unread] == [(b"first", ()), (b"second", ())]
    assert authentication.unread() == []


def test_anothers_certificate_makes_nothing_heard(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    authentication = MessageAuthentication(world.identity())
    assert authentication.open(said(world, b"first")) == (None, ASK)
    assert authentication.open(Received(World(tmp_path / "other").collector_chain, COLLECTOR)) == (None, ())
    assert authentication.unread() == []


def test_what_stays_unknown_is_not_kept_for_ever(world: World) -> None:
    authentication = MessageAuthentication(world.identity())
    for number in range(3 * MAX_UNREAD):
        authentication.open(said(world, b"%d" % number))
    authentication.open(Received(world.collector_chain, COLLECTOR))
    assert [authentication.open(one)[0] for one in authentication.unread()] == [
        b"%d" % n for n in range(2 * MAX_UNREAD, 3 * MAX_UNREAD)
    ]
