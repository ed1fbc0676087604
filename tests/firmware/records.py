"""Strategies and makers of records, tasks and batches for the tests of several packages."""

from hypothesis import strategies as st

from firmware.model.failures import Failure
from firmware.model.record import (
    ClockQuality,
    ClockReading,
    Outcome,
    Phase,
    Record,
    Rung,
    Stamp,
    Verdict,
    Zone,
)
from firmware.model.statement import PROSE, Statement, prose
from firmware.model.statement_forms import EVIDENCE

big = st.integers(0, 2**62)
words = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(words, json_values, max_size=3)
failures = st.none() | st.sampled_from(list(Failure)) | words.map(lambda word: f"unknown_failure: {word}")

parameters = st.dictionaries(
    words,
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.lists(words, max_size=3),
    max_size=3,
)
statements = (
    st.builds(
        Statement,
        code=st.sampled_from(sorted(EVIDENCE)) | words.filter(lambda word: word not in ("", PROSE)),
        parameters=parameters,
    )
    | words.map(prose)
    | st.sampled_from(["domestic: 3 of 3 reached in 3 networks, best 12.3 ms", "[", '["rung",{}]']).map(prose)
)
"""Evidence as this software knows it, as software to come may write it, and as older software wrote it, in sentences."""

outcomes = st.builds(
    Outcome,
    failure=failures.map(lambda word: None if word is None else str(word)),
    failed_operation=st.none() | words,
    phases=st.dictionaries(words, st.builds(Phase, ns=big, stamp=st.sampled_from(Stamp)), max_size=3),
    bytes_up=big,
    bytes_down=big,
    detail=json_objects,
)

records = st.builds(
    Record,
    boot_id=words,
    test=words,
    test_version=words,
    target=words,
    target_name=words,
    zone=st.sampled_from(Zone),
    rung=st.none() | st.sampled_from(Rung),
    uplink=words,
    round_id=st.none() | big,
    slot_boottime_ns=big,
    start=st.builds(
        ClockReading,
        boottime_ns=big,
        utc_ns=big,
        quality=st.sampled_from(ClockQuality),
        error_ns=st.none() | big,
    ),
    runtime_ns=big,
    outcome=outcomes,
    context=json_objects,
    verdict=st.none()
    | st.builds(
        Verdict,
        verdict=words,
        rule_id=words,
        evidence=st.lists(statements, max_size=3).map(tuple),
        overturned_by=words,
    ),
    software=words,
)


def tcp_record(number: int, *, failure: str | None = None, test: str = "tcp") -> Record:
    """Return a record as a device makes it for a TCP connect, different for each `number`."""
    start_ns = 1_000_000_000_000 + number * 1_000_000
    return Record(
        boot_id="3f6c2f0e-6f52-4b2f-9a3e-0d0a1c1d2e3f",
        test=test,
        test_version="0.1.0",
        target="198.51.100.7:443",
        target_name="example",
        zone=Zone.INTERNATIONAL,
        rung=Rung.INTERNATIONAL,
        uplink="ethernet",
        round_id=number,
        slot_boottime_ns=start_ns,
        start=ClockReading(
            boottime_ns=start_ns + 31_000,
            utc_ns=1_763_700_000_000_000_000 + start_ns,
            quality=ClockQuality.SYNCHRONISED,
            error_ns=4_000_000,
        ),
        runtime_ns=20_000_000 + number,
        outcome=Outcome(
            failure=failure,
            failed_operation=None if failure is None else "connect",
            phases={} if failure else {"connect": Phase(ns=19_000_000 + number, stamp=Stamp.TCP_INFO)},
            detail={"family": 4, "retransmissions": 0},
        ),
        context={"cpu_percent": 3.5},
        software="tidegauge 0.1.0",
    )
