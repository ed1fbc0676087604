"""What the page says of a device: never more than is known."""

from dataclasses import replace

import pytest

from collector.page import cards
from collector.page.times import NS_PER_S
from collector.store.answers import DeviceRow
from collector.store.completeness import Completeness, EpochCompleteness
from firmware.model.seqs import SeqRanges
from tests.english import ENGLISH

_NOW = 1_794_760_327 * NS_PER_S


def _epoch(produced: int, *, tombstoned: int = 0, rejected: int = 0, gaps: str = "") -> EpochCompleteness:
    missing = SeqRanges.of(int(seq) for seq in gaps.split())
    return EpochCompleteness(
        epoch="9f1c04d27ab35e68",
        produced=produced,
        stored=produced - tombstoned - rejected - len(missing),
        tombstoned=tombstoned,
        rejected=rejected,
        missing=len(missing),
        gaps=missing,
    )


def _device(*epochs: EpochCompleteness, heard_ago_s: int = 5, waiting: int | None = 0) -> DeviceRow:
    return DeviceRow(
        id="k3v9q2m7x1c8n5p4",
        country="ir",
        software="0.1.0",
        first_seen_ns=0,
        last_seen_ns=_NOW - heard_ago_s * NS_PER_S,
        online=True,
        waiting=waiting,
        rejects=0,
        last_round=None,
        completeness=Completeness(device="k3v9q2m7x1c8n5p4", epochs=epochs),
    )


def test_a_whole_epoch_is_all_here() -> None:
    assert cards.completeness_lines(_device(_epoch(4211)), ENGLISH) == ("seq 1–4,211: all here",)


def test_gaps_are_named_and_the_rest_of_them_counted() -> None:
    lines = cards.completeness_lines(_device(_epoch(4211, gaps="17 1203 1204 90 92 94"), waiting=6), ENGLISH)
    assert lines == (
        "seq 1–4,211: 6 missing (17, 90, 92 and 2 more gaps)",
        "6 were waiting on the device when it last connected",
    )


def test_given_up_and_refused_records_are_accounted_for_but_not_here() -> None:
    assert cards.completeness_lines(_device(_epoch(100, tombstoned=3, rejected=1)), ENGLISH) == (
        "seq 1–100: all accounted for",
        "3 given up by the device, which said so",
        "1 refused here as not valid",
    )


def test_older_databases_are_not_forgotten() -> None:
    lines = cards.completeness_lines(_device(_epoch(2000, gaps="7"), _epoch(10)), ENGLISH)
    assert lines == ("seq 1–10: all here", "1 earlier outbox database with 2,000 records: 1 missing")


def test_nothing_sent_is_said_as_such() -> None:
    assert cards.completeness_lines(_device(), ENGLISH) == ("none yet",)
    assert cards.completeness_lines(_device(_epoch(0)), ENGLISH) == ("none yet",)


@pytest.mark.parametrize(
    ("ages_s", "sentence"),
    [
        ([5], "It was heard from in the last 15 minutes."),
        ([5, 5], "All were heard from in the last 15 minutes."),
        ([5, 5000], "1 heard from in the last 15 minutes; 1 silent."),
        ([5000], "Not heard from in the last 15 minutes."),
        ([5000, 5000], "None was heard from in the last 15 minutes."),
    ],
)
def test_how_many_were_heard_lately(ages_s: list[int], sentence: str) -> None:
    assert cards.summary([_device(heard_ago_s=age) for age in ages_s], _NOW, ENGLISH).heard == sentence


def test_a_silent_device_is_tallied_as_silence_not_as_what_it_said_last() -> None:
    (entry,) = cards.summary([_device(heard_ago_s=5000)], _NOW, ENGLISH).tally
    assert entry[0] == 1
    assert "unknown" in entry[1].sentence


def test_fifteen_minutes_are_still_lately() -> None:
    assert not cards.is_silent(_device(heard_ago_s=cards.LATELY_S), _NOW)
    assert cards.is_silent(_device(heard_ago_s=cards.LATELY_S + 1), _NOW)


def test_a_plan_for_no_country_names_none() -> None:
    assert cards.provenance(_device(), ENGLISH) == "IR · software 0.1.0"
    assert cards.provenance(replace(_device(), country="zz", software=""), ENGLISH) == ""


def test_a_clock_that_is_not_synchronised_is_noted() -> None:
    assert cards.clock_note("synchronised", ENGLISH) == ""
    assert "drifting" in cards.clock_note("holdover", ENGLISH)
    assert "Not synchronised" in cards.clock_note("unsynchronised", ENGLISH)
