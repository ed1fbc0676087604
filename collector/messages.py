"""A message as a broker or the intake delivers it, and an ack on its way back. Values only."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message as it came: topic, payload, and when (UTC, ns).

    `reply` takes what is answered to it, once that may go out; None: it is published to the broker. It must not block.
    """

    topic: str
    payload: bytes
    received_ns: int
    reply: "Callable[[tuple[OutgoingMessage, ...]], None] | None" = field(
        default=None, compare=False, repr=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """An ack on its way: topic and payload."""

    topic: str
    payload: bytes
