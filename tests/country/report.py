"""What there is to say of a count over countries, line by line. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Final

from tests.country.causes import NAMES
from tests.country.oracle import Mark
from tests.country.tally import Finding, Tally
from tests.country.truth import clock

_SHOWN: Final = 80


def report(tally: Tally, *, took_s: float = 0.0, workers: int = 1) -> Iterator[str]:
    """Yield the report. With `took_s`, how many countries an hour that is on `workers` processes."""
    pace = (
        f"; {took_s:.0f} s on {workers} processes: {tally.countries / took_s * 3600:.0f} an hour"
        if took_s
        else ""
    )
    yield (
        f"{tally.countries} countries, {tally.free} of them free; {tally.device_days:.0f} device-days, median "
        f"{_median(tally.devices):.0f} devices, {_median(tally.networks):.0f} networks, {_median(tally.hours):.1f} h{pace}"
    )
    each_s = tally.processor_s / max(1, tally.countries)
    if each_s:
        yield f"{each_s:.0f} s of a processor a country: {2 * 3600 / each_s:.0f} an hour on two that do nothing else"
    yield "kinds: " + ", ".join(f"{name} {count}" for name, count in sorted(tally.kinds.items()))
    yield "devices' words by truth:"
    yield from _table(tally.rounds)
    yield "the country's words by truth (judgings):"
    yield from _table(tally.country)
    spoken = (
        ("devices", tally.marks),
        ("country", tally.country_marks),
        ("country, said later of earlier moments", tally.later_marks),
    )
    for name, marks in spoken:
        total = sum(marks.values()) or 1
        yield f"{name}: " + ", ".join(
            f"{mark} {marks[mark]} ({marks[mark] / total:.2%})" for mark in map(str, Mark) if marks[mark]
        )
    wrong = [f"{who} {count}" for who, count in sorted(tally.wrong_particulars.items())]
    yield f"right words with a wrong time, or of a wrong group: {', '.join(wrong) or 'none'}"
    yield from _detection(tally)
    yield from _inconclusive(tally)
    yield from _bounds(tally)
    yield from _causes(tally.findings)
    yield from _kinds(tally.findings)


def _median(values: Iterable[float]) -> float:
    return median([*values] or [0.0])


def _table(counted: Counter[tuple[str, str]]) -> Iterator[str]:
    for truth in sorted({one for one, _ in counted}):
        words = Counter({word: count for (name, word), count in counted.items() if name == truth})
        yield f"  {truth:28s} " + ", ".join(f"{word} {count}" for word, count in words.most_common())


def _detection(tally: Tally) -> Iterator[str]:
    yield "what must be said, by whom: in time, and how soon"
    for name in sorted(tally.due):
        delays = sorted(tally.delays_s.get(name, ()))
        total, missed = tally.due[name], tally.missed[name]
        told = f"median {median(delays):.0f} s, worst {delays[-1]:.0f} s" if delays else "never"
        later = tally.told_later[name]
        more = f"; {later} more once the homes had told" if later else ""
        yield f"  {name:44s} {total - missed} of {total} ({(total - missed) / total:.0%}); {told}{more}"


def _inconclusive(tally: Tally) -> Iterator[str]:
    total, unsure = (
        sum(tally.clear.values()),
        sum(n for (_, told), n in tally.clear.items() if told == "inconclusive"),
    )
    yield f"clear cases: {total} rounds, {unsure} of them inconclusive ({unsure / max(1, total):.2%})"
    for truth in sorted({one for one, _ in tally.clear}):
        of = tally.clear[truth, "inconclusive"]
        if of:
            yield f"  {truth:28s} {of} of {of + tally.clear[truth, 'told']}"


def _bounds(tally: Tally) -> Iterator[str]:
    """Yield in how many countries somebody was accused or comforted falsely. A country is one trial: none in n is below 3/n."""
    free = frozenset(tally.free_seeds)
    censored = tally.countries - tally.free
    for what, seeds in (("a false accusation", tally.accused), ("false comfort", tally.comforted)):
        parts = [
            f"{len(of)} of {count} {name}" + (f" (below {3 / count:.2%})" if count and not of else "")
            for name, count, of in (("free", tally.free, seeds & free), ("censored", censored, seeds - free))
        ]
        yield f"countries with {what}: {', '.join(parts)}"


def _causes(findings: Iterable[Finding]) -> Iterator[str]:
    seeds: dict[str, set[int]] = {}
    for one in findings:
        seeds.setdefault(one.cause, set()).add(one.seed)
    yield f"causes found: {len(seeds.keys() - {''})}"
    for cause in sorted(seeds, key=lambda one: int(one or "99")):
        shown = ", ".join(map(str, sorted(seeds[cause])[:12]))
        yield f"  {cause or 'none of them':>4s} {NAMES.get(cause, '')}: {len(seeds[cause])} countries; seeds {shown}"


def _kinds(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield each kind of false or missing verdict with some of the seeds that show it."""
    kinds: dict[tuple[str, ...], list[Finding]] = {}
    for one in findings:
        kinds.setdefault((*one.kind, one.cause), []).append(one)
    ordered = sorted(kinds.items(), key=lambda item: (-len({one.seed for one in item[1]}), item[0]))
    for (who, mark, word, rule_id, truth, cause), those in ordered[:_SHOWN]:
        seeds = sorted({one.seed for one in those})
        lines = Counter(one.line for one in those if one.line)
        on = f" on {', '.join(f'{line} {count}' for line, count in lines.most_common(4))}" if lines else ""
        first = those[0]
        by = f" ({rule_id})" if rule_id else ""
        yield (
            f"{mark}: {who} {word}{by} where the truth is {truth}{on}{f' [{cause}]' if cause else ''}: "
            f"{sum(one.count for one in those)} times in {len(seeds)} countries; seeds {', '.join(map(str, seeds[:8]))}; "
            f"first {first.who} at {clock(first.at_s)} of {first.seed}"
        )
