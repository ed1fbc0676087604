"""The audit of measurement servers' halves: what their servers signed is proved, and a change is named although the chain fits it."""

import json
from pathlib import Path

import pytest

from collector.audit.chain import audit_chain
from collector.audit.halves import audit_halves
from collector.audit.seals import Seals
from collector.store.queries import Queries
from collector.trust.registry import Registry
from tests.collector.audit.world import A, B, World, every_table
from tests.collector.halves_of import LOG, signed_half


@pytest.fixture
def world(tmp_path: Path) -> World:
    return every_table(tmp_path)


def found(world: World, *, device: str | None = None) -> tuple[int, int, list[str]]:
    """Return how many halves there are, how many are proved, and the faults."""
    queries = Queries(world.path)
    try:
        told = audit_halves(queries, Seals(Registry(world.authority)), device=device)
    finally:
        queries.close()
    return told.halves, told.signed, [str(one) for one in told.faults.named]


def test_halves_as_they_came_are_proved(world: World) -> None:
    assert found(world) == (2, 2, [])
    assert found(world, device=B) == (1, 1, [])
    assert "2 halves of tests by measurement servers: 2 bear a signature that holds" in world.audit().output
    last = json.loads(world.audit("--json").stdout.splitlines()[-1])
    assert last["server_halves"] == {"halves": 2, "signed": 2, "faults": 0, "faults_named": []}


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("device", "d" * 16, "its columns are not what it says"),
        ("nonce", "00" * 16, "its columns are not what it says"),
        ("ending", "reset_received", "its columns are not what it says"),
        ("number", 7, "its columns are not what it says"),
        ("epoch", "1" * 16, "its columns are not what it says"),
        ("start_utc_ns", 99, "its columns are not what it says"),
        ("server", "another", "signed by measurement"),
        ("data", signed_half(1, device=A).data, "a key that was never issued here"),
        ("data", b"nothing", "not signed"),
    ],
)
def test_a_half_that_is_not_what_its_server_signed_is_named(
    world: World, column: str, value: object, says: str
) -> None:
    world.tamper(f"UPDATE server_half SET {column} = ? WHERE id = 1", value)
    count, signed, faults = found(world)
    assert (count, signed, len(faults)) == (2, 1, 1)
    assert says in faults[0]
    done = world.audit()
    assert done.exit_code == 1
    assert f"FAULT {faults[0]}" in done.output


def test_a_half_with_one_byte_changed_is_named(world: World) -> None:
    sound = signed_half(1, signer=world.server, device=A).data
    changed = sound[:80] + bytes([sound[80] ^ 1]) + sound[81:]
    world.tamper("UPDATE server_half SET data = ? WHERE id = 1", changed)
    _, signed, faults = found(world)
    assert signed == 1
    assert faults == [
        f"half 1 of measurement ({LOG}): its signature does not hold: the message or the signature was changed"
    ]


def test_a_half_that_was_taken_out_is_missed_by_the_chain(world: World) -> None:
    world.tamper("DELETE FROM server_half WHERE id = 1")
    queries = Queries(world.path)
    try:
        faults = audit_chain(queries).faults
    finally:
        queries.close()
    assert any("server_half" in str(one) for one in faults.named)
