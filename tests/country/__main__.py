"""Made countries in virtual time, drawn from seeds, and what is said of them against what is true.

    python -m tests.country --countries N --seed S [--hours H] [--workers W] [--minutes M] [--resume FILE] [--only KIND]
    python -m tests.country --seed X --countries 1 --show
    python -m tests.country --seed X --shrink [--keep FILE]
    python -m tests.country --report FILE
    python -m tests.country --calibrate FILE [--out FOLDER]

Prints progress; then how many countries of which kinds, the table of truths and words, what was said too late or never and how
soon the rest, the bounds, causes and kinds of what was false, with seeds. With `--resume` each country's count is added to a
file, and those that are in it already are not played again. With `--calibrate` the table of numbers, its page and its
picture are made of such a file. Ends with 1 where somebody was accused or comforted falsely.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from firmware.judgement import confidence
from firmware.judgement.confidence.table import to_text
from tests.country import results
from tests.country.calibrate import calibrated
from tests.country.diagram import page, picture
from tests.country.draw import HOURS, MOST_HOMES, draw
from tests.country.many import Asked, played
from tests.country.report import report
from tests.country.shrink import shrink
from tests.country.tally import Tally
from tests.needs import ROOT

TABLE: Final = Path(confidence.__file__).with_name("table.json")
PAGES: Final = ROOT / "docs" / "explanation"


def main(arguments: Sequence[str]) -> int:
    """Play what is asked for, and print what came of it."""
    options = _options(arguments)
    if options.report is not None:
        return _told(_total(options.report))
    if options.calibrate is not None:
        return _calibrate(options.calibrate, options.out)
    if options.shrink:
        truth = draw(options.seed, hours=options.hours, only=options.only, most_homes=options.homes)
        lines = []
        for line in shrink(truth):
            lines.append(line)
            print(line, flush=True)
        if options.keep is not None:
            options.keep.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return 0
    return _play(options)


def _play(options: argparse.Namespace) -> int:
    began_s = time.monotonic()
    before = [] if options.resume is None else list(results.read(options.resume, of=results.rules()))
    total = Tally()
    for _, tally in before:
        total.add(tally)
    known = {asked for asked, _ in before}
    seeds = range(options.seed, options.seed + options.countries)
    asked = [
        Asked(
            seed=seed,
            hours=options.hours,
            show=options.show,
            only=tuple(options.only),
            most_homes=options.homes,
        )
        for seed in seeds
        if (seed, options.hours, options.homes) not in known
    ]
    if known:
        print(f"{len(known)} countries are in {options.resume}; {len(asked)} are played", flush=True)
    workers = 1 if options.show else max(1, min(options.workers, len(asked)))
    for number, (seed, tally) in enumerate(played(asked, workers=workers), start=1):
        total.add(tally)
        if options.resume is not None:
            results.append(options.resume, results.to_line((seed, options.hours, options.homes), tally))
        took_s = time.monotonic() - began_s
        false = sorted(
            {f"{one.mark}: {one.who.split(' ')[0]} {one.word} in {one.truth}" for one in tally.findings}
        )
        print(
            f"{number} of {len(asked)}, {took_s:.0f} s: seed {seed}, {'; '.join(tally.kinds)}: "
            f"{'; '.join(false[:3]) or 'nothing false'}{f' and {len(false) - 3} more' if len(false) > 3 else ''}",
            flush=True,
        )
        if took_s > 60 * options.minutes:
            break
    return _told(total, took_s=0.0 if known else time.monotonic() - began_s, workers=workers)


def _calibrate(path: Path, out: Path) -> int:
    """Write the table that ships, its page and its picture, from a file of countries."""
    played_before = list(results.read(path))
    others = len(played_before) - len(list(results.read(path, of=results.rules())))
    if others:
        print(
            f"{others} of {len(played_before)} countries are of other rules than this checkout's, and count"
        )
    source = results.described(asked for asked, _ in played_before)
    found = calibrated([tally for _, tally in played_before], source)
    TABLE.write_text(to_text(found.table), encoding="utf-8")
    (out / "confidence.md").write_text(page(found), encoding="utf-8")
    (out / "reliability.svg").write_text(picture(found), encoding="utf-8")
    for said, number in sorted(found.table.numbers.items(), key=lambda one: one[1]):
        count = found.table.counts[said]
        print(
            f"{number:.4f}  {said.speaker} {said.word} ({said.rule_id}{', ' * bool(said.certainty)}{said.certainty}): "
            f"{count.false} false in {count.countries}"
        )
    return 0


def _total(path: Path | None) -> Tally:
    total = Tally()
    for _, tally in () if path is None else results.read(path):
        total.add(tally)
    return total


def _told(total: Tally, *, took_s: float = 0.0, workers: int = 1) -> int:
    for line in report(total, took_s=took_s, workers=workers):
        print(line)
    return 1 if total.accused or total.comforted else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.country", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--countries", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the first country; the others follow it")
    parser.add_argument("--homes", type=int, default=MOST_HOMES, help="no country has more devices than this")
    parser.add_argument("--hours", type=float, default=HOURS)
    parser.add_argument(
        "--only", action="append", default=[], metavar="KIND", help="countries of this kind alone"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="end with the country that ends after this"
    )
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="add each count to a file, and go on from what is in it"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="print what a file holds, and play nothing"
    )
    parser.add_argument(
        "--calibrate", type=Path, metavar="FILE", help="make the table of numbers of what a file holds"
    )
    parser.add_argument("--out", type=Path, default=PAGES, help="where its page and picture go")
    parser.add_argument("--show", action="store_true", help="print the truth, and every change of a verdict")
    parser.add_argument("--shrink", action="store_true", help="look for a smaller truth that shows the same")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write down what was made small")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
