"""What is asked for and what comes back: a run, which is one transfer of a paired test, and its time line. Values only.

A caller must end a run at its `payload_bytes` or after its `most_s`, whichever comes first, and must never let it cost
more than its `most_bytes` on the wire: handshakes and headers of both directions included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

KIB: Final = 1024
OVERHEAD_BYTES: Final = 8 * KIB
"""What a run's handshake, requests and packet headers may cost beside its payload."""


class Way(StrEnum):
    """What is transferred: a direction and a protocol. Each is tested apart, from bytes of its own."""

    DOWNLOAD = "download"
    UPLOAD = "upload"
    UDP_DOWNLOAD = "udp_download"
    UDP_UPLOAD = "udp_upload"
    QUIC_DOWNLOAD = "quic_download"
    """Datagrams of which the first look like QUIC's, with the run's name in them."""
    QUIC_UPLOAD = "quic_upload"


class NameRole(StrEnum):
    """Which name a run goes by. Plain UDP carries none: there the suspect is the shape of its datagrams."""

    SUSPECT = "suspect"
    CONTROL = "control"
    """A name that is known to pass."""
    RANDOM = "random"
    """A name that exists nowhere: where a list allows, and does not deny, it is as slow as the suspect."""


class Purpose(StrEnum):
    """Why a run is asked for."""

    SCREEN = "screen"
    """One of the two cheap runs with which a test begins."""
    PAIR = "pair"
    """One of the two runs of a block: what is counted."""
    AFTER = "after"
    """The control on the suspect's address, at once: whether the state that slows is kept for an address."""


class Ending(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    TIME = "time"
    """It was still going on, or silent, after `most_s`."""
    FAILED = "failed"
    """It did not begin, or was reset: no time line, hence nothing that is slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRun:
    """A run that is asked for: by which name, to which address (a number), how much of it at most, not before when."""

    purpose: Purpose
    block: int
    role: NameRole
    address: int
    payload_bytes: int
    most_s: float
    not_before_s: float

    @property
    def most_bytes(self) -> int:
        """Return what it may cost on the wire at most."""
        return self.payload_bytes + OVERHEAD_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What came of a run.

    `points` are (seconds since the run began, bytes that the receiver had by then), both never falling, at least one for
    every 8 KiB or 100 ms; `ended_s` is when it ended on the same clock. `cost_bytes` is what it cost on the wire.
    `receiver_limited` says that the device itself was the bottleneck, `other_share` how much of the line's traffic was
    other than the run's.
    """

    run: PairedRun
    began_s: float
    ended_s: float
    ending: Ending
    points: Sequence[tuple[float, int]]
    cost_bytes: int
    receiver_limited: bool = False
    other_share: float = 0.0

    @property
    def finished_at_s(self) -> float:
        """Return when it ended, on the clock that `began_s` is of."""
        return self.began_s + self.ended_s

    @property
    def received_bytes(self) -> int:
        """Return how much the receiver had in the end."""
        return self.points[-1][1] if self.points else 0
