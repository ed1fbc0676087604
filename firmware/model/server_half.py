"""A server's half of a test: what a measurement server says of one transfer. A record of its own, immutable, versioned, JSON.

(server, epoch, number) is its identity: the server's name, the random name of the log it was written to, and a number without
gaps in it. The device's record of the same test has the same nonce (`firmware.model.nonce`). It must never hold an
address, a name that was asked for, or a byte of what was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

from firmware.model.jsontypes import JsonObject, JsonValue, NewerVersionError, Reader, RecordError
from firmware.model.nonce import FORM, PATTERN
from firmware.model.record import ClockReading
from firmware.model.record_fields import Form, json_key
from firmware.model.record_kinds import COUNT, OBJECT, OPTIONAL_WHOLE, TEXT, word_of

SCHEMA: Final = 2


class Direction(StrEnum):
    """Which way the bytes of a test go."""

    DOWNLOAD = "download"
    UPLOAD = "upload"
    UDP = "udp"
    """Both ways, in a session."""


class HalfEnd(StrEnum):
    """How a transfer ended, as the server saw it."""

    DONE = "done"
    """All was sent and the device's kernel has acknowledged it, or all that was to come came."""
    CLOSED_EARLY = "closed_early"
    """The other side closed the connection before that."""
    RESET_RECEIVED = "reset_received"
    """A reset came, by the device or by somebody on the way in its name: the server cannot tell."""
    UNANSWERED = "unanswered"
    """The kernel gave the connection up: nothing came back, or the network said that there is no way."""
    BROKEN_TLS = "broken_tls"
    """What came was no longer of this TLS session."""
    TIMED_OUT = "timed_out"
    """It took longer than a transfer may, and the server cut it off."""
    REFUSED = "refused"
    """The server did not do it, and said why."""
    STOPPED = "stopped"
    """The server was ended meanwhile."""
    LOST = "lost"
    """The server died meanwhile; nothing is known but that it had begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHalf:
    """One transfer, as the server saw it. `number` is 0 until it is written."""

    server: Annotated[str, json_key(TEXT, "The measurement server's name, as its certificate has it.")]
    software: Annotated[str, json_key(TEXT, "What made it, with its version.")]
    epoch: Annotated[str, json_key(TEXT, "Which of the server's logs it is of, 16 hex digits.")] = ""
    number: Annotated[int, json_key(COUNT, "Its number there, without gaps from 1.")] = 0
    device: Annotated[str, json_key(TEXT, "Whose token it was.")]
    nonce: Annotated[str, json_key(TEXT, "What names the transfer in the device's record too.")]
    test: Annotated[
        str, json_key(TEXT, "What was asked: `download`, `upload`, `udp`, `ndt7` or `throughput1`.")
    ]
    direction: Annotated[Direction, json_key(word_of(Direction), "Which way the bytes went.")]
    boot_id: Annotated[str, json_key(TEXT, "The server's boot, by its kernel's random id.")]
    start: Annotated[ClockReading, Form(ClockReading)]
    runtime_ns: Annotated[int, json_key(COUNT, "How long it took, until the last byte was acknowledged.")] = 0
    asked_bytes: Annotated[
        int | None, json_key(OPTIONAL_WHOLE, "How many bytes were asked for; null: not said.")
    ] = None
    bytes_sent: Annotated[int, json_key(COUNT, "Bytes of the test that were given to the kernel.")] = 0
    bytes_received: Annotated[int, json_key(COUNT, "Bytes of the test that came.")] = 0
    end: Annotated[HalfEnd, json_key(word_of(HalfEnd), "How it ended.")] = HalfEnd.LOST
    status: Annotated[int | None, json_key(OPTIONAL_WHOLE, "Of a refusal, its HTTP status.")] = None
    reason: Annotated[str, json_key(TEXT, "Of a refusal, what the device was told.")] = ""
    family: Annotated[str, json_key(TEXT, "`ipv4` or `ipv6`, or nothing known.")] = ""
    congestion_control: Annotated[str, json_key(TEXT, "By which the server's kernel sent.")] = ""
    tcp: Annotated[
        Mapping[str, JsonValue],
        json_key(
            OBJECT,
            "The kernel's view of the connection (TCP_INFO) over time: `names` of what was read, the time (`elapsed_us`) first, "
            "then as M-Lab has them; `points`, the values in that order; `every_us`, how far apart they are at least. Empty: none.",
        ),
    ] = field(default_factory=dict)
    limit: Annotated[
        Mapping[str, JsonValue],
        json_key(
            OBJECT,
            "What held a download to its rate (`limit`: `policed`, `shaped`, `neither` or `untold`), `by` the `packets` of its sender or by `tcp_info`; "
            "the rate and burst, what speaks against a policer (`why`), the figures, and what would overturn it. Empty: not judged.",
            since=2,
        ),
    ] = field(default_factory=dict)
    udp: Annotated[
        Mapping[str, JsonValue],
        json_key(OBJECT, "Of a UDP session, what `GET /v1/udp` tells. Empty: none."),
    ] = field(default_factory=dict)


_HALF: Final = Form(ServerHalf, head={"schema": SCHEMA})
KEYS: Final = _HALF.keys
"""What stands at each key but `schema`, in their order."""


def to_json(half: ServerHalf) -> JsonObject:
    """Return the half's JSON form. `from_json` is its inverse."""
    return _HALF.write(half)


def from_json(value: JsonValue) -> ServerHalf:
    """Read a half from its JSON form. Raises `RecordError`, naming the key, what was found and what is allowed."""
    reader = Reader(value, where="server's half")
    schema = reader.integer("schema", low=1)
    if schema > SCHEMA:
        raise NewerVersionError(
            f"server's half: schema: found {schema}, but this software reads up to {SCHEMA}: upgrade the collector"
        )
    half = _HALF.read(reader, schema)
    if not PATTERN.fullmatch(half.nonce):
        raise RecordError(f"server's half: nonce: found {half.nonce!r}; allowed are {FORM}")
    return half
