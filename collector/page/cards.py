"""What the page says of one device, and of all of them together. Pure: rows and the time in, views out.

A view holds words and numbers ready to be shown; it must never say more than its rows do. Silence is shown as
silence, an unsynchronised clock as one, and a verdict never without its rule.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector.page import texts, times
from collector.page.matrix import Matrix
from collector.page.times import NS_PER_S, Moment
from collector.store.answers import DeviceRow, RoundRow
from collector.store.completeness import EpochCompleteness
from collector.store.history import VerdictRun
from firmware.model.record import ClockQuality, Verdict, from_json
from firmware.model.seqs import SeqRanges
from firmware.model.verdict_words import VerdictWord

LATELY_S: Final = 900
"""A device heard from within this time counts as heard from lately; a calm round is well below it."""

GAPS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictInWords:
    """A verdict in words: `tone` is `ok`, `bad`, `unsure` or `none`; `sentence` what a person would say."""

    word: str
    tone: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierVerdict:
    """The last round that said something else, and what it said."""

    at: Moment
    said: VerdictInWords


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadlineInWords:
    """One turn of what a device said ahead of its records, and since when it held by its own clock."""

    said: VerdictInWords
    rule: str
    since: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One device on the page."""

    id: str
    provenance: str
    said: VerdictInWords
    silent: bool
    since: Moment | None
    since_exact: bool
    lasted: str
    rounds_in_run: int
    before: EarlierVerdict | None
    verdict: Verdict | None
    clock_note: str
    last_heard: Moment
    heard_ago: str
    completeness: tuple[str, ...]
    complete: bool
    matrix: Matrix
    headline: tuple[HeadlineInWords, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The line above all devices: how many, how many heard from lately, and what those say, most first."""

    devices: int
    heard: str
    tally: tuple[tuple[int, VerdictInWords], ...]


def said_of(row: RoundRow | None) -> VerdictInWords:
    """Return a round's verdict in words; without a round or a verdict, that there is none."""
    if row is None or row.verdict is None:
        return VerdictInWords(word="", tone="none", sentence=texts.plain("no_verdict"))
    return _said(row.verdict)


def _said(verdict: str) -> VerdictInWords:
    tones = {str(VerdictWord.OK): "ok", str(VerdictWord.INCONCLUSIVE): "unsure"}
    return VerdictInWords(
        word=verdict, tone=tones.get(verdict, "bad"), sentence=texts.verdict_sentence(verdict)
    )


def is_silent(device: DeviceRow, now_ns: int) -> bool:
    """Return whether the device was not heard from lately, by the collector's clock."""
    return now_ns - device.last_seen_ns > LATELY_S * NS_PER_S


def silence(device: DeviceRow, now_ns: int) -> tuple[int, int] | None:
    """Return since when and until when the device is silent; None when it is not."""
    return (device.last_seen_ns, now_ns) if is_silent(device, now_ns) else None


def missing_seqs(device: DeviceRow) -> Mapping[str, SeqRanges]:
    """Return the seqs nothing is known of, by epoch."""
    return {epoch.epoch: epoch.gaps for epoch in device.completeness.epochs}


def order(devices: Iterable[DeviceRow], now_ns: int) -> list[DeviceRow]:
    """Return devices as they stand on the page: those that report trouble, the unsure and silent, those well."""

    def key(device: DeviceRow) -> tuple[int, str]:
        tone = said_of(device.last_round).tone
        if is_silent(device, now_ns):
            return 2, device.id
        return {"bad": 0, "unsure": 1, "none": 3, "ok": 4}[tone], device.id

    return sorted(devices, key=key)


def summary(devices: Sequence[DeviceRow], now_ns: int) -> Summary:
    """Count what all devices say. A silent device says nothing, whatever it said last."""
    heard = [device for device in devices if not is_silent(device, now_ns)]
    tally = Counter(said_of(device.last_round) for device in heard)
    if len(heard) < len(devices):
        tally[VerdictInWords(word="", tone="silent", sentence=texts.plain("tally_silent"))] = len(
            devices
        ) - len(heard)
    return Summary(
        devices=len(devices),
        heard=_heard(len(devices), len(heard)),
        tally=tuple((n, said) for said, n in tally.most_common()),
    )


def _heard(devices: int, heard: int) -> str:
    minutes = LATELY_S // 60
    if heard == devices:
        return texts.count("heard_all", devices, minutes=minutes)
    if heard == 0:
        return texts.count("heard_none", devices, minutes=minutes)
    return texts.plain(
        "heard_some", n=texts.number(heard), silent=texts.number(devices - heard), minutes=minutes
    )


def card(device: DeviceRow, run: VerdictRun | None, matrix: Matrix, now_ns: int) -> Card:
    """Return what the page says of `device` at `now_ns` (the collector's clock)."""
    last = device.last_round
    verdict = verdict_of(last)
    return Card(
        id=device.id,
        provenance=provenance(device),
        said=said_of(last),
        silent=is_silent(device, now_ns),
        since=None if run is None else moment_of(run.first),
        since_exact=run is not None and run.before is not None,
        lasted=_lasted(run, last),
        rounds_in_run=0 if run is None else run.rounds,
        before=_before(run),
        verdict=verdict,
        clock_note="" if last is None else clock_note(last.clock_quality),
        last_heard=Moment(ns=device.last_seen_ns),
        heard_ago=times.duration(now_ns - device.last_seen_ns),
        completeness=completeness_lines(device),
        complete=device.completeness.is_whole,
        matrix=matrix,
        headline=headline(device),
    )


def headline(device: DeviceRow) -> tuple[HeadlineInWords, ...]:
    """Return what the device said ahead of its records, newest first, while some of these have not arrived."""
    if device.completeness.epochs and device.completeness.is_whole:
        return ()
    return tuple(
        HeadlineInWords(
            said=_said(turn.verdict),
            rule=turn.rule_id,
            since=times.by_device(turn.since_utc_ns, turn.quality, turn.error_ns),
        )
        for turn in device.headline
    )


def provenance(device: DeviceRow) -> str:
    """Return where the device is said to be and what runs on it, as far as it told."""
    parts = [device.country.upper()] if device.country and device.country != "zz" else []
    if device.software:
        parts.append(texts.plain("provenance_software", software=device.software))
    return " · ".join(parts)


def moment_of(row: RoundRow) -> Moment:
    """Return when a round began, with its error."""
    return times.by_device(row.start_utc_ns, row.clock_quality, row.clock_error_ns)


def verdict_of(row: RoundRow | None) -> Verdict | None:
    """Return a round's whole verdict, with rule and evidence."""
    return None if row is None else from_json(json.loads(row.body)).verdict


def clock_note(quality: str) -> str:
    """Return what is known of the device's clock, where that is less than it should be; else ""."""
    notes = {
        str(ClockQuality.UNSYNCHRONISED): "clock_unsynchronised",
        str(ClockQuality.HOLDOVER): "clock_holdover",
    }
    return texts.plain(notes[quality]) if quality in notes else ""


def completeness_lines(device: DeviceRow) -> tuple[str, ...]:
    """Return what of the device's records is here: the newest epoch, what waits, and whether there are older ones."""
    epochs = device.completeness.epochs
    if not epochs:
        return (texts.plain("complete_nothing"),)
    lines = [*epoch_lines(epochs[-1])]
    older = epochs[:-1]
    if older:
        missing = sum(epoch.missing for epoch in older)
        produced = sum(epoch.produced for epoch in older)
        key = "older_missing" if missing else "older_complete"
        lines.append(
            texts.count(key, len(older), records=texts.number(produced), missing=texts.number(missing))
        )
    if device.completeness.unnamed:
        lines.append(texts.count("unnamed_epochs", device.completeness.unnamed))
    if device.waiting:
        lines.append(texts.count("waiting", device.waiting))
    return tuple(lines)


def epoch_lines(epoch: EpochCompleteness) -> tuple[str, ...]:
    """Return what of one epoch is here, gap by gap as far as there is room."""
    if epoch.produced == 0:
        return (texts.plain("complete_nothing"),)
    whole = str(SeqRanges(((1, epoch.produced),)))
    if epoch.stored == epoch.produced:
        return (texts.plain("complete", range=whole),)
    lines = []
    if epoch.missing:
        gaps = str(SeqRanges(epoch.gaps.ranges[:GAPS_SHOWN]))
        more = len(epoch.gaps.ranges) - GAPS_SHOWN
        shown = texts.plain("more_gaps", gaps=gaps, n=texts.number(more)) if more > 0 else gaps
        lines.append(texts.count("missing", epoch.missing, range=whole, gaps=shown))
    else:
        lines.append(texts.plain("accounted", range=whole))
    if epoch.tombstoned:
        lines.append(texts.count("given_up", epoch.tombstoned))
    if epoch.rejected:
        lines.append(texts.count("rejected", epoch.rejected))
    return tuple(lines)


def _lasted(run: VerdictRun | None, last: RoundRow | None) -> str:
    """Return how long the run has lasted from its first to its last round, where one clock can tell."""
    if run is None or last is None or run.rounds < 2:
        return ""
    known = run.first.clock_error_ns is not None and last.clock_error_ns is not None
    ns = last.start_utc_ns - run.first.start_utc_ns
    return times.duration(ns) if known and ns > 0 else ""


def _before(run: VerdictRun | None) -> EarlierVerdict | None:
    if run is None or run.before is None:
        return None
    return EarlierVerdict(at=moment_of(run.before), said=said_of(run.before))
