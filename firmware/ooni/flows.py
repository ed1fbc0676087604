"""Evidence's flat steps, sorted into flows: one connection each, with its handshake and its request. Pure.

OONI's format ties the steps of one connection together by a `transaction_id` and counts redirects in a tag; ours
keeps lists. What belongs together is told by address and port, in the order the steps were made. This file must
never drop a step: one that fits no connection is a flow of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from firmware.judgement.site.evidence import Connect, HandshakeEvidence, Lookup, Request, WebEvidence
from firmware.judgement.site.places import host_of, port_of

_FIRST: Final = 30_001


@dataclass(slots=True, kw_only=True)
class Flow:
    """One connection. `depth` is the redirect it served; `is_control` marks one made for an innocuous name."""

    address: str
    port: int
    transaction: int = 0
    depth: int = 0
    is_control: bool = False
    connect: Connect | None = None
    handshake: HandshakeEvidence | None = None
    request: Request | None = None


def flows_of(evidence: WebEvidence) -> tuple[Flow, ...]:
    """Return every connection, in the order they were made, control handshakes last."""
    flows = [Flow(address=step.address, port=step.port, connect=step) for step in evidence.connects]
    for request in evidence.requests:
        flow = _place(flows, request.address, port_of(request.url) or 80, "request")
        flow.request = request
    for handshake in evidence.handshakes:
        if not handshake.is_control:
            _place(flows, handshake.address, handshake.port, "handshake").handshake = handshake
    flows += [
        Flow(address=step.address, port=step.port, is_control=True, handshake=step)
        for step in evidence.handshakes
        if step.is_control
    ]
    hosts = depths(evidence)
    for number, flow in enumerate(flows, _FIRST):
        flow.transaction = number
        flow.depth = _depth(flow, evidence, hosts)
    return tuple(flows)


def depths(evidence: WebEvidence) -> dict[str, int]:
    """Return each host's depth: of its first request, one past the last for a host that was never asked."""
    found = {host_of(evidence.url): 0}
    for depth, request in enumerate(evidence.requests):
        found.setdefault(host_of(request.url), depth)
    for lookup in evidence.lookups:
        found.setdefault(host_of(lookup.hostname), len(evidence.requests))
    return found


def is_system(lookup: Lookup) -> bool:
    """Return whether the host's own resolvers were asked: they go by a label."""
    return lookup.resolver.startswith("@")


def _place(flows: list[Flow], address: str, port: int, what: str) -> Flow:
    """Return the first connection to `address` that has no such step yet, a new one where there is none."""
    for flow in flows:
        if (flow.address, flow.port) == (address, port) and getattr(flow, what) is None:
            return flow
    flows.append(Flow(address=address, port=port))
    return flows[-1]


def _depth(flow: Flow, evidence: WebEvidence, hosts: dict[str, int]) -> int:
    if flow.request is not None:
        return next(depth for depth, one in enumerate(evidence.requests) if one is flow.request)
    if flow.handshake is not None and not flow.is_control:
        return hosts.get(host_of(flow.handshake.server_name), 0)
    return hosts.get(_asked_for(flow.address, evidence.lookups), 0)


def _asked_for(address: str, lookups: Iterable[Lookup]) -> str:
    return next((host_of(one.hostname) for one in lookups if address in one.addresses), "")
