"""When the vantage looks at what it is asked for: at once, together, and never more than its bounds, whoever asks."""

import random
from collections.abc import Iterable
from itertools import pairwise

from collector.vantage.asking import (
    AGAIN_S,
    APART_S,
    MAX_FAILING,
    PLATFORMS_AN_HOUR,
    REFERENCES_APART_S,
    SOON_S,
    WANTED_LOOKS,
    Asking,
    Look,
)


def failed(asking: Asking, device: str, names: Iterable[str], now_s: float) -> None:
    asking.report(device, failed=names, reached=(), now_s=now_s)


def test_what_is_lost_is_looked_at_within_seconds_and_the_device_is_told() -> None:
    asking = Asking()
    assert asking.due_s(100.0) is None
    failed(asking, "d1", ["x"], 100.0)
    failed(asking, "d2", ["x", "y"], 101.0)
    assert asking.due_s(101.0) == 100.0 + SOON_S
    look = asking.take(102.0)
    assert look == Look(names=frozenset({"x", "y"}), devices=frozenset({"d1", "d2"}))
    assert asking.due_s(103.0) is None


def test_what_stays_blocked_is_asked_for_as_often_as_its_verdict_needs_and_no_more() -> None:
    asking = Asking()
    for look in range(WANTED_LOOKS):
        now_s = 100.0 + 30 * look
        failed(asking, "d1", ["x"], now_s)
        taken = asking.take(now_s + SOON_S)
        assert taken.names == {"x"}
        asking.told(taken, ["x"], now_s + SOON_S)
    for round_s in range(280, 7200, 180):
        failed(asking, "d1", ["x"], float(round_s))
        assert asking.due_s(float(round_s)) is None
    # It comes back, and is lost anew: that is another loss.
    asking.report("d1", failed=(), reached=["x"], now_s=7300.0)
    failed(asking, "d1", ["x"], 7480.0)
    assert asking.take(7490.0).names == {"x"}


def test_sweeps_that_are_close_together_use_up_no_look_that_the_device_is_not_told_of() -> None:
    """A sweep each 10 s, and a device that speaks each 60 s: its looks are those from while its failure lasted."""
    asking = Asking()
    told_s = []
    for now_s in range(100, 600, 10):
        if (now_s - 100) % 60 == 0:
            failed(asking, "d1", ["x"], float(now_s))
        look = asking.take(now_s + 5.0, is_sweep=True)
        asking.told(look, ["x", "y"], now_s + 5.0)
        told_s += [now_s + 5.0] * ("d1" in look.devices)
    assert told_s == [105.0, 165.0, 225.0, 285.0]


def test_a_look_while_the_vantage_was_cut_off_itself_is_made_again() -> None:
    asking = Asking()
    failed(asking, "d1", ["x"], 100.0)
    asking.take(102.0)
    failed(asking, "d1", ["x"], 102.0 + AGAIN_S)
    assert asking.take(103.0 + AGAIN_S).names == {"x"}


def test_a_sweep_answers_all_that_was_asked() -> None:
    asking = Asking()
    asking.ask_for_references(100.0)
    failed(asking, "d1", map(str, range(PLATFORMS_AN_HOUR + 60)), 100.0)
    look = asking.take(102.0, is_sweep=True)
    assert look.is_sweep
    assert len(look.names) == PLATFORMS_AN_HOUR + 60
    assert asking.due_s(102.0) is None


def test_silence_is_looked_into_at_once_and_then_once_a_minute() -> None:
    asking = Asking()
    looks = []
    for moment in range(3600):
        now_s = float(moment)
        asking.ask_for_references(now_s)
        due_s = asking.due_s(now_s)
        if due_s is not None and due_s <= now_s:
            looks.append(now_s)
            asking.take(now_s)
    assert looks[0] == SOON_S
    assert len(looks) <= 3600 / REFERENCES_APART_S + 1


def test_enemies_and_flapping_devices_cannot_make_it_look_without_end() -> None:
    asking = Asking()
    rng = random.Random(12)
    looks, platforms = [], 0
    for moment in range(2 * 3600):
        now_s = float(moment)
        for _ in range(20):
            device, names = f"d{rng.randrange(10_000)}", [f"p{rng.randrange(40)}" for _ in range(5)]
            asking.report(device, failed=(), reached=names, now_s=now_s)
            failed(asking, device, names, now_s)
        due_s = asking.due_s(now_s)
        if due_s is not None and due_s <= now_s:
            look = asking.take(now_s)
            looks.append(now_s)
            platforms += len(look.names)
            asking.told(look, look.names, now_s)
    assert min(b - a for a, b in pairwise(looks)) >= APART_S
    assert platforms <= 3 * PLATFORMS_AN_HOUR
    assert len(asking._failing) <= MAX_FAILING


def test_one_device_asks_for_a_platform_so_often_in_ten_minutes_however_it_flaps() -> None:
    asking = Asking()
    taken = 0
    for moment in range(0, 3600, 5):
        now_s = float(moment)
        asking.report("d1", failed=(), reached=["x"], now_s=now_s)
        failed(asking, "d1", ["x"], now_s + 1)
        due_s = asking.due_s(now_s + 4)
        if due_s is not None and due_s <= now_s + 4:
            taken += len(asking.take(now_s + 4).names)
    assert taken <= WANTED_LOOKS * (3600 / AGAIN_S + 1)
