"""The packing bench in its short form: it compares like with like, and packed is smaller. Never times."""

import pytest

from firmware.measurements import MEASUREMENTS
from firmware.model.task import Result
from firmware.worker import packing
from tests.bench.packing import compare, from_json_bytes, samples, to_json_bytes


def test_there_is_a_result_of_every_test() -> None:
    assert {name.partition("_100")[0].partition("_refused")[0] for name in samples()} == set(MEASUREMENTS)


@pytest.mark.parametrize("result", [pytest.param(one, id=name) for name, one in samples().items()])
def test_both_forms_hold_the_same_and_packed_is_smaller(result: Result) -> None:
    assert packing.unpack(packing.pack(result)) == from_json_bytes(to_json_bytes(result)) == result
    as_json, packed = compare(result, rounds=1)
    assert packed.size < as_json.size
