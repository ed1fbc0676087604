"""Traceroute: which routers a packet to a host passes, how far each is, and where and why the way ends.

By UDP to a port where nothing should listen (the default), by ICMP echo over a datagram socket, or by TCP
connects that send the kernel's own SYN; IPv4 and IPv6; no root, no capability. Every router is asked by a packet
that may go no further (TTL), and its ICMP error is read from the socket's error queue.

All packets of a run are one flow, so that routers which share load by flow send them one way. By UDP constant
are addresses, both ports, checksum and length; by ICMP type, code, identifier and checksum; by TCP addresses and
both ports, one SYN after another. Not constant: TTL, the IP header's id and checksum, the ICMP sequence number,
the UDP payload's first four bytes, TCP's sequence number and timestamps, which are the kernel's. An old router
that quotes nothing of the UDP payload is asked one packet at a time from then on (`one_at_a_time`). Two runs are two
flows, which routers may send two ways, unless option `paris_id` says which of 64 flows to be: then source port (UDP, TCP)
or checksum (ICMP), which routers tell flows apart by, are the same in every run of that number, and others in others.

Routers' times are theirs to answer in their leisure: a slow hop before a fast one is no slow link. A path is not
the way back. In the record the host's own network is words: `@self`, `@gateway` (the first hop, always), `@near`
(an address in the host's own IPv6 /48), `@private`, `@cgnat` and `@link_local` for such addresses before the
first public one. From there on every router is kept as it is, private ones too: they are the evidence.

An unprivileged process cannot see the errors about another process's packets, hold several packets of one TCP
flow in flight, set the IP id, or read MPLS labels that routers append.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Outcome, Phase
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.targets import Options, TargetError, family_of, parse_host
from firmware.paths.hops import End, HopTable, Limits
from firmware.paths.options import IP_HEADER, MTU_DISCOVER, PMTUDISC_PROBE, TRANSPORT_HEADER
from firmware.paths.probes import IcmpForm, PathProbes, UdpForm
from firmware.paths.syn_probes import SynProbes
from firmware.paths.trace import DatagramTrace, trace_by_syn
from firmware.paths.trace_record import target_rtt, to_json, why
from firmware.protocols.fit import fit
from firmware.protocols.names import resolve

METHODS: Final = ("udp", "icmp", "tcp")
_DEFAULT_PORT: Final = {"udp": 33434, "icmp": 0, "tcp": 443}
_MIN_SIZE: Final = 60
_MS: Final = 1_000_000
_PARIS_BASE_PORT: Final = 61_000
"""Above what Linux chooses source ports from by itself (net.ipv4.ip_local_port_range), so that it is seldom taken."""
_WORD: Final = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Traceroute:
    """One path, hop by hop.

    Phases `resolve` (where a resolver was asked) and `rtt`, the target's own shortest time. `detail`: `address`,
    `family`, `method`, `not_used` (better method → why not), `proto`, `paris_id` (the flow's number; 1 where none was
    asked for), `repeatable` (whether another run with that number is the same flow), `size` (the packet's bytes, of
    UDP and ICMP), `port`, `one_at_a_time`, `end` (`reached`, `unreachable`, `loop`, `gap_limit`,
    `max_hops`, `deadline`, `not_sent`) and `end_hop`; `result` in RIPE Atlas's form: `[{hop, result: [{from,
    rtt_ns, stamp, ttl} or {x: "*"}]}]`, with `err` (Atlas's letter or the ICMP code), `failure` and `mtu` where a
    router says that it goes no further. `rtt_ns` is missing where a SYN was sent twice. `path_mtu` is the smallest
    such `mtu` with its `from`. A time by TCP is `user`, since nobody stamps a SYN as it leaves; with `received`
    (`kernel`) the arrival is the kernel's, and only the call to send is in it. The failure is what ended the way, null when the target answered.
    """

    name: ClassVar[str] = "traceroute"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "the routers on the way to a HOST, each asked by UDP, ICMP or TCP SYN"

    host: str
    port: int
    families: tuple[int, ...]
    methods: tuple[str, ...]
    limits: Limits
    size: int
    paris_id: int

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take `HOST`.

        Options: `method` (`udp`, `icmp`, `tcp`, or `any`: ICMP where it is allowed, else UDP), `port` (of UDP and
        TCP), `family`, `max_hops`, `queries` (a hop), `gap` (silent hops in a row to end at), `timeout_ms` (of a
        probe), `size` (bytes of an IP packet of UDP or ICMP, never cut into pieces on the way), `paris_id` (1 to 64:
        which flow to be; 0, the default: one of its own). Raises `TargetError`.
        """
        reader = Options(cls.name, options)
        method = reader.word("method", "udp", (*METHODS, "any"))
        test = cls(
            host=parse_host(target),
            port=reader.integer("port", _DEFAULT_PORT.get(method, _DEFAULT_PORT["udp"]), low=0, high=65535),
            families=reader.families(),
            methods=("icmp", "udp") if method == "any" else (method,),
            limits=Limits(
                max_hops=reader.integer("max_hops", 30, low=1, high=64),
                queries=reader.integer("queries", 3, low=1, high=5),
                gap=reader.integer("gap", 5, low=1, high=64),
                timeout_ns=reader.integer("timeout_ms", 2000, low=10, high=10_000) * _MS,
            ),
            size=reader.integer("size", _MIN_SIZE, low=_MIN_SIZE, high=9000),
            paris_id=reader.integer("paris_id", 0, low=0, high=64),
        )
        reader.finish()
        if method in ("icmp", "tcp") and (("port" in options) if method == "icmp" else ("size" in options)):
            wrong = "port" if method == "icmp" else "size"
            raise TargetError(f"{cls.name}: found option {wrong} with method {method}, which has none")
        if method != "icmp" and test.port == 0:
            raise TargetError(f"{cls.name}: option port: found 0; allowed is a whole number from 1 to 65535")
        return test

    async def measure(self, net: Net) -> Outcome:
        """Find the address, then ask hop after hop."""
        phases: dict[str, Phase] = {}
        detail: dict[str, JsonValue] = {}
        try:
            resolved = await resolve(net, self.host, families=self.families)
        except MeasurementFailedError as error:
            return net.outcome(phases=phases, detail=detail, error=error)
        if resolved.phase is not None:
            phases["resolve"] = resolved.phase
        address = resolved.addresses[0]
        detail.update(
            address=net.host.label(address), family=family_of(address), resolved_from=resolved.source
        )
        table, told = HopTable(self.limits), len(net.icmp_errors)
        failed: MeasurementFailedError | None = None
        try:
            await self._trace(net, address, table, detail)
        except MeasurementFailedError as error:
            failed = error
        del net.icmp_errors[told:]  # each is told with its hop, and named as a path's routers are
        end = table.end()[0] if failed is None else End.NOT_SENT
        detail |= to_json(table, net.host, address, end)
        rtt = target_rtt(table)
        if rtt is not None:
            phases["rtt"] = rtt
        return net.outcome(phases=phases, detail=fit(detail), error=failed or why(table, end))

    async def _trace(self, net: Net, address: str, table: HopTable, detail: dict[str, JsonValue]) -> None:
        """Fill the table by the first method that is allowed. Raises where none is, or nothing can be sent."""
        not_used: dict[str, JsonValue] = {}
        for method in self.methods:
            detail.update(method=method, not_used=not_used, proto=method.upper())
            detail.update(paris_id=self.paris_id or 1, repeatable=self.paris_id > 0)
            try:
                await self._trace_by(net, address, method, table)
            except MeasurementFailedError as error:
                if error.failure != Failure.PERMISSION_DENIED or method == self.methods[-1]:
                    raise
                not_used[method] = error.failure
            else:
                detail.update({"size": self.size} if method != "tcp" else {})
                detail.update({"port": self.port} if method != "icmp" else {})
                return

    async def _trace_by(self, net: Net, address: str, method: str, table: HopTable) -> None:
        source_port = _PARIS_BASE_PORT + self.paris_id if self.paris_id else 0
        if method == "tcp":
            await trace_by_syn(net, SynProbes(net, address, self.port, source_port), table)
            return
        family = family_of(address) or 4
        with (
            net.open_icmp(address)
            if method == "icmp"
            else net.open_udp(address, self.port, source_port=source_port) as flow
        ):
            flow.set_option(*MTU_DISCOVER[family], PMTUDISC_PROBE)
            probes = PathProbes(
                flow=flow,
                form=IcmpForm(family, self._balance(flow.local[1])) if method == "icmp" else UdpForm(),
                family=family,
                payload_bytes=self.size - IP_HEADER[family] - TRANSPORT_HEADER,
            )
            await DatagramTrace(net, probes, table).run()

    def _balance(self, identifier: int) -> int:
        """Return the word that makes an echo's checksum depend on `paris_id` alone; 0 where none was asked for."""
        return (_WORD - identifier + self.paris_id) % _WORD if self.paris_id else 0
