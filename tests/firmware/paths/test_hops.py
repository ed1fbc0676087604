"""The table of a path, run against imagined paths: what is asked, when it stops, and that it always does."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from firmware.model.record import Phase, Stamp
from firmware.paths.hops import AHEAD, End, HopKind, HopReply, HopTable, Limits

MS = 1_000_000
TIMEOUT = 2_000 * MS


@dataclass
class Path:
    """An imagined path: what each hop answers with, and after how long; what is not in it is silent."""

    hops: dict[int, HopReply]
    delay_ns: dict[int, int] = field(default_factory=dict)
    sent: list[tuple[int, int, int]] = field(default_factory=list)

    def run(self, table: HopTable) -> HopTable:
        """Run the table to its end, with time as the table asks for it."""
        now = 1
        coming: list[tuple[int, int, int]] = []
        for _ in range(100_000):
            for when, hop, query in [one for one in coming if one[0] <= now]:
                table.answered(hop, query, self.hops[hop])
                coming.remove((when, hop, query))
            table.expire(now)
            if table.done():
                return table
            place = table.next_probe(now)
            if place is not None:
                table.sent(*place, now)
                self.sent.append((now, *place))
                if place[0] in self.hops:
                    coming.append((now + self.delay_ns.get(place[0], 20 * MS), *place))
                continue
            wake = table.wake_ns(now)
            assert wake > now, "it would spin"
            now = min([wake, *(max(when, now + 1) for when, _, _ in coming)])
        raise AssertionError("it never ends")


def passed(address: str) -> HopReply:
    return HopReply(
        address=address, kind=HopKind.PASSED, rtt=Phase(ns=1, stamp=Stamp.SND), failure="ttl_exceeded"
    )


def reached() -> HopReply:
    return HopReply(address="target", kind=HopKind.REACHED, rtt=Phase(ns=1, stamp=Stamp.SND))


def ended() -> HopReply:
    return HopReply(
        address="wall", kind=HopKind.ENDED, rtt=Phase(ns=1, stamp=Stamp.SND), failure="host_unreachable"
    )


def table(*, max_hops: int = 30, queries: int = 3, gap: int = 5) -> HopTable:
    return HopTable(Limits(max_hops=max_hops, queries=queries, gap=gap, timeout_ns=TIMEOUT))


def to_target(length: int) -> dict[int, HopReply]:
    """Return a path whose target is at hop `length` and answers for every hop behind it."""
    return {hop: passed(f"r{hop}") if hop < length else reached() for hop in range(1, 65)}


def test_a_near_target_gets_few_probes_meant_for_hops_behind_it() -> None:
    for length in (1, 2, 9):
        path = Path(to_target(length))
        assert path.run(table()).end() == (End.REACHED, length)
        assert sum(hop >= length for _, hop, _ in path.sent) <= AHEAD - 1 + 3
        assert {(hop, query) for _, hop, query in path.sent if hop <= length} == {
            (hop, query) for hop in range(1, length + 1) for query in range(3)
        }


def test_silence_ends_at_the_gap_and_is_waited_for_side_by_side() -> None:
    path = Path({1: passed("r1"), 2: passed("r2")})
    found = path.run(table(gap=4))
    assert found.end() == (End.GAP_LIMIT, 6)
    assert [hop for hop, _ in found.kept()] == [1, 2, 3, 4, 5, 6]
    assert max(when for when, _, _ in path.sent) < 2 * TIMEOUT


def test_a_late_answer_counts_and_moves_the_end() -> None:
    path = Path({1: passed("r1"), 2: ended()}, delay_ns={2: TIMEOUT + 500 * MS})
    assert path.run(table(gap=3)).end() == (End.UNREACHABLE, 2)


def test_a_silent_first_query_does_not_hide_a_hop() -> None:
    found = table(queries=2, gap=1, max_hops=2)
    assert found.next_probe(1) == (1, 0)
    found.sent(1, 0, 1)
    assert found.next_probe(1) is None  # the gap limit: nothing behind hop 1 yet
    assert found.next_probe(400 * MS) == (1, 1)
    found.sent(1, 1, 400 * MS)
    found.answered(1, 1, passed("r1"))
    assert found.next_probe(401 * MS) == (2, 0)


def test_a_loop_is_a_router_met_three_times_with_others_between() -> None:
    routers = ["a", "b", "c", "b", "c", "b", "c", "b"]
    path = Path({hop: passed(name) for hop, name in enumerate(routers, start=1)})
    assert path.run(table()).end() == (End.LOOP, 6)
    slow = Path({hop: passed("a") for hop in range(1, 9)})  # one router that counts wrongly is none
    assert slow.run(table(max_hops=8)).end() == (End.MAX_HOPS, 8)


def test_one_at_a_time_means_one() -> None:
    found = table()
    for _ in range(AHEAD):
        place = found.next_probe(1)
        assert place is not None
        found.sent(*place, 1)
    assert found.only_flying() is None
    found.go_single(2)
    assert found.next_probe(3) is None  # what was in flight may still come
    assert found.next_probe(2 + TIMEOUT) == (1, 0)
    found.sent(1, 0, 2 + TIMEOUT)
    assert found.next_probe(2 + TIMEOUT) is None
    assert found.only_flying() == (1, 0)
    path = Path(to_target(5))
    assert path.run(found).end() == (End.REACHED, 5)


def test_an_end_before_all_is_asked_is_the_deadlines() -> None:
    found = table()
    found.sent(1, 0, 1)
    assert found.end()[0] is End.DEADLINE


ANSWERS = st.sampled_from([passed("a"), passed("b"), passed("c"), reached(), ended()])


@given(
    hops=st.dictionaries(st.integers(1, 20), ANSWERS),
    delays=st.dictionaries(st.integers(1, 20), st.integers(0, 5_000 * MS)),
    max_hops=st.integers(1, 20),
    queries=st.integers(1, 4),
    gap=st.integers(1, 8),
    single=st.booleans(),
)
def test_whatever_answers_it_ends_within_its_bounds(
    hops: dict[int, HopReply],
    delays: dict[int, int],
    max_hops: int,
    queries: int,
    gap: int,
    *,
    single: bool,
) -> None:
    found = table(max_hops=max_hops, queries=queries, gap=gap)
    found.single = single
    path = Path(hops, delays)
    path.run(found)
    places = [(hop, query) for _, hop, query in path.sent]
    assert len(places) == len(set(places)) <= max_hops * queries
    end, hop = found.end()
    assert end is not End.DEADLINE
    assert 1 <= hop <= max_hops
    assert [number for number, _ in found.kept()] == list(range(1, hop + 1))
    assert (end is End.REACHED) <= any(answer.kind is HopKind.REACHED for answer in found.answers())
