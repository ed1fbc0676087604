"""A device whose pins cannot be had measures all the same; one whose settings ask for them by name says what is wrong."""

from dataclasses import replace
from pathlib import Path

import click
import pytest

from appliance import command
from appliance.lights import pins
from appliance.settings import DeviceSettings
from firmware.plans.load import load

HAS_PINS = pytest.mark.skipif(Path("/dev/gpiochip0").exists(), reason="this machine has pins: they open")


@pytest.fixture(autouse=True)
def pins_that_do_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine look as if it had pins: its library of them is not there, or finds none."""
    monkeypatch.setattr(pins, "has_pins", lambda: True)


def settings(factory: str, **changes: int) -> DeviceSettings:
    made = DeviceSettings()
    return replace(made, lights=replace(made.lights, factory=factory, **changes))  # type: ignore[arg-type]


@HAS_PINS
def test_pins_that_nobody_asked_for_stop_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with command._lights(settings("auto"), load("zz")) as lights:
        assert lights.simulated
    said = capsys.readouterr().err
    assert said.startswith("No lights: lights: factory ")
    assert said.endswith("Measuring goes on.\n")


@HAS_PINS
def test_pins_that_were_asked_for_are_missed() -> None:
    with pytest.raises(click.ClickException, match="python3-lgpio"):
        command._lights(settings("lgpio"), load("zz"))


def test_two_lights_on_one_pin_are_refused_without_pins_too() -> None:
    with pytest.raises(click.ClickException, match="pin 17"):
        command._lights(settings("auto", delivery_pin=17), load("zz"))
