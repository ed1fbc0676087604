"""Made countries in virtual time, drawn from seeds, and what is said of them against what is true.

    python -m tests.country --countries N --seed S [--hours H] [--workers W] [--minutes M]
    python -m tests.country --seed X --countries 1 --show
    python -m tests.country --seed X --shrink

Prints progress, the table of truths and words, every kind of false verdict with seeds that show it, how soon what was
wrong was said, and how many countries an hour. Ends with 1 where somebody was accused or comforted falsely.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence

from tests.country.draw import HOURS, draw
from tests.country.many import Asked, played
from tests.country.shrink import shrink
from tests.country.tally import Tally, report


def main(arguments: Sequence[str]) -> int:
    """Play what is asked for, and print what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.country", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--countries", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the first country; the others follow it")
    parser.add_argument("--hours", type=float, default=HOURS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="end with the country that ends after this"
    )
    parser.add_argument("--show", action="store_true", help="print the truth, and every change of a verdict")
    parser.add_argument("--shrink", action="store_true", help="look for a smaller truth that shows the same")
    options = parser.parse_args(arguments)
    began_s = time.monotonic()
    if options.shrink:
        for line in shrink(draw(options.seed, hours=options.hours)):
            print(line, flush=True)
        return 0
    total = Tally()
    asked = [
        Asked(seed=options.seed + number, hours=options.hours, show=options.show)
        for number in range(options.countries)
    ]
    workers = 1 if options.show else max(1, min(options.workers, options.countries))
    for number, (seed, tally) in enumerate(played(asked, workers=workers), start=1):
        total.add(tally)
        false = {f"{one.who}: {one.word} in {one.truth}" for one in tally.findings}
        took_s = time.monotonic() - began_s
        print(
            f"{number} of {len(asked)}, {took_s:.0f} s: seed {seed}, {'; '.join(sorted(false)[:3]) or 'nothing false'}",
            flush=True,
        )
        if took_s > 60 * options.minutes:
            break
    for line in report(total, took_s=time.monotonic() - began_s, workers=workers):
        print(line)
    return 1 if total.accused or total.comforted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
