"""A vantage's view as JSON: how the collector keeps it and how it travels to a device. Pure.

Reading refuses what does not fit, naming the key, under `control`, as a line of JSON Lines has it: on a device this is
text from a network. How old a view is, is never in it: that depends on when one asks.
"""

from collections.abc import Iterable
from typing import Final

from firmware.judgement.site.evidence import SecondView, SiteView, Stand, VantageSource
from firmware.model.failures import is_failure
from firmware.model.jsontypes import JsonObject, JsonValue, Reader, RecordError

MAX_ADDRESSES: Final = 64
MAX_HEADERS: Final = 30
_MAX_TEXT: Final = 300


def to_json(vantage: SiteView) -> JsonObject:
    """Return the view's JSON form, with at most so many addresses and headers. `from_json` is its inverse."""
    return {
        "reachable": vantage.reachable,
        "dns": vantage.dns_failure,
        "addresses": list(vantage.addresses[:MAX_ADDRESSES]),
        "connects": dict(list(vantage.connects.items())[:MAX_ADDRESSES]),
        "handshakes": dict(list(vantage.handshakes.items())[:MAX_ADDRESSES]),
        "http": vantage.http_failure,
        "status": vantage.status,
        "headers": [[name, value] for name, value in vantage.headers[:MAX_HEADERS]],
        "body_length": vantage.body_length,
        "title": None if vantage.title is None else vantage.title[:_MAX_TEXT],
        "saw_dns": vantage.saw_dns,
        "saw_http": vantage.saw_http,
    }


def from_json(value: JsonValue, *, age_s: float) -> SiteView:
    """Read a view that is `age_s` old. Raises `RecordError`."""
    reader = Reader(value, where="control")
    return SiteView(
        source=VantageSource.COLLECTOR,
        reachable=_truth(reader, "reachable"),
        age_s=age_s,
        dns_failure=_failure(reader.optional_text("dns")),
        addresses=tuple(_texts(reader, "addresses")),
        connects=_failures(reader, "connects"),
        handshakes=_failures(reader, "handshakes"),
        http_failure=_failure(reader.optional_text("http")),
        status=reader.optional_integer("status", low=0),
        headers=_headers(reader),
        body_length=reader.optional_integer("body_length", low=0),
        title=reader.optional_text("title"),
        saw_dns=_truth(reader, "saw_dns"),
        saw_http=_truth(reader, "saw_http"),
    )


def second_to_json(second: Iterable[SecondView]) -> list[JsonValue]:
    """Return what was seen from elsewhere with its ages, as a line has it. `second_from_json` is its inverse."""
    return [[str(one.stand), one.before_s, one.failure] for one in second]


def second_from_json(value: JsonValue) -> tuple[SecondView, ...]:
    """Read it; lines of older software have none of it. Raises `RecordError`."""
    found = []
    for one in value[: len(Stand)] if isinstance(value, list) else ():
        match one:
            case [str(stand), int() | float() as before_s, str() | None as failure] if stand in tuple(Stand):
                view = SecondView(stand=Stand(stand), before_s=float(before_s), failure=_failure(failure))
                found.append(view)
            case _:
                raise RecordError("control: second: allowed is a list of [stand, seconds, failure or null]")
    return tuple(found)


def _truth(reader: Reader, key: str) -> bool:
    value = reader.raw(key)
    if not isinstance(value, bool):
        raise RecordError(f"control: {key}: found {value!r}; allowed is true or false")
    return value


def _failure(word: str | None) -> str | None:
    if word is not None and not is_failure(word):
        raise RecordError(f"control: found {word[:60]!r}, which is not on the list of failure words")
    return word


def _texts(reader: Reader, key: str) -> list[str]:
    values = reader.array(key)
    if len(values) > MAX_ADDRESSES:
        raise RecordError(f"control: {key}: found {len(values)}; allowed is up to {MAX_ADDRESSES}")
    return [_text(key, value) for value in values]


def _text(key: str, value: JsonValue) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise RecordError(f"control: {key}: found something other than text of up to {_MAX_TEXT} characters")
    return value


def _failures(reader: Reader, key: str) -> dict[str, str | None]:
    found = reader.object(key)
    if len(found) > MAX_ADDRESSES:
        raise RecordError(f"control: {key}: found {len(found)}; allowed is up to {MAX_ADDRESSES}")
    return {place: None if word is None else _failure(_text(key, word)) for place, word in found.items()}


def _headers(reader: Reader) -> tuple[tuple[str, str], ...]:
    found = []
    for pair in reader.array("headers")[:MAX_HEADERS]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise RecordError("control: headers: found something other than [name, value]")
        found.append((_text("headers", pair[0]), _text("headers", pair[1])))
    return tuple(found)
