"""The parts of the drill with a virtual machine: the disk's cache, the guest's work without one, and a few real cuts."""

import random
import secrets
import shutil
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import needs
from tests.drills import (
    read_only,
    read_only_guest,
    usb_drive,
    usb_drive_guest,
    virtual_machine,
    virtual_machine_guest,
)
from tests.drills.virtual_machine_disk import SECTOR, Disk, Server

SECTORS = 8
writes = st.tuples(st.integers(0, SECTORS - 1), st.integers(1, 4), st.booleans())


@given(st.lists(st.none() | writes, max_size=30), st.integers())
def test_a_cut_leaves_what_was_flushed_or_something_written_since(
    calls: list[tuple[int, int, bool] | None], seed: int
) -> None:
    disk = Disk(bytes(SECTOR * SECTORS))
    possible = [{0} for _ in range(SECTORS)]
    now = [0] * SECTORS
    for number, call in enumerate(calls, start=1):
        if call is None:
            assert disk.flush()
            possible = [{value} for value in now]
            continue
        first, count, durable = call
        touched = range(first, min(first + count, SECTORS))
        assert disk.write(SECTOR * first, bytes([number]) * SECTOR * len(touched), durable=durable)
        for sector in touched:
            now[sector] = number
            possible[sector] = {number} if durable else possible[sector] | {number}
    assert list(disk.read(0, SECTOR * SECTORS)[::SECTOR]) == now
    disk.cut(random.Random(seed))
    content = disk.read(0, SECTOR * SECTORS)
    for sector in range(SECTORS):
        (value,) = set(content[SECTOR * sector : SECTOR * (sector + 1)])
        assert value in possible[sector]


def test_a_disk_that_lies_loses_what_it_said_was_flushed() -> None:
    disk = Disk(bytes(SECTOR * 64), lies=True)
    for sector in range(64):
        disk.write(SECTOR * sector, b"x" * SECTOR, durable=True)
        assert disk.flush()
    disk.cut(random.Random(1))
    assert b"\0" in disk.read(0, SECTOR * 64)


def test_a_disk_without_power_answers_nothing_until_somebody_new_comes(tmp_path: Path) -> None:
    disk = Disk(bytes(SECTOR))
    server = Server(disk, tmp_path / "disk", written=disk.off)
    with connected(tmp_path / "disk") as client:
        client.sendall(request(1, b"a" * SECTOR) + request(1, b"b" * SECTOR))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""  # neither that it was written nor that it was refused
    assert disk.read(0, 1) == b"a"
    with connected(tmp_path / "disk") as client:
        client.sendall(request(0, b""))
        assert struct.unpack(">IIQ", client.recv(16, socket.MSG_WAITALL)) == (0x67446698, 0, 7)
        assert client.recv(SECTOR, socket.MSG_WAITALL) == b"a" * SECTOR
    server.close()


def connected(path: Path) -> socket.socket:
    """Return a client of the disk at `path` that is past the greeting."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    assert client.recv(18, socket.MSG_WAITALL)[:8] == b"NBDMAGIC"
    client.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 7, 0))
    assert len(client.recv(52, socket.MSG_WAITALL)) == 52  # what it can, and that it agrees
    return client


def request(what: int, data: bytes) -> bytes:
    return struct.pack(">IHHQQI", 0x25609513, 0, what, 7, 0, SECTOR) + data


def test_the_guest_finds_what_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device, collector = tmp_path / "device", tmp_path / "collector"
    device.mkdir()
    collector.mkdir()
    virtual_machine_guest.found(device, collector, told=0)
    virtual_machine_guest.write(device, seed=secrets.randbits(32), ticks=20)
    made = [line for line in capsys.readouterr().out.splitlines() if line.startswith("made ")]
    told = int(made[-1].split()[1])
    virtual_machine_guest.found(device, collector, told=told)
    assert capsys.readouterr().out.splitlines() == [f"control {told}", "audited"]
    for path in collector.iterdir():
        path.unlink()
    virtual_machine_guest.found(device, collector, told=told)
    assert "wrong " in capsys.readouterr().out


def test_the_judge_of_the_read_only_drill_finds_what_is_gone_or_counted_wrongly() -> None:
    judge = read_only.Judge()
    judge.added({1, 2, 3})
    judge.stored({1, 3}, 1)
    judge.added({4, 5})
    assert judge.booted({1, 3, 4}, gaps=1, unstored=1) == 1  # a commit that the cut met
    assert not judge.wrong
    judge.booted({1, 4}, gaps=1, unstored=1)
    judge.booted({1, 4, 6}, gaps=1, unstored=1)
    judge.booted({1, 4, 6}, gaps=2, unstored=1)
    judge.added({7})
    judge.stored(set(), 0)
    assert [line.partition(",")[0] for line in judge.wrong] == [
        "1 told to be stored are gone",
        "1 that nobody held are there",
        "gap records count 2",
        "gap records count 2",
        "1 added",
    ]


def test_the_guest_that_is_refused_says_what_it_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device, collector = tmp_path / "device", tmp_path / "collector"
    device.mkdir()
    collector.mkdir()
    read_only_guest.account(device, collector)
    read_only_guest.work(device, collector, seed=secrets.randbits(32), tick=0, ticks=10)
    read_only_guest.account(device, collector)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    stored = [read_only.numbers(line[1]) for line in lines if line[0] == "stored"]
    assert len(stored) == 10
    assert read_only.numbers(lines[-4][1]) == set().union(*stored)
    assert [" ".join(line) for line in lines[-3:]] == ["gaps 0", "counts 0", "audited"]


def test_the_guest_with_a_usb_drive_carries_there_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    usb_drive_guest.rehearse()
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines if line.startswith(("ended", "has", "waits", "account"))] == [
        "ended 10 10 0",
        "ended 0 0 10",
        "has 1-10",
        "waits -",
        "account",
    ]


def need_emulator() -> None:
    if shutil.which("qemu-system-x86_64") is None:
        needs.lacking(
            "needs qemu-system-x86_64: sudo apt-get install --no-install-recommends qemu-system-x86"
        )


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_power_cuts() -> None:
    need_emulator()
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    assert virtual_machine.drill(times=10, seed=seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_disk_that_goes_read_only() -> None:
    need_emulator()
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    assert read_only.drill(times=6, seed=seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_usb_drive_that_is_pulled() -> None:
    need_emulator()
    for program, package in (("mkfs.vfat", "dosfstools"), ("mkfs.exfat", "exfatprogs")):
        if shutil.which(program, path="/usr/sbin:/sbin") is None:
            needs.lacking(f"needs {program}: sudo apt-get install --no-install-recommends {package}")
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    assert usb_drive.drill(times=8, seed=seed)
