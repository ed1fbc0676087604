"""Measures once, in this process, by the same path as the worker: for `tidegauge measure` and for trying things."""

from collections.abc import Callable, Mapping
from functools import partial

from firmware.model.record import Zone
from firmware.model.task import OptionValue, Result, Task
from firmware.net.loop import Loop, boottime_ns
from firmware.net.timestamp_keepalive import TimestampKeepalive
from firmware.worker import runner

_CONFIRM_NS = 200_000_000
"""How long to wait for the kernel to switch receive stamping on; it takes a few milliseconds."""


def measure_once(
    test: str, target: str, options: Mapping[str, OptionValue], timeout_s: float = 30.0
) -> Result:
    """Run one measurement now and return its result.

    Raises `TargetError` for an unknown test, a malformed target or option; a network failure is a result.
    """
    make_task = partial(_task, test, target, options, timeout_s)
    runner.parse(make_task())
    loop = Loop()
    keeper = TimestampKeepalive()
    try:
        return loop.run(_measure(loop, keeper, make_task))
    finally:
        keeper.close()
        loop.close()


async def _measure(loop: Loop, keeper: TimestampKeepalive, make_task: Callable[[], Task]) -> Result:
    await keeper.confirm(loop, deadline_ns=boottime_ns() + _CONFIRM_NS)
    return await runner.run_task(loop, make_task())


def _task(test: str, target: str, options: Mapping[str, OptionValue], timeout_s: float) -> Task:
    start_ns = boottime_ns()
    return Task(
        task_id=f"{test} {target}",
        test=test,
        target=target,
        options=options,
        zone=Zone.LOCAL,
        start_boottime_ns=start_ns,
        deadline_boottime_ns=start_ns + round(timeout_s * 1e9),
    )
