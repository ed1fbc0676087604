"""The drill in short: real TCP through a policer, a shaper and a full line, judged by its packets and by its kernel's counts."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from firmware.judgement.throttling.policing import Limit
from tests import namespaces
from tests.policing.faults import policing_fault
from tests.policing.judging import WAYS, PolicingTally, by_packets, report
from tests.policing.lines import IS, KINDS, PolicingLine, draw_line
from tests.policing.road import told

LINE = PolicingLine(
    kind="plain", seed=1, rtt_ms=40, line_bit_s=8_000_000, line_queue_bytes=60_000, seconds=1.5
)
THROTTLED = replace(LINE, by="tbf", rate_bit_s=1_500_000, burst_bytes=100_000)
PLAYED = {
    "policed": replace(THROTTLED, kind="policed", seconds=2.5),
    "shaped": replace(THROTTLED, kind="shaped", queue_bytes=200_000),
    "shallow": replace(LINE, kind="shallow", line_bit_s=2_000_000, line_queue_bytes=12_000),
    "bufferbloat": replace(LINE, kind="bufferbloat", line_bit_s=1_500_000, line_queue_bytes=200_000),
}


@pytest.fixture(scope="module")
def played() -> dict[str, dict[str, Any]]:
    return {kind: namespaces.call(told, line.to_json()) for kind, line in PLAYED.items()}


@pytest.mark.namespace
def test_what_was_built_is_told_with_its_rate_and_nothing_else_is(played: dict[str, dict[str, Any]]) -> None:
    tally = PolicingTally()
    for one in played.values():
        tally.add(one)
    assert tally.wrong == []
    for kind in ("policed", "shaped"):
        found = by_packets(played[kind])
        assert found.limit == kind
        assert found.bytes_per_s == pytest.approx(PLAYED[kind].payload_rate, rel=0.05)
    assert "said what was not built: 0" in [*report(tally)]


@pytest.mark.namespace
@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("queue-not-looked-at", "shallow", Limit.POLICED),
        ("burst-not-asked-for", "bufferbloat", Limit.SHAPED),
    ],
)
def test_a_fault_put_into_the_judgement_is_found(
    played: dict[str, dict[str, Any]], name: str, kind: str, said: Limit
) -> None:
    with policing_fault(name):
        tally = PolicingTally()
        tally.add(played[kind])
    assert tally.said["packets"][kind, said] == 1
    assert len(tally.wrong) == 1


@pytest.mark.namespace
def test_what_is_seen_is_of_the_sender_and_in_order(played: dict[str, dict[str, Any]]) -> None:
    for kind, one in played.items():
        times = [row[0] for row in one["seen"]]
        assert all(before <= after for before, after in pairwise(times))
        sent = {(row[2], row[4]) for row in one["seen"] if row[1]}
        assert sum(size for _, size in sent) >= PLAYED[kind].payload_bytes
        assert one["segment_bytes"] == 1448


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_is_drawn_again_from_its_seed_and_what_it_is_follows_from_it(kind: str) -> None:
    for seed in range(6):
        line = draw_line(kind, seed)
        assert line == draw_line(kind, seed) == PolicingLine(**line.to_json())  # type: ignore[arg-type]
        assert bool(line.by) is (kind in IS)
        assert bool(line.queue_bytes) is (IS.get(kind) == "shaped")
        assert not line.by or line.rate_bit_s < line.line_bit_s
    assert set(WAYS) == {"packets", "tcp_info"}
