"""A calibration as files: the table that ships, a page with the mix and the counts, and the reliability diagram (SVG). Pure."""

from collections.abc import Iterator
from math import log10
from typing import Final

from firmware.judgement.confidence.table import LEAST
from tests.country.calibrate import STANCES, Calibration, Point

_SIDE: Final = 300
_LEFT: Final = 60
_TOP: Final = 30
_GAP: Final = 70
_DECADES: Final = 4
"""The axes reach from 1 in 10,000 to all."""
_COLOURS: Final = {"accusing": "#b3261e", "reassuring": "#1c6e4a"}
_TICKS: Final = ("0.01 %", "0.1 %", "1 %", "10 %", "100 %")


def picture(calibration: Calibration) -> str:
    """Return the reliability diagram: what share is false by the numbers, and what share was, accusing and reassuring apart."""
    width = _LEFT + len(STANCES) * (_SIDE + _GAP)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_SIDE + _TOP + 50}" '
            'font-family="sans-serif" font-size="11" fill="#222">'
        ),
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, stance in enumerate(STANCES):
        left = _LEFT + number * (_SIDE + _GAP)
        parts += _panel(left, stance, calibration.points.get(stance, ()))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(left: int, stance: str, points: tuple[Point, ...]) -> Iterator[str]:
    bottom, right = _TOP + _SIDE, left + _SIDE
    yield f'<text x="{left}" y="{_TOP - 10}" font-size="13">{stance}</text>'
    yield f'<rect x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>'
    yield f'<path d="M{left} {bottom}L{right} {_TOP}" stroke="#888" stroke-dasharray="4 3" fill="none"/>'
    for at, tick in enumerate(_TICKS):
        x, y = left + at * _SIDE / _DECADES, bottom - at * _SIDE / _DECADES
        yield f'<text x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{tick}</text>'
        yield f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{tick}</text>'
    if stance == "accusing":
        x = left + _along(1 - LEAST)
        yield f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#b3261e" stroke-dasharray="1 3" fill="none"/>'
    yield f'<text x="{left + _SIDE // 2}" y="{bottom + 34}" text-anchor="middle">false, as stated</text>'
    turned = f"translate({left - 46} {_TOP + _SIDE // 2}) rotate(-90)"
    yield f'<text transform="{turned}" text-anchor="middle">false, as counted</text>'
    for one in points:
        x, (low, high) = left + _along(1 - one.stated), one.interval
        yield (
            f'<path d="M{x:.1f} {bottom - _along(low):.1f}V{bottom - _along(high):.1f}" '
            f'stroke="{_COLOURS[stance]}" stroke-width="2"/>'
        )
        y = bottom - _along(one.false / one.trials)
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_COLOURS[stance]}">'
            f"<title>{one.false} of {one.trials}</title></circle>"
        )


def _along(share: float) -> float:
    """Return how far along an axis a share is."""
    return (log10(max(share, 10.0**-_DECADES)) / _DECADES + 1) * _SIDE


def page(calibration: Calibration) -> str:
    """Return the page: of which countries, how the numbers hold, the mix, and every rule's counts."""
    table = calibration.table
    parts = [
        "# How sure a verdict is\n",
        (
            "Written by `python -m tests.country --calibrate tests/country/played.jsonl.xz`; what the numbers are, and how they are made: "
            "[decision 41](../decisions/0041-confidence-is-counted.md), `firmware/judgement/confidence/estimate.py`.\n"
        ),
        f"Of {table.source}.\n",
        "## Whether the numbers hold\n",
        "![What share is false by the numbers, and what share was](reliability.svg)\n",
        (
            "Each country's trials are held against a table made of all the others. Bars are 95 % intervals (Wilson); a point on the "
            "lower edge is none false. What stands right of the dotted line is not said.\n"
        ),
        *_table(
            ("", "stated", "trials", "false", "95 %"),
            [
                (stance, f"{one.stated:.4f}", str(one.trials), str(one.false), _interval(one))
                for stance in STANCES
                for one in calibration.points.get(stance, ())
            ],
        ),
        "\n## The mix\n",
        *_table(
            ("kind of country", "countries"), [(kind, str(of)) for kind, of in calibration.kinds.items()]
        ),
        "\n## The rules\n",
        (
            "Countries in which it spoke, in how many of them falsely, in how many of another kind than was true (which is no false "
            f"one), and the number. An accusation below {LEAST} is said as `inconclusive`.\n"
        ),
        *_table(
            ("by whom", "word", "rule", "certainty", "countries", "false", "other kind", "number"),
            [
                (
                    said.speaker,
                    f"`{said.word}`",
                    f"`{said.rule_id}`",
                    said.certainty,
                    str(count.countries),
                    str(count.false),
                    str(calibration.other_kind.get(said, 0)),
                    f"{table.numbers[said]:.4f}",
                )
                for said, count in table.counts.items()
            ],
        ),
        "\nA rule that is not here has the number of its class:\n",
        *_table(
            ("class", "number", "counts as countries"),
            [
                (name, f"{1 - prior.mean:.4f}", f"{prior.strength:.0f}")
                for name, prior in table.priors.items()
            ],
        ),
    ]
    return "\n".join(parts) + "\n"


def _interval(point: Point) -> str:
    low, high = point.interval
    return f"{low:.2%} to {high:.2%}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
