"""OONI's pair, computed again for each condition of OONI's own web-connectivity QA, is what their probe fills in.

The files are small, in OONI's format, one for each condition and named for it; each carries the pair that OONI's QA
expects (0.5.28, and 0.4 for those named so). The table in `conditions` says it a second time, so that neither can drift alone.
"""

from dataclasses import replace
from typing import Any

import pytest

from firmware.ooni.measurement import OoniMeasurement, Pair
from firmware.ooni.pair import pair_of
from firmware.ooni.parse import parse
from firmware.ooni.read import Document, documents
from tests.firmware.ooni.conditions import CONDITIONS, PAIRS


def read(condition: str) -> OoniMeasurement:
    with (CONDITIONS / f"{condition}.json").open("rb") as stream:
        (document,) = documents(stream)
    assert isinstance(document, Document)
    return parse(document.value)


def test_every_condition_is_in_the_table() -> None:
    assert {path.stem for path in CONDITIONS.glob("*.json")} == set(PAIRS)


@pytest.mark.parametrize("condition", PAIRS)
def test_the_pair_is_ooni_s(condition: str) -> None:
    blocking, accessible = PAIRS[condition]
    measurement = read(condition)
    assert measurement.said == Pair(blocking=blocking, accessible=accessible)
    assert pair_of(measurement) == measurement.said


def test_a_test_without_a_pair_has_none() -> None:
    assert pair_of(parse({"test_name": "telegram", "test_keys": {"telegram_web_status": "ok"}})) == Pair()


@pytest.mark.parametrize(
    "condition", ["tls_blocking_reset_consistent_dns", "tcp_blocking_timeout", "success_https"]
)
def test_the_first_of_0_5_had_no_word_for_the_way_to_the_page(condition: str) -> None:
    def untagged(step: Any) -> Any:
        return replace(step, mark=replace(step.mark, fetch_body=None, classic=False))

    measurement = read(condition)
    early = replace(measurement, connects=tuple(map(untagged, measurement.connects)))
    assert pair_of(early) == measurement.said


def test_networks_that_the_file_does_not_name_leave_its_own_word_on_consistency() -> None:
    measurement = read("success_http")
    assert measurement.control is not None
    elsewhere = replace(measurement.control, addresses=("93.184.216.200",), asns={})
    unknown = replace(measurement, control=elsewhere, dns_consistency="consistent", requests=())
    assert pair_of(unknown) == Pair()
    assert pair_of(replace(unknown, dns_consistency=None)) == Pair()
    refused = replace(
        unknown, connects=tuple(replace(one, failure="connection_refused") for one in unknown.connects)
    )
    refused = replace(refused, handshakes=())
    assert pair_of(refused) == Pair(blocking="tcp_ip", accessible=False)
    assert pair_of(replace(refused, dns_consistency=None)) == Pair(blocking="dns", accessible=False)
