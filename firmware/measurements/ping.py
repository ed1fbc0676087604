"""Ping: whether a host answers, and how far away it is.

By ICMP echo over a datagram socket; where net.ipv4.ping_group_range forbids that, by UDP to a port where
nothing should listen (port unreachable is an answer), and where nothing answers that, by TCP connect (open or
refused is an answer). The record says which, and why not a better one. It needs no capability.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Outcome, Phase, Stamp
from firmware.model.task import OptionValue
from firmware.net.access import Net
from firmware.net.echo import EchoForm, EchoSample, EchoTimes, best_rtt, echo, icmp_form, udp_form
from firmware.net.targets import GATEWAY, Options, family_of, parse_host
from firmware.protocols.names import resolve

METHODS: Final = ("icmp", "udp", "tcp")
_UDP_PORT: Final = 33434
"""Where traceroute begins, and so the port least likely to be listened on."""

_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Several echoes of one host.

    Phases `resolve` (where a resolver was asked) and `rtt`, the shortest time of the best stamp class. `detail`:
    `address`, `family`, `method` (`icmp`, `udp`, `tcp`), `not_used` (better method → why not), `sent`,
    `received`, `loss` (0–1), `samples`: each `rtt_ns`, `stamp`, and, where known, `ttl`, `egress_queue_ns`
    (SND − SCHED: our own queue), `late_ns` and `late_stamp` (how long after its time it left), or `failure`.
    """

    name: ClassVar[str] = "ping"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "echo requests to a HOST, or to the @gateway (ICMP, else UDP, else TCP)"

    host: str
    families: tuple[int, ...]
    methods: tuple[str, ...]
    times: EchoTimes
    tcp_port: int

    @classmethod
    def parse(cls, target: str, options: Mapping[str, OptionValue]) -> Self:
        """Take `HOST` or `@gateway`; options `count`, `interval_ms`, `timeout_ms`, `family`, `method`, `tcp_port`.

        Raises `TargetError`.
        """
        reader = Options(cls.name, options)
        test = cls(
            host=target if target == GATEWAY else parse_host(target),
            families=reader.families(),
            methods=reader.methods(METHODS),
            times=EchoTimes(
                count=reader.integer("count", 3, low=1, high=100),
                interval_ns=reader.integer("interval_ms", 200, low=1, high=10_000) * _MS,
                timeout_ns=reader.integer("timeout_ms", 3000, low=1, high=20_000) * _MS,
            ),
            tcp_port=reader.integer("tcp_port", 443, low=1, high=65535),
        )
        reader.finish()
        return test

    async def measure(self, net: Net) -> Outcome:
        """Find the address, then ask by the best method that may be used."""
        phases: dict[str, Phase] = {}
        detail: dict[str, JsonValue] = {}
        try:
            address = await self._address(net, phases)
            detail.update(address=net.host.label(address), family=family_of(address))
            method, samples, not_used = await self._ask(net, address)
        except MeasurementFailedError as error:
            return net.outcome(phases=phases, detail=detail, error=error)
        received = sum(sample.rtt is not None for sample in samples)
        detail.update(method=method, not_used=dict(not_used))
        detail.update(sent=len(samples), received=received, loss=round(1 - received / len(samples), 4))
        detail["samples"] = [describe(sample) for sample in samples]
        best = best_rtt(samples)
        if best is None:
            return net.outcome(phases=phases, detail=detail, error=_why_none(samples))
        return net.outcome(phases={**phases, "rtt": best}, detail=detail)

    async def _address(self, net: Net, phases: dict[str, Phase]) -> str:
        if self.host != GATEWAY:
            resolved = await resolve(net, self.host, families=self.families)
            if resolved.phase is not None:
                phases["resolve"] = resolved.phase
            return resolved.addresses[0]
        for gateway in net.host.gateways():
            if family_of(gateway) in self.families:
                return gateway
        raise MeasurementFailedError(Failure.NO_GATEWAY, operation="resolve")

    async def _ask(self, net: Net, address: str) -> tuple[str, tuple[EchoSample, ...], dict[str, str]]:
        """Return the method used, its samples, and why the ones before it were not. Raises where none may be."""
        not_used: dict[str, str] = {}
        for method in self.methods:
            try:
                samples = await self._ask_by(net, address, method)
            except MeasurementFailedError as error:
                if error.failure != Failure.PERMISSION_DENIED or method == self.methods[-1]:
                    raise
                not_used[method] = error.failure
                continue
            if method == "udp" and "tcp" in self.methods and best_rtt(samples) is None:
                not_used[method] = _why_none(samples).failure
                continue
            return method, samples, not_used
        raise AssertionError("the last method either returns or raises")

    async def _ask_by(self, net: Net, address: str, method: str) -> tuple[EchoSample, ...]:
        if method == "tcp":
            return await _tcp_samples(net, address, self.tcp_port, self.times)
        form: EchoForm
        if method == "icmp":
            flow, form = net.open_icmp(address), icmp_form(family_of(address) or 4)
        else:
            flow, form = net.open_udp(address, _UDP_PORT), udp_form()
        with flow:
            return await echo(net, flow, form, self.times)


async def _tcp_samples(net: Net, address: str, port: int, times: EchoTimes) -> tuple[EchoSample, ...]:
    """Connect `count` times, one after the other; open and refused are answers."""
    samples: list[EchoSample] = []
    start_ns = max(net.now_ns(), net.slot_ns)
    for number in range(times.count):
        due_ns = min(start_ns + number * times.interval_ns, net.deadline_ns)
        samples.append(await _tcp_sample(net, address, port, times.timeout_ns / 1e9, due_ns))
    return tuple(samples)


async def _tcp_sample(net: Net, address: str, port: int, timeout_s: float, due_ns: int) -> EchoSample:
    try:
        with await net.connect_tcp(address, port, timeout_s=timeout_s, due_ns=due_ns) as stream:
            return EchoSample(rtt=stream.connect)
    except MeasurementFailedError as error:
        if error.failure != Failure.CONNECTION_REFUSED:
            return EchoSample(failure=error.failure)
    attempt = net.attempts[-1]
    if attempt.icmp is not None:  # a router's or a host's ICMP error, not the reset that refuses
        return EchoSample(failure=attempt.failure)
    return EchoSample(rtt=Phase(ns=attempt.elapsed_ns, stamp=Stamp.USER))


def describe(sample: EchoSample) -> JsonObject:
    """Return one sample's part of the detail."""
    if sample.rtt is None:
        return {"failure": sample.failure}
    found: JsonObject = {"rtt_ns": sample.rtt.ns, "stamp": str(sample.rtt.stamp)}
    if sample.ttl is not None:
        found["ttl"] = sample.ttl
    if sample.egress_queue_ns is not None:
        found["egress_queue_ns"] = sample.egress_queue_ns
    if sample.late is not None:
        found["late_ns"], found["late_stamp"] = sample.late.ns, str(sample.late.stamp)
    return found


def _why_none(samples: tuple[EchoSample, ...]) -> MeasurementFailedError:
    """Choose the word for no answer at all: the first that says more than silence."""
    words = [sample.failure for sample in samples if sample.failure is not None]
    telling = [word for word in words if word != Failure.TIMEOUT]
    return MeasurementFailedError((telling or [str(Failure.TIMEOUT)])[0], operation="ping")
