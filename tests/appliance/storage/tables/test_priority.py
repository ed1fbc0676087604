"""What is given up first, and that what went and what stayed are all there ever was."""

import random
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.outbox.box import Outbox
from appliance.storage.quota import Quota
from appliance.storage.tables.priority import (
    LastSeen,
    Priority,
    RecordFacts,
    facts_of,
    pick,
    rows_to_evict,
    to_ranges,
)
from firmware.model.record import Record, Verdict
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import Ack
from tests.firmware.records import tcp_record

DEVICE = "a1b2c3d4e5f6g7h8"


def said(words: list[str]) -> list[tuple[Priority, int | None]]:
    memory = LastSeen()
    facts = [
        RecordFacts(key="x", said=word, failed=bool(word), round_id=n)
        for n, word in enumerate(words, start=1)
    ]
    rankings = [memory.add(seq, one) for seq, one in enumerate(facts, start=1)]
    return [(worth.value, worth.promoted) for worth in rankings]


def test_the_edges_of_an_outage_are_kept() -> None:
    told = said(["", "", "timeout", "timeout", "timeout", "", ""])
    assert [value for value, _ in told] == [
        Priority.KEPT,
        Priority.ROUTINE,
        Priority.KEPT,
        Priority.FAILING,
        Priority.FAILING,
        Priority.KEPT,
        Priority.ROUTINE,
    ]
    assert told[5][1] == 5, "the last failure turns out to be worth keeping when the first success comes"


def test_one_round_in_eight_is_a_sample_and_a_gap_is_kept() -> None:
    told = said([""] * 17)
    assert [n for n, (value, _) in enumerate(told, start=1) if value is Priority.SAMPLE] == [8, 16]
    assert LastSeen().add(1, RecordFacts(key="g", said="x", failed=True, is_gap=True)).value is Priority.KEPT


def conclusion(verdict: str, rule_id: str) -> Record:
    """Return a round's conclusion."""
    said = Verdict(verdict=verdict, rule_id=rule_id, evidence=())
    return replace(tcp_record(3, test="ladder"), verdict=said)


def test_the_first_round_that_suspects_what_is_not_sure_enough_is_a_change() -> None:
    told = [("inconclusive", "mixed-evidence")] * 2 + [("inconclusive", "international-cut")] * 2
    memory = LastSeen()
    values = [memory.add(seq, facts_of(conclusion(*one))).value for seq, one in enumerate(told, start=1)]
    assert values == [Priority.KEPT, Priority.SAMPLE, Priority.KEPT, Priority.SAMPLE]


def test_of_a_long_cut_each_conclusion_and_one_whole_round_in_eight_outlive_the_time_outs_between(
    tmp_path: Path,
) -> None:
    """Sixty rounds of one cut: two failures and a success each, and what the round came to."""
    cut = Verdict(verdict="international_cut", rule_id="international-cut")
    made: dict[int, tuple[str, int]] = {}
    with Outbox.open(tmp_path / "outbox.sqlite3", device=DEVICE) as outbox:
        for number in range(1, 61):
            told = [
                replace(tcp_record(number, failure="generic_timeout_error"), target_name="abroad"),
                replace(tcp_record(number, failure="generic_timeout_error"), target_name="far"),
                replace(tcp_record(number), target_name="home"),
                replace(tcp_record(number, test="ladder"), verdict=cut),
            ]
            names = ("failure", "failure", "success", "conclusion")
            for identity, name in zip(outbox.append(told), names, strict=True):
                made[identity.seq] = (name, number)
        inside = range(2, 60)  # the first is a change, and of the last failures each may be its run's last
        outbox.evict(len([1 for name, n in made.values() if name == "success" and n > 1 and n % 8]))
        left = [made[row.seq] for row in outbox.oldest(1000)]
        assert [n for name, n in left if name == "success" and n in inside] == [8, 16, 24, 32, 40, 48, 56]
        assert len([n for name, n in left if name == "failure"]) == 120
        outbox.evict(2 * len([n for n in inside if n % 8]))
        left = [made[row.seq] for row in outbox.oldest(1000)]
        assert len([n for name, n in left if name == "conclusion"]) == 60
        assert [n for name, n in left if name == "failure" and n in inside] == [
            n for n in (8, 16, 24, 32, 40, 48, 56) for _ in range(2)
        ]


def test_an_open_failure_is_marked_not_taken() -> None:
    picked = pick(
        [(1, Priority.FAILING), (2, Priority.FAILING)], level=Priority.FAILING, wanted=5, open_failures={2}
    )
    assert (picked.chosen, picked.promoted, picked.upto) == ((1,), (2,), 2)


def test_room_is_made_in_one_go_not_one_by_one() -> None:
    assert rows_to_evict(used_bytes=96, cap_bytes=100, rows=1000) == 0
    assert rows_to_evict(used_bytes=100, cap_bytes=100, rows=1000) == 50
    assert rows_to_evict(used_bytes=100, cap_bytes=1, rows=10) == 10
    assert rows_to_evict(used_bytes=100, cap_bytes=1, rows=0) == 0


@given(st.lists(st.integers(1, 60), unique=True).map(sorted))
def test_ranges_are_exact(seqs: list[int]) -> None:
    ranges = to_ranges(seqs)
    assert [seq for low, high in ranges for seq in range(low, high + 1)] == seqs


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_nothing_kept_goes_while_something_lesser_stays_and_all_is_accounted_for(seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.sqlite3"
        outbox = Outbox.open(path, device=DEVICE)
        told = SeqRanges()
        acked = SeqRanges()
        for _ in range(rng.randint(1, 12)):
            failure = rng.choice([None, None, "generic_timeout_error"])
            bunch = [tcp_record(rng.randint(1, 99), failure=failure) for _ in range(rng.randint(1, 30))]
            outbox.append(bunch)
            before = values(outbox)
            outbox.evict(rng.choice([0, 0, rng.randint(1, 40)]))
            after = values(outbox)
            gone = before.keys() - after.keys()
            if gone and after:
                least_left = min(after.values())
                # Of what was marked on the way the later mark counts: it was the last failure of its target.
                assert all(before[seq] <= least_left for seq in gone)
            for tombstone in outbox.tombstones(10_000):
                assert tombstone.count == tombstone.high - tombstone.low + 1
                told = told.add(tombstone.low, tombstone.high)
            if rng.random() < 0.5 and outbox.counts().produced:
                low = rng.randint(1, outbox.counts().produced)
                high = rng.randint(low, outbox.counts().produced)
                outbox.acknowledge(
                    Ack(
                        epoch=outbox.epoch,
                        upto=0,
                        ranges=SeqRanges(((low, high),)),
                        incarnation=outbox.incarnation,
                    )
                )
                acked = acked.add(low, high)
                left = [(one.low, one.high) for one in outbox.tombstones(10_000)]
                assert not any(seq in acked for low, high in left for seq in (low, high))
            if rng.random() < 0.2:
                outbox.close()
                outbox = Outbox.open(path, device=DEVICE)
        produced = outbox.counts().produced
        waiting = SeqRanges.of(row.seq for row in outbox.oldest(10_000))
        counts = outbox.counts()
        assert counts.waiting == len(waiting)
        assert not told.union(waiting).union(acked).gaps(1, produced)
        assert not any(seq in waiting for low, high in told for seq in range(low, high + 1))
        assert counts.given_up == len(told)
        outbox.close()


def values(outbox: Outbox) -> dict[int, int]:
    return dict(outbox._handle.connection.execute("SELECT seq, value FROM waiting").fetchall())


def test_what_is_too_old_goes_by_how_long_the_device_ran_and_not_by_its_wall_clock(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    quota = Quota(path=path, max_age_s=86_400)
    hour_ns = 3_600_000_000_000
    now_ns = 5 * hour_ns
    wall = [1_790_000_000_000_000_000]
    with Outbox.open(path, device=DEVICE, quota=quota, utc_ns=lambda: wall[0]) as outbox:
        outbox.append([tcp_record(1)])
        assert outbox.space.keep_age(now_ns) == 0
        outbox.append([tcp_record(2)])
        for _ in range(20):
            now_ns += hour_ns
            assert outbox.space.keep_age(now_ns) == 0
        wall[0] += 10**18  # thirty years ahead, at once
        outbox.append([tcp_record(3)])
        assert outbox.space.keep_age(now_ns + hour_ns) == 0
    # Another boot: its clock begins anew, and the time in between does not count.
    with Outbox.open(path, device=DEVICE, quota=quota, utc_ns=lambda: wall[0]) as outbox:
        assert outbox.space.keep_age(hour_ns) == 0
        assert outbox.space.keep_age(5 * hour_ns) == 2
        assert [(one.low, one.high, one.reason) for one in outbox.tombstones(9)] == [(1, 2, "too old")]
        assert [row.seq for row in outbox.oldest(9)] == [3]
