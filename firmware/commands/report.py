"""One result as an aligned block of text for a person. Pure.

The record has everything; this shows what a person looks for first. It must never show a time without saying
who took it.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from firmware.language.translator import Translator
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Outcome, Phase, Stamp
from firmware.model.task import Result

_STAMPS: Final[Mapping[Stamp, str]] = {
    Stamp.HW: "by the network card",
    Stamp.SND: "by the kernel, at the driver",
    Stamp.SCHED: "by the kernel, before its queue",
    Stamp.TCP_INFO: "by the kernel's TCP",
    Stamp.USER: "by this program",
}
_NARROW: Final = 11
_MAX_LISTED: Final = 10


def report(test: str, result: Result, translator: Translator) -> str:
    """Return what was measured, what came of it and what the word means, times, bytes and notable details."""
    outcome = result.outcome
    started = datetime.fromtimestamp(result.start_utc_ns / 1e9, UTC)
    rows = [
        (test, result.target),
        *_outcome_rows(outcome, translator),
        *(("phases" if first else "", text) for first, text in _firsts(_phase_lines(outcome.phases))),
        ("bytes", f"{outcome.bytes_up} up, {outcome.bytes_down} down"),
        *(("details" if first else "", text) for first, text in _firsts(_detail_lines(outcome.detail))),
        ("uplink", result.uplink or "none"),
        ("started", f"{started:%Y-%m-%d %H:%M:%S}.{result.start_utc_ns // 1_000_000 % 1000:03d} UTC"),
        ("took", milliseconds(result.runtime_ns)),
    ]
    return "\n".join(f"{label:{_NARROW}}{text}".rstrip() for label, text in rows)


def milliseconds(ns: int) -> str:
    """Return a time in ms with three decimals."""
    return f"{ns / 1e6:.3f} ms"


def _outcome_rows(outcome: Outcome, translator: Translator) -> list[tuple[str, str]]:
    if outcome.failure is None:
        return [("outcome", "ok")]
    where = f" in {outcome.failed_operation}" if outcome.failed_operation else ""
    return [("outcome", f"{outcome.failure}{where}"), ("", translator.failure(outcome.failure))]


def _phase_lines(phases: Mapping[str, Phase]) -> Iterator[str]:
    width = max(map(len, phases), default=0)
    for name, phase in phases.items():
        yield f"{name:{width}}  {milliseconds(phase.ns):>14}  {_STAMPS[phase.stamp]}"


def _detail_lines(detail: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield a line for every single value, then one for each item of the lists that a person would read."""
    single = {
        key: value
        for key, value in detail.items()
        if isinstance(value, str | int | float | bool) and key != "failure"
    }
    width = max(map(len, single), default=0)
    yield from (f"{key:{width}}  {_shown(value)}" for key, value in single.items())
    for key, value in detail.items():
        if isinstance(value, list):
            yield from _listed(key, value)
        elif isinstance(value, dict):
            yield f"{key}  " + ", ".join(f"{name} {_shown(item)}" for name, item in value.items())


def _listed(key: str, items: list[JsonValue]) -> Iterator[str]:
    if key == "result":
        yield from (_hop(item) for item in items if isinstance(item, dict))
        return
    describe = {"answers": _answer, "requests": _request, "tcp_connect": _attempt, "queries": _query}.get(key)
    if describe is None:
        if items and all(isinstance(item, str | int | float) for item in items):
            yield f"{key}  " + ", ".join(_shown(item) for item in items[:_MAX_LISTED])
        return
    for number, item in enumerate(items[:_MAX_LISTED], start=1):
        if isinstance(item, dict):
            yield f"{key} {number}  {describe(item)}"


def _answer(answer: JsonObject) -> str:
    records = answer.get("answers")
    values = (
        [str(record["value"]) for record in records if isinstance(record, dict)]
        if isinstance(records, list)
        else []
    )
    after = answer.get("t_ns")
    time = f"after {milliseconds(after)}" if isinstance(after, int) else ""
    return f"{answer.get('rcode')} {', '.join(values)} {time} over {answer.get('transport')}"


def _request(request: JsonObject) -> str:
    end = request.get("failure") or request.get("status")
    title = f", titled {request['title']!r}" if request.get("title") else ""
    return f"{request.get('method')} {request.get('url')}: {end}, {request.get('body_length')} bytes{title}"


def _attempt(attempt: JsonObject) -> str:
    return f"{attempt.get('address')} port {attempt.get('port')}: {attempt.get('failure') or 'connected'}"


def _query(query: JsonObject) -> str:
    return f"{query.get('query_name')} {query.get('query_type')} of {query.get('resolver')}: {query.get('failure') or 'ok'}"


def _hop(hop: JsonObject) -> str:
    """Return one hop of a path: each router that answered for it with its times, whose they are, what it said."""
    replies = hop.get("result")
    told: list[str] = []
    before: tuple[JsonValue, JsonValue] | None = None
    for reply in replies if isinstance(replies, list) else []:
        if not isinstance(reply, dict):
            continue
        if "x" in reply:
            told.append("*")
            continue
        whose = (reply.get("from"), reply.get("stamp"))
        told.append(_reply(reply, named=whose != before))
        before = whose
    return f"{hop.get('hop')!s:>2}  " + "  ".join(told)


def _reply(reply: JsonObject, *, named: bool) -> str:
    words = [str(reply.get("from") or "?")] if named else []
    rtt_ns, stamp = reply.get("rtt_ns"), reply.get("stamp")
    if isinstance(rtt_ns, int):
        words.append(milliseconds(rtt_ns) + (f" ({_STAMPS[Stamp(str(stamp))]})" if named else ""))
    if reply.get("failure"):
        words.append(f"!{reply.get('err', '')} {reply['failure']}")
    return " ".join(words)


def _shown(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        "" if value is None else str(value) if not isinstance(value, list | dict) else f"{len(value)} items"
    )


def _firsts(lines: Iterator[str]) -> Iterator[tuple[bool, str]]:
    for number, line in enumerate(lines):
        yield number == 0, line
