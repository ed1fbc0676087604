"""The hands of `appliance.lights.patterns`: a thread that sets three LEDs through gpiozero, twenty times a second.

On a machine without pins the LEDs stand on gpiozero's own mock pins, which ship with the product: the
terminal draws them and an operator can rehearse. It decides nothing, and must never let a broken pin stop the
device: a pin that fails is said once and the rest goes on.
"""

import importlib.util
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

import gpiozero
import gpiozero.exc
from gpiozero.pins.mock import MockFactory, MockPin

from appliance.events import (
    Event,
    ExportEnded,
    ExportStarted,
    Measured,
    OutboxChanged,
    StorageChanged,
    SyncChanged,
    UsbDriveGone,
    VerdictReached,
)
from appliance.lights.patterns import DEFAULT_PINS, Light, Situation, UsbDriveState, is_lit

TICK_S: Final = 0.05


class PinFactory(StrEnum):
    """Where the lights are: real pins through lgpio, gpiozero's mock pins, or whichever this machine has."""

    AUTO = "auto"
    LGPIO = "lgpio"
    MOCK = "mock"


class LightsError(Exception):
    """The lights cannot be set up as asked. The message says why and what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LightsConfig:
    """Which pins, and whether the lights stay dark (they are then off whatever happens)."""

    factory: PinFactory = PinFactory.AUTO
    network_pin: int = DEFAULT_PINS[Light.NETWORK]
    delivery_pin: int = DEFAULT_PINS[Light.DELIVERY]
    attention_pin: int = DEFAULT_PINS[Light.ATTENTION]
    dark: bool = False
    stalled_after_s: float = 600.0


class Lights:
    """Three lights that follow the device's events. Use as a context manager; off when it ends.

    Raises `LightsError` when the factory asked for is not to be had here.
    """

    def __init__(self, config: LightsConfig, *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._config = config
        self._clock_ns = clock_ns
        self._factory = _make_factory(config.factory)
        self._leds: dict[Light, gpiozero.LED] = {}
        pins = {
            Light.NETWORK: config.network_pin,
            Light.DELIVERY: config.delivery_pin,
            Light.ATTENTION: config.attention_pin,
        }
        for light, pin in pins.items():
            try:
                self._leds[light] = gpiozero.LED(pin, pin_factory=self._factory)
            except (gpiozero.exc.GPIOZeroError, OSError) as error:
                self._release()
                raise LightsError(
                    f"lights: {light} on pin {pin}: {error}; give each light a free BCM pin of its own"
                ) from error
        self._situation = Situation(
            started_ns=clock_ns(), stalled_after_ns=int(config.stalled_after_s * 1_000_000_000)
        )
        self._acknowledged = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lights", daemon=True)
        self.fault: str | None = None

    @property
    def simulated(self) -> bool:
        """Whether these are mock pins."""
        return isinstance(self._factory, MockFactory)

    @property
    def situation(self) -> Situation:
        """What the lights are showing, for who draws or explains them."""
        return self._situation

    def lit(self) -> dict[Light, bool]:
        """Return which lights are on, read back from the pins."""
        return {light: bool(led.value) for light, led in self._leds.items()}

    def on_event(self, event: Event) -> None:
        """Take note of what happened; the thread shows it at its next tick."""
        now_ns = self._clock_ns()
        match event:
            case Measured():
                self._situation = replace(self._situation, last_measured_ns=now_ns)
            case VerdictReached():
                self._situation = replace(self._situation, verdict=event.verdict.verdict)
            case StorageChanged():
                self._situation = replace(self._situation, is_stored=not event.fault)
            case SyncChanged():
                self._situation = replace(self._situation, connected=event.state == "connected")
            case OutboxChanged():
                if event.acknowledged > self._acknowledged:
                    self._situation = replace(self._situation, last_delivered_ns=now_ns)
                self._acknowledged = event.acknowledged
            case ExportStarted():
                self._situation = replace(self._situation, usb_drive=UsbDriveState.WRITING)
            case ExportEnded():
                usb_drive = UsbDriveState.NOT_ALL if event.carried.failure else UsbDriveState.DONE
                self._situation = replace(self._situation, usb_drive=usb_drive)
            case UsbDriveGone():
                self._situation = replace(self._situation, usb_drive=UsbDriveState.NONE)
            case _:
                pass

    def tick(self) -> None:
        """Set every light to what it shows now."""
        situation, now_ns = self._situation, self._clock_ns()
        for light, led in self._leds.items():
            wanted = not self._config.dark and is_lit(light, situation, now_ns)
            try:
                if bool(led.value) != wanted:
                    led.value = wanted
                    if isinstance(led.pin, MockPin):
                        led.pin.clear_states()  # the mock keeps every change since the start, for tests
            except (gpiozero.exc.GPIOZeroError, OSError) as error:
                self.fault = f"light {light} (pin {led.pin}): {error}"

    def close(self) -> None:
        """Put the lights out and give the pins back."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._release()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _release(self) -> None:
        for led in self._leds.values():
            led.close()
        self._factory.close()

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            self.tick()


def has_pins() -> bool:
    """Return whether this machine has pins that lgpio can drive."""
    return Path("/dev/gpiochip0").exists() and importlib.util.find_spec("lgpio") is not None


def _make_factory(wanted: PinFactory) -> gpiozero.Factory:
    if wanted is PinFactory.MOCK or (wanted is PinFactory.AUTO and not has_pins()):
        return MockFactory()
    try:
        from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415  # only a device has lgpio

        return LGPIOFactory()
    except (ImportError, OSError, gpiozero.exc.GPIOZeroError) as error:
        raise LightsError(
            f"lights: factory {wanted}: the pins cannot be opened ({error}); on a Raspberry Pi install "
            "python3-lgpio and let this user into the group gpio, elsewhere set factory to mock"
        ) from error
