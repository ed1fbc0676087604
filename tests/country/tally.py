"""What was said of countries, counted against what was true: the table, the false ones with their seeds, how soon.

One country is one independent trial, however many rounds its devices made. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from firmware.plans.load import load
from tests.country.hosts import Hosts
from tests.country.oracle import FALSE, Mark, country_mark, device_mark, site_mark, truth_name
from tests.country.play import Story
from tests.country.truth import FAULTS, Ill, Truth, clock

_SHOWN: Final = 60
_FIRST_S: Final = 600.0
"""Of a country's first minutes nothing is asked: its devices have hardly been heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something false that was said, as often as it was in one country: who said it of whom, when first, in which truth."""

    seed: int
    who: str
    mark: Mark
    word: str
    rule_id: str
    truth: str
    line: str
    at_s: float
    count: int = 1

    @property
    def kind(self) -> tuple[str, ...]:
        """Return what it has in common with others of its kind."""
        return (self.who.split(" ")[0], str(self.mark), self.word, self.rule_id, self.truth)


@dataclass(slots=True)
class Tally:
    """The count over some countries."""

    countries: int = 0
    free: int = 0
    device_days: float = 0.0
    processor_s: float = 0.0
    """What playing them took of a processor."""
    devices: list[int] = field(default_factory=list)
    rounds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By what was so for the device, and by the word."""
    marks: Counter[Mark] = field(default_factory=Counter)
    country: Counter[tuple[str, str]] = field(default_factory=Counter)
    country_marks: Counter[Mark] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    delays_s: dict[str, list[float]] = field(default_factory=dict)
    """From when something began to the first right word on it, by what it was and who said it."""
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add the count over other countries."""
        self.countries += other.countries
        self.free += other.free
        self.device_days += other.device_days
        self.processor_s += other.processor_s
        self.devices += other.devices
        self.rounds.update(other.rounds)
        self.marks.update(other.marks)
        self.country.update(other.country)
        self.country_marks.update(other.country_marks)
        self.findings += other.findings
        self.missed.update(other.missed)
        for name, delays in other.delays_s.items():
            self.delays_s.setdefault(name, []).extend(delays)

    @property
    def accused(self) -> frozenset[int]:
        """The seeds of countries in which somebody was accused falsely."""
        return frozenset(one.seed for one in self.findings if one.mark is Mark.ACCUSES)

    @property
    def comforted(self) -> frozenset[int]:
        """The seeds of countries in which a cut was called well."""
        return frozenset(one.seed for one in self.findings if one.mark is Mark.COMFORTS)


def tally_of(truth: Truth, story: Story) -> Tally:
    """Return the count over one country."""
    tally = Tally(
        countries=1,
        free=int(truth.is_free),
        device_days=len(truth.homes) * truth.hours / 24,
        devices=[len(truth.homes)],
    )
    found = _Findings(truth.seed)
    hosts = Hosts(load(truth.plan)).of_target
    lines = {one.number: one.line for one in truth.homes}
    for spoken in story.rounds:
        home, span = spoken.home, (spoken.since_s, spoken.until_s)
        name = truth_name(truth, home, *span)
        mark = device_mark(truth, home, spoken.verdict, *span)
        tally.rounds[name, spoken.verdict] += 1
        tally.marks[mark] += 1
        at = _Place(truth=name, line=lines[home], at_s=spoken.since_s)
        found.note(f"device {home}", mark, spoken.verdict, spoken.rule_id, at)
        for target, word, rule_id in spoken.targets:
            host = hosts.get(target, target)
            of_site = site_mark(truth, home, host, word, since_s=spoken.since_s, until_s=spoken.until_s)
            found.note(f"site {target} at {home}", of_site, word, rule_id, at)
    for said in story.country:
        if said.at_s < _FIRST_S:
            continue
        mark = country_mark(truth, said.verdict, said.at_s)
        name = _country_truth(truth, said.at_s)
        tally.country[name, said.verdict] += 1
        tally.country_marks[mark] += 1
        found.note("country", mark, said.verdict, said.rule_id, _Place(truth=name, line="", at_s=said.at_s))
    tally.findings = list(found.known.values())
    _time(tally, truth, story)
    return tally


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    truth: str
    line: str
    at_s: float


class _Findings:
    """What was false in one country, each kind of each speaker once, with how often it was said."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.known: dict[tuple[str, ...], Finding] = {}

    def note(self, who: str, mark: Mark, word: str, rule_id: str, at: _Place) -> None:
        """Take note of what was said, if it was false."""
        if mark not in FALSE and mark is not Mark.WRONG_KIND:
            return
        one = Finding(
            seed=self._seed,
            who=who,
            mark=mark,
            word=word,
            rule_id=rule_id,
            truth=at.truth,
            line=at.line,
            at_s=at.at_s,
        )
        key = (*one.kind, who)
        before = self.known.get(key)
        self.known[key] = one if before is None else replace(before, count=before.count + 1)


def _country_truth(truth: Truth, at_s: float) -> str:
    """Return what was so in the country at a moment, in a word for the table."""
    now = truth.on(at_s, at_s + 0.001)
    gravest = [one for one in now if one.ill not in FAULTS] or list(now)
    return min((f"{one.ill} ({one.scope})" for one in gravest), default="well")


def _time(tally: Tally, truth: Truth, story: Story) -> None:
    """Note how soon each thing that a device has a word for was said first, and what never was."""
    for wrong in truth.wrongs:
        if wrong.ill in (Ill.POWER_CUT, Ill.COLLECTOR_DOWN, Ill.MTU_HOLE, Ill.ANCHOR_DOWN):
            continue
        homes = wrong.homes or frozenset(one.number for one in truth.homes)
        for home in sorted(homes):
            spoken = [
                one
                for one in story.rounds
                if one.home == home and one.until_s > wrong.since_s and one.since_s < wrong.until_s
            ]
            first_s = next(
                (
                    one.until_s
                    for one in spoken
                    if one.verdict not in ("ok", "inconclusive")
                    and device_mark(truth, home, one.verdict, wrong.since_s, wrong.since_s) is Mark.RIGHT
                ),
                None,
            )
            if first_s is None:
                tally.missed[str(wrong.ill)] += 1
            else:
                tally.delays_s.setdefault(str(wrong.ill), []).append(first_s - wrong.since_s)


def report(tally: Tally, *, took_s: float, workers: int) -> Iterator[str]:
    """Yield what there is to say of a count, line by line."""
    hours = max(took_s, 1e-9) / 3600
    yield (
        f"{tally.countries} countries, {tally.free} of them free; {tally.device_days:.0f} device-days, median "
        f"{median(tally.devices or [0]):.0f} devices; {took_s:.0f} s on {workers} processes: {tally.countries / hours:.0f} an hour"
    )
    each_s = tally.processor_s / max(1, tally.countries)
    if each_s:
        yield f"{each_s:.0f} s of a processor a country: {2 * 3600 / each_s:.0f} an hour on two that do nothing else"
    yield "devices' words by truth:"
    yield from _table(tally.rounds)
    yield "the country's words by truth (judgings):"
    yield from _table(tally.country)
    for name, marks in (("devices", tally.marks), ("country", tally.country_marks)):
        total = sum(marks.values()) or 1
        yield f"{name}: " + ", ".join(
            f"{mark} {marks[mark]} ({marks[mark] / total:.2%})" for mark in Mark if marks[mark]
        )
    for ill in sorted(tally.delays_s.keys() | tally.missed.keys()):
        delays = sorted(tally.delays_s.get(ill, ()))
        told = f"median {median(delays):.0f} s, longest {delays[-1]:.0f} s" if delays else "never"
        yield f"time to a device's right word, {ill}: {told} ({len(delays)} said, {tally.missed[ill]} never)"
    bound = 3 / tally.countries if tally.countries else 1.0
    yield (
        f"countries with a false accusation: {len(tally.accused)}, with false comfort: {len(tally.comforted)} of {tally.countries}"
        f" (0 in n would mean below {bound:.2%})"
    )
    yield from _kinds(tally.findings)


def _table(counted: Counter[tuple[str, str]]) -> Iterator[str]:
    for truth in sorted({one for one, _ in counted}):
        words = Counter({word: count for (name, word), count in counted.items() if name == truth})
        yield f"  {truth:28s} " + ", ".join(f"{word} {count}" for word, count in words.most_common())


def _kinds(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield each kind of false verdict with some of the seeds that show it."""
    kinds: dict[tuple[str, ...], list[Finding]] = {}
    for one in findings:
        kinds.setdefault(one.kind, []).append(one)
    for kind, those in sorted(kinds.items(), key=lambda item: (-len({one.seed for one in item[1]}), item[0]))[
        :_SHOWN
    ]:
        who, mark, word, rule_id, truth = kind
        seeds = sorted({one.seed for one in those})
        lines = Counter(one.line for one in those if one.line)
        on = f" on {', '.join(f'{line} {count}' for line, count in lines.most_common(4))}" if lines else ""
        first = those[0]
        yield (
            f"{mark}: {who} says {word} ({rule_id}) where the truth is {truth}{on}: {sum(one.count for one in those)} times "
            f"in {len(seeds)} countries; seeds {', '.join(map(str, seeds[:8]))}; first {first.who} at {clock(first.at_s)} of {first.seed}"
        )
