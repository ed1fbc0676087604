"""The second rung: whether the host has an address it can be reached from, and a way out for it.

Sends nothing. A host's own address identifies a person: records say how many of which scope, never which.
"""

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.host_view import Host
from firmware.net.targets import only_target

TARGET = "@host"

_USABLE: Final = {4: ("private", "cgnat", "global"), 6: ("private", "global")}


class Address:
    """Whether there is an address and a default route.

    `detail`: `ipv4` and `ipv6`, each with `addresses` (scope → how many), `usable`, `default_route`, `gateway`
    (whether the route has a next hop); `resolvers` how many are configured.
    """

    name: ClassVar[str] = "address"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "has this host a usable address and a default route, IPv4 or IPv6"

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take `@host`, no options. Raises `TargetError`."""
        only_target(cls.name, target, TARGET, options)
        return cls()

    async def measure(self, net: Net) -> Outcome:
        """Look at the addresses. Fails with `no_address`, or `no_gateway` where no family has both."""
        await net.begin()
        host = net.host
        detail: dict[str, JsonValue] = {
            "ipv4": describe(host, 4),
            "ipv6": describe(host, 6),
            "resolvers": len(host.resolvers),
        }
        failure = failure_of(host)
        error = None if failure is None else MeasurementFailedError(failure, operation="address")
        return net.outcome(phases={}, detail=detail, error=error)


def failure_of(host: Host) -> Failure | None:
    """Return None where a family has a usable address and a default route, else what is missing."""
    families = [family for family in (4, 6) if _is_usable(host, family)]
    if not families:
        return Failure.NO_ADDRESS
    return None if any(host.default_route(family) for family in families) else Failure.NO_GATEWAY


def describe(host: Host, family: int) -> dict[str, JsonValue]:
    """Return one family's part of the detail: scopes and numbers, no address."""
    scopes = Counter(own.scope for own in host.addresses if own.family == family and own.scope != "loopback")
    route = host.default_route(family)
    return {
        "addresses": dict(sorted(scopes.items())),
        "usable": _is_usable(host, family),
        "default_route": route is not None,
        "gateway": route is not None and route.gateway is not None,
    }


def _is_usable(host: Host, family: int) -> bool:
    return any(own.family == family and own.scope in _USABLE[family] for own in host.addresses)
