"""Records that wait on a device, each in its round's light: a dark line accuses nobody in what is exported of it."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from appliance.measuring import surroundings
from appliance.measuring.surroundings import surrounded
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.round_json import UNKNOWN
from firmware.model.failures import Failure
from firmware.model.plan import PlannedTarget
from firmware.model.record import Record, Rung, to_json
from tests.collector.page import invented

BEGAN_S = 1_795_000_000
NS = invented.NS_PER_S


def weather(target: PlannedTarget, at_ns: int) -> str | None:
    """Return the weather in which all that is far is silent from the third round on."""
    is_dark = at_ns >= (BEGAN_S + 400) * NS
    far = (Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS, Rung.RESOLVER)
    return Failure.TIMEOUT if is_dark and target.rung in far else None


def waiting(rounds: int = 4) -> list[Record]:
    """Return what a device has stored of rounds three minutes apart."""
    device = invented.Device(
        id="k3v9q2m7x1c8n5p4", epoch="9f1c04d27ab35e68", weather=weather, booted_utc_ns=(BEGAN_S - 9000) * NS
    )
    for number in range(rounds):
        device.one_round((BEGAN_S + 180 * number) * NS)
    return device.records


def page(after: Record, wait_s: int) -> Record:
    """Return a page that was asked for beside the rounds, so long after a record began."""
    return replace(
        after,
        test="http",
        rung=None,
        round_id=None,
        target="http://www.example.org/",
        target_name="list/2",
        verdict=None,
        start=replace(after.start, boottime_ns=after.start.boottime_ns + wait_s * NS),
        runtime_ns=NS,
        outcome=replace(
            after.outcome, failure=Failure.TIMEOUT, failed_operation="connect", detail={"requests": []}
        ),
    )


def lit(records: Iterable[Record]) -> list[tuple[Record, RoundView]]:
    """Return the records in the order they came out, each with what its round says."""
    kept = list(records)
    told = list(surrounded((seq, json.dumps(to_json(one)), one) for seq, one in enumerate(kept, start=1)))
    assert [seq for seq, _, _ in told] == list(range(1, len(kept) + 1))
    return [(kept[seq - 1], around) for seq, _, around in told]


def test_each_measurement_has_its_round_s_word_and_light() -> None:
    records = waiting()
    words = {one.round_id: one.verdict.verdict for one in records if one.verdict is not None}
    assert [*words.values()] == ["ok", "ok", "ok", "isp_or_wider_outage"]
    for record, around in lit(records):
        assert around.verdict == words[record.round_id]
        assert around.references_reached is (around.verdict == "ok")
        assert around.is_of_its_round is (record.rung is not Rung.PLATFORMS)


def test_a_round_without_a_conclusion_is_unknown() -> None:
    records = [one for one in waiting() if one.test != "ladder" or one.round_id != 2]
    found = lit(records)
    assert {around for record, around in found if record.round_id == 2} == {UNKNOWN}
    assert {around.verdict for record, around in found if record.round_id == 3} == {"ok"}


def test_a_page_beside_the_rounds_needs_both_sides() -> None:
    records = waiting()
    first, second, third, _ = [number for number, one in enumerate(records) if one.test == "ladder"]
    conclusions = [one for one in records if one.test == "ladder"]
    records.insert(third + 1, page(conclusions[2], 60))
    records.insert(second + 1, page(conclusions[1], 60))
    records.insert(first + 1, page(conclusions[0], 60))
    records.append(page(conclusions[3], 60))
    around = [one for record, one in lit(records) if record.target_name == "list/2"]
    assert [one.references_reached for one in around] == [True, True, False, False]
    assert [one.verdict for one in around] == ["ok", "ok", "isp_or_wider_outage", "isp_or_wider_outage"]
    assert [one.repeated for one in around] == [False, True, True, True]


def test_no_more_is_held_back_than_may_be() -> None:
    """A round that is never concluded, and longer than any: its records come out all the same, and unknown."""
    records = [one for one in waiting(1) if one.test != "ladder"]
    read = 0

    def reading() -> Iterator[tuple[int, str, Record]]:
        nonlocal read
        for read in range(1, surroundings.MAX_HELD + 100):
            yield read, "", records[read % len(records)]

    held = [read - seq for seq, _, around in surrounded(reading()) if around == UNKNOWN]
    assert len(held) == surroundings.MAX_HELD + 99
    assert max(held) == surroundings.MAX_HELD
