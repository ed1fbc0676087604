"""Small truths in which something false is said by the rules as they are: what the generator found, made small.

Each says what is false and why, as far as it was looked into. When a rule is mended, `test_country.py` fails on its entry, which
then moves to `MENDED`, where nothing false may be said. This file must never hold what was not found by playing.
"""

from dataclasses import dataclass
from typing import Final

from tests.country.oracle import Mark
from tests.country.truth import Home, Ill, Provider, Truth, Wrong

_FIXED: Final = (Provider(name="AS64500", kind="fixed"), Provider(name="AS64502", kind="fixed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A truth, and the false verdict that is said in it: by whom (`device`, `site`, `country`), which word, by which rule."""

    name: str
    truth: Truth
    who: str
    mark: Mark
    word: str
    rule_id: str
    why: str


def _homes(*lines: str) -> tuple[Home, ...]:
    return tuple(
        Home(number=number, provider=_FIXED[number % 2], province="Tehran", line=line)
        for number, line in enumerate(lines)
    )


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        name="slow-line",
        truth=Truth(seed=1, hours=0.1, homes=_homes("very-slow"), wrongs=(), has_vantage=False),
        who="device",
        mark=Mark.ACCUSES,
        word="isp_or_wider_outage",
        rule_id="isp-or-wider-outage",
        why="A handshake that has connected and is still out after 10 s is taken for silence.",
    ),
    Known(
        name="collector-down",
        truth=Truth(
            seed=1,
            hours=0.36,
            homes=_homes("fibre", "fibre", "fibre"),
            wrongs=(Wrong(ill=Ill.COLLECTOR_DOWN, since_s=615, until_s=2_100),),
        ),
        who="country",
        mark=Mark.ACCUSES,
        word="total_shutdown",
        rule_id="networks-lost-together",
        why="A sample of the vantage from before the silence proves that the collector is well.",
    ),
)
MENDED: Final[tuple[Known, ...]] = ()
