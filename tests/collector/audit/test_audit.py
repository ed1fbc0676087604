"""The audit against a real store, a real authority and signed messages: exact when all is well, and no tampering escapes."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.command import collector
from collector.store.asked_columns import NAMES
from firmware.wire.messages import Tombstone, encode_batch, encode_hello
from provisioning.authority import Authority
from tests.collector.audit.world import A, B, World, records
from tests.collector.scripted_device import EPOCH, batch_of, hello_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    given_up = Tombstone(low=6, high=9, count=4, reason="disk full")
    bad = batch_of([12, 13])
    bad = replace(bad, records=(bad.records[0], {**bad.records[1], "zone": "moon"}))
    made.take(
        ("hello", encode_hello(hello_of(1, 13, device=A))),
        records(1, 2, 3),
        records(3, 4, 5, 10, 11, tombstones=(given_up,)),
        ("bulk", encode_batch(replace(bad, device=A))),
    )
    made.take(records(1, 2, device=B), device=B)
    return made


def test_all_is_accounted_for_and_proved(world: World) -> None:
    done = world.audit()
    assert done.exit_code == 0, done.output
    assert "13 produced = 8 stored + 4 tombstoned + 1 rejected" in done.output
    assert "4 of 4 messages bear a signature that holds" in done.output
    assert "all accounted for" in done.output
    *epochs, sums = map(json.loads, world.audit("--json").stdout.splitlines())
    assert [(one["device"], one["stored"], one["proved"]) for one in epochs] == [(A, 8, 8), (B, 2, 2)]
    assert (sums["whole"], sums["produced"], sums["devices"]) == (True, 15, 2)


def test_one_device_alone(world: World) -> None:
    (epoch, _) = map(json.loads, world.audit("--json", "--device", B).stdout.splitlines())
    assert (epoch["device"], epoch["epoch"]) == (B, EPOCH)
    assert world.audit("--device", "who").exit_code == 2


def test_gaps_are_named(world: World) -> None:
    world.take(records(20, 21, 25))
    done = world.audit()
    assert done.exit_code == 1
    assert "not here: seq 14–19 (6)" in done.output
    assert "not here: seq 22–24 (3)" in done.output
    assert "25 produced = 11 stored + 4 tombstoned + 1 rejected + 9 NOT HERE" in done.output


def test_without_an_authority_it_says_that_signatures_were_not_checked(world: World) -> None:
    done = world.audit(ca=False)
    assert done.exit_code == 0
    assert "signatures not checked" in done.output


TAMPERING = {
    "a body": ("UPDATE record SET body = replace(body, '\"runtime_ns\":', '\"runtime_ns\":1') WHERE seq = 2", "seq 2:"),
    "a column": ("UPDATE record SET failure = 'connection_refused' WHERE seq = 4 AND device LIKE 'a%'", "seq 4:"),
    "when it came": ("UPDATE record SET received_ns = received_ns - 1 WHERE seq = 4 AND device LIKE 'a%'", "seq 4:"),
    "a row gone": ("DELETE FROM record WHERE seq = 11", "seq 11: stored once, and its record is gone"),
    "a row gone from the account too": (
        "DELETE FROM coverage WHERE kind = 'stored' AND low <= 11 AND high >= 11 AND device LIKE 'a%'",
        "a record that the account does not know",
    ),
    "a row made up": (
        f"""INSERT INTO record (id, device, epoch, seq, received_ns, body, envelope, {", ".join(NAMES)})
           SELECT 99, device, epoch, 14, received_ns, body, envelope, {", ".join(NAMES)} FROM record WHERE seq = 11""",
        "seq 14: no message bears it out",
    ),
    "a message changed": (
        "UPDATE envelope SET data = CAST(substr(data, 1, 90) || X'00' || substr(data, 92) AS BLOB) WHERE id = 1",
        "message 1: its signature does not hold",
    ),
    "a message of another": (
        "UPDATE envelope SET data = (SELECT data FROM envelope WHERE device LIKE 'b%') WHERE id = 1",
        f"message 1: signed by {B}",
    ),
    "messages swapped": (
        "UPDATE envelope SET data = (SELECT data FROM envelope WHERE id = 2) WHERE id = 1",
        "seq 1–2: no message bears it out",
    ),
    "a message gone": ("DELETE FROM envelope WHERE id = 1", "seq 1–3: no message bears it out"),
    "a signature taken off": (
        "UPDATE envelope SET data = substr(data, 77) WHERE id = 1",
        "message 1: not signed",
    ),
    "a tombstone made up": (
        "INSERT INTO coverage SELECT device, epoch, 'tombstoned', 30, 31 FROM coverage WHERE device LIKE 'a%' LIMIT 1",
        "seq 30–31: called given up, and no message says so",
    ),
    "a reject made up": (
        "INSERT INTO coverage SELECT device, epoch, 'rejected', 30, 30 FROM coverage WHERE device LIKE 'a%' LIMIT 1",
        "seq 30: called rejected, and no message has it",
    ),
    "the number that was made": (
        "UPDATE epoch SET high = 5 WHERE device LIKE 'a%'",
        "the device said it gave 13 seqs, the account knows of 5",
    ),
    "what is answered for": (
        "UPDATE coverage SET high = 20 WHERE kind = 'accounted' AND device LIKE 'a%'",
        "seq 14–20: answered for, and in no account",
    ),
    "what is not answered for": (
        "UPDATE coverage SET high = 12 WHERE kind = 'accounted' AND device LIKE 'a%'",
        "seq 13: in the account, and not answered for",
    ),
    "an epoch gone": ("DELETE FROM coverage WHERE device LIKE 'b%'", "seq 1–2: a record that the account does not know"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found(world: World, what: str) -> None:
    sql, found = TAMPERING[what]
    world.tamper(sql)
    done = world.audit()
    assert done.exit_code == 1, done.output
    assert found in done.output, done.output


def test_an_end_cut_off_with_the_hello_that_tells_of_it_is_found(world: World) -> None:
    """Incarnation by incarnation: a batch that names one counts only after a hello that does, so there must be one."""
    incarnation = "5" * 16
    hello = replace(hello_of(1, 4, device=A, epoch="e" * 16), incarnations=((incarnation, 1),))
    batches = [
        replace(batch_of([seq], device=A, epoch="e" * 16), incarnation=incarnation) for seq in (1, 2, 3, 4)
    ]
    world.take(("hello", encode_hello(hello)), *(("live", encode_batch(one)) for one in batches))
    assert world.audit().exit_code == 0
    last = "device = ? AND epoch = ? AND"
    world.tamper(f"DELETE FROM record WHERE {last} seq = 4", A, "e" * 16)
    world.tamper("DELETE FROM envelope WHERE id = (SELECT max(id) FROM envelope)")
    world.tamper(f"UPDATE coverage SET high = 3 WHERE {last} high = 4", A, "e" * 16)
    world.tamper(f"UPDATE epoch SET high = 3 WHERE {last} high = 4", A, "e" * 16)
    world.tamper(f"DELETE FROM hello WHERE {last} high = 4", A, "e" * 16)
    done = world.audit()
    assert done.exit_code == 1
    assert "its messages came after a hello, and none is kept" in done.output


@pytest.mark.parametrize("table", ["epoch", "hello"])
def test_an_ended_epoch_that_only_a_later_hello_names_cannot_be_taken_out(world: World, table: str) -> None:
    ended = replace(hello_of(1, 13, device=A, epoch="e" * 16), ended=(("d" * 16, 7),))
    world.take(
        ("hello", encode_hello(ended)),
        ("live", encode_batch(batch_of(range(1, 14), device=A, epoch="e" * 16))),
    )
    assert "not here: seq 1–7 (7)" in world.audit().output
    world.tamper("DELETE FROM hello WHERE epoch = ?", "d" * 16)
    if table == "epoch":
        world.tamper("DELETE FROM epoch WHERE epoch = ?", "d" * 16)
        assert "epoch dddddddddddddddd gave 7 seqs, the account knows of none" in world.audit().output
    assert world.audit().exit_code == 1


def test_a_key_that_was_revoked_later_still_proves_what_came_before(world: World) -> None:
    with Authority.open(world.authority) as authority:
        authority.revoke(B, reason="lost", now=dt.datetime(2026, 7, 1, tzinfo=dt.UTC))
    assert world.audit().exit_code == 0


def test_a_key_that_was_revoked_by_then_proves_nothing(world: World) -> None:
    with Authority.open(world.authority) as authority:
        authority.revoke(B, reason="lost", now=dt.datetime(2026, 5, 1, tzinfo=dt.UTC))
    done = world.audit()
    assert done.exit_code == 1
    assert "signed with a key that had been revoked by then (lost)" in done.output


def test_a_key_that_was_never_issued(world: World) -> None:
    next((world.authority / "issued").glob(f"{B}*")).unlink()
    done = world.audit()
    assert done.exit_code == 1
    assert "signed with a key that was never issued here" in done.output


def test_unsigned_messages_prove_nothing_where_keys_are_known(world: World) -> None:
    world.take(records(14), signed=False)
    assert world.audit(ca=False).exit_code == 0
    done = world.audit()
    assert done.exit_code == 1
    assert "not signed" in done.output


def test_nothing_is_there_to_audit(tmp_path: Path) -> None:
    done = CliRunner().invoke(collector, ["audit", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "no collector has run here yet" in done.output
