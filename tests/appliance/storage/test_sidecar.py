"""What is durable is known outside the database: one that is gone, empty, zeroed, cut or old is found, and told of."""

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.storage import sidecar
from appliance.storage.sidecar import SLOT_BYTES, Sidecar, SidecarFile
from appliance.storage.tables.ledger import Account
from firmware.model.record import Record
from firmware.wire.messages import Ack
from tests.appliance.outbox import snapshots
from tests.appliance.outbox.snapshots import DEVICE, NAME, Told
from tests.firmware.records import tcp_record


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    folder = tmp_path_factory.mktemp("killed") / "data"
    return folder, snapshots.make(folder, commits=16, per_commit=9, acknowledged=20, checkpoint_at=9)


def database(folder: Path) -> Path:
    return folder / NAME


def log(folder: Path) -> Path:
    return folder / f"{NAME}-wal"


def delete(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("which", [(database,), (log,), (database, log)], ids=["database", "log", "both"])
@pytest.mark.parametrize("damage", [delete, empty, zero, halve])
def test_what_is_gone_is_accounted_for_and_no_number_is_given_again(
    tmp_path: Path,
    killed: tuple[Path, Told],
    which: tuple[Callable[[Path], Path], ...],
    damage: Callable[[Path], None],
) -> None:
    folder, told = killed
    path = snapshots.copy(folder, tmp_path / "data")
    for part in which:
        damage(part(path.parent))
    found = snapshots.start(path, told)
    snapshots.lost(told, found)
    (epoch,) = {epoch for epoch, _ in told.contents}
    assert found.highest[epoch] == len(told.contents), "the hello names another highest number"


def test_records_that_come_back_hide_none_that_are_lost(tmp_path: Path) -> None:
    """Acknowledged and lost with the log, as many as came back from the database: counts alone would say that all is well."""
    draft = tmp_path / "draft" / NAME
    draft.parent.mkdir()
    with Outbox.open(draft, device=DEVICE) as outbox:
        outbox.append([snapshots.record(number) for number in range(100)])
        outbox._handle.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=60, incarnation=outbox.incarnation))
        outbox.append([snapshots.record(number) for number in range(100, 140)])
        epoch = outbox.epoch
        path = snapshots.copy(draft.parent, tmp_path / "data")
    log(path.parent).write_bytes(b"")
    with Outbox.open(path, device=DEVICE) as outbox:
        found = snapshots.look(outbox)
    assert found.waiting.keys() == {(epoch, seq) for seq in range(1, 101)}
    assert found.buried == {(epoch, seq) for seq in range(101, 141)}


@pytest.mark.parametrize("damage", [delete, empty, zero, halve])
def test_a_sidecar_that_is_gone_costs_nothing(
    tmp_path: Path, killed: tuple[Path, Told], damage: Callable[[Path], None]
) -> None:
    folder, told = killed
    path = snapshots.copy(folder, tmp_path / "data")
    damage(sidecar.sidecar_path(path))
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is None
        assert snapshots.lost(told, snapshots.look(outbox)) == 0
        noted = sidecar.read(path)
        assert noted is not None
        assert noted.accounts[-1].produced == len(told.contents)


def test_a_bit_flip_in_the_sidecar_leaves_its_other_slot(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(0)])
        outbox.append([tcp_record(1)])
    side = sidecar.sidecar_path(path)
    whole = side.read_bytes()
    draw = random.Random(4)
    for _ in range(400):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        side.write_bytes(data)
        noted = sidecar.read(path)
        assert noted is not None
        assert noted.accounts[-1].produced in {1, 2}


def test_a_copy_from_before_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(5)])
        epoch = outbox.epoch
    before = path.read_bytes()
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(5, 12)])
    path.write_bytes(before)
    with Outbox.open(path, device=DEVICE) as outbox:
        (identity,) = outbox.append([tcp_record(0)])
        assert identity.epoch != epoch
        (ended,) = outbox.past()
        assert ended.epoch == epoch
        assert [row.seq for row in ended.oldest(99)] == [1, 2, 3, 4, 5]
        assert [(one.low, one.high) for one in ended.tombstones(9)] == [(6, 12)]
        assert outbox.hello(software="t", country="zz").ended == ((epoch, 12),)


def test_an_epoch_that_a_conflict_shortened_is_not_taken_for_a_loss(tmp_path: Path) -> None:
    """A kill between the commit of the conflict and its note: the sidecar still names the longer epoch as the last."""
    path = tmp_path / NAME
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(9)])
        before = sidecar.sidecar_path(path).read_bytes()
        outbox.acknowledge(Ack(epoch=outbox.epoch, upto=0, conflict=4, incarnation=outbox.incarnation))
    sidecar.sidecar_path(path).write_bytes(before)
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is None
        assert [row.seq for row in outbox.oldest(99)] == [1, 2, 3, 4, 5]


def test_a_database_that_is_deleted_under_a_running_device_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / NAME
    contents = [tcp_record(number) for number in range(30)]
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append(contents[:20])
        epoch = outbox.epoch
        path.unlink()
        store = GroupCommit(outbox, account=_account)
        store.add(contents[20], 0)
        assert store.commit(0), store.fault
        (ended,) = outbox.past()
        assert (ended.epoch, len(ended.oldest(99)), ended.tombstones(9)) == (epoch, 20, [])
    with closing(sqlite3.connect(path)) as connection:
        # What was held, and the record that tells of the damage.
        assert connection.execute("SELECT count(*) FROM waiting").fetchone() == (22,)


def test_it_is_written_each_time_and_flushed_with_a_rounds_end_or_half_a_minute_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[float] = []
    clock = [100.0]
    monkeypatch.setattr(os, "fdatasync", lambda _: flushed.append(clock[-1]))
    side = SidecarFile(tmp_path / NAME, monotonic_s=lambda: clock[-1])
    side.write([_epoch(1, "0" * 16, 0)])
    flushed.clear()
    steps = [
        (110.0, False),
        (120.0, True),
        (120.4, True),
        (300.0, False),
        (320.0, False),
        (331.0, False),
        (340.0, True),
    ]
    for produced, (now_s, ends_round) in enumerate(steps, start=1):
        clock.append(now_s)
        assert side.note(_epoch(1, "0" * 16, produced - 1), produced, ends_round=ends_round)
        noted = sidecar.read(tmp_path / NAME)
        assert noted is not None
        assert noted.accounts[-1].produced == produced
    # At 120.4 the last flush was too short ago; what was left unflushed then goes with the next note.
    assert flushed == [120.0, 300.0, 340.0]
    assert (tmp_path / f"{NAME}.epoch").stat().st_size == 2 * SLOT_BYTES


def test_a_disk_that_refuses_it_ends_no_commit(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with Outbox.open(path, device=DEVICE) as outbox:
        sidecar.sidecar_path(path).unlink()
        sidecar.sidecar_path(path).mkdir()
        assert outbox.append([tcp_record(0)])[0].seq == 1


def test_an_outbox_that_is_closed_leaves_no_descriptor_open(tmp_path: Path) -> None:
    path = tmp_path / NAME
    Outbox.open(path, device=DEVICE).close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        with Outbox.open(path, device=DEVICE) as outbox, outbox.clone() as other:
            outbox.append([tcp_record(number)])
            assert other.counts().produced == number + 1
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_what_is_missing_is_said_by_name_and_number() -> None:
    noted = Sidecar(device=DEVICE, accounts=(_epoch(1, "a" * 16, 7), _epoch(2, "b" * 16, 9)))
    assert noted.missing_from([_epoch(1, "a" * 16, 7), _epoch(2, "b" * 16, 9)]) == ""
    assert "ends at record 8" in noted.missing_from([_epoch(1, "a" * 16, 7), _epoch(2, "b" * 16, 8)])
    assert "b" * 16 in noted.missing_from([_epoch(1, "a" * 16, 7)])
    assert "a" * 16 in noted.missing_from([])
    # One that was begun and had no record yet leaves nothing to miss.
    begun = Sidecar(device=DEVICE, accounts=(_epoch(1, "c" * 16, 0),))
    assert begun.missing_from([]) == ""


def _epoch(number: int, epoch: str, produced: int) -> Account:
    return Account(
        id=number,
        device=DEVICE,
        epoch=epoch,
        produced=produced,
        acknowledged=0,
        quarantined=0,
        given_up=0,
        unstored=0,
    )


def _account(count: int, reason: str) -> Record:
    return tcp_record(count, test="gap", failure="result_lost")
