"""Records as lines of a file: as they are (`jsonl`), or as OONI measurements (`ooni`). Pure.

What has no like in OONI's format is left out and counted, by test, so that nobody takes a part for the whole.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from firmware.jsontypes import JsonValue
from firmware.ooni.write import Origin, measurement_of
from firmware.record import Record, from_json


class Format(StrEnum):
    """What a line is."""

    JSONL = "jsonl"
    OONI = "ooni"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record as it is stored: whose it is, and its JSON text."""

    device: str
    epoch: str
    seq: int
    body: str


@dataclass(slots=True, kw_only=True)
class Written:
    """How many lines were written, and of which tests how many were left out."""

    lines: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def in_words(self) -> str:
        """Return the account as one sentence."""
        told = f"{self.lines:,} record{'' if self.lines == 1 else 's'} written"
        if not self.left_out:
            return told
        listed = ", ".join(f"{count:,} {test}" for test, count in sorted(self.left_out.items()))
        return f"{told}; left out, since OONI's format has no like of them: {listed}"


def lines(
    stored: Iterable[Stored], form: Format, origins: Mapping[str, Origin], account: Written
) -> Iterator[str]:
    """Yield a line for each record; `origins` is by device. Raises `RecordError` for what is no record."""
    for one in stored:
        line = _jsonl(one) if form is Format.JSONL else _ooni(one, origins.get(one.device, Origin()), account)
        if line is not None:
            account.lines += 1
            yield line


def _jsonl(one: Stored) -> str:
    """Return the record's own text, unchanged to the digit, in the form of the collector's API."""
    head = json.dumps({"device": one.device, "epoch": one.epoch, "seq": one.seq})
    return f'{head[:-1]}, "record": {one.body}}}'


def _ooni(one: Stored, origin: Origin, account: Written) -> str | None:
    value: JsonValue = json.loads(one.body)
    record: Record = from_json(value)
    measurement = measurement_of(record, origin)
    if measurement is None:
        account.left_out[record.test] += 1
        return None
    return json.dumps(measurement, separators=(",", ":"))
