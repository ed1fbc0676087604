"""The map of the detectable region (SVG): the fastest throttle that is told, by the line's rate, for round trips, bursts and spreads. Pure."""

from collections.abc import Iterator
from math import log10
from typing import Final

from firmware.judgement.throttling.region import LineCase, untold

BIT: Final = 8.0
LINES: Final = tuple(10 ** (5.5 + number / 12) for number in range(37))
"""Bits a second, from 0.3 to 300 Mbit/s."""
THROTTLES: Final = tuple(10 ** (4.5 + number / 16) for number in range(57))
ROUND_TRIPS: Final = ((0.01, "#0b4f8a"), (0.04, "#2c8c6b"), (0.1, "#b8860b"), (0.25, "#b3261e"))
PANELS: Final = (
    ("no burst, runs vary by 0.10", 0.0, 0.10),
    ("burst of 48 KiB, 0.10", 48 * 1024.0, 0.10),
    ("no burst, runs vary by 0.30", 0.0, 0.30),
)
_SIDE: Final = 270
_LEFT: Final = 64
_TOP: Final = 34
_GAP: Final = 66
_LOW_X: Final = 5.5
_WIDE: Final = 3.0
_LOW_Y: Final = 4.5
_HIGH: Final = 3.5


def fastest(line_bit_s: float, rtt_s: float, burst_bytes: float, spread: float) -> float | None:
    """Return the fastest throttle of the map's rows that is told on a line, in bits a second; None where none is."""
    told = [
        one
        for one in THROTTLES
        if untold(
            LineCase(
                line_bytes_per_s=line_bit_s / BIT,
                rtt_s=rtt_s,
                throttle_bytes_per_s=one / BIT,
                burst_bytes=burst_bytes,
                spread=spread,
            ),
            waited_s=0.0,
        )
        is None
    ]
    return max(told, default=None)


def picture() -> str:
    """Return the map."""
    width, height = _LEFT + len(PANELS) * (_SIDE + _GAP), _TOP + _SIDE + 64
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
            'font-size="11" fill="#222">'
        ),
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, (title, burst_bytes, spread) in enumerate(PANELS):
        parts += _panel(_LEFT + number * (_SIDE + _GAP), title, burst_bytes, spread)
    for number, (rtt_s, colour) in enumerate(ROUND_TRIPS):
        x = _LEFT + number * 150
        parts.append(f'<path d="M{x} {height - 10}h20" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 26}" y="{height - 6}">round trip {rtt_s * 1000:.0f} ms</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(left: int, title: str, burst_bytes: float, spread: float) -> Iterator[str]:
    bottom = _TOP + _SIDE
    yield f'<text x="{left}" y="{_TOP - 12}" font-size="13">{title}</text>'
    yield f'<rect x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>'
    for megabit in (1, 10, 100):
        tick = left + (log10(megabit * 1e6) - _LOW_X) / _WIDE * _SIDE
        yield f'<text x="{tick:.0f}" y="{bottom + 16}" text-anchor="middle">{megabit}</text>'
    for row in (0.1, 1.0, 10.0, 100.0):
        yield f'<text x="{left - 6}" y="{_y(row * 1e6) + 4:.0f}" text-anchor="end">{row:g}</text>'
    yield f'<text x="{left + _SIDE // 2}" y="{bottom + 32}" text-anchor="middle">line, Mbit/s</text>'
    turned = f"translate({left - 40} {_TOP + _SIDE // 2}) rotate(-90)"
    yield f'<text transform="{turned}" text-anchor="middle">told up to a throttle of, Mbit/s</text>'
    for rtt_s, colour in ROUND_TRIPS:
        points = [
            (left + (log10(line) - _LOW_X) / _WIDE * _SIDE, _y(found))
            for line in LINES
            if (found := fastest(line, rtt_s, burst_bytes, spread)) is not None
        ]
        if points:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            yield f'<path d="M{path}" stroke="{colour}" stroke-width="2" fill="none"/>'


def _y(bit_s: float) -> float:
    return _TOP + _SIDE - (log10(bit_s) - _LOW_Y) / _HIGH * _SIDE
