"""A disk that is mounted read-only under the open outbox, by a real mount: storing waits, and says so.

The mount comes over the folder while the files are open, so that the kernel goes on taking writes into them, as ext4
does after an emergency remount. `python -m tests.drills read-only` does it with ext4 in a virtual machine.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from appliance.outbox import group_commit
from appliance.outbox.box import Outbox
from appliance.outbox.group_commit import GroupCommit
from appliance.storage.errors import OutboxReadOnlyError
from firmware.model.record import Record
from tests import namespaces
from tests.firmware.records import tcp_record

pytestmark = pytest.mark.namespace


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def stores_through_a_read_only_mount(folder: str) -> Any:
    counted: list[int] = []

    def account(count: int, reason: str) -> Record:
        counted.append(count)
        return tcp_record(0, test="gap", failure="result_lost")

    group_commit.MAX_HELD = 10  # type: ignore[misc]
    with Outbox.open(Path(folder) / "outbox.sqlite3", device="a1b2c3d4e5f6g7h8") as outbox:
        store = GroupCommit(outbox, account=account)
        store.add(tcp_record(1), 0)
        assert store.commit(0)
        mount("--bind", folder, folder)
        mount("-o", "remount,bind,ro", folder)
        refused = []
        for number in range(2, 22):
            store.add(tcp_record(number), 0)
            refused.append(store.commit(0))
        with pytest.raises(OutboxReadOnlyError, match="mounted read-only"):
            outbox.evict(1)
        fault, readable = store.fault, len(outbox.newest(10))
        mount("-o", "remount,bind,rw", folder)
        stored, counts = store.commit(0), outbox.counts()
    return [any(refused), fault, readable, stored, store.fault, counted, counts.produced, counts.unstored]


def test_what_cannot_be_durable_is_not_stored(tmp_path: Path) -> None:
    refused, fault, readable, stored, fault_after, counted, produced, unstored = namespaces.call(
        stores_through_a_read_only_mount, str(tmp_path)
    )
    assert not refused
    assert "mounted read-only" in fault
    assert readable == 1
    assert stored
    assert not fault_after
    # Each refused commit had made the gap record of what was given up so far; the last one was stored.
    assert counted[-1] == unstored == 10
    assert produced == 1 + 10 + 1


def stores_once_the_file_can_be_written(folder: str) -> Any:
    path = Path(folder) / "outbox.sqlite3"
    with Outbox.open(path, device="a1b2c3d4e5f6g7h8") as outbox:
        outbox.append([tcp_record(1)])
    mount("--bind", str(path), str(path))
    mount("-o", "remount,bind,ro", str(path))
    with Outbox.open(path, device="a1b2c3d4e5f6g7h8", patient=True) as outbox:
        store = GroupCommit(outbox, account=lambda count, reason: tcp_record(0, test="gap"))
        store.add(tcp_record(2), 0)
        refused, fault = store.commit(0), store.fault
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        stored = store.commit(store.due_ns() or 0)
        return [refused, fault, stored, store.fault, outbox.counts().produced]


def test_a_database_that_a_start_could_not_open_for_writing_is_opened_again(tmp_path: Path) -> None:
    refused, fault, stored, fault_after, produced = namespaces.call(
        stores_once_the_file_can_be_written, str(tmp_path)
    )
    assert not refused
    assert "cannot be opened or written" in fault
    assert (stored, fault_after, produced) == (True, "", 2)
