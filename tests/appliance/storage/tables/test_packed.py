"""Bodies as they stand on the card: shorter, exact, each by itself, and of earlier versions too."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.outbox.box import Outbox
from appliance.storage.tables import packed, rows
from firmware.model.record import Record, from_json
from firmware.wire.messages import Ack, Reject
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"
REFUSED = r"packed|base64|padding|characters|ASCII|utf-8"
ROUNDS = Path(__file__).parents[3] / "data" / "rounds"


def measured() -> list[Record]:
    lines = [
        line for name in ("ok", "cut") for line in (ROUNDS / f"{name}.jsonl").read_text("utf-8").splitlines()
    ]
    return [from_json(json.loads(line)) for line in lines]


def test_the_dictionary_is_what_records_on_cards_were_packed_against() -> None:
    digest = hashlib.sha256(b"\n".join(packed.dictionary())).hexdigest()
    assert digest == "fa47e58b1dbcf93c65a9a90dcd16caf6c05c51796fd49e0961ffc4197fabf6fe", (
        "a changed dictionary makes what is on cards unreadable: add another, with another mark"
    )


def test_a_round_takes_a_third_of_the_room_and_comes_back_exactly(tmp_path: Path) -> None:
    records = measured()
    with Outbox.open(tmp_path / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append(records)
        bodies = [row.body for row in outbox.oldest(100)]
        stored = [body for (body,) in outbox._handle.rows("SELECT body FROM waiting ORDER BY seq")]
    assert bodies == [rows.body_of(record) for record in records]
    assert sum(map(len, stored)) < sum(map(len, bodies)) / 3
    assert all(body.startswith(packed.MARK) for body in stored)


@given(
    body=st.text(),
    test=st.sampled_from(["tls", "dns", "ladder", "gap", "never heard of"]),
    failed=st.booleans(),
)
def test_any_text_comes_back(body: str, test: str, failed: bool) -> None:
    body = '{"' + body.encode("utf-8", "replace").decode() + '"}'
    assert packed.unpack(packed.pack(body, test=test, failed=failed)) == body


@given(data=st.binary(max_size=200), line=st.integers(0, 255))
def test_what_is_not_packed_is_refused_and_never_taken_for_a_body(data: bytes, line: int) -> None:
    with pytest.raises(ValueError, match=REFUSED):
        packed.unpack(f"{packed.MARK}{chr(line)}{base64.b64encode(data).decode()}!")
    with pytest.raises(ValueError, match=REFUSED):
        packed.unpack(packed.MARK)


def test_half_of_a_packed_body_is_refused() -> None:
    body = rows.body_of(tcp_record(1))
    stored = packed.pack(body, test="tcp", failed=False)
    half = base64.b64encode(base64.b64decode(stored[3:])[:-40]).decode()
    with pytest.raises(ValueError, match=REFUSED):
        packed.unpack(stored[:3] + half)


def test_rows_of_earlier_versions_are_read_as_they_are(tmp_path: Path) -> None:
    body = rows.body_of(tcp_record(1))
    with Outbox.open(tmp_path / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append([tcp_record(1), tcp_record(2)])
        with outbox.transaction() as connection:
            connection.execute("UPDATE waiting SET body = ?, crc = NULL WHERE seq = 1", (body,))
        assert [row.body for row in outbox.oldest(5)] == [body, rows.body_of(tcp_record(2))]


def test_what_was_rejected_can_be_read_by_whoever_looks(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append([tcp_record(1), tcp_record(2)])
        outbox.acknowledge(
            Ack(
                epoch=outbox.epoch,
                upto=0,
                rejects=(Reject(seq=2, reason="no"),),
                incarnation=outbox.incarnation,
            )
        )
        ((body,),) = outbox._handle.rows("SELECT body FROM quarantine")
    assert body == rows.body_of(tcp_record(2))


def test_one_changed_body_whose_checksum_was_made_to_fit_costs_no_other(tmp_path: Path) -> None:
    with Outbox.open(tmp_path / "outbox.sqlite3", device=DEVICE) as outbox:
        outbox.append([tcp_record(number) for number in range(1, 4)])
        with outbox.transaction() as connection:
            connection.execute("UPDATE waiting SET body = substr(body, 1, 40), crc = NULL WHERE seq = 2")
        assert [row.seq for row in outbox.oldest(5)] == [1, 3]
        assert outbox.counts().quarantined == 1
