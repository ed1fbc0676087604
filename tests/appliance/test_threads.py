"""A thread that is woken by a descriptor: woken, ended, and left alone where it does not end."""

import os
import select
import threading

from appliance.threads import WakeableThread, drain
from tests.waiting import LIMIT_S


def test_a_wake_ends_a_sleep_and_nothing_is_lost_between_two() -> None:
    woken = threading.Semaphore(0)

    def run() -> None:
        while not thread.stopping.is_set():
            select.select([thread.wake_fd], [], [])
            drain(thread.wake_fd)
            woken.release()

    thread = WakeableThread(run, name="test")
    thread.wake()  # before it has begun
    thread.start()
    assert woken.acquire(timeout=LIMIT_S)
    thread.wake()
    assert woken.acquire(timeout=LIMIT_S)
    fd = thread.wake_fd
    assert thread.stop(LIMIT_S)
    assert thread.stop(LIMIT_S)
    thread.wake()  # after the end: harmless, and no other descriptor of that number is written to
    with open(os.devnull, "rb") as other:  # noqa: PTH123 - a descriptor is wanted, most likely the same number
        assert other.fileno() >= 0
        assert thread.wake_fd == -1 != fd


def test_one_that_does_not_end_is_left_and_keeps_its_descriptor() -> None:
    go_on = threading.Event()
    thread = WakeableThread(go_on.wait, name="test")  # type: ignore[arg-type]
    thread.start()
    assert not thread.stop(0.01)
    assert thread.wake_fd >= 0
    go_on.set()
    assert thread.stop(LIMIT_S)
    assert thread.wake_fd == -1


def test_one_that_never_began_is_over_at_once() -> None:
    thread = WakeableThread(lambda: None, name="test")
    assert thread.stop(0)
    assert thread.wake_fd == -1


def test_an_empty_descriptor_is_no_error() -> None:
    thread = WakeableThread(lambda: None, name="test")
    drain(thread.wake_fd)
    assert thread.stop(0)
