"""What `tidegauge status` says of a device whose outbox is damaged: always something, whichever of its questions meets the damage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.outbox.box import Outbox
from appliance.storage.datadir import DataDir
from appliance.views.status import in_words, look
from tests.drills.cells import SCHEMA, Cell, cells
from tests.english import ENGLISH
from tests.firmware.records import tcp_record

RECORDS = 9
BIT = 0b10


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with (
        DataDir.open(tmp_path) as directory,
        Outbox.open(directory.outbox, device=directory.device) as outbox,
    ):
        outbox.append([tcp_record(number) for number in range(RECORDS)])
    return tmp_path


def flipped(path: Path, cell: Cell) -> Iterator[int]:
    """Flip one bit of each byte of a row in turn, and give its offset."""
    whole = path.read_bytes()
    for at in cell.places:
        damaged = bytearray(whole)
        damaged[at] ^= BIT
        path.write_bytes(damaged)
        yield at


@pytest.mark.parametrize("table", ["round", "waiting", "state"])
def test_no_byte_of_a_table_s_declaration_ends_it(data: Path, table: str) -> None:
    path = data / "outbox.sqlite3"
    whole = path.read_bytes()
    (cell,) = (
        one
        for one in cells(path)[SCHEMA]
        if f'CREATE TABLE "{table}"'.encode() in whole[one.start : one.start + one.size]
    )
    count = 0
    for at in flipped(path, cell):
        told = look(data)
        assert told.counts.waiting == RECORDS, f"byte {at - cell.start} of {table}"
        assert "results" in in_words(told, ENGLISH)
        count += 1
    assert count > len("CREATE TABLE")
