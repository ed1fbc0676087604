"""What the collector tells a device of its vantage measurements: small, so that it fits before a cut. Pure.

    collector → device   p1/dn/<device>/ctl   VantageNews   after a hello, when something changed, and now and then

A device keeps the last news and goes by it while it is offline. Nothing here is an answer to anything: news that is
lost, late or refused changes nothing but the age of what the device knows. A view's own form is
`firmware.judgement.site.vantage_json`'s; here it is JSON like any other.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware.model.failures import is_failure
from firmware.model.jsontypes import JsonObject, JsonValue, NewerVersionError, Reader, RecordError

VERSION: Final = 1
MAX_NEWS_BYTES: Final = 4096
"""What a device takes, compressed."""
MAX_INFLATED_BYTES: Final = 256 * 1024
MAX_TARGETS: Final = 200
MAX_LOOKS: Final = 100
MAX_STANDS: Final = 8
MAX_STAND: Final = 20
LEAF: Final = "ctl"
"""The topic's last part, under p1/dn/<device>."""

_SPARED_FIRST: Final = ("headers", "title", "handshakes", "connects", "addresses")
"""What a view does without where the news would be too large, in this order."""
_EMPTY: Final[dict[str, JsonValue]] = {
    "headers": [],
    "title": None,
    "handshakes": {},
    "connects": {},
    "addresses": [],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondTold:
    """What was seen of one target from another `stand` than the vantage's; `failure` None: it proved itself."""

    stand: str
    taken_utc_ns: int
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageView:
    """What the vantage saw of one target, at `taken_utc_ns` last: the record's own failure, and its view.

    `earlier_s` is how long before that it had looked and found the same without a break, the nearest first, in whole s.
    """

    test: str
    target: str
    target_name: str
    taken_utc_ns: int
    failure: str | None
    failed_operation: str | None
    view: JsonObject
    earlier_s: tuple[int, ...] = ()
    second: tuple[SecondTold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageNews:
    """What a vantage outside saw of a plan's targets, while it was well itself. `told_utc_ns` is the collector's clock."""

    told_utc_ns: int
    seen: tuple[VantageView, ...] = ()


def encode_news(news: VantageNews) -> bytes:
    """Return the news as JSON under zlib, at most `MAX_NEWS_BYTES`: first detail goes, then the last targets."""
    spared: list[str] = []
    kept = replace(news, seen=news.seen[:MAX_TARGETS])
    payload = _encode(kept, spared)
    for key in _SPARED_FIRST:
        if len(payload) <= MAX_NEWS_BYTES:
            return payload
        spared.append(key)
        payload = _encode(kept, spared)
    while len(payload) > MAX_NEWS_BYTES:
        kept = replace(kept, seen=kept.seen[: len(kept.seen) * 3 // 4])
        payload = _encode(kept, spared)
    return payload


def decode_news(payload: bytes) -> VantageNews:
    """Read news. Raises `RecordError`."""
    if len(payload) > MAX_NEWS_BYTES:
        raise RecordError(
            f"vantage news: {len(payload)} bytes, and {MAX_NEWS_BYTES} are the most that is taken"
        )
    reader = Reader(_inflated(payload), where="vantage news")
    version = reader.integer("v", low=1)
    if version > VERSION:
        raise NewerVersionError(f"vantage news: v: found {version}, but this software reads up to {VERSION}")
    seen = reader.array("seen")
    if len(seen) > MAX_TARGETS:
        raise RecordError(f"vantage news: seen: found {len(seen)}; allowed is up to {MAX_TARGETS} targets")
    return VantageNews(
        told_utc_ns=reader.integer("told_utc_ns", low=0),
        seen=tuple(_outside(item) for item in seen),
    )


def _encode(news: VantageNews, spared: Sequence[str]) -> bytes:
    seen: list[JsonValue] = [
        {
            "test": one.test,
            "target": one.target,
            "name": one.target_name,
            "taken_utc_ns": one.taken_utc_ns,
            "earlier_s": [*one.earlier_s],
            "failure": one.failure,
            "operation": one.failed_operation,
            "view": one.view | {key: _EMPTY[key] for key in spared},
            "second": [[told.stand, told.taken_utc_ns, told.failure] for told in one.second],
        }
        for one in news.seen
    ]
    text: JsonObject = {
        "v": VERSION,
        "told_utc_ns": news.told_utc_ns,
        "seen": seen,
    }
    return zlib.compress(json.dumps(text, separators=(",", ":"), ensure_ascii=False).encode(), level=9)


def _inflated(payload: bytes) -> JsonValue:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(payload, MAX_INFLATED_BYTES)
        if not inflater.eof:
            raise RecordError(f"vantage news: cut short, or more than {MAX_INFLATED_BYTES} bytes")
        value: JsonValue = json.loads(text)
    except (zlib.error, ValueError, RecursionError) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"vantage news: not JSON under zlib ({error})") from error
    return value


def _outside(item: JsonValue) -> VantageView:
    reader = Reader(item, where="vantage news: seen")
    failure = reader.optional_text("failure")
    if failure is not None and not is_failure(failure):
        raise RecordError(f"vantage news: seen: failure: found {failure[:60]!r}, which is not on the list")
    return VantageView(
        test=reader.text("test"),
        target=reader.text("target"),
        target_name=reader.text("name"),
        taken_utc_ns=reader.integer("taken_utc_ns", low=0),
        failure=failure,
        failed_operation=reader.optional_text("operation"),
        view=reader.object("view"),
        earlier_s=_earlier_s(reader.array("earlier_s")) if reader.has("earlier_s") else (),
        second=_second(reader.array("second")) if reader.has("second") else (),
    )


def _second(values: Sequence[JsonValue]) -> tuple[SecondTold, ...]:
    found = []
    for value in values[:MAX_STANDS]:
        if not isinstance(value, list) or len(value) != 3:
            raise RecordError("vantage news: seen: second: allowed is [stand, UTC in ns, failure or null]")
        stand, taken_utc_ns, failure = value
        if not isinstance(taken_utc_ns, int) or isinstance(taken_utc_ns, bool) or taken_utc_ns < 0:
            raise RecordError("vantage news: seen: second: allowed is a UTC time in ns")
        if failure is not None and not (isinstance(failure, str) and is_failure(failure)):
            raise RecordError("vantage news: seen: second: found a failure that is not on the list")
        if not isinstance(stand, str) or len(stand) > MAX_STAND:
            raise RecordError(f"vantage news: seen: second: a stand is text of up to {MAX_STAND} characters")
        found.append(SecondTold(stand=stand, taken_utc_ns=taken_utc_ns, failure=failure))
    return tuple(found)


def _earlier_s(values: Sequence[JsonValue]) -> tuple[int, ...]:
    seconds = tuple(one for one in values if isinstance(one, int) and not isinstance(one, bool) and one >= 0)
    if len(seconds) != len(values) or len(values) > MAX_LOOKS:
        raise RecordError(f"vantage news: seen: earlier_s: allowed are up to {MAX_LOOKS} numbers of seconds")
    return seconds
