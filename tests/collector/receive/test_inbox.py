"""The inbox keeps order, wakes who waits, and says in time that it is full."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.messages import Delivery
from collector.receive.inbox import MAX_PAUSE_S, PAUSE_FROM, PER_DEVICE, SHARE, Inbox, pause_s


def delivery(number: int, size: int = 0) -> Delivery:
    return Delivery(topic=str(number), payload=b"x" * size, received_ns=number)


def test_what_is_put_is_taken_in_order_up_to_the_number_asked() -> None:
    inbox = Inbox(max_messages=10, max_bytes=1000)
    for number in range(5):
        inbox.put(delivery(number))
    assert [one.topic for one in inbox.take(3)] == ["0", "1", "2"]
    assert [one.topic for one in inbox.take(3)] == ["3", "4"]


@pytest.mark.parametrize(("number", "size"), [(10, 0), (2, 500)], ids=["messages", "bytes"])
def test_it_is_full_by_number_or_by_bytes_and_has_room_again(number: int, size: int) -> None:
    inbox = Inbox(max_messages=10, max_bytes=1000)
    for one in range(number):
        assert inbox.has_room()
        inbox.put(delivery(one, size))
    assert not inbox.has_room()
    inbox.take(1)
    assert inbox.has_room()


def test_closing_wakes_who_waits_and_ends_it() -> None:
    inbox = Inbox(max_messages=10, max_bytes=1000)
    taken: list[list[Delivery]] = []
    thread = threading.Thread(target=lambda: taken.append(inbox.take(1)))
    thread.start()
    inbox.close()
    thread.join()
    assert taken == [[]]
    inbox.put(delivery(1))
    assert inbox.take(1) == []


@given(st.floats(0, 3), st.floats(0, 3))
def test_the_fuller_the_longer_the_pause(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= pause_s(low) <= pause_s(high) <= MAX_PAUSE_S
    assert pause_s(low) == 0 or low >= PAUSE_FROM
    assert pause_s(1) == MAX_PAUSE_S


def test_a_device_that_floods_takes_no_more_than_its_share() -> None:
    inbox = Inbox(max_messages=1000, max_bytes=10**6)
    mine = [
        inbox.put(Delivery(topic=f"p1/up/{'a' * 16}/live", payload=b"x", received_ns=n))
        for n in range(PER_DEVICE + 5)
    ]
    assert mine == [True] * PER_DEVICE + [False] * 5
    assert inbox.put(Delivery(topic=f"p1/up/{'b' * 16}/live", payload=b"y", received_ns=1))
    assert inbox.refused == 5
    assert len(inbox.take(1000)) == SHARE + 1
    assert inbox.put(Delivery(topic=f"p1/up/{'a' * 16}/live", payload=b"x", received_ns=1))


def test_devices_have_their_turn_and_each_keeps_its_order() -> None:
    inbox = Inbox(max_messages=1000, max_bytes=10**6)
    for number in range(3 * SHARE):
        inbox.put(Delivery(topic=f"p1/up/{'a' * 16}/bulk", payload=b"x", received_ns=number))
    inbox.put(Delivery(topic=f"p1/up/{'b' * 16}/hello", payload=b"x", received_ns=10**6))
    numbers = [[one.received_ns for one in inbox.take(256)] for _ in range(3)]
    assert numbers[0] == [*range(SHARE), 10**6]
    assert numbers[1] + numbers[2] == list(range(SHARE, 3 * SHARE))
    assert inbox.fill == 0


def test_who_knocks_at_the_intake_under_a_devices_name_does_not_keep_it_out_at_the_broker() -> None:
    """At the broker a device's name is its certificate's; at the intake it is what the sender says, until it is checked."""
    inbox = Inbox(max_messages=1000, max_bytes=10**6)
    where = f"p1/up/{'a' * 16}/live"
    posted = [
        inbox.put(Delivery(topic=where, payload=b"?", received_ns=n, reply=lambda _: None))
        for n in range(PER_DEVICE + 1)
    ]
    assert posted[-1] is False
    assert inbox.put(Delivery(topic=where, payload=b"mine", received_ns=1))
    assert b"mine" in [one.payload for one in inbox.take(1000)]
