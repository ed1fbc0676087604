"""Running one probe in a test: a loop and a `Net` of its own, with a host as the test imagines it."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from firmware.net.access import Net
from firmware.net.host_view import Host
from firmware.net.loop import Loop, boottime_ns

T = TypeVar("T")

NOWHERE = Host()
"""A host without interfaces, addresses or resolvers, so that nothing of the real one gets in."""


def probe(
    use: "Callable[[Net], Coroutine[Any, Any, T]]", *, host: Host = NOWHERE, deadline_s: float = 60.0
) -> T:
    """Run what `use` makes of a `Net` to its end and return its result; the probe's own waits end at `deadline_s`."""
    loop = Loop()
    try:
        net = Net(loop, deadline_ns=boottime_ns() + round(deadline_s * 1e9), host=host)
        return loop.run(use(net))
    finally:
        loop.close()
