"""What an audit found, as values: each epoch's account, its evidence, and what is wrong with it. Pure.

produced = stored + tombstoned + rejected + missing, where `stored` counts rows that are there, not rows that the
store says it has. This file must never round: a figure here is a count.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from collector.store.completeness import EpochCompleteness
from firmware.model.jsontypes import JsonObject

FAULTS_NAMED: Final = 50
"""How many faults of an epoch are told one by one; all are counted."""
GAPS_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFault:
    """Something that is not as it was said: what, and which seqs (`low`–`high`; None: the epoch as a whole)."""

    what: str
    low: int | None = None
    high: int | None = None

    def __str__(self) -> str:
        if self.low is None:
            return self.what
        where = f"seq {self.low:,}" if self.low == self.high else f"seq {self.low:,}–{self.high:,}"
        return f"{where}: {self.what}"


@dataclass(slots=True, kw_only=True)
class Faults:
    """Faults as they are found: the first `FAULTS_NAMED` are kept, the others counted."""

    named: list[AuditFault] = field(default_factory=list)
    count: int = 0

    def add(self, what: str, low: int | None = None, high: int | None = None) -> None:
        """Note one."""
        self.count += 1
        if len(self.named) < FAULTS_NAMED:
            self.named.append(AuditFault(what=what, low=low, high=low if high is None else high))


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochAudit:
    """One epoch: its account, how much evidence there is for it, and its faults.

    `proved` is how many records a message says, word for word; `signed` how many of the `messages` bear a signature
    that holds (0 where none could be checked). `unnamed` counts ended epochs that the device holds records of, beside
    this one, and has not named yet.
    """

    device: str
    account: EpochCompleteness
    proved: int
    messages: int
    message_bytes: int
    signed: int
    faults: Faults
    unnamed: int = 0

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is missing and nothing is wrong."""
        return self.account.missing == 0 and self.unnamed == 0 and self.faults.count == 0


@dataclass(slots=True, kw_only=True)
class Totals:
    """The sums over all epochs that were looked at."""

    devices: int = 0
    epochs: int = 0
    produced: int = 0
    stored: int = 0
    tombstoned: int = 0
    rejected: int = 0
    missing: int = 0
    messages: int = 0
    message_bytes: int = 0
    signed: int = 0
    faults: int = 0
    unnamed: int = 0

    def add(self, epoch: EpochAudit) -> None:
        """Count an epoch."""
        self.epochs += 1
        self.produced += epoch.account.produced
        self.stored += epoch.account.stored
        self.tombstoned += epoch.account.tombstoned
        self.rejected += epoch.account.rejected
        self.missing += epoch.account.missing
        self.messages += epoch.messages
        self.message_bytes += epoch.message_bytes
        self.signed += epoch.signed
        self.faults += epoch.faults.count
        self.unnamed += epoch.unnamed

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is missing and nothing is wrong."""
        return self.missing == 0 and self.unnamed == 0 and self.faults == 0


def sum_in_words(counts: "EpochCompleteness | Totals") -> str:
    """Return `produced = stored + tombstoned`, exactly; what is nought and need not be is left out."""
    parts = [f"{counts.stored:,} stored", f"{counts.tombstoned:,} tombstoned"]
    if counts.rejected:
        parts.append(f"{counts.rejected:,} rejected")
    if counts.missing:
        parts.append(f"{counts.missing:,} NOT HERE")
    return f"{counts.produced:,} produced = " + " + ".join(parts)


def counted(number: int, what: str) -> str:
    """Return `1 message`, `2,400 messages`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def in_words(epoch: EpochAudit, *, checked: bool) -> Iterator[str]:
    """Yield the lines that people read of one epoch; `checked` says whether signatures could be."""
    yield f"{epoch.device}  epoch {epoch.account.epoch}  {sum_in_words(epoch.account)}"
    evidence = f"    {counted(epoch.proved, 'record')} as {counted(epoch.messages, 'message')} said them"
    if epoch.messages:
        share = epoch.message_bytes / max(1, epoch.account.stored)
        evidence += f" ({epoch.message_bytes:,} bytes kept, {share:.0f} a record)"
        evidence += (
            f"; {counted(epoch.signed, 'signature')} proved" if checked else "; signatures not checked"
        )
    yield evidence
    gaps = epoch.account.gaps.ranges
    for low, high in gaps[:GAPS_NAMED]:
        yield f"    not here: seq {low:,}" + ("" if low == high else f"–{high:,} ({high - low + 1:,})")
    if len(gaps) > GAPS_NAMED:
        yield f"    not here: {len(gaps) - GAPS_NAMED:,} more gaps"
    if epoch.unnamed:
        yield f"    not here: {epoch.unnamed:,} more epochs that the device holds records of and has not named yet"
    for fault in epoch.faults.named:
        yield f"    FAULT {fault}"
    if epoch.faults.count > len(epoch.faults.named):
        yield f"    {epoch.faults.count - len(epoch.faults.named):,} more faults"


def to_json(epoch: EpochAudit) -> JsonObject:
    """Return one epoch for machines; every gap is in it."""
    account = epoch.account
    return {
        "device": epoch.device,
        "epoch": account.epoch,
        "produced": account.produced,
        "stored": account.stored,
        "tombstoned": account.tombstoned,
        "rejected": account.rejected,
        "missing": account.missing,
        "gaps": [[low, high] for low, high in account.gaps],
        "proved": epoch.proved,
        "messages": epoch.messages,
        "message_bytes": epoch.message_bytes,
        "signed": epoch.signed,
        "unnamed_epochs": epoch.unnamed,
        "faults": epoch.faults.count,
        "faults_named": [{"what": one.what, "low": one.low, "high": one.high} for one in epoch.faults.named],
    }
