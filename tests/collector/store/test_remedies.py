"""What an operator reads of a database that is damaged or held, and of a disk that is full; and that it goes on after."""

import json
import sqlite3
from pathlib import Path

import pytest

from collector.errors import StoreError
from collector.store import writing
from collector.store.database import Store
from tests.appliance import namespaces
from tests.collector.rows_of import arrived


def made(tmp_path: Path) -> Path:
    path = tmp_path / "collector.sqlite3"
    store = Store.open(path)
    store.commit([arrived(range(1, 200))])
    store.close()
    return path


@pytest.mark.parametrize("what", ["its head", "a text", "half of it"])
def test_a_damaged_database_is_said_to_be_and_left_as_it_is(tmp_path: Path, what: str) -> None:
    path = made(tmp_path)
    whole = path.read_bytes()
    left = {
        "its head": bytes(100) + whole[100:],
        "a text": b"no database",
        "half of it": whole[: len(whole) // 2],
    }
    path.write_bytes(left[what])
    with pytest.raises(StoreError, match=r"it is damaged \(.*docs/how-to/audit\.md"):
        Store.open(path)
    assert path.read_bytes() == left[what]


def test_one_that_another_program_holds_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BUSY_TIMEOUT_S", 0.1)
    path = made(tmp_path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("DELETE FROM _sqlite_migrations WHERE name = (SELECT max(name) FROM _sqlite_migrations)")
    with pytest.raises(StoreError, match=r"another program holds it \(database is locked\)"):
        Store.open(path)
    holder.close()


FILLED = """
import json, os, sys
from pathlib import Path
from collector.errors import StoreError
from collector.store.database import Store
from tests.collector.rows_of import arrived

folder = Path(sys.argv[1])
store = Store.open(folder / "collector.sqlite3")
filler = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY)

def fill():
    try:
        while True:
            os.write(filler, bytes(4096))
    except OSError:
        pass

def took(first):
    try:
        (answer,) = store.commit([arrived(range(first, first + 500))])
        return answer.upto
    except StoreError as error:
        return str(error)

told = {"empty": took(1)}
fill()
told["full"] = took(501)
told["kept"] = store._connection.execute("SELECT max(high) FROM coverage WHERE kind = 'stored'").fetchone()[0]
store.close()
fill()
try:
    Store.open(folder / "collector.sqlite3").close()
    told["opened"] = "yes"
except StoreError as error:
    told["opened"] = str(error)
os.ftruncate(filler, 0)
store = Store.open(folder / "collector.sqlite3")
told["room"] = took(501)
store.close()
print(json.dumps(told))
"""


def test_on_a_full_disk_it_takes_nothing_keeps_all_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    told = json.loads(
        namespaces.run(FILLED, mounts='mount -t tmpfs -o size=8m tmpfs "$DIR"', directory=tmp_path)
    )
    assert (told["empty"], told["kept"], told["room"]) == (500, 500, 1000)
    assert "the database took nothing" in told["full"]
    assert told["opened"] == "yes" or "the disk is full" in told["opened"]
