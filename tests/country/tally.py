"""What was said of countries, counted against what was true: the table, what was false or missing, how soon, how sure.

One country is one independent trial, however many rounds its devices made. Pure.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from firmware.judgement.confidence.accusers import concluded
from firmware.model.verdict_words import VerdictWord
from firmware.plans.load import load
from tests.country.causes import Case, cause_of
from tests.country.centre import CountrySaid
from tests.country.hosts import Hosts
from tests.country.misses import HARD_LINES, Due, dues
from tests.country.oracle import FALSE, Mark, country_mark, device_mark, device_rights, site_mark, truth_name
from tests.country.particulars import are_named_so, is_time_so
from tests.country.play import RoundSpoken, Story
from tests.country.truth import FAULTS, Ill, Truth

_FIRST_S: Final = 600.0
"""Of a country's first minutes nothing is asked: its devices have hardly been heard."""
_SETTLED_S: Final = 90.0
"""A round is a clear case that long after anything began or ended."""
_WORDLESS: Final = frozenset({Ill.LINE_WORSE, Ill.LINE_FULL, Ill.MTU_HOLE, Ill.RESOLVER_LIES})
"""What makes no clear case: what a line is like then is not plain, or has no word."""
_NOT_ON_THE_LINE: Final = frozenset(
    {Ill.SERVER_DOWN, Ill.SERVER_RESETS_NAME, Ill.SERVER_REFUSES_COUNTRY, Ill.ANCHOR_DOWN, Ill.COLLECTOR_DOWN}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something false that was said, or something that was not, in one country: by whom of whom, when first, in which truth.

    `cause` is the number of the cause by what the truth held, empty where none fits.
    """

    seed: int
    who: str
    mark: Mark
    word: str
    rule_id: str
    truth: str
    line: str
    at_s: float
    cause: str = ""
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
    hours: list[float] = field(default_factory=list)
    networks: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    """How many countries of each kind."""
    free_seeds: list[int] = field(default_factory=list)
    rounds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By what was so for the device, and by the word."""
    marks: Counter[str] = field(default_factory=Counter)
    country: Counter[tuple[str, str]] = field(default_factory=Counter)
    country_marks: Counter[str] = field(default_factory=Counter)
    later_marks: Counter[str] = field(default_factory=Counter)
    """Of what was said of a country's earlier moments once more had come in."""
    wrong_particulars: Counter[str] = field(default_factory=Counter)
    """By who said it: right words with a wrong time, or of a wrong group."""
    sure: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """By who said it (device, site, country), the word, its confidence and its mark."""
    by_rule: Counter[tuple[str, str, str, str, str]] = field(default_factory=Counter)
    """By who (round, site, country), what the rule concluded, said or held back, the rule, its certainty and the mark of that."""
    clear: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rounds that are clear cases, by what was so, and by whether they were `told` or `inconclusive`."""
    findings: list[Finding] = field(default_factory=list)
    delays_s: dict[str, list[float]] = field(default_factory=dict)
    """From when something began to the first right word on it, by who said it and what it was."""
    due: Counter[str] = field(default_factory=Counter)
    """What must be said, as often as it must; `missed` of it was not said in time."""
    missed: Counter[str] = field(default_factory=Counter)
    told_later: Counter[str] = field(default_factory=Counter)
    """What of `missed` was said of its time once more had come in."""

    def add(self, other: "Tally") -> None:
        """Add the count over other countries."""
        self.countries += other.countries
        self.free += other.free
        self.device_days += other.device_days
        self.processor_s += other.processor_s
        for name in ("devices", "hours", "networks", "free_seeds", "findings"):
            getattr(self, name).extend(getattr(other, name))
        for name in (
            "kinds",
            "rounds",
            "marks",
            "country",
            "country_marks",
            "later_marks",
            "wrong_particulars",
            "sure",
            "by_rule",
            "clear",
            "due",
            "missed",
            "told_later",
        ):
            getattr(self, name).update(getattr(other, name))
        for key, delays in other.delays_s.items():
            self.delays_s.setdefault(key, []).extend(delays)

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
        free_seeds=[truth.seed] if truth.is_free else [],
        device_days=len(truth.homes) * truth.hours / 24,
        devices=[len(truth.homes)],
        hours=[truth.hours],
        networks=[len({one.provider.name for one in truth.homes})],
        kinds=Counter({truth.kind or "made": 1}),
    )
    _Count(truth, story, tally).all()
    return tally


class _Count:
    """The count over one country, on its way."""

    def __init__(self, truth: Truth, story: Story, tally: Tally) -> None:
        self._truth = truth
        self._story = story
        self._tally = tally
        self._hosts = Hosts(load(truth.plan)).of_target
        self._lines = {one.number: one.line for one in truth.homes}
        self._findings: dict[tuple[str, ...], Finding] = {}

    def all(self) -> None:
        """Count all."""
        for spoken in self._story.rounds:
            self._round(spoken)
        for said in self._story.country:
            if said.at_s < _FIRST_S:
                continue
            mark = country_mark(self._truth, said.verdict, said.at_s)
            self._tally.country[_country_truth(self._truth, said.at_s), said.verdict] += 1
            self._tally.country_marks[str(mark)] += 1
            self._tally.sure["country", said.verdict, said.confidence, str(mark)] += 1
            word = concluded(said.verdict, said.rule_id)
            self._by_rule("country", word, said.rule_id, country_mark(self._truth, word, said.at_s))
            self._country("country", said, mark)
        for said in self._story.later:
            mark = country_mark(self._truth, said.verdict, said.at_s)
            self._tally.later_marks[str(mark)] += 1
            self._country("country, later", said, mark)
        for due in dues(self._truth):
            self._due(due)
        self._tally.findings = list(self._findings.values())

    def _country(self, who: str, said: CountrySaid, mark: Mark) -> None:
        """Note what is false in what was said of the country: its word, or else since when and of whom."""
        name = _country_truth(self._truth, said.at_s)
        case = Case(self._truth, None, mark, said.verdict, since_s=said.at_s, until_s=said.at_s)
        self._note(who, case, said.rule_id, name, said.at_s)
        if mark is not Mark.RIGHT:
            return
        is_so = are_named_so(self._truth, said.rule_id, said.where, said.at_s)
        if said.since_s is not None:
            is_so &= is_time_so(
                self._truth, said.verdict, said.at_s, since_s=said.since_s, error_s=said.error_s
            )
        if not is_so:
            self._tally.wrong_particulars[who] += 1
            case = Case(
                self._truth,
                None,
                Mark.WRONG_PARTICULARS,
                said.verdict,
                since_s=said.at_s,
                until_s=said.at_s,
            )
            self._note(who, case, said.rule_id, name, said.at_s)

    def _round(self, spoken: RoundSpoken) -> None:
        truth, home, span = self._truth, spoken.home, (spoken.since_s, spoken.until_s)
        name = truth_name(truth, home, *span)
        mark = device_mark(truth, home, spoken.verdict, *span)
        self._tally.rounds[name, spoken.verdict] += 1
        self._tally.marks[str(mark)] += 1
        self._tally.sure["device", spoken.verdict, spoken.confidence, str(mark)] += 1
        found = concluded(spoken.verdict, spoken.rule_id)
        self._by_rule("round", found, spoken.rule_id, device_mark(truth, home, found, *span))
        if self._is_clear(spoken):
            told = "inconclusive" if spoken.verdict == VerdictWord.INCONCLUSIVE else "told"
            self._tally.clear[name, told] += 1
        case = Case(truth, home, mark, spoken.verdict, since_s=span[0], until_s=span[1])
        self._note(f"device {home}", case, spoken.rule_id, name, span[0])
        for target, word, rule_id, confidence in spoken.targets:
            host = self._hosts.get(target, target)
            of_site = site_mark(truth, home, host, word, since_s=span[0], until_s=span[1])
            self._tally.sure["site", word, confidence, str(of_site)] += 1
            found = concluded(word, rule_id)
            found_mark = site_mark(truth, home, host, found, since_s=span[0], until_s=span[1])
            self._by_rule("site", found, rule_id, found_mark, confidence)
            if confidence != "low":
                case = Case(truth, home, of_site, word, since_s=span[0], until_s=span[1], host=host)
                self._note(f"site {target} at {home}", case, rule_id, name, span[0])

    def _by_rule(self, speaker: str, word: str, rule_id: str, mark: Mark, certainty: str = "") -> None:
        """Count what a rule concluded, said or held back."""
        self._tally.by_rule[speaker, word, rule_id, certainty, str(mark)] += 1

    def _is_clear(self, spoken: RoundSpoken) -> bool:
        """Return whether all is plain: a line that is easy to measure on, and one thing at most that bears on it, for a while."""
        if self._lines[spoken.home] in HARD_LINES:
            return False
        from_s, until_s = spoken.since_s - _SETTLED_S, spoken.until_s
        on = [
            one
            for one in self._truth.on(from_s, until_s + 1)
            if (not one.homes or spoken.home in one.homes) and one.ill not in _NOT_ON_THE_LINE
        ]
        if any(one.since_s > from_s or one.until_s <= until_s or one.ill in _WORDLESS for one in on):
            return False
        rights = device_rights(self._truth, spoken.home, spoken.until_s)
        return bool(rights) and len({one.ill for one in on}) <= 1

    def _note(self, who: str, case: Case, rule_id: str, truth: str, at_s: float) -> None:
        """Take note of what was said, if it was false: each kind of each speaker once, with how often it was said."""
        if case.mark not in FALSE | {Mark.WRONG_KIND, Mark.WRONG_PARTICULARS, Mark.MISSED}:
            return
        one = Finding(
            seed=self._truth.seed,
            who=who,
            mark=case.mark,
            word=case.word,
            rule_id=rule_id,
            truth=truth,
            line="" if case.home is None else self._lines[case.home],
            at_s=at_s,
            cause=cause_of(case),
        )
        key = (*one.kind, who, one.cause)
        before = self._findings.get(key)
        self._findings[key] = one if before is None else replace(before, count=before.count + 1)

    def _due(self, due: Due) -> None:
        """Note how soon what must be said was said first, or that it never was."""
        said = self._said_in_country(due) if due.home is None else self._said_at_home(due)
        first_s = min(said, default=None)
        who = "country" if due.home is None else "site" if due.host else "device"
        name = f"{who}: {due.truth}"
        self._tally.due[name] += 1
        if first_s is not None:
            self._tally.delays_s.setdefault(name, []).append(first_s - due.since_s)
        if first_s is not None and first_s <= due.by_s:
            return
        self._tally.missed[name] += 1
        later = (one for one in self._story.later if due.since_s <= one.at_s and one.verdict in due.words)
        self._tally.told_later[name] += due.home is None and any(later)
        case = Case(
            self._truth,
            due.home,
            Mark.MISSED,
            " or ".join(sorted(due.words)),
            since_s=due.since_s,
            until_s=due.by_s,
            host=due.host,
        )
        told = (
            who
            if due.home is None
            else f"site {due.host} at {due.home}"
            if due.host
            else f"device {due.home}"
        )
        self._note(told, case, "", due.truth, due.since_s)

    def _said_in_country(self, due: Due) -> Iterable[float]:
        return (
            one.at_s for one in self._story.country if one.at_s >= due.since_s and one.verdict in due.words
        )

    def _said_at_home(self, due: Due) -> Iterable[float]:
        for one in self._story.rounds:
            if one.home != due.home or one.until_s < due.since_s:
                continue
            words = [one.verdict]
            if due.host:
                words = [
                    word
                    for target, word, _, confidence in one.targets
                    if confidence != "low" and self._hosts.get(target, target) == due.host
                ]
            if due.words & set(words):
                yield one.until_s


def _country_truth(truth: Truth, at_s: float) -> str:
    """Return what was so in the country at a moment, in a word for the table."""
    now = truth.on(at_s, at_s + 0.001)
    gravest = [one for one in now if one.ill not in FAULTS] or list(now)
    return min((f"{one.ill} ({one.scope})" for one in gravest), default="well")
