"""The log outside of the product finds what numbers cannot show: faults put in on purpose, each known by construction."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from appliance.outbox.box import Outbox
from appliance.storage.tables import checked
from appliance.storage.tables.packed import pack, unpack
from tests.drills import told as log
from tests.drills.audit import audit
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"


def _rewrite(connection: sqlite3.Connection, seq: int, body: str) -> None:
    """Put another body under a number, with the checksum that is right for it."""
    ((before,),) = connection.execute("SELECT crc FROM waiting WHERE seq = ?", (seq,)).fetchall()
    assert before is not None
    connection.execute(
        "UPDATE waiting SET body = ?, crc = ? WHERE seq = ?",
        (body, checked.body_mark(seq, body.encode()), seq),
    )


def _body(connection: sqlite3.Connection, seq: int) -> str:
    ((body,),) = connection.execute("SELECT body FROM waiting WHERE seq = ?", (seq,)).fetchall()
    return str(body)


def change_a_body(connection: sqlite3.Connection) -> None:
    changed = unpack(_body(connection, 3)).replace('"cpu_percent":3.5', '"cpu_percent":4.5')
    _rewrite(connection, 3, pack(changed, test="tcp", failed=False))


def swap_two(connection: sqlite3.Connection) -> None:
    third, fourth = _body(connection, 3), _body(connection, 4)
    _rewrite(connection, 3, fourth)
    _rewrite(connection, 4, third)


def put_one_under_anothers_seq(connection: sqlite3.Connection) -> None:
    _rewrite(connection, 4, _body(connection, 3))


@pytest.mark.parametrize(
    ("fault", "found"), [(change_a_body, 1), (swap_two, 2), (put_one_under_anothers_seq, 1)]
)
def test_contents_that_were_exchanged_are_found(
    tmp_path: Path, fault: Callable[[sqlite3.Connection], None], found: int
) -> None:
    path = tmp_path / "outbox.sqlite3"
    with Outbox.open(path, device=DEVICE) as outbox:
        log.log_appends(outbox, tmp_path)
        outbox.append([tcp_record(number) for number in range(1, 9)])
    with closing(sqlite3.connect(path)) as connection:
        fault(connection)
        connection.commit()
    wrong = [one for one in audit(tmp_path, device=DEVICE, durable=8) if "otherwise than told" in one]
    assert len(wrong) == found, wrong


def test_what_is_as_it_was_told_is_not_found(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.sqlite3", device=DEVICE) as outbox:
        log.log_appends(outbox, tmp_path)
        outbox.append([tcp_record(number) for number in range(1, 9)])
    assert audit(tmp_path, device=DEVICE, durable=8) == []


def test_a_line_that_was_cut_off_was_never_told(tmp_path: Path) -> None:
    line = log.line_of("0" * 16, 1, json.loads('{"test": "tcp", "failure": null}'))
    (tmp_path / log.NAME).write_text(f"{line}\n{line.replace(' 1 ', ' 2 ')[:30]}")
    assert log.read(tmp_path / log.NAME).keys() == {("0" * 16, 1)}
