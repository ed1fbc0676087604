"""What each action forges, as (up, frame): which way a frame goes, and the frame. Pure.

Nothing here says whether a rule holds: the engine asks once it does.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from tests.nation.censor import contents, forge, ntp
from tests.nation.censor.flows import Flow, later
from tests.nation.censor.forgeries import Accept, Answer, Page, Redirect, Reset, Time
from tests.nation.censor.packets import ACK, FIN, RST, SYN, TCP, UDP, Packet
from tests.nation.censor.stops import ProtocolFilter, Reject

Forged: TypeAlias = list[tuple[bool, bytes]]

_REASONS: Final = {
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    307: "Temporary Redirect",
    403: "Forbidden",
    451: "Unavailable For Legal Reasons",
}
_BODY: Final = (
    '<html><head><meta http-equiv="Content-Type" content="text/html; charset=windows-1256"><title>M4-6\n'
    '</title></head><body><iframe src="http://{frame}?type=Invalid Site&policy=MainPolicy " '
    'style="width: 100%; height: 100%" scrolling="no" marginwidth="0" marginheight="0" frameborder="0" '
    'vspace="0" hspace="0"></iframe></body></html>\r\n\r\n'
)
"""As seen from Iran: a 403 whose body is a frame to an address in 10.10.0.0/16."""


def can_be_reset(packet: Packet) -> bool:
    """Return whether resets answer the packet: TCP, no reset itself."""
    return packet.proto == TCP and packet.whole and not packet.flags & RST


def resets(how: Reset, packet: Packet, flow: Flow) -> Forged:
    """Return the resets to each end that gets them."""
    made: Forged = []
    inside_gets, outside_gets = how.ends in ("both", "inside"), how.ends in ("both", "outside")
    back_gets, on_gets = (inside_gets, outside_gets) if packet.up else (outside_gets, inside_gets)
    if back_gets:
        first = packet.acknowledged if packet.flags & ACK else 0
        if packet.flags & ACK and (not packet.up) in flow.edge:
            first = later(first, flow.edge[not packet.up])
        made += [
            (not packet.up, one) for one in forge.resets(packet, back=True, times=how.times, first=first)
        ]
    opens = packet.flags & (SYN | ACK) == SYN
    if on_gets and not (opens and how.swallow):  # to that end there is no connection yet
        first = later(packet.sequence, flow.edge.get(packet.up, packet.sequence))
        if not how.swallow:
            first = later(first, packet.sequence + packet.spent)
        made += [(packet.up, one) for one in forge.resets(packet, back=False, times=how.times, first=first)]
    return made


def rejected(how: Reject, packet: Packet) -> Forged:
    """Return what the sender of a rejected packet gets."""
    if how.answer == "reset":
        if not can_be_reset(packet):
            return []
        first = packet.acknowledged if packet.flags & ACK else 0
        made = forge.resets(packet, back=True, times=1, first=first)
        return [(not packet.up, one) for one in made]
    if packet.proto == TCP and packet.flags & RST:
        return []
    error = forge.icmp_error(packet, how.answer, how.router, mtu=how.mtu)
    return [] if error is None else [(not packet.up, error)]


def answers(how: Answer, packet: Packet, asked: contents.Question) -> tuple[Forged, bool]:
    """Return the forged DNS answers, and whether the flow ends with them."""
    data = forge.dns_answer(asked, how.rcode, how.addresses, how.ttl_s)
    if packet.proto == UDP:
        return [(not packet.up, forge.udp(packet, data))] * how.times, False
    return ended_with(struct.pack(">H", len(data)) + data, packet), True


def ended_with(data: bytes, packet: Packet) -> Forged:
    """Return segments that answer the packet with `data` and close, and a reset to the end it was for."""
    segments = forge.response(packet, data, finish=True)
    reset = forge.resets(packet, back=False, times=1, first=packet.sequence)
    return [*((not packet.up, one) for one in segments), *((packet.up, one) for one in reset)]


def accepted(how: Accept, packet: Packet, flow: Flow, *, is_ours: bool) -> Forged | None:
    """Return what answers a packet of the opener's in a connection that never reaches its server; None: not ours.

    `is_ours` says whether its SYN was answered so before.
    """
    if packet.proto != TCP or not packet.whole or not flow.is_opener(packet):
        return [] if is_ours else None
    if packet.flags & (SYN | ACK) == SYN:
        return [(not packet.up, forge.acceptance(packet))]
    if not is_ours:
        return None
    if packet.flags & RST:
        return []
    if packet.start < packet.end:
        if how.then == "reset":
            made = forge.resets(packet, back=True, times=1, first=packet.acknowledged)
        elif how.say or how.then == "close":
            made = forge.response(packet, how.say.encode(), finish=how.then == "close")
        else:
            made = [forge.acknowledgement(packet)]
        return [(not packet.up, one) for one in made]
    return farewell(packet, flow)


def echoed(packet: Packet) -> Forged:
    """Return the answer to a ping; nothing for what is no echo request."""
    answer = forge.echo_reply(packet)
    return [] if answer is None else [(not packet.up, answer)]


def told_time(how: Time, packet: Packet, flow: Flow, *, utc_ns: int) -> Forged:
    """Return the answer to an NTP question; nothing for what is none. `utc_ns` is the true time."""
    if packet.proto != UDP or not packet.whole or not flow.is_opener(packet):
        return []
    answer = ntp.answer(packet.payload, utc_ns + round(how.ahead_s * 1e9), stratum=how.stratum, kiss=how.kiss)
    return [] if answer is None else [(not packet.up, forge.udp(packet, answer))]


def farewell(packet: Packet, flow: Flow) -> Forged:
    """Return the acknowledgement that lets the opener of an answered flow close in peace."""
    if packet.proto == TCP and packet.flags & FIN and not packet.flags & RST and flow.is_opener(packet):
        return [(not packet.up, forge.acknowledgement(packet))]
    return []


def is_request(packet: Packet, flow: Flow) -> bool:
    """Return whether the packet can be answered with a page: data of the opener's over TCP."""
    return packet.proto == TCP and packet.whole and packet.start < packet.end and flow.is_opener(packet)


def page(how: Page | Redirect, files: Mapping[Path, bytes]) -> bytes:
    """Return the whole response; `files` are the contents of files that rules name."""
    if isinstance(how, Redirect):
        return _response(how.status, f"Location: {how.location}\r\n", b"")
    if how.file is not None:
        return files[how.file]
    body = how.body or _BODY.format(frame=how.frame)
    return _response(how.status, "Content-Type: text/html\r\n", body.encode())


def filtered(how: ProtocolFilter, rule: str, packet: Packet, flow: Flow, *, now_ns: int) -> bool:
    """Return whether the protocol filter drops the packet; the flow remembers what was seen of it."""
    until_ns = flow.done.get(rule, 0)
    if until_ns > now_ns:
        return True
    if until_ns:
        del flow.done[rule]
        flow.looked[rule] = 0
    seen = flow.looked.get(rule, 0)
    if seen < 0 or packet.start >= packet.end or not flow.is_opener(packet):
        return False
    if contents.looks_like(packet.payload, how.allow, tcp=packet.proto == TCP):
        flow.looked[rule] = -1
        return False
    flow.looked[rule] = seen + 1
    if seen + 1 < how.looks:
        return False
    flow.done[rule] = now_ns + round(how.memory_s * 1e9)
    return how.memory_s > 0


def _response(status: int, headers: str, body: bytes) -> bytes:
    reason = _REASONS.get(status, "X")
    head = f"HTTP/1.1 {status} {reason}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
