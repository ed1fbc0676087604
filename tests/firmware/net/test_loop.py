"""The worker's loop: who runs when, what is cancelled, and that no error is lost. On real descriptors."""

import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.net import loop as loop_module
from firmware.net.job import CancelledJobError, Job
from firmware.net.loop import (
    ERROR,
    MAX_SPIN_NS,
    READABLE,
    WRITABLE,
    Loop,
    boottime_ns,
)

FAR_NS = 24 * 3600 * 1_000_000_000
"""No test outlives a wait for this: one that waits for it does not pass."""
MS = 1_000_000


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    yield near, far
    near.close()
    far.close()


def far() -> int:
    return boottime_ns() + FAR_NS


async def fail(message: str = "as told") -> None:
    raise ValueError(message)


async def forever(loop: Loop) -> None:
    await loop.sleep_until(far())


def test_run_returns_the_result_and_raises_the_error(loop: Loop) -> None:
    async def seven() -> int:
        return 7

    assert loop.run(seven()) == 7
    with pytest.raises(ValueError, match="as told"):
        loop.run(fail())


def test_sleepers_wake_in_the_order_of_their_times_and_never_early(loop: Loop) -> None:
    woken: list[int] = []

    async def sleeper(number: int, when_ns: int) -> None:
        await loop.sleep_until(when_ns)
        assert boottime_ns() >= when_ns
        woken.append(number)

    async def main() -> None:
        start_ns = boottime_ns() + 20 * MS
        await loop.gather(sleeper(number, start_ns + number * MS) for number in (3, 1, 2, 0))

    loop.run(main())
    assert woken == [0, 1, 2, 3]


def test_a_moment_past_does_not_wait(loop: Loop) -> None:
    async def main() -> int:
        token = loop.current().token  # counts the times that this job was let go on
        await loop.sleep_until(boottime_ns() - 1)
        await loop.sleep_until(0)
        return loop.current().token - token

    assert loop.run(main()) == 0


def test_wait_returns_the_mask_of_what_is_ready(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, peer = pair

    async def main() -> tuple[int, int]:
        writable = await loop.wait(near.fileno(), WRITABLE, deadline_ns=far())
        peer.send(b"x")
        readable = await loop.wait(near.fileno(), READABLE, deadline_ns=None)
        return writable, readable

    assert loop.run(main()) == (WRITABLE, READABLE)


def test_wait_returns_zero_when_late(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    assert loop.run(loop.wait(pair[0].fileno(), READABLE, deadline_ns=boottime_ns() + MS)) == 0


def test_ready_at_the_deadline_is_ready(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(b"x")
    assert loop.run(loop.wait(pair[0].fileno(), READABLE, deadline_ns=0)) == READABLE


def test_a_hang_up_and_an_error_are_told_unasked(loop: Loop) -> None:
    near, peer = socket.socketpair()
    with near:
        peer.close()
        assert loop.run(loop.wait(near.fileno(), WRITABLE, deadline_ns=far())) & ERROR
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # TCP only: nothing listens on this UDP port
        udp.connect(closed.getsockname())
        udp.send(b"x")
        assert loop.run(loop.wait(udp.fileno(), READABLE, deadline_ns=far())) & ERROR


def test_a_second_wait_for_one_descriptor_is_refused_and_the_first_goes_on(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, peer = pair

    async def main() -> int:
        first = loop.spawn(loop.wait(near.fileno(), READABLE, deadline_ns=far()))
        second = loop.spawn(loop.wait(near.fileno(), READABLE, deadline_ns=far()))
        with pytest.raises(RuntimeError, match="two coroutines wait for descriptor"):
            await second
        peer.send(b"x")
        return await first

    assert loop.run(main()) == READABLE


def test_a_descriptor_closed_under_a_wait_leaves_the_loop_sound(loop: Loop) -> None:
    near, peer = socket.socketpair()

    async def main() -> int:
        job = loop.spawn(loop.wait(near.fileno(), READABLE, deadline_ns=boottime_ns() + 20 * MS))
        await loop.sleep_until(boottime_ns() + MS)
        near.close()
        return await job

    with peer:
        assert loop.run(main()) == 0
    near, peer = socket.socketpair()  # most likely the same number
    with near, peer:
        peer.send(b"x")
        assert loop.run(loop.wait(near.fileno(), READABLE, deadline_ns=far())) == READABLE


def test_many_may_await_one_job(loop: Loop) -> None:
    async def main() -> list[str]:
        async def slow() -> str:
            await loop.sleep_until(boottime_ns() + MS)
            return "done"

        job = loop.spawn(slow())

        async def wait_for_it() -> str:
            return await job

        results = await loop.gather(wait_for_it() for _ in range(3))
        return [*results, await job, job.result()]

    assert loop.run(main()) == ["done"] * 5


def test_a_result_before_the_end_is_refused(loop: Loop) -> None:
    async def main() -> None:
        job = loop.spawn(forever(loop), name="endless")
        with pytest.raises(RuntimeError, match="job 'endless' has not ended"):
            job.result()

    loop.run(main())


def test_cancel_is_thrown_at_the_wait_and_lets_go_of_the_descriptor(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, peer = pair

    async def main() -> int:
        job = loop.spawn(loop.wait(near.fileno(), READABLE, deadline_ns=far()))
        await loop.sleep_until(boottime_ns() + MS)
        job.cancel()
        with pytest.raises(CancelledJobError):
            await job
        job.cancel()  # again does nothing
        peer.send(b"x")
        return await loop.wait(near.fileno(), READABLE, deadline_ns=far())

    assert loop.run(main()) == READABLE


def test_a_job_cancelled_before_its_first_step_never_runs(loop: Loop) -> None:
    ran: list[bool] = []

    async def mark() -> None:
        ran.append(True)

    async def main() -> None:
        job = loop.spawn(mark())
        job.cancel()
        with pytest.raises(CancelledJobError):
            await job

    loop.run(main())
    assert ran == []


def test_cancel_wins_over_a_wake_up_of_the_same_moment(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, peer = pair

    async def main() -> None:
        job = loop.spawn(loop.wait(near.fileno(), READABLE, deadline_ns=far()))
        await loop.sleep_until(boottime_ns() + MS)
        peer.send(b"x")
        job.cancel()
        with pytest.raises(CancelledJobError):
            await job

    loop.run(main())


def test_a_late_wake_up_does_not_end_a_later_wait(loop: Loop) -> None:
    async def main() -> None:
        job = loop.spawn(twice())
        await loop.sleep_until(boottime_ns() + MS)
        loop.resume(job, "first")
        loop.resume(job, "second, for a wait that has ended by then")
        await job

    async def twice() -> None:
        await loop.sleep_until(far())  # woken by hand
        when_ns = boottime_ns() + 20 * MS
        await loop.sleep_until(when_ns)
        assert boottime_ns() >= when_ns

    loop.run(main())


def test_the_end_of_an_awaited_job_does_not_wake_one_that_stopped_awaiting(loop: Loop) -> None:
    async def main() -> bool:
        awaited = loop.spawn(loop.sleep_until(boottime_ns() + 20 * MS))
        waiter = loop.spawn(turns_elsewhere(awaited))
        await loop.sleep_until(boottime_ns() + MS)
        waiter.cancel()
        return await waiter

    async def turns_elsewhere(awaited: Job[None]) -> bool:
        try:
            await awaited
        except CancelledJobError:
            when_ns = boottime_ns() + 60 * MS
            await loop.sleep_until(when_ns)
            return boottime_ns() >= when_ns
        return False

    assert loop.run(main())


def test_gather_raises_the_first_error_and_cancels_the_rest(loop: Loop) -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await forever(loop)
        finally:
            ended.append("cancelled")

    async def main() -> None:
        with pytest.raises(ValueError, match="one"):
            await loop.gather([fail("one"), endless(), fail("two")])

    loop.run(main())
    assert ended == ["cancelled"]


def test_the_error_of_a_job_nobody_awaits_becomes_its_parents(loop: Loop) -> None:
    async def parent() -> None:
        loop.spawn(fail("unawaited"))
        await loop.sleep_until(boottime_ns() + MS)

    async def main() -> None:
        with pytest.raises(ValueError, match="unawaited"):
            await loop.spawn(parent())

    loop.run(main())
    with pytest.raises(ValueError, match="unawaited"):
        loop.run(parent())


def test_an_error_while_being_cancelled_by_the_parents_end_is_not_lost(loop: Loop) -> None:
    async def spiteful() -> None:
        try:
            await forever(loop)
        finally:
            await fail("while cleaning up")

    async def parent() -> None:
        loop.spawn(spiteful())
        await loop.sleep_until(boottime_ns() + MS)

    async def main() -> None:
        await loop.spawn(parent())

    for coroutine in (parent(), main()):
        with pytest.raises(ValueError, match="while cleaning up"):
            loop.run(coroutine)


def test_children_end_with_their_parent(loop: Loop) -> None:
    ended: list[str] = []

    async def child() -> None:
        try:
            await forever(loop)
        finally:
            ended.append("child")

    async def main() -> None:
        loop.spawn(child())
        await loop.sleep_until(boottime_ns() + MS)

    loop.run(main())
    assert ended == ["child"]


def test_what_swallows_its_cancellation_is_named(loop: Loop) -> None:
    async def stubborn() -> None:
        while True:
            try:
                await forever(loop)
            except CancelledJobError:
                continue

    async def main() -> None:
        loop.spawn(stubborn(), name="stubborn")
        await loop.sleep_until(boottime_ns() + MS)

    with pytest.raises(RuntimeError, match="swallow their cancellation: 'stubborn'"):
        loop.run(main())


def test_timers_of_waits_that_ended_early_are_swept_out(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    pair[1].send(b"x")

    async def main() -> None:
        for _ in range(1000):
            await loop.wait(pair[0].fileno(), READABLE, deadline_ns=far())

    loop.run(main())
    assert len(loop._timers) < 100


@given(st.lists(st.integers(0, 3), max_size=20))
def test_every_job_ends_once_however_they_are_cancelled(plan: list[int]) -> None:
    """One that is cancelled before its first step, as on a machine that was away meanwhile, ends without one."""
    loop = Loop()
    begun: list[int] = []
    ended: list[int] = []
    jobs: list[Job[None]] = []

    async def worker(number: int) -> None:
        begun.append(number)
        try:
            await loop.sleep_until(boottime_ns() + number * 100_000)
        finally:
            ended.append(number)

    async def main() -> None:
        jobs.extend(loop.spawn(worker(number)) for number in plan)
        await loop.sleep_until(boottime_ns() + 150_000)
        for job in jobs[::2]:
            job.cancel()

    loop.run(main())
    loop.close()
    assert sorted(ended) == sorted(begun)
    assert len(jobs) == len(plan)
    assert all(job.done for job in jobs)


def test_a_job_that_is_cancelled_before_its_first_step_ends_without_one(loop: Loop) -> None:
    steps: list[str] = []

    async def worker() -> None:
        steps.append("worker")

    async def main() -> Job[None]:
        job = loop.spawn(worker())
        job.cancel()
        await loop.sleep_until(boottime_ns() + MS)
        return job

    assert loop.run(main()).done
    assert steps == []


def test_an_exact_sleeper_is_never_early_and_goes_before_all_others(loop: Loop) -> None:
    order: list[str] = []

    async def other(name: str) -> None:
        order.append(name)

    async def exact(when_ns: int) -> None:
        await loop.sleep_exactly_until(when_ns)
        assert boottime_ns() >= when_ns
        order.append("exact")

    async def main() -> None:
        when_ns = boottime_ns() + 20 * MS
        sleeper = loop.spawn(exact(when_ns))
        await loop.sleep_until(when_ns - MS // 2)  # within what is held free for it
        await loop.gather([other("first"), other("second")])
        await sleeper

    loop.run(main())
    assert order == ["exact", "first", "second"]


def test_an_exact_moment_that_is_past_does_not_wait(loop: Loop) -> None:
    async def main() -> int:
        token = loop.current().token
        await loop.sleep_exactly_until(boottime_ns() - 1)
        return loop.current().token - token

    assert loop.run(main()) == 0


def test_exact_sleepers_wake_in_the_order_of_their_times(loop: Loop) -> None:
    order: list[int] = []

    async def exact(number: int, when_ns: int) -> None:
        await loop.sleep_exactly_until(when_ns)
        order.append(number)

    async def main() -> None:
        start_ns = boottime_ns() + 5 * MS
        offsets = (3 * MS, 0, MS // 5, 0, 2 * MS)
        await loop.gather([exact(number, start_ns + offset) for number, offset in enumerate(offsets)])

    loop.run(main())
    assert order == [1, 3, 2, 4, 0]


def test_an_exact_sleeper_can_be_cancelled_and_leaves_nothing_behind(loop: Loop) -> None:
    async def main() -> None:
        sleepers = [loop.spawn(loop.sleep_exactly_until(boottime_ns() + ns)) for ns in (MS // 2, FAR_NS)]
        await loop.sleep_until(0)
        for sleeper in sleepers:
            sleeper.cancel()
            with pytest.raises(CancelledJobError):
                await sleeper

    loop.run(main())
    loop.run(loop.sleep_until(boottime_ns() + MS))


def test_the_end_does_not_wait_for_an_exact_sleeper(loop: Loop) -> None:
    jobs: list[Job[None]] = []

    async def main() -> None:
        # The first is within what is held free for it: nothing but it would be begun, had the end to wait for it.
        jobs.extend(loop.spawn(loop.sleep_exactly_until(boottime_ns() + ns)) for ns in (MS // 2, FAR_NS))

    loop.run(main())
    for job in jobs:
        with pytest.raises(CancelledJobError):
            job.result()


def test_the_stretch_not_slept_stays_within_its_bounds(loop: Loop) -> None:
    for late_ns in [10 * MS] * 100 + [1] * 1000:
        loop._learn(late_ns)
        assert 0 < loop._wake_ns <= MAX_SPIN_NS


def test_who_takes_turns_lets_what_is_ready_go_first(loop: Loop) -> None:
    order: list[str] = []

    async def busy() -> None:
        for number in range(3):
            order.append(f"piece {number}")
            await loop.turn()

    async def other() -> None:
        order.append("other")

    async def main() -> None:
        pieces = loop.spawn(busy())
        await loop.spawn(other())
        await pieces

    loop.run(main())
    assert order == ["piece 0", "other", "piece 1", "piece 2"]


def test_no_piece_is_begun_between_an_exact_moment_that_is_near_and_what_it_is_for(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of the test's own: a piece takes 0.45 ms, a look at the clock 1 µs, so that what is said of order is exact."""
    now_ns = 0
    order: list[tuple[str, int]] = []

    def clock() -> int:
        nonlocal now_ns
        now_ns += 1_000
        return now_ns

    def sleep(seconds: float) -> None:
        nonlocal now_ns
        now_ns += round(seconds * 1e9)

    monkeypatch.setattr(loop_module, "boottime_ns", clock)
    monkeypatch.setattr(time, "sleep", sleep)

    async def busy() -> None:
        nonlocal now_ns
        for _ in range(20):
            order.append(("piece", now_ns))
            now_ns += 450_000
            await loop.turn()

    async def probe() -> None:
        await loop.sleep_exactly_until(5 * MS)
        order.append(("probe", now_ns))

    async def main() -> None:
        pieces = [
            loop.spawn(busy()) for _ in range(2)
        ]  # one is ready while the other's piece brings the moment near
        await loop.spawn(probe())
        for one in pieces:
            await one

    loop.run(main())
    at = next(number for number, (word, _) in enumerate(order) if word == "probe")
    assert 5 <= at <= 20  # pieces were moved before, and after
    assert len(order) == 41
    before_ns, probe_ns = order[at - 1][1], order[at][1]
    assert before_ns <= 4 * MS + 20_000  # none was begun within the last millisecond
    assert probe_ns - 5 * MS < 20_000
