"""A run's result from the record of the transfer that it was: what a paired test is given. Pure.

It reads the `detail` of `firmware.measurements.transfer`. The run begins when its request is sent, so that what connecting
and the handshake took is in no rate. This file must never look at the name that was asked for.
"""

from collections.abc import Mapping
from typing import Final

from firmware.judgement.throttling.runs import Ending, PairedRun, RunResult
from firmware.model.jsontypes import JsonValue, Reader, RecordError

RECEIVER_BUSY: Final = 0.5
"""Where this device waited for the network for less than this share of a download, it was itself what was slow."""
SENDER_HELD: Final = 0.2
"""Where an upload was held up by the server's window or by our own buffer for more than this share, the line was not what was slow;
unless it was full meanwhile: a long queue on the line holds what no window has room for."""
QUEUED: Final = 2.0
"""A line is full where its round trips take this many times what the shortest took."""


def run_of_record(
    run: PairedRun, detail: Mapping[str, JsonValue], *, request_s: float, other_share: float = 0.0
) -> RunResult:
    """Return what came of `run`, whose record has `detail`, and whose request was sent at `request_s` of the test's clock.

    `other_share` is how much of the line's traffic was other than the run's, which the record of a transfer does not say.
    Raises `RecordError` for a detail that is not of this form.
    """
    reader = Reader(dict(detail), where="transfer")
    ending = Ending(reader.word("ending", tuple(Ending)))
    ended_us = reader.optional_integer("ended_us")
    points = tuple(_point(one) for one in reader.array("points"))
    if ended_us is None or detail.get("cut"):
        ending = Ending.FAILED
    ended_s = (ended_us or 0) / 1e6
    return RunResult(
        run=run,
        began_s=request_s,
        ended_s=ended_s,
        ending=ending,
        points=() if ending is Ending.FAILED else points,
        cost_bytes=_cost(reader, points),
        receiver_limited=_is_limited(reader, ended_s),
        other_share=other_share,
    )


def _point(value: JsonValue) -> tuple[float, int]:
    match value:
        case [int(at_us), int(size)]:
            return at_us / 1e6, size
    raise RecordError(f"transfer: points: found {value!r}; allowed is [µs, bytes]")


def _tcp(reader: Reader, key: str) -> int | None:
    return reader.child("tcp").optional_integer(key) if reader.has("tcp") else None


def _cost(reader: Reader, points: tuple[tuple[float, int], ...]) -> int:
    return _tcp(reader, "wire_bytes") or (points[-1][1] if points else 0)


def _is_limited(reader: Reader, ended_s: float) -> bool:
    """Return whether an end of the connection was what was slow."""
    if ended_s <= 0:
        return False
    if reader.text("direction") == "upload":
        held_ns = (_tcp(reader, "rwnd_limited_ns") or 0) + (_tcp(reader, "sndbuf_limited_ns") or 0)
        is_queued = (_tcp(reader, "rtt_ns") or 0) > QUEUED * (_tcp(reader, "min_rtt_ns") or 0)
        return held_ns / 1e9 > SENDER_HELD * ended_s and not is_queued
    waited_ns = reader.optional_integer("waited_ns")
    return waited_ns is not None and waited_ns / 1e9 < (1 - RECEIVER_BUSY) * ended_s
