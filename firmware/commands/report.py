"""One result as an aligned block of text for a person. Pure.

The record has everything; this shows what a person looks for first. It must never show a time without saying
who took it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from firmware.language.translator import Translator
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Outcome, Phase, Stamp
from firmware.model.task import Result

_STAMPS: Final[Mapping[Stamp, str]] = {
    Stamp.HW: "measured.stamp-hw",
    Stamp.SND: "measured.stamp-snd",
    Stamp.SCHED: "measured.stamp-sched",
    Stamp.TCP_INFO: "measured.stamp-tcp-info",
    Stamp.USER: "measured.stamp-user",
}
"""Who took a time: the sentence's key."""
_NARROW: Final = 11
_MAX_LISTED: Final = 10


def report(test: str, result: Result, translator: Translator) -> str:
    """Return what was measured, what came of it and what the word means, times, bytes and notable details."""
    say, outcome = translator.say, result.outcome
    started = datetime.fromtimestamp(result.start_utc_ns / 1e9, UTC)
    rows = [
        (test, result.target),
        *_outcome_rows(outcome, translator),
        *_under(say("measured.label-phases"), _phase_lines(outcome.phases, translator)),
        (say("measured.label-bytes"), say("measured.bytes", up=outcome.bytes_up, down=outcome.bytes_down)),
        *_under(say("measured.label-details"), _detail_lines(outcome.detail, translator)),
        (say("measured.label-uplink"), result.uplink or say("measured.none")),
        (
            say("measured.label-started"),
            f"{started:%Y-%m-%d %H:%M:%S}.{result.start_utc_ns // 1_000_000 % 1000:03d} UTC",
        ),
        (say("measured.label-took"), milliseconds(result.runtime_ns)),
    ]
    return aligned(rows, _NARROW)


def aligned(rows: Sequence[tuple[str, str]], at_least: int) -> str:
    """Return labels and texts as lines, the texts below each other, `at_least` so many characters from the left."""
    width = max([at_least, *(len(label) + 1 for label, _ in rows)])
    return "\n".join(f"{label:{width}}{text}".rstrip() for label, text in rows)


def milliseconds(ns: int) -> str:
    """Return a time in ms with three decimals."""
    return f"{ns / 1e6:.3f} ms"


def _outcome_rows(outcome: Outcome, translator: Translator) -> list[tuple[str, str]]:
    label = translator.say("measured.label-outcome")
    if outcome.failure is None:
        return [(label, translator.say("measured.ok"))]
    failed = {"failure": outcome.failure, "operation": outcome.failed_operation or ""}
    where = "measured.failed-in" if outcome.failed_operation else "measured.failed"
    return [(label, translator.say(where, **failed)), ("", translator.failure(outcome.failure))]


def _phase_lines(phases: Mapping[str, Phase], translator: Translator) -> Iterator[str]:
    width = max(map(len, phases), default=0)
    for name, phase in phases.items():
        yield f"{name:{width}}  {milliseconds(phase.ns):>14}  {translator.say(_STAMPS[phase.stamp])}"


def _detail_lines(detail: Mapping[str, JsonValue], translator: Translator) -> Iterator[str]:
    """Yield a line for every single value, then one for each item of the lists that a person would read."""
    single = {
        key: value
        for key, value in detail.items()
        if isinstance(value, str | int | float | bool) and key != "failure"
    }
    width = max(map(len, single), default=0)
    yield from (f"{key:{width}}  {_shown(value, translator)}" for key, value in single.items())
    for key, value in detail.items():
        if isinstance(value, list):
            yield from _listed(key, value, translator)
        elif isinstance(value, dict):
            yield f"{key}  " + ", ".join(f"{name} {_shown(item, translator)}" for name, item in value.items())


def _listed(key: str, items: list[JsonValue], translator: Translator) -> Iterator[str]:
    if key == "result":
        yield from (_hop(item, translator) for item in items if isinstance(item, dict))
        return
    describe = {"answers": _answer, "requests": _request, "tcp_connect": _attempt, "queries": _query}.get(key)
    if describe is None:
        if items and all(isinstance(item, str | int | float) for item in items):
            yield f"{key}  " + ", ".join(_shown(item, translator) for item in items[:_MAX_LISTED])
        return
    for number, item in enumerate(items[:_MAX_LISTED], start=1):
        if isinstance(item, dict):
            yield f"{key} {number}  {describe(item, translator)}"


def _answer(answer: JsonObject, translator: Translator) -> str:
    records = answer.get("answers")
    values = (
        [str(record["value"]) for record in records if isinstance(record, dict)]
        if isinstance(records, list)
        else []
    )
    told = {
        "rcode": str(answer.get("rcode")),
        "values": ", ".join(values),
        "transport": str(answer.get("transport")),
    }
    after = answer.get("t_ns")
    if isinstance(after, int):
        return translator.say("measured.answer-after", time=milliseconds(after), **told)
    return translator.say("measured.answer", **told)


def _request(request: JsonObject, translator: Translator) -> str:
    told = {
        "method": str(request.get("method")),
        "url": str(request.get("url")),
        "end": str(request.get("failure") or request.get("status")),
        "bytes": str(request.get("body_length")),
    }
    if request.get("title"):
        return translator.say("measured.request-titled", title=repr(request["title"]), **told)
    return translator.say("measured.request", **told)


def _attempt(attempt: JsonObject, translator: Translator) -> str:
    end = attempt.get("failure") or translator.say("measured.connected")
    return translator.say(
        "measured.attempt", address=str(attempt.get("address")), port=str(attempt.get("port")), end=str(end)
    )


def _query(query: JsonObject, translator: Translator) -> str:
    return translator.say(
        "measured.query",
        name=str(query.get("query_name")),
        type=str(query.get("query_type")),
        resolver=str(query.get("resolver")),
        end=str(query.get("failure") or translator.say("measured.ok")),
    )


def _hop(hop: JsonObject, translator: Translator) -> str:
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
        told.append(_reply(reply, translator, named=whose != before))
        before = whose
    return f"{hop.get('hop')!s:>2}  " + "  ".join(told)


def _reply(reply: JsonObject, translator: Translator, *, named: bool) -> str:
    words = [str(reply.get("from") or "?")] if named else []
    rtt_ns, stamp = reply.get("rtt_ns"), reply.get("stamp")
    if isinstance(rtt_ns, int):
        whose = f" ({translator.say(_STAMPS[Stamp(str(stamp))])})" if named else ""
        words.append(milliseconds(rtt_ns) + whose)
    if reply.get("failure"):
        words.append(f"!{reply.get('err', '')} {reply['failure']}")
    return " ".join(words)


def _shown(value: JsonValue, translator: Translator) -> str:
    if isinstance(value, bool):
        return translator.say("measured.yes") if value else translator.say("measured.no")
    if isinstance(value, list | dict):
        return translator.count("measured.items", len(value))
    return "" if value is None else str(value)


def _under(label: str, lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines):
        yield label if number == 0 else "", line
