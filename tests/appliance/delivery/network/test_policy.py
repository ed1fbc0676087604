"""The sender's decisions, one rule at a time; all of them together are in tests/properties/test_delivery.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.delivery.network.pace import (
    BATCH_BYTES_MIN,
    BATCH_BYTES_START,
    STALL_MAX_S,
    STALL_MIN_S,
)
from appliance.delivery.network.policy import (
    LINGER_S,
    LIVE_DEPTH,
    RECONNECT_CAP_S,
    TIMEOUT_MAX_S,
    TIMEOUT_MIN_S,
    TIMEOUT_START_S,
    WINDOW_MAX,
    WINDOW_START,
    BatchKind,
    GiveUp,
    SendBatch,
    SendHello,
    SyncPolicy,
    Wait,
    reconnect_delay_s,
)
from firmware.model.seqs import SeqRanges
from firmware.wire.messages import MAX_BATCH_BYTES, Ack, Reject

EPOCH = "0123456789abcdef"


def ack(upto: int = 0, *ranges: tuple[int, int], **more: object) -> Ack:
    return Ack(epoch=EPOCH, upto=upto, ranges=SeqRanges(ranges), **more)  # type: ignore[arg-type]


def greeted(now: float = 0.0) -> SyncPolicy:
    """Return a policy whose hello went out at `now`."""
    policy = SyncPolicy()
    policy.connected(now)
    assert policy.next_action(now, waiting=0, high=0) == SendHello()
    policy.hello_sent(now)
    return policy


def answered(now: float = 0.0) -> SyncPolicy:
    """Return a policy whose hello was answered at `now`."""
    policy = greeted(now)
    policy.acked(now, ack())
    return policy


def send(policy: SyncPolicy, now: float, kind: BatchKind, *seqs: int, size: int = 4096) -> int:
    return policy.batch_sent(now, kind=kind, seqs=seqs, size=size)


def test_an_idle_sender_waits_for_news() -> None:
    assert answered().next_action(5.0, waiting=0, high=40) == Wait(None)


def test_before_the_answer_one_live_batch_goes_and_no_backlog() -> None:
    policy = greeted()
    action = policy.next_action(0.0, waiting=1000, high=1000)
    assert isinstance(action, SendBatch)
    assert (action.kind, action.spans) == (BatchKind.LIVE, ((1000 - LIVE_DEPTH + 1, 1000),))
    send(policy, 0.0, BatchKind.LIVE, *range(960, 1001))
    assert isinstance(policy.next_action(0.0, waiting=1000, high=1000), Wait)


def test_after_a_connection_that_was_answered_the_backlog_does_not_wait_for_the_answer() -> None:
    policy = answered()
    policy.connected(10.0)
    policy.next_action(10.0, waiting=1000, high=1000)
    policy.hello_sent(10.0)
    policy.nothing_found(BatchKind.LIVE)
    action = policy.next_action(10.0, waiting=700, high=1000)
    assert isinstance(action, SendBatch)
    assert action.kind is BatchKind.BULK
    policy.connected(20.0)
    policy.next_action(20.0, waiting=1000, high=1000)
    policy.hello_sent(20.0)
    policy.nothing_found(BatchKind.LIVE)
    assert isinstance(policy.next_action(20.0, waiting=700, high=1000), Wait), "nobody answered the last time"


def test_what_was_on_its_way_at_a_cut_is_not_sent_again_before_the_answer() -> None:
    policy = answered()
    policy.next_action(0.0, waiting=1000, high=1000)
    policy.batch_at_broker(1.0, send(policy, 0.0, BatchKind.BULK, *range(1, 101)))
    send(policy, 1.0, BatchKind.LIVE, *range(901, 1001))
    policy.connected(10.0)
    policy.next_action(10.0, waiting=1000, high=1000)
    policy.hello_sent(10.0)
    action = policy.next_action(10.0, waiting=1000, high=1000)
    assert isinstance(action, SendBatch)
    assert action.spans == ((745, 900),)
    policy.acked(11.0, ack(100))
    action = policy.next_action(11.0, waiting=900, high=1000)
    assert isinstance(action, SendBatch)
    assert action.spans == ((745, 1000),), "the answer said that it is not there"


def test_an_unanswered_hello_is_repeated_ever_more_rarely() -> None:
    policy = greeted()
    now, gaps = 0.0, []
    for _ in range(8):
        wait = policy.next_action(now, waiting=0, high=0)
        assert isinstance(wait, Wait)
        assert wait.until is not None
        gaps.append(wait.until - now)
        now = wait.until
        assert policy.next_action(now, waiting=0, high=0) == SendHello()
        policy.hello_sent(now)
    assert gaps[:3] == [TIMEOUT_START_S, 2 * TIMEOUT_START_S, 4 * TIMEOUT_START_S]
    assert gaps[-1] == TIMEOUT_MAX_S


def test_live_and_backlog_take_turns() -> None:
    policy = answered()
    kinds = []
    seqs = {BatchKind.LIVE: 1000, BatchKind.BULK: 1}
    for turn in range(6):
        action = policy.next_action(10.0 + turn, waiting=1000, high=1000)
        if isinstance(action, Wait):
            action = policy.next_action(action.until or 0.0, waiting=1000, high=1000)
        assert isinstance(action, SendBatch)
        kinds.append(action.kind)
        seq = seqs[action.kind]
        send(policy, 20.0 + turn, action.kind, seq)
        policy.acked(20.0 + turn, ack(0, (seq, seq)))
        seqs[action.kind] += 1 if action.kind is BatchKind.BULK else -1
    assert kinds in ([BatchKind.LIVE, BatchKind.BULK] * 3, [BatchKind.BULK, BatchKind.LIVE] * 3)


def test_live_is_read_from_the_top_around_what_is_on_its_way() -> None:
    policy = answered()
    policy.next_action(0.0, waiting=200, high=200)
    policy.batch_at_broker(1.0, send(policy, 0.0, BatchKind.LIVE, *range(150, 181)))
    policy.nothing_found(BatchKind.BULK)
    action = policy.next_action(2.0, waiting=200, high=200)
    assert action == SendBatch(
        kind=BatchKind.LIVE, spans=((181, 200), (1, 149)), max_bytes=policy.pace.batch_bytes(2.0)
    )


def test_a_side_that_was_empty_is_looked_at_again_when_something_new_comes() -> None:
    policy = answered()
    policy.next_action(0.0, waiting=5, high=600)
    policy.nothing_found(BatchKind.LIVE)
    policy.nothing_found(BatchKind.BULK)
    assert policy.next_action(5.0, waiting=5, high=600) == Wait(None)
    policy.next_action(5.0, waiting=6, high=601)
    assert isinstance(policy.next_action(5.0 + LINGER_S, waiting=6, high=601), SendBatch)


def test_a_side_that_was_empty_is_looked_at_again_when_a_batch_was_lost() -> None:
    policy = answered()
    policy.next_action(0.0, waiting=1, high=1)
    policy.batch_at_broker(5.0, send(policy, 5.0, BatchKind.LIVE, 1))
    policy.nothing_found(BatchKind.LIVE)
    now = 5.0 + TIMEOUT_START_S
    assert policy.next_action(now, waiting=1, high=1) == SendHello()
    policy.hello_sent(now)
    policy.acked(now, ack())
    assert isinstance(policy.next_action(now, waiting=1, high=1), SendBatch)


def test_a_new_record_waits_for_company_but_not_for_long() -> None:
    policy = answered()
    assert policy.next_action(100.0, waiting=1, high=1) == Wait(100.0 + LINGER_S)
    assert policy.next_action(100.5, waiting=2, high=2) == Wait(100.0 + LINGER_S)
    assert isinstance(policy.next_action(100.0 + LINGER_S, waiting=2, high=2), SendBatch)


def test_the_window_bounds_what_is_un_acked() -> None:
    policy = answered()
    for turn in range(WINDOW_START):
        assert isinstance(
            policy.next_action(5.0, waiting=999, high=999) if turn else send_ready(policy), SendBatch
        )
        policy.batch_at_broker(5.0, send(policy, 5.0, BatchKind.LIVE, 999 - turn))
    assert isinstance(policy.next_action(5.0, waiting=999, high=999), Wait)


def send_ready(policy: SyncPolicy) -> object:
    policy.next_action(0.0, waiting=999, high=999)
    return policy.next_action(5.0, waiting=999, high=999)


def test_window_and_batch_size_grow_on_quick_acks_up_to_their_bounds() -> None:
    policy = answered()
    for seq in range(1, 200):
        policy.next_action(seq, waiting=400 - seq, high=400)
        policy.batch_at_broker(seq + 0.1, send(policy, seq, BatchKind.BULK, seq, size=policy.batch_bytes))
        policy.acked(seq + 0.2, ack(seq))
    assert (policy.window, policy.batch_bytes) == (WINDOW_MAX, MAX_BATCH_BYTES)


def test_a_slow_link_gets_smaller_batches() -> None:
    policy = answered()
    for seq in range(1, 20):
        policy.batch_at_broker(seq * 40.0 + 30.0, send(policy, seq * 40.0, BatchKind.BULK, seq))
        policy.acked(seq * 40.0 + 31.0, ack(seq))
    action = policy.next_action(800.0, waiting=500, high=500)
    assert isinstance(action, SendBatch)
    assert action.max_bytes == BATCH_BYTES_MIN


def test_a_late_ack_halves_the_window_once_and_asks_instead_of_sending_again() -> None:
    policy = answered()
    policy.window = 8
    for seq in (1, 2, 3):
        policy.batch_at_broker(0.0, send(policy, 0.0, BatchKind.BULK, seq))
    assert policy.next_action(TIMEOUT_START_S, waiting=3, high=3) == SendHello()
    assert (policy.window, policy.in_flight) == (4, 3)
    policy.hello_sent(TIMEOUT_START_S)
    policy.acked(TIMEOUT_START_S + 1, ack(2))
    assert policy.in_flight == 0, "1 and 2 were stored; 3 was not, and waits again"
    action = policy.next_action(TIMEOUT_START_S + 2, waiting=1, high=3)
    assert isinstance(action, SendBatch)


def test_a_late_batch_is_asked_for_even_when_another_ack_came_first() -> None:
    policy = answered()
    late = send(policy, 0.0, BatchKind.BULK, 1)
    policy.batch_at_broker(0.0, late)
    send(policy, 0.0, BatchKind.BULK, 2)
    assert policy.next_action(TIMEOUT_START_S, waiting=2, high=2) == SendHello()
    policy.acked(TIMEOUT_START_S, ack(0, (2, 2)))  # before the hello could go out
    assert policy.next_action(TIMEOUT_START_S, waiting=1, high=2) == SendHello()


def test_the_clock_of_an_ack_starts_at_the_broker() -> None:
    policy = answered()
    batch = send(policy, 0.0, BatchKind.LIVE, 1)
    assert policy.next_action(60.0, waiting=1, high=1) == Wait(STALL_MAX_S), "TCP is still at it"
    policy.batch_at_broker(60.0, batch)
    assert policy.next_action(60.0, waiting=1, high=1) == Wait(60.0 + TIMEOUT_START_S)


def test_a_broker_that_takes_nothing_is_given_up() -> None:
    policy = answered()
    send(policy, 0.0, BatchKind.LIVE, 1)
    assert isinstance(policy.next_action(STALL_MAX_S, waiting=1, high=1), GiveUp)


def test_a_line_that_was_quick_is_given_up_sooner_and_its_measure_halved() -> None:
    policy = answered()
    policy.batch_at_broker(1.0, send(policy, 0.0, BatchKind.BULK, 1, size=8000))
    send(policy, 1.0, BatchKind.BULK, 2, size=8000)
    assert policy.next_action(2.0, waiting=2, high=2) == Wait(1.0 + TIMEOUT_START_S)
    action = policy.next_action(1.0 + STALL_MIN_S, waiting=2, high=2)
    assert isinstance(action, GiveUp)
    assert policy.pace.goodput == 4000.0


def test_retry_after_holds_everything_even_over_a_reconnect() -> None:
    policy = answered()
    policy.acked(0.0, ack(retry_after_s=50.0))
    assert policy.next_action(1.0, waiting=9, high=9) == Wait(50.0)
    policy.connected(10.0)
    assert policy.next_action(10.0, waiting=9, high=9) == Wait(50.0)
    assert policy.next_action(50.0, waiting=9, high=9) == SendHello()


def test_a_reject_is_an_answer() -> None:
    policy = answered()
    send(policy, 0.0, BatchKind.LIVE, 1, 2)
    policy.acked(0.1, ack(1, rejects=(Reject(seq=2, reason="no"),)))
    assert policy.in_flight == 0


def test_the_timeout_follows_the_round_trips_and_never_goes_below_its_floor() -> None:
    policy = answered()
    for seq in range(1, 60):
        now = seq * 100.0
        policy.batch_at_broker(now, send(policy, now, BatchKind.BULK, seq))
        policy.acked(now + 9.0, ack(seq))
    assert 9.0 <= policy.timeout_s <= 9.5
    for seq in range(60, 200):
        now = seq * 100.0
        policy.batch_at_broker(now, send(policy, now, BatchKind.BULK, seq))
        policy.acked(now + 0.01, ack(seq))
    assert policy.timeout_s == TIMEOUT_MIN_S > 1


def test_a_cut_before_anything_got_through_halves_the_batches_and_forgets_what_was_on_its_way() -> None:
    policy = answered()
    send(policy, 0.0, BatchKind.LIVE, 5)
    policy.connected(1.0)
    assert (policy.in_flight, policy.window) == (0, WINDOW_START)
    assert policy.pace.batch_bytes(1.0) == BATCH_BYTES_START // 2
    assert policy.next_action(1.0, waiting=5, high=5) == SendHello()


@given(failures=st.integers(1, 10_000), share=st.floats(0, 1, exclude_max=True))
def test_the_reconnect_delay_is_a_share_of_an_exponential_with_a_cap(failures: int, share: float) -> None:
    bound = reconnect_delay_s(failures, lambda: 1.0)
    assert bound == (RECONNECT_CAP_S if failures > 9 else 2.0 ** (failures - 1))
    assert reconnect_delay_s(failures, lambda: share) == pytest.approx(share * bound)
