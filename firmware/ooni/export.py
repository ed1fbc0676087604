"""Records as lines of a file: as they are (`jsonl`), or as OONI measurements (`ooni`). Pure.

What has no like in OONI's format is left out and counted, by test, so that nobody takes a part for the whole.
The key of a vantage's view in a line is `control`, what was known around the record stands under `round` and `country`:
`tidegauge explain` reads them back. What measurement servers said of its test stands under `server_halves`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.site import round_json, vantage_json
from firmware.judgement.site.evidence import MOST_LOOKS, Looked, SiteView
from firmware.judgement.site.facts import RoundView
from firmware.language.translator import Translator
from firmware.model.jsontypes import JsonObject, JsonValue, RecordError
from firmware.model.record import ClockReading, Record, from_json, verdict_in
from firmware.ooni.keys import shown
from firmware.ooni.write import Origin, measurement_of

_EMPTY: Final = len("{}")


class Format(StrEnum):
    """What a line is."""

    JSONL = "jsonl"
    OONI = "ooni"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordToExport:
    """A record as it is stored: whose it is, its JSON text, and what a vantage outside saw where one is known.

    `start` is when it was by all that is known by now; None: only what its device's clock said then is known. `around` is
    what its round, or the rounds on either side, say around it.
    """

    device: str
    epoch: str
    seq: int
    body: str
    vantage: SiteView | None = None
    start: ClockReading | None = None
    around: RoundView = round_json.UNKNOWN
    server_halves: "tuple[JsonObject, ...] | None" = None
    """What measurement servers said of its test; none where no half is here. None: the record is of no test that has one."""


@dataclass(slots=True, kw_only=True)
class OoniExportResult:
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
    stored: Iterable[RecordToExport],
    form: Format,
    origins: Mapping[str, Origin],
    account: OoniExportResult,
    translator: Translator,
    *,
    fingerprints: Fingerprints | None = None,
) -> Iterator[str]:
    """Yield a line for each record; `origins` is by device, verdicts are said by `translator` as well. Raises `RecordError` for what is no record."""
    for one in stored:
        if form is Format.JSONL:
            line: str | None = _jsonl(one, translator)
        else:
            line = _ooni(one, origins.get(one.device, Origin()), account, fingerprints)
        if line is not None:
            account.lines += 1
            yield line


def _jsonl(one: RecordToExport, translator: Translator) -> str:
    """Return the record's own text, unchanged to the digit, in the form of the collector's API."""
    start = {} if one.start is None else {"start": _moment(one.start)}
    head = json.dumps({"device": one.device, "epoch": one.epoch, "seq": one.seq, **start})
    verdict = verdict_in(one.body)
    said: JsonObject = {} if verdict is None else {"verdict": translator.verdict_to_json(verdict)}
    halves: JsonObject = {} if one.server_halves is None else {"server_halves": [*one.server_halves]}
    tail = json.dumps({**said, **surroundings_to_json(one.around, one.vantage), **halves})
    return f'{head[:-1]}, "record": {one.body}{", " if len(tail) > _EMPTY else ""}{tail[1:-1]}}}'


def surroundings_to_json(around: RoundView, vantage: SiteView | None) -> JsonObject:
    """Return the keys of a line that say what surrounds its record: those of `round`, `country`, `control` that are known."""
    told: JsonObject = {} if around == round_json.UNKNOWN else {"round": round_json.to_json(around)}
    country = round_json.country_to_json(around)
    if country is not None:
        told["country"] = country
    if vantage is not None:
        told["control"] = vantage_to_json(vantage)
    return told


def _moment(reading: ClockReading) -> JsonObject:
    """Return a moment with its error, in the form of the collector's API."""
    seconds, ns = divmod(reading.utc_ns, 1_000_000_000)
    return {
        "utc": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09}Z",
        "error_s": None if reading.error_ns is None else reading.error_ns / 1e9,
        "clock": str(reading.quality),
    }


def vantage_to_json(vantage: SiteView) -> JsonObject:
    """Return a vantage's view with its age and when it looked, as a line has it. `vantage_from_json` is its inverse."""
    return {
        **vantage_json.to_json(vantage),
        "age_s": vantage.age_s,
        "looked": str(vantage.looked),
        "before_s": vantage.before_s,
        "earlier_s": [*vantage.earlier_s],
        "second": vantage_json.second_to_json(vantage.second),
    }


def vantage_from_json(value: JsonValue) -> SiteView:
    """Read a vantage's view from a line. Raises `RecordError`.

    Lines of older software do not say when it looked: they had only views from both sides, and not how often.
    """
    given = value if isinstance(value, dict) else {}
    looked = given.get("looked", str(Looked.AROUND))
    if not isinstance(looked, str) or looked not in tuple(Looked):
        raise RecordError(f"control: looked: found {shown(looked)}; allowed is one of {', '.join(Looked)}")
    before_s, earlier_s = given.get("before_s"), given.get("earlier_s", [])
    if not isinstance(earlier_s, list):
        raise RecordError(f"control: earlier_s: found {shown(earlier_s)}; allowed is a list of seconds")
    return replace(
        vantage_json.from_json(value, age_s=_seconds("age_s", given.get("age_s"))),
        looked=Looked(looked),
        before_s=None if before_s is None else _seconds("before_s", before_s),
        earlier_s=tuple(_seconds("earlier_s", one) for one in earlier_s[:MOST_LOOKS]),
        second=vantage_json.second_from_json(given.get("second")),
    )


def _seconds(key: str, value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"control: {key}: found {shown(value)}; allowed is a number of seconds")
    return float(value)


def _ooni(
    one: RecordToExport, origin: Origin, account: OoniExportResult, fingerprints: Fingerprints | None
) -> str | None:
    value: JsonValue = json.loads(one.body)
    record: Record = from_json(value)
    measurement = measurement_of(
        record, origin, one.vantage, around=one.around, start=one.start, fingerprints=fingerprints
    )
    if measurement is None:
        account.left_out[record.test] += 1
        return None
    return json.dumps(measurement, separators=(",", ":"))
