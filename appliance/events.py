"""What happens on the device, told as it happens: the daemon tells, lights, terminal and status listen.

Events are facts in the past tense. A listener must never block or raise: it is called from the daemon's loop.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from appliance.transports import ConnectionAttempt
from firmware.judgement.ladder import Ladder
from firmware.model.record import Record, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStarted:
    """A round of the ladder began; `tasks` measurements are on their way."""

    round_id: int
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement ended, and is on the disk seconds later; `ladder` is the climb so far, when it belongs to a round."""

    record: Record
    ladder: Ladder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictReached:
    """A round ended with `verdict`; `since_utc_ns` is when the present verdict was first reached.

    With `is_revision` it had ended before, and what came in since revises it.
    """

    round_id: int
    ladder: Ladder
    verdict: Verdict
    since_utc_ns: int
    is_revision: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxChanged:
    """How many records wait, were acknowledged by the collector, and were quarantined as rejected."""

    waiting: int
    acknowledged: int
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageChanged:
    """The disk began to refuse results, which are held in memory then, or takes them again (`fault` is "")."""

    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncChanged:
    """The way to the collector: `state` is `connected`, `connecting`, `waiting` or `off`; `message` says why."""

    state: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageNewsArrived:
    """News of the vantage outside came, as it came: it may yet be refused."""

    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRestarted:
    """The measuring process died and was started again; the gap is a record."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportTried:
    """One way to the collector was tried, and what it came to; it becomes a record."""

    tried: ConnectionAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStarted:
    """A USB drive with the marker was plugged in, and is being written to; `waiting` records wait."""

    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportProgressed:
    """`written` of `waiting` records are on the USB drive."""

    written: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineExport:
    """One visit of one USB drive. Times are CLOCK_BOOTTIME in ns.

    `records` of `waiting` were written, `size` bytes; `taken` left the outbox by answers that were on it. `failure` is a
    failure word and `fault` its words, None and "" where all of it is on the USB drive.
    """

    start_boottime_ns: int
    runtime_ns: int
    records: int
    waiting: int
    size: int
    taken: int
    fault: str = ""
    failure: str | None = None

    def __str__(self) -> str:
        told = f"USB drive: {self.records:,} of {self.waiting:,} records written"
        if self.taken:
            told += f", {self.taken:,} answered by the collector"
        return f"{told}{f'; {self.fault}' if self.fault else ''}; the USB drive may be pulled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportEnded:
    """The USB drive may be pulled; what came of it becomes a record."""

    carried: OfflineExport


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbDriveGone:
    """The USB drive was pulled."""


Event: TypeAlias = (
    "RoundStarted | Measured | VerdictReached | OutboxChanged | StorageChanged | SyncChanged | TransportTried | VantageNewsArrived"
    " | WorkerRestarted | ExportStarted | ExportProgressed | ExportEnded | UsbDriveGone"
)


class Listener(Protocol):
    """Something that wants to know."""

    def on_event(self, event: Event) -> None:
        """Take note of `event`."""
