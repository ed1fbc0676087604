"""A note beside the database: whose it is, and which epochs it holds, for the day when it cannot say itself.

    outbox.sqlite3.epoch  {"v": 1, "device": "…", "id": 3, "epoch": "…", "before": [[2, "…"], …]}

A convenience: where it cannot be written or read, a salvage that needs it gives the records new epochs. It must never
be believed where the database can say.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance.outbox.ledger import Account
from firmware.exchange import DEVICE_PATTERN, EPOCH_PATTERN
from firmware.jsontypes import JsonValue, Reader, RecordError

_BEFORE: Final = 16
"""Ended epochs that are named: the last ones."""
_MAX_ID: Final = 2**17


def write(path: Path, accounts: Sequence[Account]) -> None:
    """Note which epochs the database at `path` holds, oldest first."""
    *before, last = accounts
    text = json.dumps(
        {
            "v": 1,
            "device": last.device,
            "id": last.id,
            "epoch": last.epoch,
            "before": [[one.id, one.epoch] for one in before[-_BEFORE:]],
        }
    )
    note = _note(path)
    with contextlib.suppress(OSError):
        if not note.exists() or note.read_bytes() != text.encode():
            draft = note.with_name(note.name + ".new")
            draft.write_text(text)
            draft.replace(note)


def read(path: Path) -> list[Account]:
    """Return the epochs that were noted, without their counters; none where the note cannot be read."""
    try:
        reader = Reader(json.loads(_note(path).read_bytes()), where="hint")
        device = reader.text("device")
        named: list[tuple[JsonValue, JsonValue]] = [(reader.integer("id"), reader.text("epoch"))]
        named += [_pair(one) for one in reader.array("before")] if reader.has("before") else []
    except (OSError, ValueError, RecursionError):
        return []
    if not DEVICE_PATTERN.fullmatch(device):
        return []
    return [
        Account(
            id=number,
            device=device,
            epoch=epoch,
            produced=0,
            acknowledged=0,
            quarantined=0,
            given_up=0,
            unstored=0,
        )
        for number, epoch in named
        if isinstance(number, int)
        and 0 < number < _MAX_ID
        and isinstance(epoch, str)
        and EPOCH_PATTERN.fullmatch(epoch)
    ]


def _pair(value: JsonValue) -> tuple[JsonValue, JsonValue]:
    match value:
        case [number, epoch]:
            return number, epoch
        case _:
            raise RecordError("before: allowed are pairs of a number and an epoch")


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".epoch")
