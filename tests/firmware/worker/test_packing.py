"""A packed result is the result, to the last type and order; what is none is refused, and nothing crashes the daemon."""

import json
import struct
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import JsonObject, JsonValue, RecordError
from firmware.model.record import Outcome, Phase, Stamp
from firmware.model.task import Result, result_to_json
from firmware.worker import tables
from firmware.worker.packing import pack, unpack
from tests.firmware.records import big, json_values, outcomes, words

# Values that JSON tells apart and Python takes for equal: 1, True, 1.0.
cells = (
    st.sampled_from([0, 1, True, False, None, 1.0, "1", "", 2**31, -(2**31) - 1, 2**63, -(2**63)])
    | json_values
)
columns = st.sampled_from([st.integers(-5, 5), st.integers(), words, st.none() | words, cells])


@st.composite
def rows(draw: st.DrawFn) -> list[JsonValue]:
    """Return what may be a table: rows with the same keys, or nearly."""
    names = draw(st.lists(words, min_size=1, max_size=4, unique=True))
    kinds = {name: draw(columns) for name in names}
    found: list[Any] = [
        {name: draw(cast("st.SearchStrategy[Any]", kinds[name])) for name in names}
        for _ in range(draw(st.integers(tables.MIN_ROWS, 14)))
    ]
    if draw(st.booleans()):
        odd: list[Any] = [None, {}, {"other": 1}, dict.fromkeys(reversed(names), 1)]
        found[draw(st.integers(0, len(found) - 1))] = draw(st.sampled_from(odd))
    return found


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Return any result, with tables more often than not."""
    outcome = draw(outcomes)
    detail: JsonObject = dict(outcome.detail)
    for name in draw(st.lists(words, max_size=2)):
        detail[name] = draw(rows())
    return Result(
        task_id=draw(words),
        test_version=draw(words),
        target=draw(words),
        uplink=draw(words),
        start_boottime_ns=draw(big),
        start_utc_ns=draw(big),
        runtime_ns=draw(big),
        outcome=replace(outcome, detail=detail),
    )


def text(result: Result) -> str:
    """Return a result in a form that tells 1 from True and one order of keys from another."""
    return json.dumps(result_to_json(result))


@given(results())
def test_a_result_comes_back_as_it_was(result: Result) -> None:
    assert text(unpack(pack(result))) == text(result)


TRAIN = Result(
    task_id="7",
    test_version="0.1.0",
    target="example.org",
    uplink="wifi",
    start_boottime_ns=10**12,
    start_utc_ns=10**18,
    runtime_ns=10**9,
    outcome=Outcome(
        phases={"rtt": Phase(ns=14_001, stamp=Stamp.SND)},
        detail={
            "samples": [
                {
                    "rtt_ns": 14_000 + number,
                    "stamp": "snd",
                    "late_ns": 2**40 + number,
                    "ttl": 64,
                    "lost": None,
                }
                for number in range(100)
            ],
            "after": "it",
        },
    ),
)


def test_a_train_takes_a_few_bytes_a_sample() -> None:
    assert text(unpack(pack(TRAIN))) == text(TRAIN)
    assert len(pack(TRAIN)) < 100 * (4 + 1 + 8 + 4 + 1) + 400
    assert list(unpack(pack(TRAIN)).outcome.detail) == ["samples", "after"]


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(noise: bytes) -> None:
    read_or_refuse(noise)
    read_or_refuse(b"\1" + noise)


@given(st.data())
def test_no_damage_to_a_real_one_crashes_the_reader(data: st.DataObject) -> None:
    whole = bytearray(pack(TRAIN))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def read_or_refuse(body: bytes) -> None:
    try:
        read = unpack(body)
    except RecordError:
        return
    assert text(unpack(pack(read))) == text(read)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda body: body[:20], "requires a buffer"),
        (lambda body: body[:-1], "a column of 100 numbers|words that are not"),
        (lambda body: body + b"x", "1 bytes more"),
        (lambda body: b"\2" + body[1:], "kind"),
        (lambda body: body.replace(b'"after":"it"}', b'"after":"it"]'), "detail"),
        (lambda body: body.replace(b'"samples",100,', b'"samples",900,'), "100 values|of 900|not among"),
        (lambda body: body.replace(b'"samples",100,', b'"samplex",100,'), r"allowed for a table"),
        (lambda body: body.replace(b'["snd"]', b"[     ]"), "not among those named"),
        (lambda body: body.replace(b'"w",', b'"z",'), "form 'z'"),
        (lambda body: body.replace(struct.pack("=q", 10**12), struct.pack("=q", -1)), "below 0"),
        (
            lambda body: body.replace(struct.pack("=qb", 14_001, 1), struct.pack("=qb", 14_001, 9)),
            "stamp class 9",
        ),
    ],
)
def test_what_is_no_result_is_refused_with_a_reason(damage: object, told: str) -> None:
    assert callable(damage)
    with pytest.raises(RecordError, match=told):
        unpack(damage(pack(TRAIN)))


def test_a_failure_that_is_no_word_is_refused() -> None:
    failed = replace(TRAIN, outcome=Outcome(failure="connection_refused"))
    with pytest.raises(RecordError, match="not on the list"):
        unpack(pack(failed).replace(b"connection_refused", b"connection_refuzed"))


def test_a_number_that_no_record_may_hold_is_an_error_here() -> None:
    with pytest.raises(OverflowError):
        pack(replace(TRAIN, runtime_ns=2**63))
