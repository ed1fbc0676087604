"""The columns that a record is asked by: those of the table, and of a batch what each record by itself has."""

import sqlite3
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.store.asked_columns import COLUMNS, FIRST, NAMES, asked, row_of, rows_of
from collector.store.database import Store
from firmware.model.record import Record, to_json
from firmware.wire.table import RecordTable
from tests.firmware.records import records, tcp_record

OWN = {"id", "device", "epoch", "seq", "received_ns", "body", "envelope"}


def test_the_table_has_the_columns_that_are_asked_and_no_other(tmp_path: Path) -> None:
    Store.open(tmp_path / "db").close()
    connection = sqlite3.connect(tmp_path / "db")
    made = {name: kind for _, name, kind, *_ in connection.execute("PRAGMA table_info(record)")}
    connection.close()
    assert {name: kind for name, kind in made.items() if name not in OWN} == {
        one.name: one.sql_type for one in COLUMNS
    }
    assert set(NAMES) >= FIRST


@given(st.lists(records, min_size=1, max_size=4))
def test_of_many_they_are_what_each_alone_has(made: list[Record]) -> None:
    values = [to_json(one) for one in made]
    assert list(rows_of(RecordTable.of(values))) == [row_of(one) for one in values]


def test_they_are_found_by_name() -> None:
    record = tcp_record(7)
    found = asked("test", "start_boottime_ns", "rule_id")(row_of(to_json(record)))
    assert found == (record.test, record.start.boottime_ns, None)
