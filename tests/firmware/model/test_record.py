"""A record survives the way through JSON whole, and what is not a record is refused by name."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from firmware.model.jsontypes import JsonValue, RecordError
from firmware.model.record import KEYS, SCHEMA, Record, Verdict, from_json, to_json
from firmware.model.statement import prose, stated
from tests.english import lines, overturned_by
from tests.firmware.records import records, tcp_record
from tests.needs import ROOT

# Written down, not computed: what is stored, signed and on its way has these keys in this order.
TCP = (
    '{"schema":2,"software":"tidegauge 0.1.0","boot_id":"3f6c2f0e-6f52-4b2f-9a3e-0d0a1c1d2e3f","test'
    '":"tcp","test_version":"0.1.0","target":"198.51.100.7:443","target_name":"example","zone":"inte'
    'rnational","rung":"international","uplink":"ethernet","round_id":1,"slot_boottime_ns":100000100'
    '0000,"start_boottime_ns":1000001031000,"start_utc_ns":1763701000001000000,"clock_quality":"sync'
    'hronised","clock_error_ns":4000000,"runtime_ns":20000001,"failure":null,"failed_operation":null'
    ',"phases":{"connect":{"ns":19000001,"stamp":"tcp_info"}},"bytes_up":0,"bytes_down":0,"detail":{'
    '"family":4,"retransmissions":0},"context":{"cpu_percent":3.5},"verdict":null}'
)
LADDER = (
    '{"schema":2,"software":"tidegauge 0.1.0","boot_id":"3f6c2f0e-6f52-4b2f-9a3e-0d0a1c1d2e3f","test'
    '":"ladder","test_version":"0.1.0","target":"198.51.100.7:443","target_name":"example","zone":"i'
    'nternational","rung":null,"uplink":"ethernet","round_id":null,"slot_boottime_ns":1000002000000,'
    '"start_boottime_ns":1000002031000,"start_utc_ns":1763701000002000000,"clock_quality":"synchroni'
    'sed","clock_error_ns":null,"runtime_ns":20000002,"failure":"connection_refused","failed_operati'
    'on":"connect","phases":{},"bytes_up":0,"bytes_down":0,"detail":{"family":4,"retransmissions":0}'
    ',"context":{"cpu_percent":3.5},"verdict":{"verdict":"ok","rule_id":"controls-reached","evidenc'
    'e":[["rung-networks",{"rung":"domestic","reached":3,"tried":4,"networks":3}],["not-reached",{"r'
    'ung":"domestic","target":"schön","failure":"no_address"}],["nothing-measured",{}]],"overturned_'
    'by":""}}'
)
# By older software, which wrote sentences.
SCHEMA_1 = (
    '{"schema":1,"software":"tidegauge 0.1.0","boot_id":"3f6c2f0e-6f52-4b2f-9a3e-0d0a1c1d2e3f","test'
    '":"ladder","test_version":"0.1.0","target":"198.51.100.7:443","target_name":"example","zone":"i'
    'nternational","rung":null,"uplink":"ethernet","round_id":null,"slot_boottime_ns":1000002000000,'
    '"start_boottime_ns":1000002031000,"start_utc_ns":1763701000002000000,"clock_quality":"synchroni'
    'sed","clock_error_ns":null,"runtime_ns":20000002,"failure":"connection_refused","failed_operati'
    'on":"connect","phases":{},"bytes_up":0,"bytes_down":0,"detail":{"family":4,"retransmissions":0}'
    ',"context":{"cpu_percent":3.5},"verdict":{"verdict":"ok","rule_id":"controls-reached","evidenc'
    'e":["domestic: 3 of 4 reached in 3 networks","domestic: schön not reached: no_address"],"overtu'
    'rned_by":"Reference targets that turn out to be answered by a cache."}}'
)


def text_of(record: Record) -> str:
    return json.dumps(to_json(record), separators=(",", ":"), ensure_ascii=False)


def ladder_record() -> Record:
    made = tcp_record(2, failure="connection_refused", test="ladder")
    evidence = (
        stated("rung-networks", rung="domestic", reached=3, tried=4, networks=3),
        stated("not-reached", rung="domestic", target="schön", failure="no_address"),
        stated("nothing-measured"),
    )
    concluded = Verdict(verdict="ok", rule_id="controls-reached", evidence=evidence)
    start = replace(made.start, error_ns=None)
    return replace(made, verdict=concluded, rung=None, round_id=None, start=start)


@pytest.mark.parametrize(("record", "text"), [(tcp_record(1), TCP), (ladder_record(), LADDER)])
def test_a_record_is_written_as_ever_to_the_byte(record: Record, text: str) -> None:
    assert text_of(record) == text
    assert from_json(json.loads(text)) == record


def test_a_record_of_schema_1_is_read_and_its_sentences_are_said_as_they_stand() -> None:
    record = from_json(json.loads(SCHEMA_1))
    sentences = ("domestic: 3 of 4 reached in 3 networks", "domestic: schön not reached: no_address")
    overturns = "Reference targets that turn out to be answered by a cache."
    assert record == replace(
        ladder_record(),
        verdict=Verdict(
            verdict="ok",
            rule_id="controls-reached",
            evidence=tuple(map(prose, sentences)),
            overturned_by=overturns,
        ),
    )
    assert record.verdict is not None
    assert lines(record.verdict) == sentences
    assert overturned_by(record.verdict) == overturns
    assert text_of(record) == SCHEMA_1.replace('{"schema":1,', f'{{"schema":{SCHEMA},', 1)


@pytest.mark.parametrize("name", ["ok", "cut"])
def test_records_of_real_rounds_are_written_again_as_they_were(name: str) -> None:
    lines = (ROOT / f"tests/data/rounds/{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines
    now = [line.replace('{"schema":1,', f'{{"schema":{SCHEMA},', 1) for line in lines]
    assert [text_of(from_json(json.loads(line))) for line in lines] == now


def test_no_key_is_of_a_schema_to_come() -> None:
    assert {one.since for one in KEYS} <= set(range(1, SCHEMA + 1))


@given(records)
def test_json_and_back_is_the_same_record(record: Record) -> None:
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", SCHEMA + 1, "upgrade the collector"),
        ("schema", "1", "schema: found '1'"),
        ("zone", "moon", "zone: found 'moon'; allowed is one of local, domestic, international"),
        ("rung", "roof", "rung: found 'roof'"),
        ("failure", "it_broke", "not on the list of failure words"),
        ("runtime_ns", -1, "runtime_ns: found -1; allowed is a whole number from 0"),
        ("runtime_ns", 2**63, "runtime_ns"),
        ("runtime_ns", True, "runtime_ns: found True"),
        ("clock_quality", None, "clock_quality: found None"),
        ("phases", {"connect": {"ns": 1, "stamp": "guess"}}, "phases: connect: stamp: found 'guess'"),
        ("phases", [], "phases: found \\[\\]; allowed is an object"),
        ("verdict", {"verdict": "ok", "rule_id": "r"}, "verdict: evidence is missing"),
        ("detail", "text", "detail: found 'text'; allowed is an object"),
    ],
)
def test_what_is_wrong_is_named(key: str, value: JsonValue, message: str) -> None:
    broken = {**to_json(tcp_record(1)), key: value}
    with pytest.raises(RecordError, match=message):
        from_json(broken)


@pytest.mark.parametrize(
    "line",
    [
        1,
        None,
        {},
        [],
        ["rung"],
        ["rung", []],
        ["", {}],
        [1, {}],
        ["rung", {}, 1],
        ["rung", {"reached": {}}],
        ["rung", {"reached": [1]}],
        ["rung", {"reached": 2**63}],
        ["rung", {"reached": float("inf")}],
    ],
)
def test_evidence_that_is_no_statement_is_named(line: JsonValue) -> None:
    verdict: JsonValue = {"verdict": "ok", "rule_id": "r", "evidence": ["so", line], "overturned_by": ""}
    with pytest.raises(RecordError, match=r"verdict\.evidence: found .*; allowed is \[code, parameters\]"):
        from_json({**to_json(tcp_record(1)), "verdict": verdict})


@pytest.mark.parametrize("key", list(to_json(tcp_record(1))))
def test_a_missing_key_is_named(key: str) -> None:
    broken = to_json(tcp_record(1))
    del broken[key]
    with pytest.raises(RecordError, match=f"{key} is missing"):
        from_json(broken)


@pytest.mark.parametrize("value", [None, 1, "record", []])
def test_what_is_no_object_is_refused(value: JsonValue) -> None:
    with pytest.raises(RecordError, match="a JSON object belongs here"):
        from_json(value)
