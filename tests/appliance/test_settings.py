"""The device's settings: good without a file, documented, and refused in words."""

import tomllib
from pathlib import Path

import pytest

from appliance.measuring.budget import NS, Budget
from appliance.parts import make_schedule, sync_settings
from appliance.settings import DeviceSettings
from firmware.plans import load as plans
from firmware.settings.docs import example
from firmware.settings.load import SettingsError, load


def test_without_a_file_everything_has_a_value() -> None:
    settings = load(DeviceSettings, None)
    assert settings.data == Path("data/device")
    assert (settings.country, settings.plan, settings.province) == ("", None, "")
    assert (sync_settings(settings).host, sync_settings(settings).ports.mqtt) == ("127.0.0.1", 1883)


def test_the_example_file_holds_every_setting_and_can_be_used(tmp_path: Path) -> None:
    text = example(DeviceSettings)
    file = tmp_path / "device.toml"
    file.write_text(text)
    assert load(DeviceSettings, file) == load(DeviceSettings, None)
    live = "\n".join(line.removeprefix("# ") if " = " in line else line for line in text.splitlines())
    tables = {name: value for name, value in tomllib.loads(live).items() if isinstance(value, dict)}
    assert set(tables) == {"broker", "schedule", "outbox", "lights", "usb_drive", "log"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('country = "Iran"', "two small letters"),
        ('country = "ir"\nplan = "x.toml"', "set one of them"),
        (f'province = "{"x" * 61}"', "up to 60 characters"),
        ('province = "two\\nlines"', "one line"),
        ("[schedule]\ncalm_s = -1", "calm_s"),
        ("[broker]\nport = 0", "port"),
        ('[lights]\nfactory = "gpio"', '"mock"'),
        ('[log]\nlevel = "loud"', '"warning"'),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "device.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        load(DeviceSettings, file)


def test_the_plans_cadence_holds_unless_the_settings_say_otherwise(tmp_path: Path) -> None:
    plan = plans.load("ir")
    file = tmp_path / "device.toml"
    file.write_text("[schedule]\ncalm_s = 600\ntransition_s = 60\n")
    periods = []
    for settings in (load(DeviceSettings, None), load(DeviceSettings, file)):
        schedule = make_schedule(
            settings, plan, device="a" * 16, budget=Budget(10**9), now_ns=1000 * NS, settled_ns=None
        )
        periods.append((schedule.calm_ns // NS, schedule.period_ns // NS))
    assert periods == [(plan.cadence.calm_s, plan.cadence.transition_s), (600, 60)]
