"""What the censor did, for its log: one event a packet for what is forged, one a flow for what is dropped.

Whatever is done again and again in one flow is told once and counted; the counts are told too. Pure. This file
must never hold back the first time of anything.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Final

from firmware.model.jsontypes import JsonObject
from tests.nation.censor.flows import Flow
from tests.nation.censor.model import Rule
from tests.nation.censor.packets import ICMP, ICMP6, TCP, UDP, Packet

_EACH: Final = ("reset", "rejected", "answered")
_MOST: Final = 100_000
_NAMES: Final = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp6"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the log. `at_ns` is monotonic; `said` is what else it says."""

    at_ns: int
    rule: str
    did: str
    said: JsonObject


@dataclass(slots=True)
class _Count:
    packets: int = 0
    bytes: int = 0
    told: int = 0


@dataclass(slots=True)
class Ledger:
    """Collects events and counts."""

    _events: list[Event] = field(default_factory=list)
    _counts: dict[tuple[str, str], _Count] = field(default_factory=dict)

    def take(self) -> list[Event]:
        """Return the events since the last time."""
        events, self._events = self._events, []
        return events

    def counts(self, now_ns: int) -> list[Event]:
        """Return the counts that have changed since the last time."""
        made = []
        for (rule, did), count in self._counts.items():
            if count.told != count.packets:
                count.told = count.packets
                said: JsonObject = {"of": did, "packets": count.packets, "bytes": count.bytes}
                made.append(Event(at_ns=now_ns, rule=rule, did="count", said=said))
        return made

    def turned(self, rule: Rule, now_ns: int, *, on: bool) -> None:
        """Note that a rule came into force or went out of it."""
        self._events.append(
            Event(at_ns=now_ns, rule=rule.name, did="begins" if on else "ends", said={"do": rule.do})
        )

    def note(
        self, rule: Rule, did: str, packet: Packet, flow: Flow, *, now_ns: int, due_ns: int | None = None
    ) -> None:
        """Note what was done with a packet; nothing but a count where `did` is empty."""
        count = self._counts.setdefault((rule.name, did or "passed"), _Count())
        count.packets += 1
        count.bytes += packet.length
        if not did or len(self._events) >= _MOST:
            return
        if did not in _EACH:
            if (rule.name, did) in flow.noted:
                return
            flow.noted.add((rule.name, did))
        said = _facts(packet, flow) | {"do": rule.do}
        if due_ns is not None and due_ns > now_ns:
            said["after_s"] = round((due_ns - now_ns) / 1e9, 6)
        self._events.append(Event(at_ns=now_ns, rule=rule.name, did=did, said=said))


def _facts(packet: Packet, flow: Flow) -> JsonObject:
    said: JsonObject = {
        "direction": "up" if packet.up else "down",
        "proto": _NAMES.get(flow.proto, str(flow.proto)),
        "from": str(ipaddress.ip_address(flow.opener)),
        "from_port": flow.opener_port,
        "to": str(ipaddress.ip_address(flow.responder)),
        "port": flow.port,
        "bytes": packet.length,
    }
    for key, value in (("sni", flow.sni), ("host", flow.host), ("qname", flow.qname)):
        if value is not None:
            said[key] = value
    return said
