"""A log outside of the product: what a device was told is durable, by identity and content, to be held against what is stored.

A line is the record's identity, a digest of its whole content, and whether it tells of a worker's death; it is flushed before
the device goes on. A line that a kill cut off counts as never told.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from appliance.outbox.box import Outbox
from firmware.model.record import Record, RecordIdentity, to_json

Key: TypeAlias = tuple[str, int]
"""Epoch and seq: of one device, what names a record."""
NAME: Final = "told"
_LINE: Final = re.compile(r"([0-9a-f]{16}) (\d+) ([0-9a-f]{32}) ([wr])")


def digest(record: Mapping[str, Any]) -> str:
    """Return the digest of a record's whole content, however its JSON is written."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def line_of(epoch: str, seq: int, record: Mapping[str, Any]) -> str:
    """Return the line of a record that is durable under this identity."""
    death = record["test"] == "gap" and record["failure"] == "worker_died"
    return f"{epoch} {seq} {digest(record)} {'w' if death else 'r'}"


def read(path: Path) -> dict[Key, tuple[str, bool]]:
    """Return what was told: digest, and whether it was a worker's death, by epoch and seq.

    Two contents told under one identity are kept as one that nothing stored can match.
    """
    told: dict[Key, tuple[str, bool]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        key = (found[1], int(found[2]))
        told[key] = ("told twice", False) if key in told else (found[3], found[4] == "w")
    return told


def log_appends(outbox: Outbox, folder: Path) -> None:
    """Have all that `outbox` calls durable from now on noted in `folder`, flushed, before its caller goes on."""
    append = outbox.append

    def noted(records: Sequence[Record], *, given_up: int = 0) -> list[RecordIdentity]:
        identities = append(records, given_up=given_up)
        lines = [
            line_of(one.epoch, one.seq, to_json(record))
            for one, record in zip(identities, records, strict=True)
        ]
        fd = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, "".join(f"{line}\n" for line in lines).encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        return identities

    outbox.append = noted  # type: ignore[method-assign]


def differing(told: Mapping[Key, tuple[str, bool]], stored: Iterable[tuple[Key, str]]) -> list[str]:
    """Return what of `stored` (identity and body) is not as it was told, or is there more than once."""
    bodies = list(stored)
    wrong = [
        f"stored otherwise than told: {key}"
        for key, body in bodies
        if key in told and digest(json.loads(body)) != told[key][0]
    ]
    wrong += [
        f"stored more than once: {key}"
        for key, count in Counter(key for key, _ in bodies).items()
        if count > 1
    ]
    return wrong
