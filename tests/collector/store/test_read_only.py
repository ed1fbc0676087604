"""A disk that is mounted read-only under the open store, by a real mount: nothing is acknowledged until it is writable again.

The kernel goes on taking writes into the open files, as ext4 does after an emergency remount.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from collector.errors import StoreError
from collector.messages import Delivery
from collector.receive.validation import validate
from collector.store.database import Store
from firmware.wire.messages import encode_batch, topic
from tests import namespaces
from tests.collector.scripted_device import batch_of

pytestmark = pytest.mark.namespace

DEVICE = "a1b2c3d4e5f6g7h8"


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def commit(store: Store, first: int) -> int:
    payload = encode_batch(batch_of(range(first, first + 5), device=DEVICE))
    judged = validate(Delivery(topic=topic(DEVICE, "up", "live"), payload=payload, received_ns=first))
    (accounted,) = store.commit([judged.arrival])
    assert accounted is not None
    return accounted.upto


def stores_through_a_read_only_mount(folder: str) -> Any:
    store = Store.open(Path(folder) / "collector.sqlite3")
    before = commit(store, 1)
    mount("--bind", folder, folder)
    mount("-o", "remount,bind,ro", folder)
    with pytest.raises(StoreError, match="mounted read-only"):
        commit(store, 6)
    mount("-o", "remount,bind,rw", folder)
    after = commit(store, 6)
    rows = store._connection.execute("SELECT count(*) FROM record").fetchone()[0]
    store.close()
    return [before, after, rows]


def test_what_cannot_be_durable_is_not_acknowledged(tmp_path: Path) -> None:
    assert namespaces.call(stores_through_a_read_only_mount, str(tmp_path)) == [5, 10, 10]
