"""The censor's mind without a wire: what packets become under rules, with time as it is told."""

import itertools
import struct

import dns.message
from hypothesis import given
from hypothesis import strategies as st

from tests.nation.censor import forge, rules
from tests.nation.censor.engine import Engine, Send
from tests.nation.censor.flows import FlowTable, later, quick_key
from tests.nation.censor.packets import ACK, FIN, PSH, RST, SYN, TCP, UDP, Packet, parse
from tests.nation.censor_tests.hellos import hello

_S = 10**9
MACS = bytes.fromhex("020000000002020000000001")
INSIDE, OUTSIDE = bytes((10, 0, 0, 1)), bytes((192, 0, 2, 7))
GET = b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n"


def segment(
    flags: int, sequence: int, acknowledged: int = 0, data: bytes = b"", *, up: bool = True, port: int = 80
) -> bytes:
    """Return a frame of a connection from inside to outside."""
    ports = (40000, port) if up else (port, 40000)
    ends = (INSIDE, OUTSIDE) if up else (OUTSIDE, INSIDE)
    body = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, flags, 1000, 0, 0) + data
    return forge.frame(MACS if up else MACS[6:] + MACS[:6], *ends, TCP, body)


def engine(text: str) -> Engine:
    """Return an engine with these rules, started at 0."""
    return Engine(rules.loads(text), now_ns=0)


def shake(mind: Engine, *, now_ns: int = 0) -> None:
    """Open the connection, which nothing may hinder: sequence numbers 101 up and 501 down come next."""
    for frame, up in (
        (segment(SYN, 100), True),
        (segment(SYN | ACK, 500, 101, up=False), False),
        (segment(ACK, 101, 501), True),
    ):
        assert mind.handle(frame, up=up, now_ns=now_ns) in (None, [(now_ns, up, frame)])


def read(sends: list[Send] | None) -> list[tuple[int, bool, int, int, int]]:
    """Return (when, up, flags, sequence, acknowledged) of TCP frames."""
    found = []
    for at_ns, up, frame in sends or []:
        packet = parse(frame, up)
        assert packet is not None
        found.append((at_ns, up, packet.flags, packet.sequence, packet.acknowledged))
    return found


@given(
    st.binary(max_size=120), st.booleans(), st.sampled_from((b"\x08\x00\x45", b"\x86\xdd\x60", b"\x08\x06"))
)
def test_no_frame_breaks_it(data: bytes, up: bool, kind: bytes) -> None:
    mind = engine("".join(f'[[rule]]\nmatch = {{ payload = "{word}" }}\ndo = "reset"\n' for word in "ab"))
    frame = MACS + kind + data
    made = mind.handle(frame, up=up, now_ns=1)
    assert made is None or all(sent[1] == up for sent in made if sent[2] == frame)


def test_resets_fit_both_ends_exactly() -> None:
    mind = engine('[[rule]]\nmatch = { host = "x.com" }\ndo = "reset"')
    shake(mind)
    made = mind.handle(segment(PSH | ACK, 101, 501, GET), up=True, now_ns=5)
    assert read(made) == [(5, False, RST | ACK, 501, 101 + len(GET)), (5, True, RST | ACK, 101, 501)]


def test_a_reset_after_data_from_outside_counts_it() -> None:
    mind = engine('[[rule]]\nmatch = { payload = "secret" }\ndo = "reset"\nends = "inside"')
    shake(mind)
    mind.handle(segment(PSH | ACK, 501, 101, b"banner", up=False), up=False, now_ns=1)
    made = mind.handle(
        segment(PSH | ACK, 101, 501, b"secret"), up=True, now_ns=2
    )  # has not seen the banner yet
    assert [packet[3] for packet in read(made)] == [507]


def test_nothing_forged_overtakes_what_was_delayed() -> None:
    mind = engine(
        '[[rule]]\ndo = "impair"\ndelay_ms = 100\nmatch = { direction = "down" }\n'
        '[[rule]]\nmatch = { payload = "secret" }\ndo = "reset"\nends = "inside"'
    )
    mind.handle(segment(SYN, 100), up=True, now_ns=0)
    mind.handle(segment(SYN | ACK, 500, 101, up=False), up=False, now_ns=0)
    mind.handle(segment(PSH | ACK, 501, 101, b"banner", up=False), up=False, now_ns=_S)
    made = mind.handle(segment(PSH | ACK, 101, 501, b"secret"), up=True, now_ns=_S + 1)
    assert [packet[0] for packet in read(made)] == [_S + 100_000_000]


def test_a_late_reset_counts_from_the_syn() -> None:
    mind = engine('[[rule]]\nmatch = { port = 80 }\ndo = "reset"\nafter_s = 12.2')
    first = mind.handle(segment(SYN, 100), up=True, now_ns=_S)
    assert read(first) == [(_S + 12_200_000_000, False, RST | ACK, 0, 101)]
    for again_ns in (2 * _S, 4 * _S, 8 * _S):  # the kernel asks again, and is swallowed
        assert mind.handle(segment(SYN, 100), up=True, now_ns=_S + again_ns) == []
    assert len(mind.handle(segment(SYN, 100), up=True, now_ns=14 * _S) or []) == 1


def test_the_client_of_a_page_may_close_in_peace() -> None:
    mind = engine('[[rule]]\nmatch = { host = "x.com" }\ndo = "page"')
    shake(mind)
    made = read(mind.handle(segment(PSH | ACK, 101, 501, GET), up=True, now_ns=5))
    assert [packet[1:3] for packet in made][-1] == (True, RST | ACK)
    end = 501 + len(_data(mind))
    closing = mind.handle(segment(FIN | ACK, 101 + len(GET), end + 1), up=True, now_ns=6)
    assert read(closing) == [(6, False, ACK, end + 1, 102 + len(GET))]
    assert mind.handle(segment(ACK, 501, 101, up=False), up=False, now_ns=7) == []


def _data(mind: Engine) -> bytes:
    fresh = engine('[[rule]]\nmatch = { host = "x.com" }\ndo = "page"')
    shake(fresh)
    made = fresh.handle(segment(PSH | ACK, 101, 501, GET), up=True, now_ns=5) or []
    read_back = [parse(frame, up) for _, up, frame in made if not up]
    return b"".join(packet.payload for packet in read_back if packet)


def test_the_memory_of_the_protocol_filter_is_sixty_seconds() -> None:
    mind = engine('[[rule]]\ndo = "protocol_filter"')
    shake(mind)
    odd = [segment(PSH | ACK, 101 + n, 501, b"?") for n in range(4)]
    assert mind.handle(odd[0], up=True, now_ns=0) == [(0, True, odd[0])]
    assert mind.handle(odd[1], up=True, now_ns=0) == []
    answer = segment(ACK, 501, 102, up=False)
    assert mind.handle(answer, up=False, now_ns=30 * _S) == []
    assert mind.handle(odd[2], up=True, now_ns=60 * _S - 1) == []
    assert mind.handle(odd[3], up=True, now_ns=60 * _S) == [(60 * _S, True, odd[3])]


def test_the_protocol_filter_leaves_other_ports_and_known_protocols() -> None:
    mind = engine('[[rule]]\ndo = "protocol_filter"')
    for n in range(5):
        assert mind.handle(segment(PSH | ACK, 101 + n, 501, b"?", port=8080), up=True, now_ns=n) is None
    shake(mind)
    for data in (b"?", b"\x16\x03\x01\x02", b"?", b"?"):
        assert mind.handle(segment(PSH | ACK, 102, 501, data), up=True, now_ns=9)


def test_a_long_transfer_becomes_free_of_rules_about_names() -> None:
    mind = engine('[[rule]]\nmatch = { sni = "x.com" }\ndo = "reset"')
    shake(mind)
    bulk = segment(ACK, 102, 501, bytes(1400))
    for n in range(12):
        assert not mind.is_free(bulk, n)
        mind.handle(bulk, up=True, now_ns=n)
    assert mind.is_free(bulk, 20)
    assert mind.is_free(segment(ACK, 501, 102, bytes(1400), up=False), 20)
    assert not mind.is_free(segment(SYN, 900), 20)  # a new connection from the same port


def test_a_rule_about_a_name_and_a_text_waits_for_the_text() -> None:
    mind = engine('[[rule]]\nmatch = { host = "x.com", payload = "secret" }\ndo = "drop"')
    shake(mind)
    passes = [
        mind.handle(segment(ACK, 101, 501, data), up=True, now_ns=1) != []
        for data in (GET, b"open", b"secret")
    ]
    assert passes == [True, True, False]


def test_a_new_connection_on_the_same_ports_is_a_new_flow() -> None:
    mind = engine('[[rule]]\nmatch = { payload = "secret" }\ndo = "drop"')
    shake(mind)
    assert mind.handle(segment(PSH | ACK, 101, 501, b"secret"), up=True, now_ns=1) == []
    assert mind.handle(segment(ACK, 107, 501), up=True, now_ns=2) == []
    again = segment(SYN, 7777)
    assert mind.handle(again, up=True, now_ns=3) == [(3, True, again)]


def test_a_connection_that_began_before_anybody_looked_is_told_by_its_ports() -> None:
    mind = engine('[[rule]]\nmatch = { to = "192.0.2.0/24", port = 443 }\ndo = "drop"')
    down = segment(PSH | ACK, 501, 101, b"news", up=False, port=443)
    assert mind.handle(down, up=False, now_ns=1) == []
    assert mind.handle(segment(ACK, 101, 505, port=443), up=True, now_ns=2) == []


def test_rules_that_stay_keep_their_memory_and_others_lose_it() -> None:
    shut = '[[rule]]\nname = "shut"\nmatch = { payload = "secret" }\ndo = "drop"\n'
    other = '[[rule]]\nname = "other"\nmatch = { payload = "open" }\ndo = "drop"\n'
    mind = engine(shut)
    shake(mind)
    frame = segment(ACK, 107, 501)
    mind.handle(segment(PSH | ACK, 101, 501, b"secret"), up=True, now_ns=1)
    mind.change(rules.loads(other + shut), now_ns=2)
    assert mind.handle(frame, up=True, now_ns=3) == []
    mind.change(rules.loads(other), now_ns=4)
    assert mind.handle(frame, up=True, now_ns=5) == [(5, True, frame)]
    mind.change(rules.loads(other + shut), now_ns=6)
    assert mind.handle(frame, up=True, now_ns=7) == [(7, True, frame)]


HELLO = hello("x.com")
# What is cut, the rule that looks for it, and how many bytes it takes to see the name.
REQUESTS = (
    (GET, "host", GET.index(b"x.com\r\n") + len(b"x.com\r\n")),
    (HELLO, "sni", HELLO.index(b"\0\0\x05x.com") + len(b"\0\0\x05x.com")),
)


@given(
    st.sampled_from(REQUESTS),
    st.lists(st.floats(0.001, 0.999), max_size=6),
    st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_reassembly_finds_a_name_however_it_is_cut(
    what: tuple[bytes, str, int], cuts: list[float], again: list[bool]
) -> None:
    data, key, enough = what
    mind = engine(f'[[rule]]\nmatch = {{ {key} = "x.com", reassemble = true }}\ndo = "reset"')
    shake(mind)
    edges = sorted({0, len(data), *(round(len(data) * cut) for cut in cuts)})
    for (begin, end), twice in zip(itertools.pairwise(edges), again, strict=False):
        frame = segment(PSH | ACK, 101 + begin, 501, data[begin:end])
        made = mind.handle(frame, up=True, now_ns=1)
        if end < enough:
            assert made == [(1, True, frame)]
            if twice:  # sent again, as after a loss
                assert mind.handle(frame, up=True, now_ns=1) == [(1, True, frame)]
            continue
        assert [packet[1:3] for packet in read(made)] == [(False, RST | ACK), (True, RST | ACK)]
        break


def test_the_timetable_says_when_a_rule_holds() -> None:
    mind = engine('[[rule]]\ndo = "drop"\nfrom_s = 10\nuntil_s = 20\nevery_s = 30')
    frame = segment(ACK, 1, 1)
    passes = [mind.handle(frame, up=True, now_ns=second * _S) != [] for second in range(0, 60, 5)]
    dark = [10, 15, 40, 45]
    assert passes == [second not in dark for second in range(0, 60, 5)]
    assert [event.did for event in mind.events() if event.did in ("begins", "ends")] == ["begins", "ends"] * 2


def query(name: str, number: int = 7) -> bytes:
    """Return a frame that asks for an address."""
    data = dns.message.make_query(name, "A", id=number).to_wire()
    return forge.frame(MACS, INSIDE, OUTSIDE, UDP, struct.pack(">HHHH", 40000, 53, 8 + len(data), 0) + data)


def test_answers_come_as_often_and_as_late_as_told() -> None:
    mind = engine('[[rule]]\nmatch = { qname = "x.com" }\ndo = "answer"\ntimes = 3\nafter_ms = 20')
    made = mind.handle(query("x.com"), up=True, now_ns=_S) or []
    assert [(at_ns, up) for at_ns, up, _ in made] == [(_S + 20_000_000, False)] * 3 + [(_S, True)]
    assert mind.handle(query("y.com"), up=True, now_ns=_S) == [(_S, True, query("y.com"))]


def test_one_socket_that_asks_for_several_names_is_judged_name_by_name() -> None:
    mind = engine('[[rule]]\nmatch = { qname = "x.com" }\ndo = "drop"')
    passes = [
        mind.handle(query(name), up=True, now_ns=n) != []
        for n, name in enumerate(("y.com", "x.com", "y.com"))
    ]
    assert passes == [True, False, True]


def test_what_is_remembered_is_between_two_addresses_and_a_port() -> None:
    mind = engine('[[rule]]\nmatch = { payload = "secret" }\ndo = "drop"\nremember_s = 60')
    shake(mind)
    assert mind.handle(segment(PSH | ACK, 101, 501, b"secret"), up=True, now_ns=0) == []
    again = segment(SYN, 900)
    assert mind.handle(again, up=True, now_ns=59 * _S) == []
    assert mind.handle(segment(SYN, 900, port=81), up=True, now_ns=59 * _S) != []
    assert mind.handle(again, up=True, now_ns=60 * _S) == [(60 * _S, True, again)]


def test_a_rate_is_shared_or_each_flows_own() -> None:
    for per, passing in (("all", 1), ("flow", 3)):
        mind = engine(f'[[rule]]\ndo = "throttle"\nrate_bit_s = 1000\nburst_bytes = 1500\nper = "{per}"')
        frames = [segment(ACK, 1, 1, bytes(1400), port=port) for port in (80, 81, 82)]
        assert sum(mind.handle(frame, up=True, now_ns=1) != [] for frame in frames) == passing
        down = segment(ACK, 1, 1, bytes(1400), up=False)
        assert mind.handle(down, up=False, now_ns=1) != []  # the other direction has a rate of its own


def test_repeated_acts_are_told_once_and_counted() -> None:
    mind = engine('[[rule]]\nname = "shut"\ndo = "drop"')
    for n in range(10):
        assert mind.handle(segment(ACK, n, 1), up=True, now_ns=n) == []
    assert [event.did for event in mind.events()] == ["begins", "dropped"]
    (count,) = mind.counts(11)
    assert count.said == {"of": "dropped", "packets": 10, "bytes": 400}
    assert mind.counts(12) == []


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1))
def test_sequence_numbers_wrap(start: int, ahead: int) -> None:
    end = (start + ahead) % 2**32
    assert later(start, end) == later(end, start) == end


@given(st.booleans(), st.sampled_from((TCP, UDP)), st.binary(min_size=4, max_size=4), st.integers(1, 65535))
def test_the_quick_key_finds_what_the_long_look_found(
    up: bool, proto: int, address: bytes, port: int
) -> None:
    body = struct.pack(">HH", port, 443) + (
        struct.pack(">IIBBHHH", 1, 1, 80, ACK, 1, 0, 0) if proto == TCP else struct.pack(">HH", 8, 0)
    )
    for ends in ((address, OUTSIDE), (address * 4, OUTSIDE * 4)):
        frame = forge.frame(MACS, *ends, proto, body)
        table = FlowTable()
        packet = parse(frame, up)
        assert packet is not None
        flow = table.of(packet, 1)
        key = quick_key(frame)
        assert key is not None
        assert table.get(key) is flow


def test_silent_flows_are_forgotten_and_there_are_never_too_many() -> None:
    table = FlowTable()
    for n in range(70_000):
        table.of(
            Packet(frame=b"", up=True, version=4, proto=UDP, source=struct.pack(">I", n), target=OUTSIDE), n
        )
    assert len(table) <= 65536
    table.sweep(10**15)
    assert len(table) == 0
