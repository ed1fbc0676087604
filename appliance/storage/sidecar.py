"""What is durable, known outside the database: whose it is, its epochs, and how many records each had at its last commit.

    outbox.sqlite3.epoch   two slots of 4,096 bytes, written in turn; the newer sound one counts
    a slot                 a line: CRC-32 of the rest as 8 hex digits, a space, JSON
    its JSON               {"v": 2, "n": 7, "device": "…", "epochs": [[id, epoch, produced, acknowledged, quarantined, given up], …]}

SQLite takes the first bad frame of its log for the log's end: what came after it is dropped without a word. So each
commit that gave numbers is noted here after it, never before: a database that ends below what stands here has lost
something. A note outlasts a kill at once, and a power cut from the flush on that ends each round: a flush costs the card
8 kB, and one for each commit would be a tenth of all that is written. It must never name a record that is not durable, and
a disk that refuses it must never stop a commit.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from appliance.storage.tables.ledger import Account
from firmware.files.durable import sync_directory
from firmware.model.jsontypes import JsonValue, Reader, RecordError
from firmware.wire.messages import DEVICE_PATTERN, EPOCH_PATTERN

VERSION: Final = 2
SLOT_BYTES: Final = 4096
SYNC_EVERY_S: Final = 1.0
"""In a burst of rounds not each is flushed."""
LAG_S: Final = 30.0
"""What was noted so long ago is flushed with the next note, wherever in a round."""
_SLOTS: Final = 2
_ENDED_NAMED: Final = 16
"""Ended epochs that are named: the last ones."""
_MAX_ID: Final = 2**17


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """The epochs of `device`, oldest first, each with its counters as of the last commit that was noted."""

    device: str
    accounts: tuple[Account, ...]

    def missing_from(self, accounts: Sequence[Account]) -> str:
        """Return what of this the database with `accounts` (oldest first) does not have, in words; "" where it has all.

        An epoch may have fewer records than stands here only where a later one took over the rest (a copied card).
        """
        known = {account.epoch: account for account in accounts}
        latest = accounts[-1].epoch if accounts else ""
        for noted in self.accounts:
            found = known.get(noted.epoch)
            if found is None and noted.produced:
                return f"epoch {noted.epoch} is not in it, of which {noted.produced:,} records were durable"
            if found is not None and found.epoch == latest and found.produced < noted.produced:
                return (
                    f"it ends at record {found.produced:,} of epoch {noted.epoch}, of which"
                    f" {noted.produced:,} were durable"
                )
        return ""


def sidecar_path(path: Path) -> Path:
    """Return where the sidecar of the database at `path` lies."""
    return path.with_name(path.name + ".epoch")


def read(path: Path) -> Sidecar | None:
    """Return what the sidecar of the database at `path` says; None where there is none that can be believed."""
    numbered = _newest(_slots(path))
    return None if numbered is None else numbered[1]


class SidecarFile:
    """The sidecar of the database at `path`, as its outbox writes it; from any thread. It costs a commit some 10 µs."""

    def __init__(self, path: Path, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._fd = -1
        self._number: int | None = None
        self._synced_s = float("-inf")
        self._unsynced_since_s = float("inf")
        self._epoch = ""
        self._fixed = ""
        """What of a slot stays from one commit to the next: whose it is, and the ended epochs."""

    def write(self, accounts: Sequence[Account]) -> None:
        """Note every epoch of the database, oldest first, and flush it."""
        *before, last = accounts
        with self._lock:
            self._epoch = last.epoch
            ended = "".join(f"{_in_json(one)}," for one in before[-_ENDED_NAMED:])
            self._fixed = f'"device":"{last.device}","epochs":[{ended}'
            self._synced_s = float("-inf")
            self._put(_in_json(last), ends_round=True)

    def note(self, account: Account, produced: int, *, ends_round: bool) -> bool:
        """Note that a commit made `produced` records durable of what was `account` before.

        `ends_round` has it flushed. Return whether its epoch is the last one known here: if not, `write` all.
        """
        with self._lock:
            if account.epoch != self._epoch:
                return False
            self._put(_in_json(account, produced), ends_round=ends_round)
            return True

    def close(self) -> None:
        """Let go of the file; the next note opens it again."""
        with self._lock:
            self._close()

    def _put(self, last: str, *, ends_round: bool) -> None:
        if self._number is None:
            found = _newest(_slots(self._path))
            self._number = 0 if found is None else found[0]
        self._number += 1
        text = f'{{"v":{VERSION},"n":{self._number},{self._fixed}{last}]}}'.encode()
        now_s = self._monotonic_s()
        is_urgent = ends_round and now_s - self._synced_s >= SYNC_EVERY_S
        is_urgent = is_urgent or now_s - self._unsynced_since_s >= LAG_S
        self._unsynced_since_s = min(self._unsynced_since_s, now_s)
        try:
            is_new = (is_urgent or self._fd < 0) and self._open()
            os.pwrite(self._fd, b"%08x %b\n" % (crc32(text), text), self._number % _SLOTS * SLOT_BYTES)
            if is_urgent or is_new:
                os.fdatasync(self._fd)
                self._synced_s, self._unsynced_since_s = now_s, float("inf")
            if is_new:
                sync_directory(self._path.parent)
        except OSError:
            self._close()

    def _open(self) -> bool:
        """Have the file open, under its name; return whether it had to be made. Raises `OSError`."""
        if self._fd >= 0 and os.fstat(self._fd).st_nlink:
            return False
        self._close()
        self._fd = os.open(sidecar_path(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._fd).st_size == _SLOTS * SLOT_BYTES:
            return False
        # Blocks of its own from the first on: a note must find room on a disk that has become full.
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, bytes(_SLOTS * SLOT_BYTES), 0)
        return True

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _in_json(one: Account, produced: int | None = None) -> str:
    made = one.produced if produced is None else produced
    return f'[{one.id},"{one.epoch}",{made},{one.acknowledged},{one.quarantined},{one.given_up}]'


def _slots(path: Path) -> list[bytes]:
    try:
        with sidecar_path(path).open("rb") as file:
            return [file.read(SLOT_BYTES) for _ in range(_SLOTS)]
    except OSError:
        return []


def _newest(slots: Sequence[bytes]) -> tuple[int, Sidecar] | None:
    return max(filter(None, map(_decode, slots)), key=lambda numbered: numbered[0], default=None)


def _decode(slot: bytes) -> tuple[int, Sidecar] | None:
    """Return a slot's number and what it says, None where it is damaged or was never written."""
    line, end, _ = slot.partition(b"\n")
    crc, body = line[:8], line[9:]
    if not end or crc != b"%08x" % crc32(body):
        return None
    try:
        reader = Reader.of_text(body, where="sidecar")
        device = reader.text("device")
        accounts = tuple(_account(one, device) for one in reader.array("epochs"))
        number = reader.integer("n", low=0)
        if reader.integer("v") != VERSION or not DEVICE_PATTERN.fullmatch(device) or not accounts:
            return None
    except RecordError:
        return None
    return number, Sidecar(device=device, accounts=accounts)


def _account(value: JsonValue, device: str) -> Account:
    match value:
        case [int(number), str(epoch), int(produced), int(acknowledged), int(quarantined), int(given_up)]:
            account = Account(
                id=number,
                device=device,
                epoch=epoch,
                produced=produced,
                acknowledged=acknowledged,
                quarantined=quarantined,
                given_up=given_up,
                unstored=0,
            )
            if 0 < number < _MAX_ID and EPOCH_PATTERN.fullmatch(epoch) and account.is_possible:
                return account
    raise RecordError("epochs: allowed are lists of an id, an epoch and four counts")
