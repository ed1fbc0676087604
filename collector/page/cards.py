"""What the page says of one device, and of all of them together. Pure: rows and the time in, views out.

A view holds words and numbers ready to be shown; it must never say more than its rows do. Silence is shown as
silence, an unsynchronised clock as one, and a verdict never without its rule.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector.page import times
from collector.page.matrix import Matrix
from collector.page.times import NS_PER_S, Moment
from collector.store.answers import DeviceRow, RoundRow
from collector.store.completeness import EpochCompleteness
from collector.store.history import VerdictStreak
from firmware.language.translator import Translator
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
    """One transition of what a device said ahead of its records, and since when it held by its own clock."""

    said: VerdictInWords
    rule: str
    since: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """Why a verdict is what it is: the rule, what was seen, and what would overturn it."""

    rule_id: str
    evidence: tuple[str, ...]
    overturned_by: str


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
    rounds_in_streak: int
    before: EarlierVerdict | None
    reasons: Reasons | None
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


def said_of(row: RoundRow | None, translator: Translator) -> VerdictInWords:
    """Return a round's verdict in words; without a round or a verdict, that there is none."""
    if row is None or row.verdict is None:
        return VerdictInWords(word="", tone="none", sentence=translator.say("page.no_verdict"))
    return _said(row.verdict, translator)


def _said(verdict: str, translator: Translator) -> VerdictInWords:
    return VerdictInWords(word=verdict, tone=tone_of(verdict), sentence=translator.verdict(verdict))


def tone_of(verdict: str) -> str:
    """Return how a verdict is shown."""
    return {str(VerdictWord.OK): "ok", str(VerdictWord.INCONCLUSIVE): "unsure"}.get(verdict, "bad")


def reasons_of(verdict: Verdict, translator: Translator) -> Reasons:
    """Return why a verdict is what it is."""
    return Reasons(
        rule_id=verdict.rule_id,
        evidence=translator.evidence(verdict.evidence),
        overturned_by=translator.overturned_by(verdict.rule_id, verdict.overturned_by),
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
        row = device.last_round
        if is_silent(device, now_ns):
            return 2, device.id
        tone = "none" if row is None or row.verdict is None else tone_of(row.verdict)
        return {"bad": 0, "unsure": 1, "none": 3, "ok": 4}[tone], device.id

    return sorted(devices, key=key)


def summary(devices: Sequence[DeviceRow], now_ns: int, translator: Translator) -> Summary:
    """Count what all devices say. A silent device says nothing, whatever it said last."""
    heard = [device for device in devices if not is_silent(device, now_ns)]
    tally = Counter(said_of(device.last_round, translator) for device in heard)
    if len(heard) < len(devices):
        tally[VerdictInWords(word="", tone="silent", sentence=translator.say("page.tally_silent"))] = len(
            devices
        ) - len(heard)
    return Summary(
        devices=len(devices),
        heard=_heard(len(devices), len(heard), translator),
        tally=tuple((n, said) for said, n in tally.most_common()),
    )


def _heard(devices: int, heard: int, translator: Translator) -> str:
    minutes = LATELY_S // 60
    if heard == devices:
        return translator.count("page.heard_all", devices, minutes=minutes)
    if heard == 0:
        return translator.count("page.heard_none", devices, minutes=minutes)
    return translator.say("page.heard_some", n=heard, silent=devices - heard, minutes=minutes)


def card(
    device: DeviceRow, streak: VerdictStreak | None, matrix: Matrix, now_ns: int, translator: Translator
) -> Card:
    """Return what the page says of `device` at `now_ns` (the collector's clock)."""
    last = device.last_round
    verdict = verdict_of(last)
    return Card(
        id=device.id,
        provenance=provenance(device, translator),
        said=said_of(last, translator),
        silent=is_silent(device, now_ns),
        since=None if streak is None else moment_of(streak.first, translator),
        since_exact=streak is not None and streak.before is not None,
        lasted=_lasted(streak, last, translator),
        rounds_in_streak=0 if streak is None else streak.rounds,
        before=_before(streak, translator),
        reasons=None if verdict is None else reasons_of(verdict, translator),
        clock_note="" if last is None else clock_note(last.clock_quality, translator),
        last_heard=Moment(ns=device.last_seen_ns),
        heard_ago=times.duration(now_ns - device.last_seen_ns, translator),
        completeness=completeness_lines(device, translator),
        complete=device.completeness.is_whole,
        matrix=matrix,
        headline=headline(device, translator),
    )


def headline(device: DeviceRow, translator: Translator) -> tuple[HeadlineInWords, ...]:
    """Return what the device said ahead of its records, newest first, while some of these have not arrived."""
    if device.completeness.epochs and device.completeness.is_whole:
        return ()
    return tuple(
        HeadlineInWords(
            said=_said(transition.verdict, translator),
            rule=transition.rule_id,
            since=times.by_device(
                transition.since_utc_ns, transition.quality, transition.error_ns, translator
            ),
        )
        for transition in device.headline
    )


def provenance(device: DeviceRow, translator: Translator) -> str:
    """Return where the device is said to be and what runs on it, as far as it told."""
    parts = [device.country.upper()] if device.country and device.country != "zz" else []
    if device.software:
        parts.append(translator.say("page.provenance_software", software=device.software))
    return " · ".join(parts)


def moment_of(row: RoundRow, translator: Translator) -> Moment:
    """Return when a round began, with its error."""
    return times.by_device(row.start_utc_ns, row.clock_quality, row.clock_error_ns, translator)


def verdict_of(row: RoundRow | None) -> Verdict | None:
    """Return a round's whole verdict, with rule and evidence."""
    return None if row is None else from_json(json.loads(row.body)).verdict


def clock_note(quality: str, translator: Translator) -> str:
    """Return what is known of the device's clock, where that is less than it should be; else ""."""
    notes = {
        str(ClockQuality.UNSYNCHRONISED): "page.clock_unsynchronised",
        str(ClockQuality.HOLDOVER): "page.clock_holdover",
    }
    return translator.say(notes[quality]) if quality in notes else ""


def completeness_lines(device: DeviceRow, translator: Translator) -> tuple[str, ...]:
    """Return what of the device's records is here: the newest epoch, what waits, and whether there are older ones."""
    epochs = device.completeness.epochs
    if not epochs:
        return (translator.say("completeness.nothing"),)
    lines = [*epoch_lines(epochs[-1], translator)]
    older = epochs[:-1]
    if older:
        missing = sum(epoch.missing for epoch in older)
        produced = sum(epoch.produced for epoch in older)
        key = "completeness.older_missing" if missing else "completeness.older_complete"
        lines.append(translator.count(key, len(older), records=produced, missing=missing))
    if device.completeness.unnamed:
        lines.append(translator.count("completeness.unnamed_epochs", device.completeness.unnamed))
    if device.waiting:
        lines.append(translator.count("completeness.waiting", device.waiting))
    return tuple(lines)


def epoch_lines(epoch: EpochCompleteness, translator: Translator) -> tuple[str, ...]:
    """Return what of one epoch is here, gap by gap as far as there is room."""
    if epoch.produced == 0:
        return (translator.say("completeness.nothing"),)
    whole = str(SeqRanges(((1, epoch.produced),)))
    if epoch.stored == epoch.produced:
        return (translator.say("completeness.whole", range=whole),)
    lines = []
    if epoch.missing:
        gaps = str(SeqRanges(epoch.gaps.ranges[:GAPS_SHOWN]))
        more = len(epoch.gaps.ranges) - GAPS_SHOWN
        shown = translator.say("completeness.more_gaps", gaps=gaps, n=more) if more > 0 else gaps
        lines.append(translator.count("completeness.missing", epoch.missing, range=whole, gaps=shown))
    else:
        lines.append(translator.say("completeness.accounted", range=whole))
    if epoch.tombstoned:
        lines.append(translator.count("completeness.given_up", epoch.tombstoned))
    if epoch.rejected:
        lines.append(translator.count("completeness.rejected", epoch.rejected))
    return tuple(lines)


def _lasted(streak: VerdictStreak | None, last: RoundRow | None, translator: Translator) -> str:
    """Return how long the streak has lasted from its first to its last round, where one clock can tell."""
    if streak is None or last is None or streak.rounds < 2:
        return ""
    known = streak.first.clock_error_ns is not None and last.clock_error_ns is not None
    ns = last.start_utc_ns - streak.first.start_utc_ns
    return times.duration(ns, translator) if known and ns > 0 else ""


def _before(streak: VerdictStreak | None, translator: Translator) -> EarlierVerdict | None:
    if streak is None or streak.before is None:
        return None
    return EarlierVerdict(at=moment_of(streak.before, translator), said=said_of(streak.before, translator))
