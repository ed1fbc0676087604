"""Whether a rule concerns a flow, by its ends, and a packet, by what the flow has carried. Pure but for the flow.

Ends are asked once a flow and contents once a packet. This file must never decide what is done.
"""

import functools
import ipaddress
from typing import Final

from tests.nation.censor import contents
from tests.nation.censor.flows import Flow
from tests.nation.censor.forgeries import Echo, Time
from tests.nation.censor.match import FILTERED_PORTS, Match
from tests.nation.censor.model import Rule
from tests.nation.censor.packets import ICMP, ICMP6, SYN, TCP, UDP, Packet
from tests.nation.censor.stops import ProtocolFilter

_PROTOCOLS: Final = {"tcp": (TCP,), "udp": (UDP,), "icmp": (ICMP, ICMP6)}
_STREAM_MAX: Final = 16384
_DNS_PORT: Final = 53
_NTP_PORT: Final = 123
_WRAP: Final = 1 << 32


def concerns_flow(rule: Rule, flow: Flow) -> bool:
    """Return whether the rule may concern packets of the flow, going by addresses, ports and protocol."""
    match = rule.match
    proto, port = match.proto, match.port
    if isinstance(rule.action, ProtocolFilter):
        proto, port = proto or ("tcp",), port or FILTERED_PORTS
    elif (match.qname or match.qtype) and not port:
        port = (_DNS_PORT,)
    elif isinstance(rule.action, Time):
        proto, port = ("udp",), port or (_NTP_PORT,)
    elif isinstance(rule.action, Echo):
        proto = ("icmp",)
    if proto and not any(flow.proto in _PROTOCOLS[word] for word in proto):
        return False
    if port and (flow.proto not in (TCP, UDP) or flow.port not in port):
        return False
    if has_contents(match) and flow.proto not in (TCP, UDP):
        return False
    if (match.sni or match.host) and flow.proto != TCP:
        return False
    return (
        _within(flow.opener, match.sender)
        and _within(flow.responder, match.to)
        and (
            not match.address or _within(flow.opener, match.address) or _within(flow.responder, match.address)
        )
    )


def has_contents(match: Match) -> bool:
    """Return whether a match goes by what packets carry."""
    return bool(match.sni or match.host or match.qname or match.qtype or match.payload or match.payload_hex)


def has_size(match: Match, length: int) -> bool:
    """Return whether a packet of `length` bytes has the size that a match asks for."""
    return length > match.larger_than and (not match.smaller_than or length < match.smaller_than)


def is_settled(rule: Rule, flow: Flow) -> bool:
    """Return whether what the flow has carried shows that the rule will never concern it.

    So a long transfer becomes one that no rule concerns. HTTP connections carry request after request, and text
    may come at any time: those are never settled.
    """
    match = rule.match
    if rule.name in flow.marks or flow.proto != TCP or not (match.sni or match.host):
        return False
    if getattr(rule.action, "remember_s", 0):  # another flow may be what turns it on
        return False
    if flow.carried > _STREAM_MAX and flow.sni is None and flow.host is None:
        return True
    if not match.sni:
        return flow.sni is not None
    another = flow.sni is not None and not contents.names_match(flow.sni, match.sni)
    return another or flow.host is not None


def look(flow: Flow, packet: Packet, *, reassemble: bool) -> contents.Question | None:
    """Note in the flow what the packet shows of its contents; return the DNS question it carries, if any."""
    if packet.start >= packet.end or not packet.whole or not flow.is_opener(packet):
        return None
    data = packet.payload
    flow.carried += len(data)
    if packet.proto == UDP:
        asked = contents.question(data)
        if asked is not None:
            flow.qname = asked.name
        return asked
    if packet.proto != TCP:
        return None
    asked = contents.framed_question(data)
    shown = _note(flow, data, asked)
    stream = _reassembled(flow, packet, data) if reassemble else None
    if not shown and stream is not None:
        asked = contents.framed_question(stream)
        _note(flow, stream, asked)
    return asked


def concerns_packet(rule: Rule, flow: Flow, packet: Packet, asked: contents.Question | None) -> bool:
    """Return whether the contents of the flow, this packet's included, are what the rule is for."""
    match = rule.match
    if not has_size(match, packet.length):
        return False
    if not has_contents(match):
        return True
    if _shows(match, flow, packet, asked):
        flow.marks.add(rule.name)
    elif packet.proto == UDP and asked is not None:
        flow.marks.discard(rule.name)  # one socket asks many names
    return rule.name in flow.marks


def _shows(match: Match, flow: Flow, packet: Packet, asked: contents.Question | None) -> bool:
    if match.sni and (flow.sni is None or not contents.names_match(flow.sni, match.sni)):
        return False
    if match.host and (flow.host is None or not contents.names_match(flow.host, match.host)):
        return False
    if match.qname or match.qtype:
        if asked is None:
            return False
        if match.qname and not contents.names_match(asked.name, match.qname):
            return False
        if match.qtype and asked.type not in match.qtype:
            return False
    if match.payload or match.payload_hex:
        data = packet.payload if packet.transport != packet.start else b""
        if match.reassemble and flow.stream is not None and flow.is_opener(packet):
            data += b"\n" + flow.stream
        return any(text.encode() in data for text in match.payload) or any(
            bytes.fromhex(text) in data for text in match.payload_hex
        )
    return True


def _note(flow: Flow, data: bytes, asked: contents.Question | None) -> bool:
    """Keep what the data shows; say whether it showed anything."""
    sni = contents.server_name(data)
    host = None if sni is not None else contents.host(data)
    if sni is not None:
        flow.sni = sni
    if host is not None:
        flow.host = host
    if asked is not None:
        flow.qname = asked.name
    return sni is not None or host is not None or asked is not None


def _reassembled(flow: Flow, packet: Packet, data: bytes) -> bytes | None:
    """Return the opener's stream from its beginning so far, where this packet goes on with it."""
    if flow.stream is None:
        begins = packet.flags & SYN or packet.sequence == (flow.sequence + 1) % _WRAP
        if not begins:
            return None
        flow.stream, flow.stream_next = bytearray(), (flow.sequence + 1) % _WRAP
    known = (flow.stream_next - packet.sequence) % _WRAP
    if known >= len(data) or len(flow.stream) >= _STREAM_MAX:  # seen before, after a gap, or enough
        return bytes(flow.stream) if known == len(data) else None
    flow.stream += data[known:]
    flow.stream_next = (flow.stream_next + len(data) - known) % _WRAP
    return bytes(flow.stream)


def _within(address: bytes, prefixes: tuple[str, ...]) -> bool:
    if not prefixes:
        return True
    found = ipaddress.ip_address(address)
    return any(found.version == network.version and found in network for network in map(_network, prefixes))


@functools.cache
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)
