"""What a connection to the collector is, whichever way it goes: opened, stepped through what happens, closed.

No way keeps a message for a later connection: what was not acknowledged is in the outbox, and nowhere else.
"""

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from appliance.delivery.messages.received import Received
from appliance.transports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """Where the collector is, and how patiently it is tried. `path` is before ours, behind a proxy. Times in seconds."""

    host: str
    ports: Ports = field(default_factory=Ports)
    path: str = ""
    keepalive_s: int = 60
    connect_timeout_s: float = 30.0
    retry_max_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Connected:
    """We are let in; what is published from now on goes out."""


@dataclass(frozen=True, slots=True)
class Published:
    """The other side has the message `mid` (it may lose it yet: only the collector's ack counts)."""

    mid: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection has ended, or never was: why, in words, as a failure word, and at which step."""

    reason: str
    failure: str = ""
    operation: str = ""


ConnectionEvent: TypeAlias = "Connected | Published | Received | Disconnected"


class Connection(Protocol):
    """One connection; used from one thread. `open`, then `step` until it gives `Disconnected`, then `close`."""

    def open(self) -> list[ConnectionEvent]:
        """Connect; may block up to the connect time-out. Return `Disconnected` when that failed."""

    def step(self, timeout_s: float, *, wake_fd: int) -> list[ConnectionEvent]:
        """Wait for the other side or for `wake_fd`, at most `timeout_s`; do what is due; return what happened."""

    def publish(self, leaf: str, payload: bytes) -> int:
        """Send on our upward branch and return the message's id, which `Published` will carry; 0: not connected."""

    def close(self) -> None:
        """End the connection. Closing twice is harmless."""
