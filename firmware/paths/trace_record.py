"""A traced path as a record keeps it, in RIPE Atlas's form, and the word for how it ended. Pure.

Addresses go through `firmware.net.path_labels` and no other way.
"""

from collections.abc import Mapping
from typing import Final

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Phase
from firmware.net.echo import EchoSample, best_rtt
from firmware.net.host_view import Host
from firmware.net.path_labels import path_labels
from firmware.paths.hops import End, HopKind, HopReply, HopTable, Slot

OPERATION: Final = "traceroute"
_ATLAS_ERR: Final = {
    4: {(3, 0): "N", (3, 1): "H", (3, 2): "P", (3, 3): "p", (3, 9): "A", (3, 10): "A", (3, 13): "A"},
    6: {(1, 0): "N", (1, 1): "A", (1, 3): "H", (1, 4): "p", (1, 5): "A", (1, 6): "A"},
}
"""RIPE Atlas's letters for ICMP errors by family, type and code; where it has none it writes the code."""


def to_json(table: HopTable, host: Host, target: str, end: End) -> JsonObject:
    """Return `one_at_a_time`, `end`, `end_hop`, `result` and, where a router told one, `path_mtu`."""
    labels = path_labels(
        host,
        target,
        ((hop, [slot.answer.address for slot in slots if slot.answer]) for hop, slots in table.kept()),
    )
    family = 6 if ":" in target else 4
    told: JsonObject = {
        "one_at_a_time": table.single,
        "end": str(end),
        "end_hop": table.ceiling(),
        "result": [
            {"hop": hop, "result": [_reply(slot, family, labels) for slot in slots if slot.tried]}
            for hop, slots in table.kept()
        ],
    }
    hints = [
        (slot.answer.mtu, labels[slot.answer.address])
        for _, slots in table.kept()
        for slot in slots
        if slot.answer is not None and slot.answer.mtu
    ]
    if hints:
        mtu, router = min(hints)
        told["path_mtu"] = {"mtu": mtu, "from": router}
    return told


def why(table: HopTable, end: End) -> MeasurementFailedError | None:
    """Return what ended the way as a failure: a router's own word, else silence; None where the target answered."""
    if end is End.REACHED:
        return None
    answers = [slot.answer for slot in table.rows[table.ceiling() - 1] if slot.answer is not None]
    said = [
        answer.failure for answer in answers if answer.failure is not None and answer.kind is HopKind.ENDED
    ]
    if end is End.UNREACHABLE and said:
        return MeasurementFailedError(said[0], operation=OPERATION)
    passed = end in (End.LOOP, End.MAX_HOPS) and bool(answers)
    return MeasurementFailedError(Failure.TTL_EXCEEDED if passed else Failure.TIMEOUT, operation=OPERATION)


def target_rtt(table: HopTable) -> Phase | None:
    """Return the target's own shortest time of the best stamp class, None where it did not answer."""
    times = [answer.rtt for answer in table.answers() if answer.kind is HopKind.REACHED]
    return best_rtt([EchoSample(rtt=time) for time in times])


def _reply(slot: Slot, family: int, labels: Mapping[str, str]) -> JsonObject:
    """Return one probe's part of the result."""
    answer = slot.answer
    if answer is None:
        return {"x": "*"}
    found: JsonObject = {"from": labels[answer.address]}
    if answer.rtt is not None:
        found.update(rtt_ns=answer.rtt.ns, stamp=str(answer.rtt.stamp))
        if answer.kernel_arrival:
            found["received"] = "kernel"
    if answer.ttl is not None:
        found["ttl"] = answer.ttl
    if answer.kind is HopKind.ENDED:
        found.update(_err(answer, family), failure=answer.failure)
    if answer.mtu:
        found["mtu"] = answer.mtu
    return found


def _err(answer: HopReply, family: int) -> JsonObject:
    if answer.icmp is None:
        return {}
    return {"err": _ATLAS_ERR[family].get(answer.icmp, answer.icmp[1])}
