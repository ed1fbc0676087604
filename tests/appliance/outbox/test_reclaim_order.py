"""Whatever a stolen key said, in whatever order and on whatever card: nothing is swallowed, and no account goes wrong.

The plain cases are in test_reclaim.py.
"""

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.outbox.box import MAX_CONFLICTS, Outbox
from appliance.outbox.reclaim import DAY_NS, VOUCHED_AFTER_NS
from appliance.storage.quota import Quota
from appliance.storage.tables import delivered, ledger
from appliance.storage.tables.delivered import Receipt
from firmware.clock.retiming import CEILING_UTC_NS
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack, Reject
from firmware.wire.trust_list import ListedKey, TrustList
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
HONEST, THIEF = "a" * 64, "b" * 64
THEN_NS = 1_800_000_000 * 1_000_000_000


def receipt(key: str, number: int = 1) -> Receipt:
    return Receipt(key=key[:16], number=number, boot_id="", boottime_ns=0)


def trust(
    number: int, *collectors: str, revoked: tuple[str, ...] = (), issued_ns: int = THEN_NS
) -> TrustList:
    def listed(keys: tuple[str, ...]) -> tuple[ListedKey, ...]:
        return tuple(ListedKey(key=key, name=key[:4], since_utc_ns=0) for key in keys)

    return TrustList(
        number=number,
        issued_utc_ns=issued_ns,
        not_after_utc_ns=issued_ns + 400 * DAY_NS,
        collectors=listed(collectors),
        revoked=listed(revoked),
    )


REVOKED = trust(2, HONEST, revoked=(THIEF,))


def go_by(outbox: Outbox, said: TrustList, *, acked_ns: int = THEN_NS, now_ns: int = THEN_NS) -> int:
    """Let a list decide, and take back all that is owed; return how many records wait again."""
    outbox.reclaim.settle(said, latest_ns=lambda *_: acked_ns, now_low_ns=lambda: now_ns)
    again = 0
    while outbox.reclaim.owes and (more := outbox.reclaim.bring_back()):
        again += more
    return again


def bodies(outbox: Outbox) -> dict[int, str]:
    return {row.seq: row.body for row in outbox.oldest(10_000)}


def parcels(path: Path) -> list[tuple[int, bool]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT id, packed IS NOT NULL FROM delivered ORDER BY id").fetchall()
    connection.close()
    return [(number, bool(packed)) for number, packed in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def test_what_the_next_collector_says_it_has_need_not_be_unpacked(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(600)])
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=600, incarnation=outbox.incarnation), receipt(THIEF))
        outbox.reclaim.settle(REVOKED, latest_ns=lambda *_: THEN_NS, now_low_ns=lambda: THEN_NS)
        # Its store was the old one's, but for what was swallowed: 250 and 250 are one parcel each.
        outbox.acknowledge(
            Ack(epoch=outbox.epoch, upto=510, incarnation=outbox.incarnation), receipt(HONEST, 2)
        )
        while outbox.reclaim.bring_back():
            pass
        assert sorted(bodies(outbox)) == list(range(501, 601))
        assert go_by(outbox, trust(3, HONEST)) == 0


@pytest.mark.parametrize(
    ("said", "acked_ns", "goes"),
    [
        (trust(2, HONEST, issued_ns=THEN_NS), THEN_NS - VOUCHED_AFTER_NS, True),
        (trust(2, HONEST, issued_ns=THEN_NS), THEN_NS - VOUCHED_AFTER_NS + 1, False),
        (trust(1, HONEST, issued_ns=THEN_NS), THEN_NS - VOUCHED_AFTER_NS, False),
        (trust(2, HONEST, issued_ns=THEN_NS), CEILING_UTC_NS, False),
    ],
    ids=["vouched for", "too soon after", "the same list", "nobody knows when"],
)
def test_only_a_later_list_makes_it_final(path: Path, said: TrustList, acked_ns: int, goes: bool) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(1)])
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=1, incarnation=outbox.incarnation), receipt(HONEST))
        go_by(outbox, said, acked_ns=acked_ns)
        assert parcels(path) == ([] if goes else [(1, True)])
        assert bodies(outbox) == {}


def test_copies_go_before_any_record_that_waits(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        for _ in range(40):
            outbox.append([tcp_record(number) for number in range(100)])
            outbox.acknowledge(
                Ack(epoch=outbox.epoch, upto=outbox.counts().produced, incarnation=outbox.incarnation),
                receipt(HONEST),
            )
        outbox.append([tcp_record(number) for number in range(1000)])
    connection = sqlite3.connect(path)
    ((size,),) = connection.execute(
        "SELECT (page_count - freelist_count) * page_size FROM"
        " pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
    ).fetchall()
    connection.close()
    kept = sum(has for _, has in parcels(path))
    with Outbox.open(path, device=DEVICE, quota=Quota(path=path, cap_bytes=size)) as outbox:
        assert outbox.space.keep_within_quota() == 0
        assert outbox.counts().waiting == 1000
    assert 0 < sum(has for _, has in parcels(path)) < kept


def test_conflicts_that_a_key_tells_of_end(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(10)])
        epochs = set()
        for _ in range(3 * MAX_CONFLICTS):
            outbox.acknowledge(
                Ack(epoch=outbox.epoch, upto=0, conflict=0, incarnation=outbox.incarnation), receipt(THIEF)
            )
            epochs.add(outbox.epoch)
        assert len(epochs) == MAX_CONFLICTS
        assert outbox.counts().waiting == 10


def test_what_was_acknowledged_before_a_conflict_comes_back_under_its_numbers(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(10)])
        before, epoch = bodies(outbox), outbox.epoch
        outbox.acknowledge(Ack(epoch=epoch, upto=8, incarnation=outbox.incarnation), receipt(THIEF))
        outbox.acknowledge(
            Ack(epoch=epoch, upto=0, conflict=4, incarnation=outbox.incarnation), receipt(THIEF)
        )
        assert outbox.epoch != epoch
        go_by(outbox, REVOKED)
        (past,) = outbox.past()
        assert bodies(past) == {seq: before[seq] for seq in range(1, 9)}
        assert balanced(path)
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is None


def test_incarnations_that_a_revoked_key_confirmed_are_told_of_again(path: Path) -> None:
    for _ in range(3):
        with Outbox.open(path, device=DEVICE) as outbox:
            outbox.append([tcp_record(1)])
            incarnation = outbox.incarnation
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(1)])
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=1, incarnation=outbox.incarnation), receipt(THIEF))
        assert incarnation not in [name for name, _ in outbox.hello(software="", country="").incarnations]
        go_by(outbox, REVOKED)
        assert len(outbox.hello(software="", country="").incarnations) == 4


def test_a_salvage_keeps_what_was_delivered(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(300)])
        before, epoch = bodies(outbox), outbox.epoch
        outbox.acknowledge(Ack(epoch=epoch, upto=300, incarnation=outbox.incarnation), receipt(THIEF))
    data = path.read_bytes()
    path.write_bytes(b"\0" * 100 + data[100:])
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is not None
        assert go_by(outbox, REVOKED) == 300
        (past,) = outbox.past()
        assert past.epoch == epoch
        assert bodies(past) == before
        assert balanced(path)


@pytest.mark.parametrize("column", ["seqs", "packed"])
def test_a_parcel_that_changed_on_the_card_brings_nothing_false_back(path: Path, column: str) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(30)])
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=30, incarnation=outbox.incarnation), receipt(THIEF))
    connection = sqlite3.connect(path)
    ((found,),) = connection.execute(f"SELECT {column} FROM delivered").fetchall()
    changed = (
        found.replace("30", "31") if column == "seqs" else found[:-9] + bytes([found[-9] ^ 4]) + found[-8:]
    )
    connection.execute(f"UPDATE delivered SET {column} = ?", (changed,))
    connection.commit()
    connection.close()
    with Outbox.open(path, device=DEVICE) as outbox:
        assert go_by(outbox, REVOKED) == 0
        assert bodies(outbox) == {}
        told = [(one.low, one.high, one.reason) for one in outbox.tombstones(10)]
        assert told == ([] if column == "seqs" else [(1, 30, delivered.GONE)])
        assert balanced(path)


def test_what_was_spoilt_while_it_waited_does_not_come_back_as_evidence(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(5)])
        with outbox.transaction() as connection:
            ((body,),) = connection.execute("SELECT body FROM waiting WHERE seq = 3").fetchall()
            flipped = body[:20] + chr(ord(body[20]) ^ 1) + body[21:]
            connection.execute("UPDATE waiting SET body = ? WHERE seq = 3", (flipped,))
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=5, incarnation=outbox.incarnation), receipt(THIEF))
        assert go_by(outbox, REVOKED) == 4
        assert sorted(bodies(outbox)) == [1, 2, 4, 5]
        (tombstone,) = outbox.tombstones(10)
        assert (tombstone.low, tombstone.high) == (3, 3)


def balanced(path: Path) -> bool:
    """Return whether the counters of every epoch are those of its rows."""
    connection = sqlite3.connect(path)
    try:
        for account in ledger.accounts(connection):
            first, last = account.base + 1, account.base + ledger.SPAN - 1
            for table, count in (("waiting", account.waiting), ("quarantine", account.quarantined)):
                (rows,) = connection.execute(
                    f"SELECT count(*) FROM {table} WHERE seq BETWEEN ? AND ?", (first, last)
                ).fetchone()
                assert rows == count, (table, rows, account)
            assert account.is_possible, account
    finally:
        connection.close()
    return True


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 30)),
        st.tuples(st.sampled_from(["honest", "thief"]), st.lists(st.integers(1, 80), min_size=1, max_size=6)),
        st.tuples(st.just("reject"), st.lists(st.integers(1, 80), min_size=1, max_size=4)),
        st.tuples(st.just("evict"), st.integers(1, 10)),
        st.tuples(st.just("strip"), st.integers(1, 3)),
        st.tuples(st.just("conflict"), st.integers(0, 60)),
        st.tuples(st.just("list"), st.just(0)),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=steps, revoked_early=st.booleans())
def test_in_whatever_order_nothing_is_swallowed(
    tmp_path_factory: pytest.TempPathFactory, done: list[tuple[str, object]], revoked_early: bool
) -> None:
    """Every record is at the honest collector, waits, is in quarantine, or a tombstone that waits names it."""
    path = tmp_path_factory.mktemp("outbox") / "outbox.sqlite3"
    # What the honest one has or was told, by epoch; every record as it was made, by where it is now or was last.
    at_honest: dict[str, set[int]] = {}
    with Outbox.open(path, device=DEVICE) as outbox:
        for number, (what, how) in enumerate(done):
            produced = outbox.hello(software="", country="").high
            match what, how:
                case "append", int(count):
                    outbox.append([tcp_record(1000 * number + one) for one in range(count)])
                case "honest" | "thief", list(seqs):
                    ranges = SeqRanges.of(seq for seq in seqs if seq <= produced)
                    if ranges:
                        ack = Ack(epoch=outbox.epoch, upto=0, ranges=ranges, incarnation=outbox.incarnation)
                        outbox.acknowledge(ack, receipt(HONEST if what == "honest" else THIEF))
                        if what == "honest":
                            at_honest.setdefault(outbox.epoch, set()).update(
                                seq for low, high in ranges for seq in range(low, high + 1)
                            )
                case "reject", list(seqs):
                    rejects = tuple(Reject(seq=seq, reason="no") for seq in seqs if seq <= produced)
                    outbox.acknowledge(
                        Ack(epoch=outbox.epoch, upto=0, rejects=rejects, incarnation=outbox.incarnation),
                        receipt(THIEF),
                    )
                case "evict", int(count):
                    outbox.evict(count)
                case "strip", int(count):
                    outbox.space.drop_delivered(count)
                case "conflict", int(last_shared):
                    outbox.acknowledge(
                        Ack(epoch=outbox.epoch, upto=0, conflict=last_shared, incarnation=outbox.incarnation),
                        receipt(THIEF),
                    )
                case _:
                    go_by(outbox, REVOKED if revoked_early else trust(1, HONEST, THIEF))
            assert balanced(path)
        go_by(outbox, REVOKED)
        assert balanced(path)
        assert all(one.startswith(HONEST[:16]) for one in _signers(path))
        for box in (outbox, *outbox.past()):
            found = set(bodies(box)) | at_honest.get(box.epoch, set())
            found |= {seq for one in box.tombstones(1000) for seq in range(one.low, one.high + 1)}
            produced = box.hello(software="", country="").high
            assert set(range(1, produced + 1)) <= found


def _signers(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT DISTINCT signer FROM delivered").fetchall()
    rows += connection.execute("SELECT DISTINCT said_by FROM quarantine").fetchall()
    connection.close()
    return [one for (one,) in rows]


def test_what_is_packed_is_what_comes_out(path: Path) -> None:
    rows = [
        (json.dumps({"a": text}), value) for text, value in (("ü\n\u2028", 3), ("", None), ("x" * 5000, 0))
    ]
    assert delivered._bodies(delivered._pack(rows)) == rows
