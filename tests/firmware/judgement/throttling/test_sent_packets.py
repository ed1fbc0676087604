"""What headers tell of each segment: connections whose course is built by hand, packet by packet."""

from firmware.judgement.throttling.sent_packets import HeaderSeen, trace_of

MS = 1_000_000
SIZE = 1000


def sent(at_ms: int, start: int, size: int = SIZE, base: int = 0) -> HeaderSeen:
    return HeaderSeen(
        at_ns=at_ms * MS, is_sent=True, sequence=(base + start) % 2**32, acknowledged=0, payload_bytes=size
    )


def acked(at_ms: int, upto: int, *sacks: tuple[int, int], base: int = 0) -> HeaderSeen:
    return HeaderSeen(
        at_ns=at_ms * MS,
        is_sent=False,
        sequence=0,
        acknowledged=(base + upto) % 2**32,
        payload_bytes=0,
        sacks=tuple(((base + low) % 2**32, (base + high) % 2**32) for low, high in sacks),
    )


def test_a_packet_that_the_network_card_cuts_is_cut_here() -> None:
    trace = trace_of([sent(0, 0, 3500), acked(40, 3500)], SIZE)
    assert [(one.start, one.payload_bytes) for one in trace.segments] == [
        (0, 1000),
        (1000, 1000),
        (2000, 1000),
        (3000, 500),
    ]
    assert trace.delivered == ((0.04, 3500),)


def test_what_is_sent_again_was_lost_and_round_trips_are_of_what_was_news() -> None:
    trace = trace_of(
        [
            sent(0, 0),
            sent(1, 1000),
            sent(2, 2000),
            acked(40, 1000),
            acked(42, 1000, (2000, 3000)),
            sent(43, 1000),
            acked(90, 3000),
        ],
        SIZE,
    )
    assert [one.lost for one in trace.segments] == [False, True, False, False]
    assert [one.rtt_s for one in trace.segments] == [0.04, None, 0.04, 0.047]
    assert [amount for _, amount in trace.delivered] == [1000, 2000, 3000]


def test_what_was_sent_again_for_nothing_was_not_lost() -> None:
    trace = trace_of(
        [sent(0, 0), sent(1, 1000), sent(50, 0), acked(60, 2000), acked(99, 2000, (0, 1000))], SIZE
    )
    assert [one.lost for one in trace.segments] == [False, False, False]


def test_each_transmission_that_is_lost_counts() -> None:
    trace = trace_of([sent(0, 0), sent(50, 0), sent(150, 0), acked(190, 1000)], SIZE)
    assert [one.lost for one in trace.segments] == [True, True, False]


def test_numbers_wrap_and_what_is_no_part_of_it_is_left_out() -> None:
    base = 2**32 - 1500
    found = [
        acked(0, 5, base=base),  # nothing was sent yet
        *(sent(at, 1000 * at, base=base) for at in range(4)),
        sent(5, -1, 1, base=base),  # a keep-alive
        acked(30, 900_000, base=base),  # acknowledges what was never sent
        acked(40, 4000, base=base),
    ]
    trace = trace_of(found, SIZE)
    assert [one.start for one in trace.segments] == [0, 1000, 2000, 3000]
    assert trace.delivered == ((0.04, 4000),)


def test_nothing_seen_is_no_trace() -> None:
    assert trace_of([], 0).segments == ()
