"""The boots this outbox has seen, in order, and every sync point of each: what places its records in time later.

A daemon that is started again in the same boot finds the points of its clock here. What cannot be written because
the disk refuses is left out: the points travel in records too. Nothing here may stop measuring.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

from appliance.outbox.box import Outbox
from appliance.storage.errors import OutboxError
from appliance.storage.tables import checked
from firmware.clock.retiming import SyncPoint

POINTS_KEPT: Final = 10_000
"""Half a year of timesyncd's points; the oldest go first. All were told in records when they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootStart:
    """`previous` is the boot before this one ("" when none is known); `is_new` says that this is its first start.

    `is_noted` is false where the disk refused.
    """

    previous: str = ""
    is_new: bool = False
    is_noted: bool = True


def begin(outbox: Outbox, boot_id: str) -> BootStart:
    """Note that this boot is under way, and return what came before it."""
    if not boot_id:
        return BootStart()
    with contextlib.suppress(OutboxError), outbox.transaction() as connection:
        known = connection.execute("SELECT id FROM boot WHERE boot_id = ?", (boot_id,)).fetchone()
        number = 2**62 if known is None else known[0]
        before = connection.execute(
            "SELECT boot_id, last_boottime_ns, crc FROM boot WHERE id < ? ORDER BY id DESC LIMIT 1", (number,)
        ).fetchone()
        if known is None:
            connection.execute(
                "INSERT INTO boot (boot_id, last_boottime_ns, crc) VALUES (?, 0, ?)",
                (boot_id, checked.mark(boot_id, 0)),
            )
        # Of one that is not as it was written none is known: a wrong one would place this boot falsely in time.
        sound = before is not None and before[2] == checked.mark(*before[:2])
        return BootStart(previous=before[0] if sound else "", is_new=known is None)
    return BootStart(is_noted=False)


def add_point(outbox: Outbox, boot_id: str, point: SyncPoint) -> bool:
    """Keep a sync point; return whether the disk let us."""
    with contextlib.suppress(OutboxError), outbox.transaction() as connection:
        connection.execute(
            "INSERT INTO sync_point (boot_id, boottime_ns, utc_ns, error_ns, crc) VALUES (?, ?, ?, ?, ?)",
            (boot_id, *point, checked.mark(boot_id, *point)),
        )
        connection.execute(
            "DELETE FROM sync_point WHERE id <= (SELECT max(id) FROM sync_point) - ?", (POINTS_KEPT,)
        )
        return True
    return False


def points(outbox: Outbox, boot_id: str) -> tuple[SyncPoint, ...]:
    """Return the points of one boot, oldest first."""
    with contextlib.suppress(OutboxError), outbox.transaction() as connection:
        rows = connection.execute(
            "SELECT boottime_ns, utc_ns, error_ns, crc FROM sync_point WHERE boot_id = ? ORDER BY id",
            (boot_id,),
        ).fetchall()
        return tuple(SyncPoint(*row[:3]) for row in rows if row[3] == checked.mark(boot_id, *row[:3]))
    return ()
