"""What was said of many made lines, counted beside what is true of them, and printed beside the goals."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from firmware.judgement.throttling.findings import Answer
from firmware.judgement.throttling.sizes import CLEAN_MOST_BYTES, CONFIRMATION_MOST_BYTES
from tests.throttling.drawing import INNOCENT
from tests.throttling.playing import Played
from tests.throttling.truth import (
    ACCUSES,
    COMFORTS,
    factor,
    is_false_accusation,
    is_false_comfort,
    slowed_rate,
    why_untold,
)

BANDS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 1e9)


@dataclass(slots=True)
class Tally:
    """Counts over made lines."""

    answers: Counter[tuple[str, Answer]] = field(default_factory=Counter)
    whys: Counter[tuple[str, str]] = field(default_factory=Counter)
    false: list[tuple[str, int]] = field(default_factory=list)
    denied: int = 0
    missed: list[tuple[str, int, Answer]] = field(default_factory=list)
    bands: Counter[tuple[float, bool, str]] = field(default_factory=Counter)
    untold: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: dict[str, list[float]] = field(default_factory=lambda: {"shaper": [], "policer": []})
    covered: Counter[tuple[str, bool]] = field(default_factory=Counter)
    without_rate: Counter[str] = field(default_factory=Counter)
    bytes: dict[str, list[int]] = field(default_factory=dict)
    clean_test_bytes: int = 0
    test_bytes: int = 0
    accused_tests: Counter[str] = field(default_factory=Counter)
    tests: Counter[str] = field(default_factory=Counter)

    def add(self, played: Played) -> None:
        """Count one line."""
        made, answer = played.made, played.answer
        self.answers[made.kind, answer] += 1
        why = played.found[-1].why
        if answer is Answer.INCONCLUSIVE and why is not None:
            self.whys[made.kind, str(why)] += 1
        self.bytes.setdefault(made.kind, []).append(played.cost_bytes)
        for one in played.found:
            self.test_bytes = max(self.test_bytes, one.cost_bytes)
            if one.answer is Answer.CLEAN:
                self.clean_test_bytes = max(self.clean_test_bytes, one.cost_bytes)
            self.tests[made.kind] += 1
            self.accused_tests[made.kind] += one.answer in ACCUSES
        if is_false_accusation(made, answer):
            self.false.append((made.kind, made.seed))
        if made.kind.startswith("targeted") or made.kind == "freezing":
            self._targeted(played)

    def _targeted(self, played: Played) -> None:
        made, answer = played.made, played.answer
        why = why_untold(made)
        self.denied += is_false_comfort(made, played.found[-1])
        band = max(one for one in BANDS if one <= max(1.0, factor(made)))
        what = "found" if answer in ACCUSES else "comforted" if answer in COMFORTS else "inconclusive"
        if made.kind != "freezing":
            self.bands[band, why is None, what] += 1
        if why is not None:
            self.untold[str(why), what] += 1
            return
        if what != "found":
            self.missed.append((made.kind, made.seed, answer))
            return
        if made.kind == "freezing" or made.throttle is None:
            return
        estimate, kind = (
            played.found[-1].suspect_bytes_per_s,
            "policer" if made.throttle.polices else "shaper",
        )
        if estimate is None:
            self.without_rate[kind] += 1
            return
        true = slowed_rate(made)
        self.errors[kind].append(estimate.value / true - 1)
        self.covered[kind, estimate.low <= true <= estimate.high] += 1

    def inside(self) -> tuple[int, int]:
        """Return how many slow-downs inside the region were found, and how many there were."""
        counted = [(what, count) for (_, inside, what), count in self.bands.items() if inside]
        return sum(count for what, count in counted if what == "found"), sum(count for _, count in counted)


def upper_bound(found: int, tried: int, *, sure: float = 0.95) -> float:
    """Return the one-sided upper bound on a share, exact (Clopper and Pearson), by halving."""
    low, high = found / max(tried, 1), 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(found, tried, middle) > 1 - sure else (low, middle)
    return high


def _at_most(found: int, tried: int, share: float) -> float:
    term, total = (1 - share) ** tried, 0.0
    for number in range(found + 1):
        total += term
        term *= (tried - number) / (number + 1) * share / max(1 - share, 1e-300)
    return total


def report(tally: Tally) -> Iterator[str]:
    """Yield the lines of a report."""
    kinds = dict.fromkeys(kind for kind, _ in tally.answers)
    yield f"{'kind':20} {'lines':>6} " + " ".join(f"{one:>12}" for one in Answer) + "   median kB  <=300 kB"
    for kind in kinds:
        lines = sum(tally.answers[kind, one] for one in Answer)
        costs = sorted(tally.bytes[kind])
        within = sum(one <= CLEAN_MOST_BYTES for one in costs) / lines
        counts = " ".join(f"{tally.answers[kind, one]:12}" for one in Answer)
        yield f"{kind:20} {lines:6} {counts}   {costs[lines // 2] / 1000:9.0f}  {within:8.1%}"
    yield ""
    yield from _false_alarms(tally, kinds)
    yield ""
    yield from _detection(tally)
    yield ""
    yield from _rates(tally)
    yield (
        f"most bytes of a test that ended clean: {tally.clean_test_bytes} (goal: at most {CLEAN_MOST_BYTES}); "
        f"of any test: {tally.test_bytes} (at most {CONFIRMATION_MOST_BYTES})"
    )


def _false_alarms(tally: Tally, kinds: dict[str, None]) -> Iterator[str]:
    innocent = [kind for kind in kinds if kind in INNOCENT]
    lines = sum(count for (kind, _), count in tally.answers.items() if kind in innocent)
    false = [one for one in tally.false if one[0] in innocent]
    if lines:
        yield (
            f"false accusations of innocent lines: {len(false)} of {lines}, below {upper_bound(len(false), lines):.3%} "
            f"with 95 % (goal: 0)  {false[:8]}"
        )
        accused, tests = (sum(one[kind] for kind in innocent) for one in (tally.accused_tests, tally.tests))
        yield f"single tests of innocent lines that said slower: {accused} of {tests} (before any confirmation)"
    others = [one for one in tally.false if one[0] not in innocent]
    yield f"lines slowed as a whole, or by an allow-list, that were called targeted: {len(others)} (goal: 0)  {others[:8]}"


def _detection(tally: Tally) -> Iterator[str]:
    yield f"{'slow-down':>12}  {'inside: found':>14} {'inconclusive':>13} {'comforted':>10}   {'outside: found':>14} {'inconclusive':>13} {'comforted':>10}"
    for low, high in pairwise(BANDS):
        cells = [
            tally.bands[low, inside, what]
            for inside in (True, False)
            for what in ("found", "inconclusive", "comforted")
        ]
        label = f"{low:g}-{high:g}x" if high < 1e9 else f">= {low:g}x"
        yield f"{label:>12}  {cells[0]:14} {cells[1]:13} {cells[2]:10}   {cells[3]:14} {cells[4]:13} {cells[5]:10}"
    found, tried = tally.inside()
    if tried:
        yield f"inside the detectable region: {found} of {tried} found, {found / tried:.2%} (goal: 99 %)  missed: {tally.missed[:10]}"
    yield f"lines called clean or alike of slow-downs that are there, inside the region or outside: {tally.denied} of {sum(tally.bands.values())}"
    yield "outside, by why: " + ", ".join(
        f"{why} {what} {count}" for (why, what), count in sorted(tally.untold.items())
    )
    yield "inconclusive, by why: " + ", ".join(
        f"{kind} {why} {count}" for (kind, why), count in sorted(tally.whys.items())
    )


def _rates(tally: Tally) -> Iterator[str]:
    for kind, errors in tally.errors.items():
        if errors:
            ordered = sorted(abs(one) for one in errors)
            within = sum(one <= 0.05 for one in ordered) / len(ordered)
            yield (
                f"rate, {kind}s: {len(errors)} told, {tally.without_rate[kind]} not (not converged); within 5 % {within:.1%}, median error "
                f"{ordered[len(ordered) // 2]:.2%}, 95th percentile {ordered[int(0.95 * (len(ordered) - 1))]:.1%}; the 95 % interval "
                f"covers {tally.covered[kind, True] / len(errors):.1%} (goal: 93 %)"
            )
