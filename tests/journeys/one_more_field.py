"""What a tree of the source does with a record that has one more field: run by `test_one_more_field` inside such a tree.

Prints what came of it as JSON. `link_speed_bits_s` is the field; the database holds a record from before it.
"""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from appliance.storage.tables.packed import pack, unpack
from appliance.storage.tables.rows import body_of
from collector.messages import Delivery
from collector.receive.validation import validate
from collector.store.database import Store
from docs.reference.pages import records
from firmware.model.jsontypes import RecordError
from firmware.model.record import SCHEMA, from_json, to_json
from firmware.wire.messages import Batch, encode_batch, topic
from firmware.wire.record_columns import all_records
from firmware.wire.table import RecordTable

DEVICE = "k3f9a7c2m1x8q5z0"
EPOCH = "0123456789abcdef"
FIELD = "link_speed_bits_s"


def arrival(records_json: list[dict[str, Any]], first: int) -> Any:
    """Return what arrives with a batch of these records."""
    seqs = tuple(range(first, first + len(records_json)))
    payload = encode_batch(Batch(device=DEVICE, epoch=EPOCH, seqs=seqs, records=tuple(records_json)))
    return validate(Delivery(topic=topic(DEVICE, "up", "bulk"), payload=payload, received_ns=1)).arrival


def fault(value: Any) -> str:
    """Return why a value is no record, "" where it is one."""
    try:
        from_json(value)
    except RecordError as error:
        return str(error)
    return ""


def main(database: Path, old: dict[str, Any]) -> dict[str, Any]:
    """Return what this tree makes of the field, and of the record `old`, which has no such field."""
    new = {**old, "schema": SCHEMA, FIELD: 1_000_000_000}
    body = body_of(from_json(new))
    arrivals = [
        arrival([new, {**new, FIELD: None}], 2),
        arrival([old, old], 4),
        arrival([{**new, FIELD: "x"}], 6),
    ]
    store = Store.open(database)
    store.commit(arrivals)
    store.close()
    connection = sqlite3.connect(database)
    stored = connection.execute(f"SELECT seq, {FIELD}, body FROM record ORDER BY seq").fetchall()
    connection.close()
    values: tuple[Any, ...] = (None, 0, -1, True, 1.0, "x", 2**63, -(2**63), [], {})
    odd = ({**new, FIELD: value} for value in values)
    without = {key: value for key, value in new.items() if key != FIELD}
    return {
        "written last": list(to_json(from_json(new)))[-1],
        "kept on the card": json.loads(unpack(pack(body, test="tcp", failed=False)))[FIELD],
        "of before": to_json(from_json(old))[FIELD],
        "columns": [[seq, value] for seq, value, _ in stored],
        "in the body": [json.loads(body).get(FIELD, "-") for *_, body in stored],
        "wrong": fault({**new, FIELD: "x"}),
        "missing": fault(without),
        "columns agree": [
            all_records(RecordTable.of([one])) == (fault(one) == "") for one in (*odd, old, without)
        ],
        "documented": [line for line in records().splitlines() if FIELD in line],
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[2]))))
