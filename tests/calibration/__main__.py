"""Countries in virtual time held against namespaces: the same drawn cases both ways, and where they disagree.

    python -m tests.calibration --cases N --seed S [--at-once W] [--folder DIR] [--minutes M]

Each case is one device on one line for up to three rounds. What was played stays in the folder, and is not played again: the
same command goes on where it was ended. Prints progress, counts, and the table of disagreements. Needs namespaces, as
`python -m tests.nation` does.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.calibration.cases import drawn
from tests.calibration.many import Played, played
from tests.calibration.report import report


def main(arguments: Sequence[str]) -> int:
    """Play what is asked for, and print what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.calibration", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--cases", type=int, default=100, help="how many (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first; the others follow it (%(default)s)"
    )
    parser.add_argument("--at-once", type=int, default=5, help="how many side by side (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, help="where what was played stays (calibration-SEED among the temporary files)"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="end with the case that ends after this"
    )
    options = parser.parse_args(arguments)
    folder = options.folder or Path(tempfile.gettempdir(), f"calibration-{options.seed}")
    began_s = time.monotonic()
    found: list[Played] = []
    cases = drawn(options.seed, options.cases)
    for number, one in enumerate(played(cases, folder, at_once=options.at_once), start=1):
        took_s = time.monotonic() - began_s
        if isinstance(one, Played):
            found.append(one)
            differs = sorted({each.what for each in one.disagreements})
            said = f"differs in {', '.join(differs)}" if differs else "agrees"
        else:
            said = f"not played, {one.why}"
        print(f"[{number}/{options.cases}, {took_s:.0f} s] case {one.case.seed}: {said}", flush=True)
        if took_s > 60 * options.minutes:
            break
    for line in report(found):
        print(line)
    return 0 if len(found) == options.cases else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
