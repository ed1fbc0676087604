"""What can be read of a damaged outbox, put into a new one: every record under the identity it has.

A record is taken only when its checksum fits: better a tombstone than evidence that was changed by a worn card.
What was made and is neither here nor accounted for gets a tombstone, so that the collector's account closes. How many
were made the sidecar says where the database cannot; where both are gone, nothing is invented. The damaged file is only
read.
"""

import json
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from appliance.storage.recovery import pages
from appliance.storage.recovery.pages import RawRow, RawValue
from appliance.storage.sidecar import Sidecar
from appliance.storage.tables import checked, ledger
from appliance.storage.tables.delivered import is_whole
from appliance.storage.tables.ledger import SPAN, Account
from firmware.model.record import from_json
from firmware.wire.messages import DEVICE_PATTERN, EPOCH_PATTERN

DAMAGED: Final = "damaged on the card, unless it was delivered before"
_BUNCH: Final = 200
_BOOT_ID: Final = 36
"""The length of the kernel's boot id."""
_MAX_EPOCHS: Final = 2**18
MISSPELT: Final = 3
"""So few letters two names of 16 that were drawn never differ by."""


@dataclass(slots=True)
class Survey:
    """What a damaged file says of its epochs: the account of each, by its id."""

    accounts: dict[int, Account] = field(default_factory=dict)
    highest: dict[int, int] = field(default_factory=dict)
    sound: Counter[int] = field(default_factory=Counter)
    """How many waiting records of each epoch stand whole in the last forms of the pages."""
    foreign: str = ""
    """Another device that it names, where it does not name our own: nothing in it is ours."""
    all_forms: bool = False
    """More was durable, or waits, than the log and the file show: older forms of their pages are looked at as well.

    A page that SQLite wrote while a bit flip in it was not known may have lost rows that its form before still has.
    """


def is_misspelt(found: str, device: str) -> bool:
    """Return whether `found` is `device` with a few letters changed: bit flips, and not another's random name."""
    changed = sum(one != other for one, other in zip(found, device, strict=False))
    return len(found) == len(device) and 0 < changed <= MISSPELT


def survey(path: Path, *, device: str, noted: Sidecar | None) -> Survey:
    """Return the epochs of the damaged database of `device`; `noted` is what its sidecar says."""
    found = Survey()
    aside: dict[int, int] = {}
    for row in pages.rows(path):
        if row.is_sound:
            _survey_row(found, row, device, aside)
    if noted is not None and noted.device == device:
        found.all_forms = bool(
            noted.missing_from([found.accounts[number] for number in sorted(found.accounts)])
        )
        _take_noted(found, noted)
    found.all_forms |= any(found.sound[one.id] < one.waiting for one in found.accounts.values())
    for row in pages.rows(path, all_forms=found.all_forms):
        if not row.is_sound:
            _survey_row(found, row, device, aside)
    for number, seq in aside.items():
        # Its number is in no checksum: it counts only where nobody knows better.
        if number not in found.accounts or not found.accounts[number].produced:
            found.highest[number] = max(found.highest.get(number, 0), seq)
    if found.accounts:
        found.foreign = ""
    if found.foreign:
        return found
    for number in found.highest.keys() - found.accounts.keys():
        # Whose epoch nobody can name any more: under a new name they may arrive twice, but they arrive.
        found.accounts[number] = Account(
            id=number,
            device=device,
            epoch=secrets.token_hex(8),
            produced=0,
            acknowledged=0,
            quarantined=0,
            given_up=0,
            unstored=0,
        )
    return found


def _survey_row(found: Survey, row: RawRow, device: str, aside: dict[int, int]) -> None:
    account = _as_account(row) if row.is_sound else None
    if account is not None and account.device == device:
        known = found.accounts.get(account.id)
        if known is None or (account.produced and _progress(account) >= _progress(known)):
            found.accounts[account.id] = account
    elif account is not None and not is_misspelt(account.device, device):
        found.foreign = account.device
    elif (key := _key_of(row)) > 0:
        number = key // SPAN + 1
        if 0 < number < _MAX_EPOCHS:
            found.highest[number] = max(found.highest.get(number, 0), key % SPAN)
            found.sound[number] += row.is_sound
    elif row.is_sound and _is_quarantined(row.values) and 0 < (number := row.rowid // SPAN + 1) < _MAX_EPOCHS:
        aside[number] = max(aside.get(number, 0), row.rowid % SPAN)


def _progress(account: Account) -> tuple[int, int]:
    """Return what only grows in the account of one epoch."""
    return account.produced, account.acknowledged + account.quarantined + account.given_up


def _take_noted(found: Survey, noted: Sidecar) -> None:
    """Add the epochs and the counters that only the sidecar knows.

    Where the database holds a later epoch than all that are noted, the sidecar is the older one: then only names are
    taken from it.
    """
    by_name = {account.epoch: account for account in found.accounts.values()}
    latest = found.accounts[max(found.accounts)].epoch if found.accounts else ""
    for account in noted.accounts:
        known = by_name.get(account.epoch)
        if known is None:
            taken = account.id in found.accounts
            number = max(found.accounts, default=0) + 1 if taken else account.id
            found.accounts[number] = replace(account, id=number)
        elif known.epoch == latest and account.produced > known.produced:
            found.accounts[known.id] = replace(
                account,
                id=known.id,
                acknowledged=max(account.acknowledged, known.acknowledged),
                quarantined=max(account.quarantined, known.quarantined),
                given_up=max(account.given_up, known.given_up),
                unstored=known.unstored,
            )


def devices(path: Path) -> Iterator[str]:
    """Yield whom each account that can be read names."""
    for row in pages.rows(path):
        account = _as_account(row)
        if account is not None:
            yield account.device


def move(connection: sqlite3.Connection, path: Path, found: Survey, *, utc_ns: int) -> None:
    """Put what can be read into the new database.

    The caller has not begun a transaction. Raises `sqlite3.Error`: what is in by then stays in.
    """
    with _transaction(connection):
        for account in found.accounts.values():
            produced = max(account.produced, found.highest.get(account.id, 0))
            empty = replace(account, produced=produced, acknowledged=produced, quarantined=0, given_up=0)
            ledger.write(connection, empty, created_utc_ns=utc_ns)
    for bunch in _bunches(pages.rows(path, all_forms=found.all_forms)):
        with _transaction(connection):
            for row in bunch:
                # A row that the tables refuse is one that changed on the card: it must not cost those after it.
                with suppress(sqlite3.IntegrityError):
                    _put(connection, row, found)


def settle(
    connection: sqlite3.Connection, found: Survey, *, utc_ns: int, tells: bool = True
) -> tuple[int, int]:
    """Account for every record of which something was found; return how many were saved, and how many lost.

    What was lost gets a tombstone, if it `tells`.
    """
    saved = lost = 0
    with _transaction(connection):
        for account in found.accounts.values():
            kept, missed = _balance(connection, account, utc_ns=utc_ns, tells=tells)
            saved, lost = saved + kept, lost + missed
    return saved, lost


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do what stands in the block wholly or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back on some errors: a full disk is one.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _bunches(rows: Iterator[RawRow]) -> Iterator[list[RawRow]]:
    bunch: list[RawRow] = []
    for row in rows:
        bunch.append(row)
        if len(bunch) >= _BUNCH:
            yield bunch
            bunch = []
    yield bunch


def _put(connection: sqlite3.Connection, row: RawRow, found: Survey) -> None:
    values = row.values
    if not row.is_sound and not _key_of(row):
        return
    if row.is_sound and (_put_parcel(connection, row) or _put_beside(connection, row)):
        return
    key = _key_of(row, is_parsed=True) or row.rowid
    account = found.accounts.get(key // SPAN + 1)
    if account is None or key <= 0:
        return
    if _is_waiting(values):
        if key := _key_of(row, is_parsed=True):
            body, crc = values[1], (values[9] if len(values) == 10 else None)
            content = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogateescape")
            connection.execute(
                "INSERT OR IGNORE INTO waiting (seq, body, test, rung, failure, verdict, start_utc_ns,"
                " stored_utc_ns, value, crc) VALUES (?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?, ?)",
                # The rest is in no checksum, and no reason to drop a record whose body is whole.
                (
                    key,
                    content,
                    _text(values[2]) or "",
                    *map(_text, values[3:6]),
                    _number(values[6]) or 0,
                    _number(values[7]) or 0,
                    None if len(values) == 8 else _number(values[8]),
                    crc,
                ),
            )
    elif _is_quarantined(values):
        connection.execute(
            "INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?, ?, ?)",
            (row.rowid, *map(_text, values[1:4]), values[4]),
        )
    elif (tombstone := _as_tombstone(row)) is not None and tombstone[1] - account.base <= SPAN:
        ledger.put_tombstone(connection, *tombstone)


def _put_beside(connection: sqlite3.Connection, row: RawRow) -> bool:
    """Put what stands beside the records: boots, points of their clocks, starts, rounds; return whether the row was of that.

    Each is a convenience: what is not as it was written is left out.
    """
    match row.values:
        case (None, str(boot_id), int(ran), *marks) if len(boot_id) == _BOOT_ID and len(marks) <= 1:
            _insert(connection, "boot", row.rowid, (boot_id, ran), marks)
        case (None, str(boot_id), int(one), int(two), int(three), *marks) if (
            len(boot_id) == _BOOT_ID and len(marks) <= 1
        ):
            _insert(connection, "sync_point", row.rowid, (boot_id, one, two, three), marks)
        case (None, str(epoch), str(incarnation), int(first), int(confirmed), *marks) if (
            EPOCH_PATTERN.fullmatch(epoch) and len(marks) == 1
        ):
            _insert(connection, "run", row.rowid, (epoch, incarnation, first, confirmed), marks)
        case (None, int(), str(body), crc) if (
            crc is not None and checked.whole(row.rowid, body, crc) is not None
        ):
            connection.execute(
                "INSERT OR IGNORE INTO round (seq, round_id, body, crc) VALUES (?, ?, ?, ?)",
                (row.rowid, *row.values[1:]),
            )
        case _:
            return False
    return True


def _put_parcel(connection: sqlite3.Connection, row: RawRow) -> bool:
    """Put what was delivered and may have to be taken back; return whether the row was of that. A changed one is left out."""
    match row.values:
        case (None, str(), int(), str(), int(), str(), str(), bytes() | None, int()) if row.rowid > 0:
            if is_whole((*row.values[1:7], row.values[8])):
                connection.execute(
                    "INSERT OR IGNORE INTO delivered VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (row.rowid, *row.values[1:]),
                )
            return True
        case _:
            return False


def _insert(
    connection: sqlite3.Connection,
    table: str,
    rowid: int,
    values: tuple[RawValue, ...],
    marks: list[RawValue],
) -> None:
    mark = checked.mark(*values)
    if not marks or marks == [mark]:
        holders = ", ".join("?" * (len(values) + 2))
        connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({holders})", (rowid, *values, mark))  # noqa: S608


def _balance(
    connection: sqlite3.Connection, account: Account, *, utc_ns: int, tells: bool
) -> tuple[int, int]:
    """Account for every seq of an epoch; return how many wait, and how many were lost."""
    now = ledger.by_id(connection, account.id)
    first, last = account.base + 1, account.base + now.produced
    # A freed page may still show what was given up: its tombstone is what counts.
    connection.execute(
        "DELETE FROM waiting WHERE seq BETWEEN ? AND ? AND EXISTS (SELECT 1 FROM tombstone"
        " WHERE low = (SELECT max(low) FROM tombstone WHERE low <= waiting.seq) AND high >= waiting.seq)",
        (first, last),
    )
    # So may an older form of a page with what was quarantined since.
    connection.execute(
        "DELETE FROM waiting WHERE seq BETWEEN ? AND ? AND seq IN (SELECT seq FROM quarantine)", (first, last)
    )
    (waiting,) = connection.execute(
        "SELECT count(*) FROM waiting WHERE seq BETWEEN ? AND ?", (first, last)
    ).fetchone()
    (quarantined,) = connection.execute(
        "SELECT count(*) FROM quarantine WHERE seq BETWEEN ? AND ?", (first, last)
    ).fetchone()
    quarantined = min(max(quarantined, account.quarantined), now.produced - waiting)
    known = account.acknowledged + account.given_up
    # Where the counters themselves are gone, no loss is claimed: what is neither here nor known was acknowledged.
    lost = max(0, now.produced - waiting - quarantined - known) if account.produced else 0
    given_up = min(account.given_up + lost, now.produced - waiting - quarantined)
    ledger.write(
        connection,
        replace(
            now,
            acknowledged=now.produced - waiting - quarantined - given_up,
            quarantined=quarantined,
            given_up=given_up,
        ),
        created_utc_ns=utc_ns,
    )
    if tells:
        # All that is not here, whatever the counts say: a row of an old page that had left makes up in them for one that is
        # lost. What was quarantined counts as a hole too, its own tombstone may have stood on a page that is gone.
        for low, high in ledger.holes(connection, first, last, counted=("waiting",)):
            ledger.add_tombstone(connection, account.base, low - account.base, high - account.base, DAMAGED)
    return waiting, lost


def _as_account(row: RawRow) -> Account | None:
    match row.values:
        case (
            None,
            str(device),
            str(epoch),
            int(),
            int(made),
            int(acked),
            int(aside),
            int(unstored),
            *more,
        ):
            given_up = more[0] if more and isinstance(more[0], int) else 0
            values = (row.rowid, device, epoch, made, acked, aside, given_up, unstored)
            sound = checked.restored(values, more[1]) if len(more) > 1 else values
            account = _account_of(sound or values)
            if account is None or (sound is not None and account.is_possible):
                return account
            # The name alone can be believed: without it the epoch's records would arrive under another.
            return replace(account, produced=0, acknowledged=0, quarantined=0, given_up=0, unstored=0)
        case _:
            return None


def _account_of(values: tuple[RawValue, ...]) -> Account | None:
    match values:
        case (
            int(number),
            str(device),
            str(epoch),
            int(made),
            int(acked),
            int(aside),
            int(given_up),
            int(unstored),
        ) if DEVICE_PATTERN.fullmatch(device) and EPOCH_PATTERN.fullmatch(epoch) and 0 < number < _MAX_EPOCHS:
            return Account(
                id=number,
                device=device,
                epoch=epoch,
                produced=made,
                acknowledged=acked,
                quarantined=aside,
                given_up=given_up,
                unstored=unstored,
            )
        case _:
            return None


def _is_waiting(values: tuple[RawValue, ...]) -> bool:
    return len(values) in {8, 10} and values[0] is None and isinstance(values[1], str | bytes)


def _key_of(row: RawRow, *, is_parsed: bool = False) -> int:
    """Return the key of a waiting record that is what was stored; 0 for any other row.

    Older rows have no checksum, and count where they can be read; if they are not to be parsed, by their form alone.
    """
    values = row.values
    if not _is_waiting(values):
        return 0
    crc = values[9] if len(values) == 10 else None
    if crc is None and not row.is_sound:
        return 0
    body = checked.whole(row.rowid, values[1], crc)
    if body is None:
        return checked.moved_from(row.rowid, values[1], crc) or 0
    if crc is None:
        if not (isinstance(values[2], str) and isinstance(values[6], int) and isinstance(values[7], int)):
            return 0
        if is_parsed:
            try:
                from_json(json.loads(body))
            except (ValueError, RecursionError):
                return 0
    return row.rowid


def _is_quarantined(values: tuple[RawValue, ...]) -> bool:
    return (
        len(values) == 5
        and values[0] is None
        and all(isinstance(value, str) for value in values[1:4])
        and isinstance(values[4], int)
    )


def _as_tombstone(row: RawRow) -> tuple[int, int, str] | None:
    match row.values:
        case (None, int(high), str(reason), int(mark)) if high >= row.rowid:
            # One without its mark is never believed, as those of the first schema had none: a bit flip in a row's header
            # takes the mark away and moves its end over records that wait. What it covered is a hole, and told of as one.
            return (row.rowid, high, reason) if mark == checked.mark(row.rowid, high, reason) else None
        case _:
            return None


def _text(value: RawValue) -> str | None:
    """Return what a column of text may be given: what is no text, or not UTF-8, in what is left of it."""
    return (
        value.encode("utf-8", "surrogateescape").decode(errors="replace") if isinstance(value, str) else None
    )


def _number(value: RawValue) -> int | None:
    return value if isinstance(value, int) else None
