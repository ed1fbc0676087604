"""What an ack by a key that counts no longer had let go of waits again; what the authority has vouched for since is gone."""

from pathlib import Path

import pytest

from appliance.outbox.box import Outbox
from appliance.outbox.reclaim import DAY_NS, KEPT_NS, VOUCHED_AFTER_NS
from appliance.storage.quota import Quota
from appliance.storage.tables.delivered import Receipt
from firmware.wire.messages import Ack, Reject
from firmware.wire.trust_list import ListedKey, TrustList
from tests.appliance.outbox import snapshots
from tests.appliance.outbox.snapshots import DEVICE

THIEF, HONEST = "a" * 64, "b" * 64
ACKED_NS = 1_790_000_000_000_000_000
COUNT = 300


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def trust(number: int, *, after_ns: int = 0, revoked: bool = False) -> TrustList:
    """Return a list issued `after_ns` after the acks."""
    names = (THIEF, HONEST)
    return TrustList(
        number=number,
        issued_utc_ns=ACKED_NS + after_ns,
        not_after_utc_ns=ACKED_NS + after_ns + 400 * DAY_NS,
        collectors=tuple(ListedKey(key=key, name=key[:3], since_utc_ns=0) for key in names),
        revoked=(ListedKey(key=THIEF, name="taken", since_utc_ns=ACKED_NS),) if revoked else (),
    )


def receipt(key: str = THIEF, number: int = 1) -> Receipt:
    return Receipt(key=key[:16], number=number, boot_id="boot", boottime_ns=5)


def settle(outbox: Outbox, listed: TrustList | None, *, now_ns: int = ACKED_NS) -> None:
    outbox.reclaim.settle(listed, latest_ns=lambda *_: ACKED_NS, now_low_ns=lambda: now_ns)
    while outbox.reclaim.owes and outbox.reclaim.bring_back():
        pass


def filled(path: Path, *, quota: Quota | None = None) -> tuple[Outbox, dict[tuple[str, int], object]]:
    outbox = Outbox.open(path, device=DEVICE, quota=quota)
    outbox.append([snapshots.record(number) for number in range(COUNT)])
    return outbox, dict(snapshots.look(outbox).waiting)


def test_what_a_revoked_key_acknowledged_waits_again_with_its_content(path: Path) -> None:
    outbox, before = filled(path)
    with outbox:
        assert (
            outbox.acknowledge(Ack(epoch=outbox.epoch, upto=COUNT, incarnation=outbox.incarnation), receipt())
            == COUNT
        )
        assert outbox.counts().waiting == 0
        settle(outbox, trust(2, revoked=True))
        assert snapshots.look(outbox).waiting == before
        counts = outbox.counts()
        assert (counts.waiting, counts.acknowledged, counts.given_up) == (COUNT, 0, 0)
        # The honest one's word counts again, and once.
        outbox.acknowledge(
            Ack(epoch=outbox.epoch, upto=COUNT, incarnation=outbox.incarnation), receipt(HONEST, 2)
        )
        assert (outbox.counts().waiting, outbox.counts().acknowledged) == (0, COUNT)


def test_it_does_after_a_kill_and_after_a_restart(path: Path, tmp_path: Path) -> None:
    outbox, before = filled(path)
    with outbox:
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=COUNT, incarnation=outbox.incarnation), receipt())
        copied = snapshots.copy(path.parent, tmp_path.with_name(tmp_path.name + "-killed"))
    with Outbox.open(copied, device=DEVICE) as again:
        settle(again, trust(2, revoked=True))
        assert snapshots.look(again).waiting == before


def test_a_list_that_was_made_before_the_ack_vouches_for_nothing(path: Path) -> None:
    outbox, before = filled(path)
    with outbox:
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=COUNT, incarnation=outbox.incarnation), receipt())
        for listed in (
            None,
            trust(1, after_ns=VOUCHED_AFTER_NS),
            trust(2),
            trust(3, after_ns=VOUCHED_AFTER_NS - 1),
        ):
            settle(outbox, listed)
        settle(outbox, trust(4, after_ns=VOUCHED_AFTER_NS, revoked=True))
        assert snapshots.look(outbox).waiting == before


def test_what_the_authority_has_vouched_for_is_gone_for_good(path: Path) -> None:
    outbox, _ = filled(path)
    with outbox:
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=COUNT, incarnation=outbox.incarnation), receipt())
        settle(outbox, trust(2, after_ns=VOUCHED_AFTER_NS))
        settle(outbox, trust(3, after_ns=VOUCHED_AFTER_NS, revoked=True))
        assert outbox.counts().waiting == 0
        assert outbox.counts().acknowledged == COUNT


def test_what_a_revoked_key_rejected_and_the_tombstones_it_took_note_of_come_back(path: Path) -> None:
    outbox, before = filled(path)
    with outbox:
        outbox.quarantine(7, "of our own")
        assert len(outbox.tombstones(9)) == 1
        rejects = (Reject(seq=3, reason="no"), Reject(seq=9, reason="no"))
        outbox.acknowledge(
            Ack(epoch=outbox.epoch, upto=20, rejects=rejects, incarnation=outbox.incarnation), receipt()
        )
        assert outbox.tombstones(9) == []
        settle(outbox, trust(2, revoked=True))
        found = snapshots.look(outbox)
        assert found.waiting == {key: one for key, one in before.items() if key[1] != 7}
        assert {seq for _, seq in found.buried} == {7}


def test_copies_go_before_any_record_that_waits_and_what_went_has_an_account(path: Path) -> None:
    outbox, before = filled(path)
    with outbox:
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=200, incarnation=outbox.incarnation), receipt())
        assert outbox.space.drop_delivered(2**40) > 0
        assert outbox.counts().waiting == COUNT - 200
        settle(outbox, trust(2, revoked=True))
        found = snapshots.look(outbox)
        assert found.waiting == {key: one for key, one in before.items() if key[1] > 200}
        assert {seq for _, seq in found.buried} == set(range(1, 201))


def test_many_parcels_without_copies_do_not_hide_those_that_have_some(path: Path) -> None:
    outbox, before = filled(path)
    with outbox:
        for seq in range(1, 101):
            # Lists of their own, so that their numbers stay apart.
            outbox.acknowledge(
                Ack(epoch=outbox.epoch, upto=seq, incarnation=outbox.incarnation), receipt(number=seq)
            )
        assert outbox.space.drop_delivered(2**40) > 0
        outbox.acknowledge(
            Ack(epoch=outbox.epoch, upto=COUNT, incarnation=outbox.incarnation), receipt(number=101)
        )
        settle(outbox, trust(102, revoked=True))
        found = snapshots.look(outbox)
        assert found.waiting == {key: one for key, one in before.items() if key[1] > 100}
        assert {seq for _, seq in found.buried} == set(range(1, 101))


def test_a_seized_card_shows_no_copy_that_is_older_than_its_bound(path: Path) -> None:
    outbox, _ = filled(path)
    with outbox:
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=COUNT, incarnation=outbox.incarnation), receipt())
        settle(outbox, None, now_ns=ACKED_NS + KEPT_NS + 1)
        with outbox.transaction() as connection:
            (bodies,) = connection.execute(
                "SELECT count(*) FROM delivered WHERE packed IS NOT NULL"
            ).fetchone()
        assert bodies == 0


def test_without_an_identity_nothing_is_kept(path: Path) -> None:
    outbox, _ = filled(path)
    with outbox:
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=COUNT, incarnation=outbox.incarnation))
        with outbox.transaction() as connection:
            assert connection.execute("SELECT count(*) FROM delivered").fetchone() == (0,)
