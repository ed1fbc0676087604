"""Plays many countries, each in one of a few processes, and counts each. What a seed comes to depends on the seed alone."""

import logging
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.country.draw import MOST_HOMES, draw
from tests.country.play import play
from tests.country.tally import Tally, tally_of

_A_PROCESS: Final = 20
"""Countries that a process plays before another takes its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One country to play; with `show`, its truth and each change of a verdict are printed."""

    seed: int
    hours: float
    show: bool = False
    most_homes: int = MOST_HOMES
    only: tuple[str, ...] = ()
    """Kinds of countries, if not all (`tests.country.draw`)."""


def played(asked: Sequence[Asked], *, workers: int) -> Iterator[tuple[int, Tally]]:
    """Yield the seed and the count of each country, as they are done."""
    if workers == 1:
        yield from map(play_one, asked)
        return
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=_A_PROCESS) as pool:
        yield from pool.imap_unordered(play_one, asked)


def play_one(asked: Asked) -> tuple[int, Tally]:
    """Play one country and count it."""
    logging.disable(logging.WARNING)  # a device in a cut has much to say
    began_s = time.process_time()
    try:
        truth = draw(asked.seed, hours=asked.hours, only=asked.only, most_homes=asked.most_homes)
        if asked.show:
            print("\n".join(truth.lines()), flush=True)
        story = play(truth, tell=_print if asked.show else _say_nothing)
    finally:
        logging.disable(logging.NOTSET)
    tally = tally_of(truth, story)
    tally.processor_s = time.process_time() - began_s
    return asked.seed, tally


def _print(line: str) -> None:
    print(line, flush=True)


def _say_nothing(_line: str) -> None:
    """Say nothing."""
