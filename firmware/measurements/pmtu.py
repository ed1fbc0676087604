"""Path MTU: the biggest packet that gets to a host in one piece, who says so, and whether something swallows the rest.

By UDP to a port where nothing should listen, whose port unreachable is small, so that only the way there is
tried; where nothing answers that, by ICMP echo over a datagram socket, whose reply is as big as the request, so
that both ways are. No packet may be cut into pieces, and the kernel's own belief is set aside
(IP_PMTUDISC_PROBE). A router that cannot pass one on should say so (fragmentation needed, packet too big) and how
much it takes: that is tried, not believed. Where nobody says anything, a size counts as swallowed only when it
went unanswered `tries` times and a small packet right after each was answered: then halves find the size
(`black_hole`). Hosts answer only so many a second, so the small packet is waited for.

What it cannot know: which router swallows silently; a limit that holds for TCP alone (MSS clamping), or for
bigger packets of one flow only; sizes above `max_size`. A plan's task costs at most `max_bytes`, both ways.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome, Phase
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.targets import Options, family_of, parse_host
from firmware.paths.mtu_probe import MtuProbe, Tries
from firmware.protocols.names import resolve

METHODS: Final = ("udp", "icmp")
OPERATION: Final = "pmtu"
_UDP_PORT: Final = 33434
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pmtu:
    """One path's MTU, in bytes of IP packets.

    Phases `resolve` (where a resolver was asked) and `rtt`, of the smallest packet. `detail`: `address`, `family`,
    `method`, `not_used` (method → why not), `mtu` (null where it was not pinned down), `at_least` and `below` (the
    biggest size that got through, the smallest that did not, or null), `kernel_mtu` (what the kernel believed at
    the end: its own link's, or what routers told it), `hints` (`[{mtu, from}]`, routers' words; `@self` is this
    device's own link), `black_hole`, `tried` (`[[size, passed | too_big | silent], …]`) and `end` (`found`,
    `unanswered`, `bytes`, `deadline`). The failure is null where `mtu` is known.
    """

    name: ClassVar[str] = "pmtu"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "the biggest packet that reaches a HOST in one piece, and who says so"

    host: str
    families: tuple[int, ...]
    methods: tuple[str, ...]
    tries: Tries

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take `HOST`; options `method` (`any`, `udp`, `icmp`), `family`, `max_size`, `max_bytes`, `tries`, `timeout_ms`.

        Raises `TargetError`.
        """
        reader = Options(cls.name, options)
        test = cls(
            host=parse_host(target),
            families=reader.families(),
            methods=reader.methods(METHODS),
            tries=Tries(
                count=reader.integer("tries", 2, low=1, high=5),
                timeout_ns=reader.integer("timeout_ms", 2000, low=10, high=10_000) * _MS,
                max_size=reader.integer("max_size", 1500, low=100, high=9000),
                max_bytes=reader.integer("max_bytes", 40_000, low=2000, high=1_000_000),
            ),
        )
        reader.finish()
        return test

    async def measure(self, net: Net) -> Outcome:
        """Find the address, then the size."""
        phases: dict[str, Phase] = {}
        detail: dict[str, JsonValue] = {}
        try:
            resolved = await resolve(net, self.host, families=self.families)
            if resolved.phase is not None:
                phases["resolve"] = resolved.phase
            address = resolved.addresses[0]
            detail.update(address=net.host.label(address), family=family_of(address))
            probe = await self._search(net, address, detail)
        except MeasurementFailedError as error:
            return net.outcome(phases=phases, detail=detail, error=error)
        detail.update(probe.to_json(net.host))
        if probe.rtt is not None:
            phases["rtt"] = probe.rtt
        return net.outcome(
            phases=phases,
            detail=detail,
            error=None if probe.is_found else MeasurementFailedError(probe.why, operation=OPERATION),
        )

    async def _search(self, net: Net, address: str, detail: dict[str, JsonValue]) -> MtuProbe:
        """Search by the first method that is allowed and answered. Raises where none is allowed."""
        not_used: dict[str, JsonValue] = {}
        detail["not_used"] = not_used
        found: MtuProbe | None = None
        for method in self.methods:
            try:
                probe = await self._search_by(net, address, method)
            except MeasurementFailedError as error:
                if error.failure != Failure.PERMISSION_DENIED or (
                    found is None and method == self.methods[-1]
                ):
                    raise
                not_used[method] = error.failure
                continue
            if found is not None:
                not_used[str(detail["method"])] = found.why
            found, detail["method"] = probe, method
            if probe.is_answered:
                break
        assert found is not None, "the last method is found or raises"
        return found

    async def _search_by(self, net: Net, address: str, method: str) -> MtuProbe:
        told = len(net.icmp_errors)
        try:
            with net.open_icmp(address) if method == "icmp" else net.open_udp(address, _UDP_PORT) as flow:
                probe = MtuProbe(net, flow, method, self.tries)
                await probe.run()
                return probe
        finally:
            del net.icmp_errors[told:]  # they are the measurement: each is told in its detail
