"""The JSON API over a socket: what it answers, what it refuses, and that its own document tells the truth."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from collector.store.database import Store
from firmware.model.record import ClockQuality, from_json
from tests.collector.page import invented
from tests.collector.page.conftest import Fill, Served
from tests.english import ENGLISH

_FIRST = "k3v9q2m7x1c8n5p4"
_SECOND = "b7d2w8r4t6z1h0js"


def _json(served: Served, path: str, *, status: int = 200) -> Any:
    answer = served.get(path)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    return json.loads(answer.body)


def test_devices_with_verdict_evidence_and_completeness(evening: Served) -> None:
    found = _json(evening, "/api/v1/devices")
    assert found["as_of"] == "2026-11-15T18:04:21.000000000Z"
    first = next(device for device in found["devices"] if device["device"] == _FIRST)
    assert first["verdict"]["verdict"] == "international_cut"
    assert first["verdict"]["sentence"] == "International link cut, national network works"
    assert first["verdict"]["rule_id"] == "international-cut"
    assert {
        "code": "rung-networks",
        "parameters": {"rung": "international", "reached": 0, "tried": 5, "networks": 5},
        "sentence": "international: 0 of 5 reached in 5 networks",
    } in first["verdict"]["evidence"]
    assert first["verdict"]["overturned_by"] == ENGLISH.overturned_by("international-cut")
    assert first["since"]["first_round"]["utc"].startswith("2026-11-15T16:32:08")
    assert first["since"]["first_round"]["error_s"] == 0.004
    assert first["since"]["verdict_before"] == "inconclusive"
    assert first["completeness"]["missing"] == 0
    assert first["lately"] is True
    silent = next(device for device in found["devices"] if device["device"] == "e5y0f9a3u8k6g2ql")
    assert silent["lately"] is False
    assert _json(evening, f"/api/v1/devices/{_FIRST}") == first


def test_completeness_names_every_gap(evening: Served) -> None:
    found = _json(evening, f"/api/v1/devices/{_SECOND}/completeness")
    assert found["epochs"][0]["gaps"] == [[17, 17], [1203, 1210]]
    assert found["missing"] == 9
    assert found["produced"] == found["stored"] + found["missing"]


def test_rounds_are_cells_and_lead_on_to_the_older_ones(evening: Served) -> None:
    path = f"/api/v1/devices/{_SECOND}/rounds"
    newest = _json(evening, f"{path}?limit=40")
    assert len(newest["rounds"]) == 40
    last = {cell["rung"]: cell for cell in newest["rounds"][-1]["cells"]}
    assert last["domestic"]["state"] == "reached"
    assert (last["international"]["state"], last["international"]["tried"]) == ("failed", 5)
    assert "library: connect: generic_timeout_error" in last["international"]["failures"]
    assert [(one["count"], one["due"][:16]) for one in newest["missed"]] == [(4, "2026-11-15T15:43")]
    assert newest["missed"][0]["reason"] == {
        "code": "stalled",
        "parameters": {},
        "sentence": "the device slept, or was too busy to look in time",
    }
    older = _json(evening, f"{path}?limit=40&until={newest['older']}")
    assert f"{older['rounds'][-1]['epoch']}:{older['rounds'][-1]['seq']}" == newest["older"]
    assert older["rounds"][-1]["start"]["utc"] < newest["rounds"][0]["start"]["utc"]


def test_paging_through_records_gives_each_once_in_order_of_arrival(evening: Served) -> None:
    seen: list[tuple[str, int]] = []
    cursor: int | None = 0
    while cursor is not None:
        page = _json(evening, f"/api/v1/records?limit=1000&cursor={cursor}")
        seen += [(record["device"], record["seq"]) for record in page["records"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == evening.queries.counts().records


def test_json_lines_stream_everything_and_the_records_are_what_devices_sent(evening: Served) -> None:
    answer = evening.get(f"/api/v1/records?device={_SECOND}&format=ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert len(lines) == _json(evening, f"/api/v1/devices/{_SECOND}/completeness")["stored"]
    row = evening.queries.record(lines[5]["device"], lines[5]["epoch"], lines[5]["seq"])
    assert row is not None
    assert lines[5]["record"] == json.loads(row.body)
    for line in lines[:100]:
        assert (line["verdict"] is None) == (from_json(line["record"]).verdict is None)


def test_a_verdict_stands_beside_its_record_in_sentences_as_on_the_devices_page(evening: Served) -> None:
    answer = evening.get(f"/api/v1/records?device={_SECOND}&test=ladder&format=ndjson")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert None not in [line["verdict"] for line in lines]
    kept, said = lines[-1]["record"]["verdict"], lines[-1]["verdict"]
    assert [[one["code"], one["parameters"]] for one in said["evidence"]] == kept["evidence"]
    assert all(one["sentence"] for one in said["evidence"])
    assert said == _json(evening, f"/api/v1/devices/{_SECOND}")["verdict"]


def test_a_record_begins_when_its_round_does_in_every_form(evening: Served) -> None:
    query = f"/api/v1/records?device={_SECOND}&test=ladder"
    lines = [json.loads(line) for line in evening.get(f"{query}&format=ndjson").body.splitlines()]
    assert lines == _json(evening, f"{query}&limit=1000")["records"]
    rounds = _json(evening, f"/api/v1/devices/{_SECOND}/rounds?limit=500")["rounds"]
    starts = {(one["epoch"], one["seq"]): one["start"] for one in rounds}
    shared = [one for one in lines if (one["epoch"], one["seq"]) in starts]
    assert shared
    assert [one["start"] for one in shared] == [starts[(one["epoch"], one["seq"])] for one in shared]


def test_json_lines_by_the_accept_header_go_on_after_a_cursor_and_stop_at_a_limit(evening: Served) -> None:
    def lines(query: str) -> list[Any]:
        answer = evening.get(f"/api/v1/records{query}", headers={"Accept": "application/x-ndjson"})
        return [json.loads(line) for line in answer.body.splitlines()]

    first = lines("?limit=1500")
    assert len(first) == 1500
    assert lines(f"?limit=3&cursor={first[2]['cursor']}") == first[3:6]
    assert lines("?test=nosuchtest") == []


def test_filters_narrow_what_is_given(evening: Served) -> None:
    def records(query: str) -> list[dict[str, Any]]:
        found = _json(evening, f"/api/v1/records?limit=1000&{query}")["records"]
        return [record["record"] for record in found]

    assert {record["test"] for record in records("test=ladder")} == {"ladder"}
    assert {record["rung"] for record in records("rung=platforms")} == {"platforms"}
    timeouts = records(f"failure=generic_timeout_error&device={_FIRST}")
    assert {record["failure"] for record in timeouts} == {"generic_timeout_error"}
    hour = records(
        f"device={_FIRST}&test=ladder&since=2026-11-15T10:00:00Z&until=2026-11-15T12:30:00%2B01:30"
    )
    starts = [record["start_utc_ns"] for record in hour]
    assert len(starts) == 12
    assert min(starts) >= invented.utc(15, 10)
    assert max(starts) < invented.utc(15, 11)


def test_rejects_say_why(serve: Callable[[Fill], Served]) -> None:
    def fill(store: Store) -> int:
        now_ns = invented.utc(15, 12)
        device = invented.Device(id=_FIRST, epoch="9f1c04d27ab35e68", weather=invented.clear)
        device.one_round(invented.utc(15, 11, 59))
        invented.deliver(store, device, now_ns)
        invented.refused(store, device, now_ns)
        return now_ns

    served = serve(fill)
    found = _json(served, f"/api/v1/rejects?device={_FIRST}")["rejects"]
    assert [reject["seq"] for reject in found] == [19, 18]
    assert "found 'mars'" in found[0]["reason"]
    assert len(_json(served, "/api/v1/rejects?limit=1")["rejects"]) == 1
    account = _json(served, f"/api/v1/devices/{_FIRST}/completeness")
    assert (account["rejected"], account["tombstoned"], account["missing"]) == (2, 3, 0)


@pytest.mark.parametrize(
    ("path", "parameter", "found", "allowed"),
    [
        ("/api/v1/records?limit=many", "limit", "many", "whole number"),
        ("/api/v1/records?limit=0", "limit", "0", "from 1"),
        ("/api/v1/records?rung=cellar", "rung", "cellar", "gateway"),
        ("/api/v1/records?since=yesterday", "since", "yesterday", "2026-11-15T16:00:00Z"),
        ("/api/v1/records?since=2026-11-15T16:00:00", "since", "2026-11-15T16:00:00", "with its zone"),
        ("/api/v1/records?cursor=-1", "cursor", "-1", "from 0"),
        (f"/api/v1/records?cursor={2**64}", "cursor", str(2**64), "whole number"),
        ("/api/v1/records?format=xml", "format", "xml", "ndjson"),
        ("/api/v1/records?device=NOBODY", "device", "NOBODY", "16 letters"),
        ("/api/v1/records?devise=x", "devise", "x", "device, test, rung, failure, since, until"),
        ("/api/v1/devices?limit=3", "limit", "3", "no parameter"),
        ("/api/v1/devices/shouting", "device", "shouting", "16 letters"),
        (f"/api/v1/devices/{_FIRST}/rounds?limit=501", "limit", "501", "whole number"),
        (f"/api/v1/devices/{_FIRST}/rounds?until=now", "until", "now", "epoch:seq"),
    ],
)
def test_a_bad_parameter_is_named_with_what_was_found_and_what_is_allowed(
    evening: Served, path: str, parameter: str, found: str, allowed: str
) -> None:
    error = _json(evening, path, status=422)["error"]
    assert (error["parameter"], error["found"]) == (parameter, found)
    assert allowed in error["allowed"]
    assert all(part in error["message"] for part in (parameter, found, allowed))


def test_an_unknown_device_is_not_found(evening: Served) -> None:
    for path in ("", "/rounds", "/completeness"):
        error = _json(evening, f"/api/v1/devices/aaaaaaaaaaaaaaaa{path}", status=404)["error"]
        assert error["found"] == "aaaaaaaaaaaaaaaa"


def test_an_unknown_path_and_a_write_are_refused_as_json(evening: Served) -> None:
    assert _json(evening, "/api/v2/devices", status=404)["error"]["message"]
    answer = evening.get("/api/v1/devices", method="DELETE")
    assert answer.status == 405
    assert json.loads(answer.body)["error"]["message"] == ENGLISH.say("page.not_allowed_text")


def test_health_is_never_cached_and_fails_when_the_store_does(
    serve: Callable[[Fill], Served],
) -> None:
    served = serve(invented.evening)
    answer = served.get("/healthz")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert json.loads(answer.body)["devices"] == 3
    served.queries.close()
    for path in served.database.parent.glob("collector.sqlite3*"):
        path.unlink()
    broken = served.get("/healthz")
    assert (broken.status, broken.headers["retry-after"]) == (503, "30")
    assert b"cannot be read" in served.get("/").body


def test_the_digest_is_the_last_of_the_chain_and_goes_on_with_what_is_stored(
    serve: Callable[[Fill], Served],
) -> None:
    served = serve(invented.evening)
    answer = json.loads(served.get("/api/v1/digest").body)
    assert answer["head"] == f"{answer['number']}:{answer['digest']}"
    connection = sqlite3.connect(served.database)
    entries = connection.execute(
        "SELECT number, digest, at_ns, kind, content FROM chain ORDER BY number"
    ).fetchall()
    connection.close()
    # By the published construction, and not by the code that made them.
    last = "0" * 64
    for number, digest, at_ns, kind, content in entries:
        text = f"{last}\n{number}\n{at_ns}\n{kind}\n{content}"
        last = hashlib.sha256(text.encode()).hexdigest()
        assert last == digest
    assert (answer["number"], answer["digest"]) == (len(entries), last)


def test_every_answer_is_as_the_document_says(evening: Served) -> None:
    document = _json(evening, "/api/openapi.json")
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        operation = operations["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        body = _json(evening, path.replace("{device}", _FIRST))
        _conforms(body, schema, schemas, path)
        assert operation["description"]


def _conforms(value: object, schema: dict[str, Any], schemas: dict[str, Any], where: str) -> None:
    """Check required and known keys down an answer: what the document promises is there, and nothing else."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if (kind.get("type") == "null") == (value is None)]
        assert kinds, where
        schema = kinds[0]
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["properties"]), where
        for key, part in value.items():
            _conforms(part, schema["properties"][key], schemas, f"{where}.{key}")
    elif isinstance(value, list) and "items" in schema:
        for part in value[:3]:
            _conforms(part, schema["items"], schemas, f"{where}[]")


def test_every_parameter_has_a_description_and_a_sentence_for_its_error(evening: Served) -> None:
    document = _json(evening, "/api/openapi.json")
    for path, operations in document["paths"].items():
        for parameter in operations["get"].get("parameters", ()):
            assert parameter["description"], (path, parameter["name"])
            assert ENGLISH.has(f"allowed.{parameter['name']}"), (path, parameter["name"])
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description") or "enum" in schema, name
        for field, part in schema.get("properties", {}).items():
            assert part.get("description") or "$ref" in part or "items" in part, (name, field)


def test_a_clock_that_never_was_set_is_bounded_by_when_its_record_arrived(
    serve: Callable[[Fill], Served],
) -> None:
    def fill(store: Store) -> int:
        device = invented.Device(id=_FIRST, epoch="9f1c04d27ab35e68", weather=invented.clear)
        device.quality, device.error_ns = ClockQuality.UNSYNCHRONISED, None
        device.booted_utc_ns = invented.utc(1, 0)
        device.one_round(invented.utc(1, 0))
        device.records = [replace(record, software="") for record in device.records]
        invented.deliver(store, device, invented.utc(15, 12))
        return invented.utc(15, 12)

    served = serve(fill)
    (device,) = _json(served, "/api/v1/devices")["devices"]
    last = device["last_round"]
    assert (last["utc"], last["clock"]) == ("2026-11-01T00:00:00.000000000Z", "unsynchronised")
    # Nothing says that it was not the year before; it was not after the fortnight in which it arrived.
    assert 300 * 86_400 < last["error_s"] < 700 * 86_400
    assert " d (clock not synchronised" in served.get("/").body.decode()
