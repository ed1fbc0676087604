"""Paired runs on made lines, and what they say against what is true.

    python -m tests.throttling [--lines N] [--seed S] [--kind KIND ...] [--fault NAME] [--workers W]
    python -m tests.throttling --show SEED --kind KIND
    python -m tests.throttling --map [--out FILE]

Prints progress after every two thousand lines, then answers by kind, false accusations with their bound, what was found by slow-down
inside and outside the detectable region, rates and their intervals, and bytes, beside the goals. With `--fault` a fault is put
into the rules first, which must be found. With `--map` it draws the detectable region. Ends with 1 where somebody was accused falsely.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from tests.needs import ROOT
from tests.throttling.drawing import KINDS, draw
from tests.throttling.faults import FAULTS, fault
from tests.throttling.playing import Played, play
from tests.throttling.region_map import picture
from tests.throttling.tally import Tally, report

MAP: Final = ROOT / "docs" / "explanation" / "throttling.svg"
EVERY: Final = 2000


def main(arguments: Sequence[str]) -> int:
    """Do what is asked for."""
    options = _options(arguments)
    if options.map:
        options.out.write_text(picture(), encoding="utf-8")
        return 0
    if options.show is not None:
        for kind in options.kind:
            _show(options.show, kind)
        return 0
    began_s, tally = time.monotonic(), Tally()
    for number, played in enumerate(_played(options), start=1):
        tally.add(played)
        if number % EVERY == 0:
            false = len(tally.false)
            print(
                f"{number} of {options.lines}, {time.monotonic() - began_s:.0f} s: {false} false", flush=True
            )
    print("\n".join(report(tally)))
    return 1 if tally.false else 0


def _played(options: argparse.Namespace) -> Iterator[Played]:
    kinds = options.kind or list(KINDS)
    asked = [
        (options.seed + number // len(kinds), kinds[number % len(kinds)]) for number in range(options.lines)
    ]
    play_one = partial(_play, options.fault)
    if options.workers <= 1:
        yield from map(play_one, asked)
        return
    with ProcessPoolExecutor(options.workers) as pool:
        yield from pool.map(play_one, asked, chunksize=50)


def _play(name: str | None, asked: tuple[int, str]) -> Played:
    with fault(name):
        return play(draw(*asked))


def _show(seed: int, kind: str) -> None:
    played = play(draw(seed, kind))
    print(played.made)
    for one in played.found:
        print(one)
    print(f"{played.answer}: {played.runs} runs, {played.cost_bytes} bytes, {played.took_s:.0f} s")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.throttling", description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", nargs="*", choices=list(KINDS), default=[])
    parser.add_argument("--fault", choices=list(FAULTS))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--show", type=int)
    parser.add_argument("--map", action="store_true")
    parser.add_argument("--out", type=Path, default=MAP)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
