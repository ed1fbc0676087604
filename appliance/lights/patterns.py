"""What the lights say: one table from what the device means to what each light does. Pure.

Nobody sees a screen, so each meaning must be tellable by position and rhythm, never by colour alone. All well
is never a steady light: a dead process can leave an output lit, so the network light gives one flash for each
finished measurement and is dark when nothing is measured. This file takes the time as an argument and must
never touch a pin.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FLASH_NS: Final = 120_000_000
"""How long the flash of one finished measurement or acknowledgement lasts: short, and still seen."""
COUNT_ON_NS: Final = 250_000_000
COUNT_OFF_NS: Final = 250_000_000
COUNT_PAUSE_NS: Final = 1_500_000_000
"""Counted flashes are slow enough to count aloud, with a pause between two counts."""
SLOW_PERIOD_NS: Final = 4_000_000_000
SLOW_ON_NS: Final = 200_000_000
QUICK_PERIOD_NS: Final = 200_000_000
QUICK_ON_NS: Final = 100_000_000


class Light(StrEnum):
    """The three lights, left to right on the case."""

    NETWORK = "network"
    DELIVERY = "delivery"
    ATTENTION = "attention"


DEFAULT_PINS: Final = {Light.NETWORK: 17, Light.DELIVERY: 27, Light.ATTENTION: 22}
"""Which pins drive them, BCM numbers: three beside a ground on the header, free on every model."""


class Rhythm(StrEnum):
    """How a light behaves."""

    DARK = "dark"
    STEADY = "steady"
    FLASH = "flash"
    """One each time."""
    SLOW = "slow"
    """A short flash every four seconds."""
    QUICK = "quick"
    """Without a pause."""
    COUNT = "count"
    """Counted flashes, then a pause."""


class UsbDriveState(StrEnum):
    """How it stands with a USB drive that records are carried out on."""

    NONE = "none"
    WRITING = "usb_drive_writing"
    DONE = "usb_drive_done"
    NOT_ALL = "usb_drive_not_all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One light's behaviour: its rhythm and, for counted flashes, how many."""

    rhythm: Rhythm
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One row of the table: which light does what. What it tells the host, and what to do, says the catalogue (`light.…`)."""

    light: Light
    pattern: Pattern


DARK: Final = Pattern(rhythm=Rhythm.DARK)
_FLASH: Final = Pattern(rhythm=Rhythm.FLASH)


def _count(count: int) -> Pattern:
    return Pattern(rhythm=Rhythm.COUNT, count=count)


MEANINGS: Final[dict[str, Meaning]] = {
    "measuring": Meaning(light=Light.NETWORK, pattern=_FLASH),
    "delivered": Meaning(light=Light.DELIVERY, pattern=_FLASH),
    "kept": Meaning(light=Light.DELIVERY, pattern=Pattern(rhythm=Rhythm.SLOW)),
    UsbDriveState.WRITING: Meaning(light=Light.DELIVERY, pattern=Pattern(rhythm=Rhythm.QUICK)),
    UsbDriveState.DONE: Meaning(light=Light.DELIVERY, pattern=_count(2)),
    UsbDriveState.NOT_ALL: Meaning(light=Light.DELIVERY, pattern=_count(3)),
    "local_fault": Meaning(light=Light.ATTENTION, pattern=_count(1)),
    "captive_portal": Meaning(light=Light.ATTENTION, pattern=_count(2)),
    "isp_or_wider_outage": Meaning(light=Light.ATTENTION, pattern=_count(3)),
    "international_cut": Meaning(light=Light.ATTENTION, pattern=_count(4)),
    "not_stored": Meaning(light=Light.ATTENTION, pattern=_count(5)),
    "allowlisted": Meaning(light=Light.ATTENTION, pattern=_count(6)),
    "not_measuring": Meaning(light=Light.ATTENTION, pattern=Pattern(rhythm=Rhythm.STEADY)),
}
"""Every meaning a light has. A verdict that is not here (`ok`, `inconclusive`, …) leaves the light dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the lights are to show. Times are on one monotonic clock, in ns; None: not yet.

    `last_measured_ns` and `last_delivered_ns` are when the last measurement ended and the last acknowledgement
    came; `stalled_after_ns` is how long without a measurement means that the device does not measure. `usb_drive` goes before
    what else the delivery light says, for as long as one is plugged in; that results are not stored (`is_stored`) before
    any verdict: it is what is lost first.
    """

    verdict: str | None = None
    connected: bool = False
    is_stored: bool = True
    started_ns: int = 0
    last_measured_ns: int | None = None
    last_delivered_ns: int | None = None
    stalled_after_ns: int = 600_000_000_000
    usb_drive: UsbDriveState = UsbDriveState.NONE


def pattern_of(light: Light, situation: Situation, now_ns: int) -> Pattern:
    """Return what `light` does in `situation`."""
    if light is Light.NETWORK:
        return _FLASH
    if light is Light.DELIVERY and situation.usb_drive is not UsbDriveState.NONE:
        return MEANINGS[situation.usb_drive].pattern
    if light is Light.DELIVERY:
        return _FLASH if situation.connected else MEANINGS["kept"].pattern
    alive_ns = situation.started_ns if situation.last_measured_ns is None else situation.last_measured_ns
    if now_ns - alive_ns > situation.stalled_after_ns:
        return MEANINGS["not_measuring"].pattern
    if not situation.is_stored:
        return MEANINGS["not_stored"].pattern
    meaning = MEANINGS.get(situation.verdict or "")
    return meaning.pattern if meaning is not None and meaning.light is light else DARK


def is_lit(light: Light, situation: Situation, now_ns: int) -> bool:
    """Return whether `light` is lit at `now_ns`."""
    pattern = pattern_of(light, situation, now_ns)
    since_start_ns = now_ns - situation.started_ns
    match pattern.rhythm:
        case Rhythm.DARK:
            return False
        case Rhythm.STEADY:
            return True
        case Rhythm.SLOW:
            return since_start_ns % SLOW_PERIOD_NS < SLOW_ON_NS
        case Rhythm.QUICK:
            return since_start_ns % QUICK_PERIOD_NS < QUICK_ON_NS
        case Rhythm.COUNT:
            step_ns = COUNT_ON_NS + COUNT_OFF_NS
            into_ns = since_start_ns % (pattern.count * step_ns + COUNT_PAUSE_NS)
            return into_ns < pattern.count * step_ns and into_ns % step_ns < COUNT_ON_NS
        case Rhythm.FLASH:
            last_ns = situation.last_measured_ns if light is Light.NETWORK else situation.last_delivered_ns
            return last_ns is not None and 0 <= now_ns - last_ns < FLASH_NS


def shown(situation: Situation, now_ns: int) -> tuple[str, ...]:
    """Return which of `MEANINGS` the lights show now."""
    return tuple(
        key
        for key, meaning in MEANINGS.items()
        if pattern_of(meaning.light, situation, now_ns) == meaning.pattern
        and (key != "measuring" or situation.last_measured_ns is not None)
    )
