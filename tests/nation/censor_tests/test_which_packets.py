"""Which packets a rule is about beside their ends and contents: by size, and by lot over flows or packets."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tests.nation.censor import forge, rules
from tests.nation.censor.engine import Engine
from tests.nation.censor.packets import ACK, SYN, TCP

MACS = bytes.fromhex("020000000002020000000001")
INSIDE, OUTSIDE = bytes((10, 0, 0, 1)), bytes((192, 0, 2, 7))


def segment(*, flags: int, sport: int = 40000, data: int = 0, up: bool = True) -> bytes:
    """Return a frame of 40 bytes of IP and TCP, and of `data`."""
    ports = (sport, 443) if up else (443, sport)
    ends = (INSIDE, OUTSIDE) if up else (OUTSIDE, INSIDE)
    body = struct.pack(">HHIIBBHHH", *ports, 100, 0, 5 << 4, flags, 1000, 0, 0) + bytes(data)
    return forge.frame(MACS if up else MACS[6:] + MACS[:6], *ends, TCP, body)


def passes(mind: Engine, frame: bytes, *, up: bool) -> bool:
    made = mind.handle(frame, up=up, now_ns=1)
    return made is None or any(sent[2] == frame for sent in made)


@given(st.integers(0, 1460))
def test_a_path_that_eats_what_is_large_eats_nothing_else(size: int) -> None:
    hole = '[[rule]]\ndo = "drop"\nmatch = { larger_than = 1300, direction = "down" }'
    mind = Engine(rules.loads(hole), now_ns=0)
    assert passes(mind, segment(flags=SYN), up=True)
    assert passes(mind, segment(flags=ACK, data=size), up=True)
    assert passes(mind, segment(flags=ACK, data=size, up=False), up=False) == (size + 40 <= 1300)


def test_small_packets_can_be_told_too() -> None:
    mind = Engine(rules.loads('[[rule]]\ndo = "drop"\nmatch = { smaller_than = 100 }'), now_ns=0)
    assert not passes(mind, segment(flags=ACK, data=59), up=True)
    assert passes(mind, segment(flags=ACK, data=60), up=True)


def test_a_share_of_flows_is_stopped_whole_and_the_others_not_at_all() -> None:
    mind = Engine(rules.loads('[[rule]]\ndo = "drop"\nmatch = { share = 0.3 }'), now_ns=0)
    stopped = 0
    for sport in range(20_000, 22_000):
        found = {passes(mind, segment(flags=flags, sport=sport), up=True) for flags in (SYN, ACK, ACK, ACK)}
        assert len(found) == 1
        stopped += found == {False}
    assert 520 < stopped < 680  # 600 of 2,000 within four standard deviations


def test_a_share_of_packets_is_drawn_packet_by_packet() -> None:
    mind = Engine(rules.loads('[[rule]]\ndo = "drop"\nmatch = { share = 0.3, lot = "packets" }'), now_ns=0)
    stopped = sum(not passes(mind, segment(flags=ACK), up=True) for _ in range(2_000))
    assert 520 < stopped < 680


def test_the_same_seed_draws_the_same_lots_and_another_does_not() -> None:
    def drawn(seed: int) -> list[bool]:
        text = f'[[rule]]\ndo = "drop"\nmatch = {{ share = 0.5, seed = {seed} }}'
        mind = Engine(rules.loads(text), now_ns=0)
        return [passes(mind, segment(flags=SYN, sport=sport), up=True) for sport in range(20_000, 20_100)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
