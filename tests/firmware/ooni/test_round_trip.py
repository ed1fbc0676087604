"""What we write, read again, comes to the same verdict as the record itself: real measurements, written and read."""

import json
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.site.from_record import evidence_of as evidence_of_record
from firmware.judgement.site.verdict import judge
from firmware.model.jsontypes import RecordError
from firmware.model.record import Record, to_json
from firmware.ooni.explain import explain
from firmware.ooni.explain import to_json as explained_to_json
from firmware.ooni.keys import OoniError
from firmware.ooni.read import Document
from firmware.ooni.write import Origin, measurement_of
from tests.english import ENGLISH
from tests.firmware.ooni.mutilation import json_values, paths


def test_every_kind_comes_to_the_verdict_of_its_record(real_records: dict[str, Record]) -> None:
    seen = set()
    for name, record in real_records.items():
        evidence = evidence_of_record(record)
        assert evidence is not None, name
        ours = judge(evidence, None).verdict
        measurement = measurement_of(record, Origin())
        assert measurement is not None, name
        back = explain(Document(line=1, value=measurement)).verdict
        assert (back.verdict, back.rule_id) == (ours.verdict, ours.rule_id), name
        seen.add(ours.rule_id)
    assert len(seen) >= 3, seen


def test_a_record_and_its_line_of_the_api_come_to_the_same(real_records: dict[str, Record]) -> None:
    for name, record in real_records.items():
        bare = explain(Document(line=1, value=to_json(record)))
        wrapped = explain(Document(line=1, value=cast("Any", {"device": "d", "record": to_json(record)})))
        assert bare == wrapped, name
        assert bare.test == record.test


@given(pick=st.integers(0, 100), where=st.floats(0, 0.999), value=json_values)
def test_any_mutilation_of_a_record_is_judged_or_named(
    real_records: dict[str, Record], pick: int, where: float, value: Any
) -> None:
    record = json.loads(json.dumps(to_json(list(real_records.values())[pick % len(real_records)])))
    everywhere = paths(record)
    path = everywhere[int(where * len(everywhere))]
    place = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    try:
        found = explain(Document(line=1, value=record))
    except (OoniError, RecordError):
        return
    json.dumps(explained_to_json(found, ENGLISH), allow_nan=False).encode("ascii")
