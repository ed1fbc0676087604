"""What stands for a measurement, and what makes a country cheap: neither changes what is said."""

import random
from contextlib import nullcontext
from dataclasses import replace
from unittest import mock

from appliance.measuring.journal import sync_point
from firmware.judgement.ladder import round_tasks
from firmware.model.task import Task
from firmware.plans.load import load
from tests.country import play as play_module
from tests.country.device import HomeDevice
from tests.country.hosts import Hosts
from tests.country.internet import Internet
from tests.country.lines import QUALITIES, Line
from tests.country.play import play
from tests.country.rehearsal import rehearsed
from tests.country.repertoire import VARIANTS, Bearing, key_of
from tests.country.truth import Direction, Home, Ill, Provider, Truth, Wrong
from tests.country.virtual_time import BEGAN_UTC_NS, BOOTED_NS, NS
from tests.country.way import Way

PLAN = load("ir")


def home(line: str = "fibre", *, number: int = 0) -> Home:
    provider = Provider(name="AS64500", kind="fixed")
    return Home(number=number, provider=provider, province="Fars", line=line)


def wrong(ill: Ill, *hosts: str, share: float = 1.0) -> Wrong:
    return Wrong(ill=ill, since_s=100, until_s=200, homes=frozenset({0}), hosts=frozenset(hosts), share=share)


def bearing(*wrongs: Wrong, line: str = "fibre") -> Bearing:
    there = Truth(seed=1, hours=1, homes=(home(line),), wrongs=wrongs)
    return Bearing(
        there,
        there.homes[0],
        hosts=Hosts(PLAN),
        line=Line(quality=QUALITIES[line], seed="bearing"),
        repertoire=rehearsed("ir", there.homes),
        rng=random.Random(1),
    )


def task(name: str, at_s: float) -> Task:
    one = next(one for one in round_tasks(PLAN, 1, 0) if one.target_name == name)
    starts_ns = BOOTED_NS + round(at_s * NS)
    lasts_ns = one.deadline_boottime_ns - one.start_boottime_ns
    return replace(one, start_boottime_ns=starts_ns, deadline_boottime_ns=starts_ns + lasts_ns)


def told(of: Bearing, name: str, at_s: float) -> bool:
    asked = task(name, at_s)
    return of.again(asked, asked.start_boottime_ns) is not None


def test_every_measurement_of_a_round_on_a_line_that_is_well_is_rehearsed() -> None:
    known = rehearsed("ir", [home("dual-stack"), home("lossy", number=1)])
    assert {len(results) for results in known.values()} == {VARIANTS}
    assert {key[2] for key in known} == {one.target_name for one in round_tasks(PLAN, 1, 0)}
    assert all(one.result.outcome.failure is None for results in known.values() for one in results)


def test_what_is_rehearsed_stands_for_a_round_of_either_length_where_it_fits() -> None:
    known = rehearsed("ir", [home("dual-stack")])
    for is_quick in (False, True):
        keys = {key_of(home("dual-stack").place, one) for one in round_tasks(PLAN, 1, 0, is_quick=is_quick)}
        assert keys <= known.keys()


def test_a_measurement_is_told_again_while_nothing_that_bears_on_it_begins_or_ends() -> None:
    cut = bearing(wrong(Ill.CUT))
    assert told(cut, "gnu", 50)
    assert not told(cut, "gnu", 99.99)
    assert not told(cut, "gnu", 150)
    assert told(cut, "gnu", 201)


def test_what_a_clock_says_is_told_again_as_of_the_later_moment() -> None:
    known = rehearsed("ir", [home()])
    first = next(results[0] for key, results in known.items() if key[2] == "ntp-nist")
    asked = task("ntp-nist", 5_000)
    again = first.at(asked, asked.start_boottime_ns)
    for result in (first.result, again):
        point = sync_point(result)
        assert point is not None
        assert abs(point.utc_ns - BEGAN_UTC_NS - (point.boottime_ns - BOOTED_NS)) <= point.error_ns
        assert result.start_boottime_ns < point.boottime_ns <= result.start_boottime_ns + result.runtime_ns
    assert again.start_boottime_ns - first.result.start_boottime_ns > 4_000 * NS
    assert again.task_id == asked.task_id


def test_what_is_told_again_says_when_it_had_connected_where_it_was_out_for_two_seconds() -> None:
    """A line of 2.8 s each way: a connection stands after 5.6 s at the soonest, and a handshake ends as much later."""
    known = rehearsed("ir", [home("very-slow")])
    handshakes = [one for key, results in known.items() if key[1] == "tls" for one in results]
    assert handshakes
    assert all(one.connected_ns is not None and one.connected_ns >= 5.6 * NS for one in handshakes)
    quick = [one for results in rehearsed("ir", [home()]).values() for one in results]
    assert [one for one in quick if one.connected_ns is not None] == []


def test_a_device_is_woken_for_what_says_something() -> None:
    """Half an hour of a line that is well: most rounds are heard of at once, and answered probes not at all."""
    turns = 0
    turn = HomeDevice.turn

    def counted(device: HomeDevice) -> None:
        nonlocal turns
        turns += 1
        turn(device)

    with mock.patch.object(HomeDevice, "turn", counted):
        story = play(Truth(seed=4, hours=0.5, homes=(home(),), wrongs=()))
    assert {one.verdict for one in story.rounds} == {"ok"}
    # A turn each ten seconds, for the sentinel; a round's beginning, its end and what is asked beside it.
    assert turns < 180 + 8 * len(story.rounds)


def test_what_is_wrong_with_one_host_bears_on_that_host_alone_and_chance_is_never_told_again() -> None:
    blocked = bearing(wrong(Ill.BLOCKED_TLS, "x.com"))
    assert told(blocked, "gnu", 150)
    assert not told(blocked, "x", 150)
    worse = bearing(wrong(Ill.LINE_WORSE, share=0.1))
    assert not told(worse, "gnu", 150)
    elsewhere = bearing(wrong(Ill.COLLECTOR_DOWN))
    assert told(elsewhere, "gnu", 150)


def test_what_was_measured_on_a_full_line_stands_for_nothing() -> None:
    """A queue is another one at each moment."""
    full = bearing(replace(wrong(Ill.LINE_FULL), direction=Direction.UP))
    known = next(found[0] for key, found in rehearsed("ir", [home()]).items() if "gnu" in key)
    asked = task("gnu", 110)
    for _ in range(VARIANTS):
        full.learn(
            asked, replace(known, result=replace(known.result, start_boottime_ns=asked.start_boottime_ns))
        )
    assert told(full, "gnu", 50)
    assert not told(full, "gnu", 150)
    assert told(full, "gnu", 201)


def test_what_was_measured_in_a_cut_stands_for_the_next_of_the_same_cut_and_of_the_same_kind() -> None:
    later = replace(wrong(Ill.CUT), since_s=300, until_s=400, homes=frozenset({0, 1}))
    spared = replace(wrong(Ill.CUT, "gnu.org"), since_s=500, until_s=600)
    cut = bearing(wrong(Ill.CUT), later, spared)
    asked = task("gnu", 110)
    known = rehearsed("ir", [home()])[next(key for key in rehearsed("ir", [home()]) if "gnu" in key)][0]
    for _ in range(VARIANTS):
        assert not told(cut, "gnu", 110)
        result = replace(known.result, start_boottime_ns=asked.start_boottime_ns, runtime_ns=NS)
        cut.learn(asked, replace(known, result=result))
    assert told(cut, "gnu", 120)
    assert told(cut, "gnu", 310)
    assert not told(cut, "gnu", 510)
    assert not told(cut, "debian", 120)


def test_a_lossy_line_meets_its_losses_although_most_is_told_again() -> None:
    lossy = bearing(line="lossy")
    again = sum(told(lossy, "gnu", at_s) for at_s in range(0, 4_000, 2))
    # Four packets up and six down at the most, of which 8 in 100 are lost: 43 in 100 meet none.
    assert 0.3 < again / 2_000 < 0.6 or again == 0


def test_what_makes_a_country_cheap_changes_nothing_that_is_said() -> None:
    there = Truth(
        seed=11,
        hours=0.2,
        homes=(home(), home("mobile", number=1)),
        wrongs=(
            wrong(Ill.CUT),
            Wrong(ill=Ill.SERVER_RESETS_NAME, since_s=250, until_s=600, hosts=frozenset({"x.com"})),
        ),
    )
    cheap = play(there)
    with mock.patch.object(play_module, "lean", nullcontext):
        dear = play(there)
    assert cheap.rounds == dear.rounds
    assert cheap.country == dear.country
    assert cheap.intake_s == dear.intake_s
    assert {one.verdict for one in cheap.rounds} >= {"ok", "international_cut"}


def test_what_a_measurement_takes_of_its_line_is_counted_with_it() -> None:
    """A question and its answer; a name asked for over both families, a SYN and its answer. A flight of 4 kB is more."""
    known = rehearsed("ir", [home()])
    taken = {
        test: {
            (one.up, one.down, one.lost) for key, found in known.items() if key[1] == test for one in found
        }
        for test in ("dns", "tcp", "tls")
    }
    assert (taken["dns"], taken["tcp"]) == ({(1, 1, 0)}, {(3, 3, 0)})
    assert all(down > 3 for _, down, _ in taken["tls"])


def test_what_is_told_again_takes_its_places_in_the_lines_queues() -> None:
    """A handshake that is told again brings 4 kB down a line of 160 kbit/s: who asks in its middle waits for that."""
    line = Line(quality=replace(QUALITIES["mobile-edge"], loss_up=0.0, loss_down=0.0), seed="again")
    there = Truth(seed=1, hours=1, homes=(home("mobile-edge"),), wrongs=())
    again = Bearing(
        there,
        there.homes[0],
        hosts=Hosts(PLAN),
        line=line,
        repertoire=rehearsed("ir", there.homes),
        rng=random.Random(1),
    )
    asked = task("gnu", 100)
    chosen = again.again(asked, asked.start_boottime_ns)
    assert chosen is not None
    assert sum(size for _, size, up in chosen.packets if up) > 700
    assert sum(size for _, size, up in chosen.packets if not up) > 4_000
    at_s, size, _ = max((one for one in chosen.packets if not one[2]), key=lambda one: one[1])
    left_s = line.leaves_s(60, 100 + at_s + 0.001, up=False)
    assert left_s is not None
    assert left_s - (100 + at_s) >= size / 20_000


def test_what_a_line_loses_of_one_task_is_not_lost_of_another() -> None:
    internet = Internet(Hosts(PLAN), {0: Line(quality=QUALITIES["very-lossy"], seed="way")}, (), seed="way")
    one, other = Way(internet, 0), Way(internet, 0)
    for at_s in range(0, 4_000, 40):
        one.connect("130.89.148.77", 443, float(at_s), at_s + 20.0)
    assert one.lost > 0
    assert one.up >= 100
    assert (other.up, other.down, other.lost) == (0, 0, 0)
