"""The lowest rung: whether there is a carrier on the interface the default route leaves by, or on any.

Sends nothing. Records how many interfaces of which kind, never their names or hardware addresses.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.host_view import Host, Interface
from firmware.net.targets import only_target

TARGET = "@uplink"


class Link:
    """Whether a link is up. `detail`: `uplink`, `with_carrier` and `without_carrier` (kind → how many)."""

    name: ClassVar[str] = "link"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "is there a carrier on the interface the default route uses, or on any"

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take `@uplink`, no options. Raises `TargetError`."""
        only_target(cls.name, target, TARGET, options)
        return cls()

    async def measure(self, net: Net) -> Outcome:
        """Look at the interfaces. Fails with `link_down`."""
        await net.begin()
        detail = describe(net.host)
        error = None if has_link(net.host) else MeasurementFailedError(Failure.LINK_DOWN, operation="link")
        return net.outcome(phases={}, detail=detail, error=error)


def has_link(host: Host) -> bool:
    """Return whether an interface that a default route uses has a carrier; without one, whether any has."""
    used = {route.interface for route in host.routes}
    candidates = [one for one in _external(host) if not used or one.name in used]
    return any(one.up and one.carrier for one in candidates)


def describe(host: Host) -> dict[str, JsonValue]:
    """Return the detail: kinds and numbers, no names."""
    external = _external(host)
    return {
        "uplink": host.uplink(),
        "with_carrier": _kinds([one for one in external if one.up and one.carrier]),
        "without_carrier": _kinds([one for one in external if not (one.up and one.carrier)]),
    }


def _external(host: Host) -> list[Interface]:
    return [one for one in host.interfaces if one.kind != "loopback"]


def _kinds(interfaces: Sequence[Interface]) -> dict[str, JsonValue]:
    return dict(sorted(Counter(one.kind for one in interfaces).items()))
