"""What a device and the collector say to each other: hello, batch, ack. Pure; knows no transport.

The same messages travel over every transport. A record leaves the device's outbox only on an ack, which the
collector sends after its own durable commit. Encoders return bytes; decoders raise `RecordError` naming the
key. This file must never keep state: which record is where is the outbox's and the store's to know.

On the wire an incarnation of the device's software is called `run`, those of a hello `runs`, and a sequence conflict `clash`.

    device → collector   p1/up/<device>/hello   Hello     on every connect: what the outbox holds
    device → collector   p1/up/<device>/live    Batch     fresh records
    device → collector   p1/up/<device>/bulk    Batch     the backlog
    collector → device   p1/dn/<device>/ack     Ack       answers every Hello and every Batch
    collector → device   p1/dn/<device>/ctl     VantageNews (firmware.wire.vantage_news)
    collector → device   p1/dn/<device>/trust   SignedList (firmware.wire.trust_list)
    device → everyone    p1/st/<device>         Presence  retained; the last will says offline
"""

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from firmware.model.jsontypes import JsonObject, JsonValue, NewerVersionError, Reader, RecordError
from firmware.model.record import ClockQuality
from firmware.model.seqs import SeqRanges
from firmware.wire.table import RecordTable

VERSION: Final = 1
MAX_BATCH_BYTES: Final = 16 * 1024
"""A batch's payload never exceeds this (design: a larger one livelocks a slow link)."""
MAX_INFLATED_BYTES: Final = 1024 * 1024
"""A batch that inflates past this is refused unread: a few bytes must not buy the collector's memory."""
ROOT: Final = "p1"
MAX_BATCH_RECORDS: Final = 1000
"""A batch of more is refused: columns that are the same for all must not multiply into memory."""
DEVICE_PATTERN: Final = re.compile(r"[a-z0-9]{16}")
EPOCH_PATTERN: Final = re.compile(r"[0-9a-f]{16}")
_NO_END: Final = 2**200
MAX_INCARNATIONS: Final = 64
"""A hello names at most so many incarnations."""
MAX_ENDED: Final = 8
"""A hello names at most so many ended epochs, and counts those beyond."""
MAX_TRANSITIONS: Final = 4
"""A headline tells at most so many transitions."""
_MAX_WORD: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A verdict that a device came to, and since when it has held, or held until the next transition.

    `since_utc_ns` is by the device's clock at the time, of `quality`, and wrong by up to `error_ns` (None: not known).
    """

    since_utc_ns: int
    error_ns: int | None
    quality: ClockQuality
    verdict: str
    rule_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What the outbox holds, told on connecting.

    `low`–`high` are the lowest unacknowledged and the highest seq it ever gave (`low` = `high` + 1 when all is
    acknowledged), `waiting` how many records wait.

    `incarnations` are the starts of the device's software that made this epoch, newest first, as (random id, the first
    seq it could give), back to the last one an ack named: a copied or restored card shows in them. `past` says that the
    epoch has ended: nothing new is given a number in it.

    `headline` says what happened meanwhile, in a few hundred bytes ahead of any record: the last transitions of the
    device's verdict, newest first, as far as it knows them.

    `trust` is the number of the trust list the device holds (0: none yet), so that it is given a newer one; None where
    it knows of no such lists.

    `ended` names epochs of the same outbox that have ended and are not known to be accounted for, as (epoch, the
    highest seq it gave), so that nobody calls a device's account whole who never heard of them; `ended_beyond` counts
    those there was no room to name. A past epoch's hello names none.
    """

    device: str
    epoch: str
    low: int
    high: int
    waiting: int
    software: str
    country: str
    incarnations: tuple[tuple[str, int], ...] = ()
    past: bool = False
    headline: tuple[Transition, ...] = ()
    ended: tuple[tuple[str, int], ...] = ()
    ended_beyond: int = 0
    trust: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Records `low`–`high` that were given up, `count` of them, and why. They count as accounted for."""

    low: int
    high: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of one device and epoch: `records[i]` is the JSON of the record with `seqs[i]`; a `RecordTable` when it came.

    `incarnation` is the start of the device's software that sends it ("" for an ended epoch): see `Hello`.
    """

    device: str
    epoch: str
    seqs: tuple[int, ...]
    records: Sequence[JsonObject]
    tombstones: tuple[Tombstone, ...] = ()
    incarnation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """One record the collector will never take, and why: the device sets it aside and does not retry."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What is durable at the collector: every seq up to `upto`, and those in `ranges` above it.

    `rejects` answers the records of one batch; a rejected record counts as answered, not as stored.
    `retry_after_s` asks the device to hold its next batch that long (0: carry on).

    `incarnation` is the one whose hello or batch is answered, which the collector has noted: nothing is said of a seq
    that a later incarnation gave ("" where no incarnation was named: an ended epoch, or a message that was refused,
    which accounts for nothing). `conflict` (a sequence conflict; None: there is none) says that somebody else gives
    numbers in this epoch too, from a copy of the card: up to that seq the two are the same. The device begins a new
    epoch, and nothing else is said of this one.
    """

    epoch: str
    upto: int
    ranges: SeqRanges = SeqRanges()
    rejects: tuple[Reject, ...] = ()
    retry_after_s: float = 0.0
    incarnation: str = ""
    conflict: int | None = None

    @property
    def highest(self) -> int:
        """The highest seq that anything is said of."""
        return max(self.upto, *(high for _, high in self.ranges), *(one.seq for one in self.rejects), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Whether a device is connected to the broker: its birth message, and its last will with `online` false."""

    online: bool


def topic(device: str, branch: str, leaf: str) -> str:
    """Return a device's topic: `branch` is `up`, `dn` or `st`; `leaf` is "" for `st`."""
    return f"{ROOT}/{branch}/{device}/{leaf}" if leaf else f"{ROOT}/{branch}/{device}"


def device_of(topic_name: str) -> str:
    """Return the device a topic belongs to. Raises `RecordError` when the topic is not one of ours."""
    parts = topic_name.split("/")
    if len(parts) not in {3, 4} or parts[0] != ROOT or not DEVICE_PATTERN.fullmatch(parts[2]):
        raise RecordError(f"topic {topic_name!r}: not of the form {ROOT}/up/<device>/<hello|live|bulk>")
    return parts[2]


def encode_hello(hello: Hello) -> bytes:
    """Return the hello as JSON text. Of ended epochs it has a word only where there are some."""
    ended: JsonObject = {"ended": [[epoch, high] for epoch, high in hello.ended]} if hello.ended else {}
    beyond: JsonObject = {"ended_beyond": hello.ended_beyond} if hello.ended_beyond else {}
    trust: JsonObject = {} if hello.trust is None else {"trust": hello.trust}
    return _dump(
        {
            "v": VERSION,
            "device": hello.device,
            "epoch": hello.epoch,
            "low": hello.low,
            "high": hello.high,
            "waiting": hello.waiting,
            "software": hello.software,
            "country": hello.country,
            "runs": [[incarnation, first] for incarnation, first in hello.incarnations],
            "past": hello.past,
            "headline": [
                [
                    transition.since_utc_ns,
                    transition.error_ns,
                    str(transition.quality),
                    transition.verdict,
                    transition.rule_id,
                ]
                for transition in hello.headline
            ],
            **ended,
            **beyond,
            **trust,
        }
    )


def decode_hello(payload: bytes) -> Hello:
    """Read a hello. Raises `RecordError`."""
    reader = _open(payload, where="hello")
    ended = reader.array("ended") if reader.has("ended") else []
    beyond = reader.integer("ended_beyond", low=0, high=2**31) if reader.has("ended_beyond") else 0
    return Hello(
        device=_matching(reader, "device", DEVICE_PATTERN),
        epoch=_matching(reader, "epoch", EPOCH_PATTERN),
        low=reader.integer("low", low=1),
        high=reader.integer("high", low=0),
        waiting=reader.integer("waiting", low=0),
        software=reader.text("software"),
        country=reader.text("country"),
        incarnations=tuple(_incarnation(item) for item in reader.array("runs")[:MAX_INCARNATIONS])
        if reader.has("runs")
        else (),
        past=reader.has("past") and reader.raw("past") is True,
        headline=tuple(_transition(item) for item in reader.array("headline")[:MAX_TRANSITIONS])
        if reader.has("headline")
        else (),
        ended=tuple(_ended(item) for item in ended[:MAX_ENDED]),
        ended_beyond=beyond + max(0, len(ended) - MAX_ENDED),
        trust=reader.integer("trust", low=0) if reader.has("trust") else None,
    )


def encode_batch(batch: Batch) -> bytes:
    """Return the batch as columnar JSON under zlib.

    Columns: one array a key, in the order of `seqs`; a key whose value is the same in every record is kept
    once, in `same`. It is what makes 50 records cost 62 bytes each instead of 293.
    """
    table = RecordTable.of(batch.records)
    text = _dump(
        {
            "v": VERSION,
            "device": batch.device,
            "epoch": batch.epoch,
            "run": batch.incarnation,
            "seqs": list(batch.seqs),
            "same": table.same,
            "columns": dict(table.columns),
            "tombstones": [[t.low, t.high, t.count, t.reason] for t in batch.tombstones],
        }
    )
    return zlib.compress(text, level=9)


def decode_batch(payload: bytes) -> Batch:
    """Read a batch. Raises `RecordError`; a payload that inflates past `MAX_INFLATED_BYTES` is refused."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(payload, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise RecordError(f"batch: not zlib data ({error})") from error
    if inflater.unconsumed_tail:
        raise RecordError(f"batch: inflates past {MAX_INFLATED_BYTES} bytes")
    if not inflater.eof:
        raise RecordError("batch: cut short")
    reader = _open(text, where="batch")
    seqs = _integers(reader, "seqs")
    if len(seqs) > MAX_BATCH_RECORDS:
        raise RecordError(f"batch: seqs: found {len(seqs)}; allowed is up to {MAX_BATCH_RECORDS} records")
    if len(set(seqs)) != len(seqs):
        raise RecordError("batch: seqs: a number stands twice")
    return Batch(
        device=_matching(reader, "device", DEVICE_PATTERN),
        epoch=_matching(reader, "epoch", EPOCH_PATTERN),
        seqs=seqs,
        records=_table(reader, len(seqs)),
        tombstones=tuple(_tombstone(item) for item in reader.array("tombstones")),
        incarnation=reader.text("run") if reader.has("run") else "",
    )


def encode_ack(ack: Ack) -> bytes:
    """Return the ack as JSON text."""
    return _dump(
        {
            "v": VERSION,
            "epoch": ack.epoch,
            "upto": ack.upto,
            "ranges": [[low, high] for low, high in ack.ranges],
            "rejects": [[reject.seq, reject.reason] for reject in ack.rejects],
            "retry_after_s": ack.retry_after_s,
            "run": ack.incarnation,
            "clash": ack.conflict,
        }
    )


def decode_ack(payload: bytes) -> Ack:
    """Read an ack. Raises `RecordError`."""
    reader = _open(payload, where="ack")
    ranges = SeqRanges()
    for item in reader.array("ranges"):
        low, high = _pair(item, where="ack: ranges")
        if not (isinstance(low, int) and isinstance(high, int) and 0 < low <= high):
            raise RecordError(f"ack: ranges: found {item!r}; allowed is [low, high]")
        ranges = ranges.add(low, high)
    rejects = []
    for item in reader.array("rejects"):
        seq, reason = _pair(item, where="ack: rejects")
        if not (isinstance(seq, int) and isinstance(reason, str)):
            raise RecordError(f"ack: rejects: found {item!r}; allowed is [seq, reason]")
        rejects.append(Reject(seq=seq, reason=reason))
    retry_after_s = reader.raw("retry_after_s")
    if not isinstance(retry_after_s, int | float) or not 0 <= retry_after_s <= 86_400:
        raise RecordError(f"ack: retry_after_s: found {retry_after_s!r}; allowed is 0 to 86400")
    return Ack(
        epoch=_matching(reader, "epoch", EPOCH_PATTERN),
        upto=reader.integer("upto", low=0),
        ranges=ranges,
        rejects=tuple(rejects),
        retry_after_s=float(retry_after_s),
        incarnation=reader.text("run") if reader.has("run") else "",
        conflict=reader.optional_integer("clash", low=0) if reader.has("clash") else None,
    )


def encode_presence(presence: Presence) -> bytes:
    """Return the presence as JSON text."""
    return _dump({"online": presence.online})


def decode_presence(payload: bytes) -> Presence:
    """Read a presence. Raises `RecordError`."""
    online = Reader.of_text(payload, where="presence").raw("online")
    if not isinstance(online, bool):
        raise RecordError(f"presence: online: found {online!r}; allowed is true or false")
    return Presence(online=online)


def _dump(value: JsonObject) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _open(payload: bytes, *, where: str) -> Reader:
    reader = Reader.of_text(payload, where=where)
    version = reader.integer("v", low=1)
    if version > VERSION:
        raise NewerVersionError(
            f"{where}: v: found {version}, but this software speaks {VERSION}: upgrade it"
        )
    return reader


def _matching(reader: Reader, key: str, pattern: re.Pattern[str]) -> str:
    value = reader.text(key)
    if not pattern.fullmatch(value):
        raise RecordError(f"{key}: found {value[:60]!r}; allowed is {pattern.pattern}")
    return value


def _integers(reader: Reader, key: str) -> tuple[int, ...]:
    values = reader.array(key)
    for item in values:
        if type(item) is not int or not 1 <= item < 2**63:
            raise RecordError(f"batch: {key}: found {item!r}; allowed is a whole number from 1")
    return tuple(cast("list[int]", values))


def _pair(item: JsonValue, *, where: str) -> tuple[JsonValue, JsonValue]:
    if not isinstance(item, list) or len(item) != 2:
        raise RecordError(f"{where}: found {item!r}; two values belong here")
    return item[0], item[1]


def end_of_incarnation(incarnation: str, incarnations: Sequence[tuple[str, int]]) -> int:
    """Return the first seq that an incarnation after `incarnation` could give: what is lower was `incarnation`'s to tell of; 0 where it is not in `incarnations`.

    `incarnations` are (incarnation, first seq), newest first, as in a hello. The newest has no end.
    """
    end = _NO_END
    for name, first in incarnations:
        if name == incarnation:
            return end
        end = min(end, first)
    return 0


def _incarnation(item: JsonValue) -> tuple[str, int]:
    match item:
        case [str(incarnation), int(first)] if EPOCH_PATTERN.fullmatch(incarnation) and 1 <= first < 2**63:
            return incarnation, first
        case _:
            raise RecordError(f"hello: runs: found {item!r}; allowed is [16 hex digits, a seq]")


def _ended(item: JsonValue) -> tuple[str, int]:
    match item:
        case [str(epoch), int(high)] if EPOCH_PATTERN.fullmatch(epoch) and 1 <= high < 2**63:
            return epoch, high
        case _:
            raise RecordError(
                f"hello: ended: found {str(item)[:100]}; allowed is [16 hex digits, the highest seq]"
            )


def _transition(item: JsonValue) -> Transition:
    match item:
        case [int(since), int() | None as error, str(quality), str(verdict), str(rule)] if (
            0 <= since < 2**63
            and (error is None or 0 <= error < 2**63)
            and quality in list(ClockQuality)
            and len(verdict) <= _MAX_WORD
            and len(rule) <= _MAX_WORD
        ):
            return Transition(
                since_utc_ns=since,
                error_ns=error,
                quality=ClockQuality(quality),
                verdict=verdict,
                rule_id=rule,
            )
        case _:
            raise RecordError(
                f"hello: headline: found {str(item)[:100]}; allowed is [utc ns, error ns or null, clock, verdict, rule]"
            )


def _tombstone(item: JsonValue) -> Tombstone:
    match item:
        case [int(low), int(high), int(count), str(reason)] if (
            1 <= low <= high and 1 <= count <= high - low + 1
        ):
            return Tombstone(low=low, high=high, count=count, reason=reason)
        case _:
            raise RecordError(f"batch: tombstones: found {item!r}; allowed is [low, high, count, reason]")


def _table(reader: Reader, count: int) -> RecordTable:
    same = reader.object("same")
    columns: dict[str, list[JsonValue]] = {}
    for key, column in reader.object("columns").items():
        if not isinstance(column, list) or len(column) != count:
            raise RecordError(f"batch: columns: {key}: one value for each of the {count} seqs belongs here")
        if key in same:
            raise RecordError(f"batch: columns: {key}: it stands in `same`, too")
        columns[key] = column
    return RecordTable(same=same, columns=columns, height=count)
