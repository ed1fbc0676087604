"""Single bits and single steps: what a worn card or a power cut may leave, and what it must not cost."""

import contextlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.storage import sidecar
from appliance.storage.datadir import (
    DataDir,
    DeviceIdentityDamagedError,
    DeviceIdentityTooNewError,
    read_device,
)
from appliance.storage.errors import OutboxDamagedError, OutboxError, OutboxForeignError
from appliance.storage.recovery import quarantined_files
from appliance.storage.sidecar import SidecarFile
from firmware.model.record import Record
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack
from tests.appliance import namespaces
from tests.drills.cells import cells
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def account(count: int, reason: str) -> Record:
    return tcp_record(count, test="gap", failure="result_lost")


def made(path: Path, count: int) -> str:
    """Make an outbox with `count` records that wait, and return its epoch."""
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(count)])
        return outbox.epoch


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def flip(path: Path, before: bytes, after: bytes) -> None:
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, after, 1))


def varint(number: int) -> bytes:
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(0x80 | number & 0x7F)
    return bytes(reversed(parts))


def test_a_sidecar_that_is_no_text_costs_nothing(path: Path) -> None:
    epoch = made(path, 3)
    path.with_name(path.name + ".epoch").write_bytes(b"\xff\xfe\xff")
    with Outbox.open(path, device=DEVICE) as outbox:
        assert (outbox.epoch, outbox.quarantined_file) == (epoch, None)


def test_a_bit_in_what_no_checksum_covers_costs_no_record(path: Path) -> None:
    epoch = made(path, 500)
    # In the header of one row: the constant 0 of `value`, before the four or six bytes of `crc`, becomes an empty blob.
    data = path.read_bytes()
    at = next(n for n, byte in enumerate(data) if byte == 8 and data[n + 1] in {4, 5})
    path.write_bytes(data[:at] + b"\x0c" + data[at + 1 :])
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is not None
        assert (outbox.recovered.saved, outbox.recovered.lost) == (500, 0)
        (ended,) = outbox.past()
        assert ended.epoch == epoch


def test_a_row_that_was_written_over_is_saved_from_its_page_s_form_before(path: Path, tmp_path: Path) -> None:
    made(path, 100)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("UPDATE waiting SET body = 'written over' WHERE seq = 49")
    connection.commit()
    kept = {
        name: path.with_name(name).read_bytes() for name in (path.name, path.name + "-wal")
    }  # as they stand before closing brings the one into the other
    connection.close()
    for name, content in kept.items():
        path.with_name(name).write_bytes(content)
    path.write_bytes(bytes(16) + path.read_bytes()[16:])
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is not None
        assert (outbox.recovered.saved, outbox.recovered.lost) == (100, 0)


def test_a_tombstone_that_lost_its_mark_to_a_bit_flip_covers_no_record_that_waits(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(10)])
        assert outbox.evict(1) == 1
    (cell,) = cells(path)["tombstone"]
    data = bytearray(path.read_bytes())
    at = cell.start + 2  # past its length and its key, of a byte each
    assert data[at] == 5
    data[at] = (
        4  # its header ends before the mark, and its end is read one byte too early: further than it was
    )
    data[:16] = bytes(16)
    path.write_bytes(data)
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is not None
        assert (outbox.recovered.saved, outbox.recovered.lost) == (9, 0)


def test_rows_that_leave_beside_a_damaged_pointer_have_nothing_written_over(path: Path) -> None:
    made(path, 60)
    rows = {cell.rowid: cell for cell in cells(path)["waiting"]}
    page = {number: cell.pointer // 4096 for number, cell in rows.items()}
    # Two of one page, the pages after which go: what is left is then fitted in with them.
    hidden = next(number for number in range(30, 50) if page[number] == page[number - 2])
    with Outbox.open(path, device=DEVICE) as outbox:
        into = rows[hidden - 2].start % 4096 + 4
        data = bytearray(path.read_bytes())
        data[rows[hidden].pointer : rows[hidden].pointer + 2] = into.to_bytes(2, "big")
        path.write_bytes(data)
        store = GroupCommit(outbox, account=account)
        for _ in range(3):
            with contextlib.suppress(OutboxError), outbox.clone() as sender:
                first = hidden + 2
                sender.acknowledge(
                    Ack(
                        epoch=sender.epoch,
                        upto=0,
                        ranges=SeqRanges.of(range(first, 61)),
                        incarnation=outbox.incarnation,
                    )
                )
            store.add(tcp_record(100), 0)
            assert store.commit(0)
        with outbox.clone() as sender:
            boxes = [sender, *sender.past()]
            found = [json.loads(row.body)["round_id"] for box in boxes for row in box.oldest(1000)]
    assert set(range(hidden + 1)) - set(found) <= {hidden - 1}  # record n has seq n + 1


def test_a_value_that_there_is_not_ends_nothing(path: Path) -> None:
    made(path, 10)
    change(path, "UPDATE waiting SET value = 67 WHERE seq = 3")
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.evict(10) == 10


def test_a_counter_that_cannot_be_is_damage_and_gives_no_seq_twice(path: Path) -> None:
    epoch = made(path, 5000)
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.acknowledge(Ack(epoch=epoch, upto=5000, incarnation=outbox.incarnation))
    change(path, "UPDATE state SET produced = 904")  # one bit of 5,000
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is not None
        assert outbox.append([tcp_record(1)])[0].epoch != epoch


def test_a_body_whose_type_alone_changed_is_still_what_was_stored(path: Path) -> None:
    made(path, 20)
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox._handle.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = outbox.oldest(20)
        ((size,),) = outbox._handle.rows("SELECT length(body) FROM waiting WHERE seq = 5")
        # One bit of its type: text is odd, bytes of the same length are even.
        flip(path, b"\0" + varint(13 + 2 * size), b"\0" + varint(12 + 2 * size))
        with outbox.clone() as other:
            assert other.oldest(20) == before


def test_a_round_that_is_no_utf_8_any_more_keeps_no_device_from_starting(path: Path) -> None:
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.append([tcp_record(number, test="ladder") for number in range(3)])
    data = bytearray(path.read_bytes())
    at = data.rindex(b'"test":"ladder"')
    data[at + 3] ^= 0x80
    path.write_bytes(data)
    with Outbox.open(path, device=DEVICE) as outbox:
        assert len(outbox.recent_rounds(60)) in {2, 3}
        assert len(outbox.oldest(9)) + len(outbox.tombstones(9)) == 3


def test_a_reserve_of_which_a_power_cut_left_the_name_is_made_again(path: Path) -> None:
    made(path, 1)
    reserve = path.with_name(path.name + ".reserve")
    reserve.write_bytes(b"")
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.space.restore_reserve()
    assert reserve.stat().st_size > 0


def test_a_connection_that_could_not_be_made_keeps_nobody_from_healing(path: Path) -> None:
    made(path, 5)
    with Outbox.open(path, device=DEVICE) as outbox:
        shared = outbox._shared
        handle = outbox._handle.clone()
        shared.note(OutboxDamagedError("found by another thread", where=path, remedy="none"))
        with pytest.raises(OutboxError):
            Outbox._around(handle)
        assert outbox.recover() is not None


EXCHANGE_ON_A_READ_ONLY_DISK = """
import pathlib, subprocess, sys
from appliance.storage import sidecar
from appliance.storage.recovery import quarantined_files
from appliance.outbox.box import Outbox
from appliance.storage.errors import OutboxError
folder = pathlib.Path(sys.argv[1])
path = folder / "outbox.sqlite3"
with Outbox.open(path, device="a1b2c3d4e5f6g7h8"):
    pass
path.rename(path.with_name(path.name + ".healed"))
path.write_bytes(b"damaged")
subprocess.run(["mount", "--bind", folder, folder], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
try:
    Outbox.open(path, device="a1b2c3d4e5f6g7h8")
except OutboxError as error:
    print(error)
"""


def test_an_exchange_that_cannot_be_ended_is_told_as_the_outbox_s_error(tmp_path: Path) -> None:
    said = namespaces.run(EXCHANGE_ON_A_READ_ONLY_DISK, mounts=":", directory=tmp_path)
    assert "mounted read-only" in said


WAITS_FOR_SPACE = """
import os, pathlib, sys
from appliance.storage import sidecar
from appliance.storage.recovery import quarantined_files
from appliance.outbox.box import Outbox
from appliance.storage.errors import OutboxBusyError
from appliance.storage.sidecar import SidecarFile
from appliance.outbox.group_commit import GroupCommit
from tests.firmware.records import tcp_record
folder = pathlib.Path(sys.argv[1])
path = folder / "outbox.sqlite3"
with Outbox.open(path, device="a1b2c3d4e5f6g7h8") as outbox:
    outbox.append([tcp_record(1)])
(folder / "outbox.sqlite3.reserve").unlink()
filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
for size in (1 << 20, 1 << 12, 1):
    try:
        while True:
            os.write(filler, bytes(size))
    except OSError:
        pass
with Outbox.open(path, device="a1b2c3d4e5f6g7h8", patient=True) as outbox:
    store = GroupCommit(outbox, account=lambda count, reason: tcp_record(count, test="gap"))
    store.add(tcp_record(2), 0)
    print(outbox.is_open, store.commit(0), store.held, "full" in store.fault)
    for use in (outbox.clone, outbox.counts, lambda: outbox.append([])):
        try:
            use()
        except OutboxBusyError as error:
            print("not open yet" in str(error))
    os.ftruncate(filler, 0)
    print(outbox.is_open, store.commit(store.due_ns()), store.held, [row.seq for row in outbox.oldest(9)])
    with outbox.clone() as other:
        print(other.counts().produced)
"""


def test_an_outbox_that_could_not_be_opened_is_opened_by_the_first_commit_that_can(tmp_path: Path) -> None:
    said = namespaces.run(
        WAITS_FOR_SPACE, mounts='mount -t tmpfs -o size=24m tmpfs "$DIR"', directory=tmp_path
    )
    assert said.splitlines() == ["False False 1 True", "True", "True", "True", "False True 0 [1, 2]", "2"]


START_ON_A_FULL_DISK = """
import os, pathlib, sys
from appliance.storage import sidecar
from appliance.storage.recovery import quarantined_files
from appliance.outbox.box import Outbox
from tests.firmware.records import tcp_record
folder = pathlib.Path(sys.argv[1])
path = folder / "outbox.sqlite3"
with Outbox.open(path, device="a1b2c3d4e5f6g7h8") as outbox:
    for _ in range(20):
        outbox.append([tcp_record(n) for n in range(100)])
if (folder / "damage").exists():
    with path.open("r+b") as file:
        file.write(bytes(100))
filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
for size in (1 << 20, 1 << 12, 1):
    try:
        while True:
            os.write(filler, bytes(size))
    except OSError:
        pass
with Outbox.open(path, device="a1b2c3d4e5f6g7h8") as outbox:
    print(outbox.recovered is not None, len(outbox.append([tcp_record(1)])))
    every = (outbox, *outbox.past())
    print(sum(len(one.oldest(10**6)) + sum(t.count for t in one.tombstones(10**6)) for one in every))
"""


@pytest.mark.parametrize("damage", ["", "; touch $DIR/damage"], ids=["sound", "damaged"])
def test_a_start_on_a_disk_without_a_free_byte_releases_the_reserve(tmp_path: Path, damage: str) -> None:
    said = namespaces.run(
        START_ON_A_FULL_DISK, mounts=f'mount -t tmpfs -o size=24m tmpfs "$DIR"{damage}', directory=tmp_path
    )
    assert said == f"{bool(damage)} 1\n2001\n"


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_an_identity_that_is_gone_is_the_one_that_the_outbox_names(tmp_path: Path, damage: str) -> None:
    with DataDir.open(tmp_path) as data:
        device = data.device
        Outbox.open(data.outbox, device=device).close()
    identity = tmp_path / "device.json"
    identity.unlink() if damage == "gone" else identity.write_text("{")
    with DataDir.open(tmp_path) as data:
        assert data.device == device
        Outbox.open(data.outbox, device=data.device).close()
    assert read_device(tmp_path) == device


def test_an_identity_of_which_the_outbox_and_its_sidecar_disagree_is_not_guessed(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        Outbox.open(data.outbox, device=data.device).close()
    noted = sidecar.read(data.outbox)
    assert noted is not None
    SidecarFile(data.outbox).write([replace(one, device="z" * 16) for one in noted.accounts])
    (tmp_path / "device.json").write_text("{")
    with pytest.raises(DeviceIdentityDamagedError):
        DataDir.open(tmp_path)


def test_no_bit_of_device_json_makes_another_device_of_it(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        device = data.device
        with Outbox.open(data.outbox, device=device) as outbox:
            outbox.append([tcp_record(1)])
    identity = tmp_path / "device.json"
    whole = identity.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            identity.write_bytes(flipped)
            with DataDir.open(tmp_path) as data:
                assert data.device == device, (at, bit)
            assert identity.read_bytes() == whole


def test_an_identity_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        Outbox.open(data.outbox, device=data.device).close()
    (tmp_path / "device.json").write_text('{"v": 2, "device": "new"}')
    with pytest.raises(DeviceIdentityTooNewError, match="Upgrade"):
        DataDir.open(tmp_path)


def test_a_damaged_outbox_of_another_device_is_not_taken_for_our_own(path: Path) -> None:
    made(path, 50)
    path.write_bytes(bytes(100) + path.read_bytes()[100:])
    before = path.read_bytes()
    with pytest.raises(OutboxForeignError, match=DEVICE):
        Outbox.open(path, device="z" * 16)
    assert path.read_bytes() == before


def test_after_a_conflict_every_epoch_has_its_name_even_where_the_accounts_are_destroyed(path: Path) -> None:
    epoch = made(path, 500)
    with Outbox.open(path, device=DEVICE) as outbox:
        outbox.acknowledge(Ack(epoch=epoch, upto=0, conflict=100, incarnation=outbox.incarnation))
        named = {epoch: 100, outbox.epoch: 400}
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'state'").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with Outbox.open(path, device=DEVICE) as outbox:
        assert {box.epoch: len(box.oldest(1000)) for box in outbox.past()} == named


def test_a_log_that_a_power_cut_parted_from_its_database_goes_as_well(path: Path) -> None:
    made(path, 1)
    log = path.with_name("outbox.damaged-19700101T000000Z.sqlite3-wal")
    log.write_bytes(b"log")
    assert quarantined_files.forget(path, keep=0) == 1
    assert not log.exists()
