"""Asks for several echoes over one datagram flow, a fixed time apart, and matches what comes back. ICMP or UDP.

An ICMP echo is answered by its reply; a UDP datagram to a port where nothing listens by port unreachable, which
is the far end's own answer. Every probe gets exactly one sample. This file must never decide which way to ask.
"""

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.record import Phase
from firmware.net.access import Datagram, DatagramFlow, Net

_ICMP: Final = struct.Struct(">BBHHH")
_ECHO_REQUEST: Final = {4: 8, 6: 128}
_ECHO_REPLY: Final = {4: 0, 6: 129}
_PADDING: Final = 48
_READY_NS: Final = 1_000_000
"""How long before its time a probe is made ready, and answers are left for later: the kernel has stamped them."""
_UDP: Final = struct.Struct(">H")


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoSample:
    """What one probe brought: a time and whose, the reply's TTL, our own part of it; or a failure word.

    `egress_queue_ns` is the wait in our own queue, `late` how long after its time the probe left.
    """

    rtt: Phase | None = None
    ttl: int | None = None
    egress_queue_ns: int | None = None
    late: Phase | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoTimes:
    """How many probes, how far apart, and how long to wait for the last one's answer, in ns."""

    count: int
    interval_ns: int
    timeout_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoForm:
    """How a probe is written and its answer read: `sequence_of` takes what came (or came back in an error)."""

    write: Callable[[int], bytes]
    sequence_of: Callable[[bytes], int | None]
    port_unreachable_answers: bool


def icmp_form(family: int) -> EchoForm:
    """Return ICMP echo (RFC 792, 4443); the kernel fills in identifier and checksum of a datagram ICMP socket."""
    padding = os.urandom(_PADDING)

    def sequence_of(data: bytes) -> int | None:
        if len(data) < _ICMP.size:
            return None
        kind, _, _, _, sequence = _ICMP.unpack_from(data)
        return int(sequence) if kind in (_ECHO_REPLY[family], _ECHO_REQUEST[family]) else None

    return EchoForm(
        write=lambda sequence: _ICMP.pack(_ECHO_REQUEST[family], 0, 0, 0, sequence) + padding,
        sequence_of=sequence_of,
        port_unreachable_answers=False,
    )


def udp_form() -> EchoForm:
    """Return a UDP datagram that carries its sequence number."""
    padding = os.urandom(_PADDING)
    return EchoForm(
        write=lambda sequence: _UDP.pack(sequence) + padding,
        sequence_of=lambda data: int(_UDP.unpack_from(data)[0]) if len(data) >= _UDP.size else None,
        port_unreachable_answers=True,
    )


@dataclass(slots=True)
class _Round:
    """The probes sent and the samples so far, by sequence number from 0."""

    form: EchoForm
    due_ns: dict[int, int] = field(default_factory=dict)
    sent_ids: dict[int, int] = field(default_factory=dict)
    samples: dict[int, EchoSample] = field(default_factory=dict)

    def sequence_for(self, data: bytes) -> int | None:
        """Return which probe `data` is about; where it does not say, the last one that is unanswered."""
        sequence = self.form.sequence_of(data)
        if sequence is None:
            sequence = max((one for one in self.sent_ids if one not in self.samples), default=None)
        return sequence if sequence in self.sent_ids and sequence not in self.samples else None


async def echo(net: Net, flow: DatagramFlow, form: EchoForm, times: EchoTimes) -> tuple[EchoSample, ...]:
    """Send the probes at their times and collect; return one sample a probe, in the order sent.

    A probe without an answer has `generic_timeout_error`. Never raises for the network.
    """
    state = _Round(form)
    start_ns = max(net.now_ns(), net.slot_ns)
    last_ns = start_ns + (times.count - 1) * times.interval_ns
    for sequence in range(times.count):
        state.due_ns[sequence] = due_ns = start_ns + sequence * times.interval_ns
        await _collect(net, flow, state, until_ns=due_ns - _READY_NS, early=False)
        if net.now_ns() >= net.deadline_ns:
            break
        probe = form.write(sequence)
        try:
            state.sent_ids[sequence] = await flow.send(probe, due_ns=min(due_ns, net.deadline_ns))
        except MeasurementFailedError as error:
            state.samples[sequence] = EchoSample(failure=error.failure)
    await _collect(net, flow, state, until_ns=last_ns + times.timeout_ns, early=True)
    lost = EchoSample(failure=Failure.TIMEOUT)
    return tuple(state.samples.get(sequence, lost) for sequence in range(times.count))


async def _collect(net: Net, flow: DatagramFlow, state: _Round, *, until_ns: int, early: bool) -> None:
    """Take what arrives until `until_ns`; with `early`, only until every probe has its sample."""
    while net.now_ns() < min(until_ns, net.deadline_ns):
        if early and state.sent_ids.keys() <= state.samples.keys():
            return
        try:
            arrival = await flow.receive(deadline_ns=until_ns)
        except MeasurementFailedError as error:
            _note_error(flow, state, error.failure)
            continue
        if arrival is not None:
            _note_answer(flow, state, arrival)


def _note_error(flow: DatagramFlow, state: _Round, failure: str) -> None:
    if flow.last_error is None:
        sequence, is_answer, arrival = state.sequence_for(b""), False, None
    else:
        icmp, arrival = flow.last_error
        sequence = state.sequence_for(arrival.data)
        is_answer = icmp.is_port_unreachable and state.form.port_unreachable_answers
    if is_answer and arrival is not None:
        _note_answer(flow, state, arrival)
    elif sequence is not None:
        state.samples[sequence] = EchoSample(failure=failure)


def _note_answer(flow: DatagramFlow, state: _Round, arrival: Datagram) -> None:
    sequence = state.sequence_for(arrival.data)
    if sequence is None:
        return  # a duplicate, or nothing of ours
    sent_id = state.sent_ids[sequence]
    rtt = flow.rtt(sent_id, arrival)
    departure = flow.departure(sent_id)
    state.samples[sequence] = EchoSample(
        rtt=rtt,
        ttl=arrival.ttl,
        egress_queue_ns=departure.egress_queue_ns,
        late=departure.late(state.due_ns[sequence]),
    )


_ORDER: Final[Mapping[str, int]] = {"hw": 0, "snd": 1, "tcp_info": 2, "sched": 3, "user": 4}


def best_rtt(samples: Sequence[EchoSample]) -> Phase | None:
    """Return the shortest time of the best class there is: classes are never mixed. None without an answer."""
    times = [sample.rtt for sample in samples if sample.rtt is not None]
    return min(times, key=lambda phase: (_ORDER[phase.stamp], phase.ns), default=None)
