"""What the kernel's counts tell of a policer and a shaper: time lines built by hand."""

from firmware.judgement.throttling.policing import Limit, LimitWhy
from firmware.judgement.throttling.policing_by_tcp_info import KernelPoint, kernel_points, limit_by_tcp_info
from firmware.model.jsontypes import JsonValue

RATE = 20_000


def line(burst: int, *, resent: int = 0, rtt_s: float = 0.04, points: int = 40) -> list[KernelPoint]:
    """Return a line of `points` tenths of a second: `burst` in the first, then RATE; `resent` in every second one; round trips of `rtt_s`."""
    return [
        KernelPoint(
            at_s=number / 10,
            sent_bytes=0,
            acked_bytes=0 if not number else burst + RATE * number // 10,
            resent_bytes=0,
            resent=resent * (number // 2),
            rtt_s=rtt_s,
            least_rtt_s=0.04,
        )
        for number in range(points)
    ]


def test_losses_in_heaps_after_a_burst_are_a_policers() -> None:
    found = limit_by_tcp_info(line(30_000, resent=8))
    assert (found.limit, found.bytes_per_s) == (Limit.POLICED, RATE)


def test_the_same_losses_without_a_burst_may_be_chance() -> None:
    assert limit_by_tcp_info(line(0, resent=8)).why is LimitWhy.LOST_WITHOUT_BURST


def test_single_losses_are_no_policers() -> None:
    found = limit_by_tcp_info(line(30_000, resent=1))
    assert (found.limit, found.why) == (Limit.NEITHER, LimitWhy.LOST_WITH_TOKENS)


def test_a_queue_after_a_burst_is_a_shapers_and_without_one_may_be_any_line() -> None:
    assert limit_by_tcp_info(line(30_000, rtt_s=0.2)).limit is Limit.SHAPED
    assert limit_by_tcp_info(line(30_000, rtt_s=0.2, resent=8)).limit is Limit.SHAPED
    assert limit_by_tcp_info(line(0, rtt_s=0.2)).why is LimitWhy.QUEUE_WITHOUT_BURST


def test_nothing_lost_and_nothing_queued_is_neither() -> None:
    assert limit_by_tcp_info(line(0)).limit is Limit.NEITHER


def test_few_points_tell_nothing() -> None:
    assert limit_by_tcp_info(line(30_000, resent=8, points=5)).why is LimitWhy.TOO_SHORT
    assert limit_by_tcp_info([]).why is LimitWhy.TOO_SHORT


def test_a_time_line_is_read_by_its_names_and_what_lacks_something_is_left_out() -> None:
    names: list[JsonValue] = [
        "elapsed_us",
        "RTT",
        "MinRTT",
        "BytesSent",
        "BytesAcked",
        "BytesRetrans",
        "TotalRetrans",
    ]
    rows: list[JsonValue] = [
        [100_000, 40_000, 39_000, 9, 8, 7, 6],
        [200_000, None, 39_000, 9, 8, 7, 6],
        "no row",
        [1],
    ]
    (point,) = kernel_points({"names": names, "points": rows})
    assert (point.at_s, point.rtt_s, point.acked_bytes, point.resent) == (0.1, 0.04, 8, 6)
    assert kernel_points({"names": names[:-1], "points": rows}) == ()
    assert kernel_points({}) == ()
