"""What the device says of itself: from real files and this real machine, nothing invented, nothing personal."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.measuring.health import Power, Reading, context, power_of, read, summary, wifi_signal_dbm
from firmware.net.loop import boottime_ns
from tests import namespaces

READING = Reading(
    boottime_ns=100 * 10**9,
    cpu_busy_s=10.0,
    cpu_total_s=200.0,
    memory_percent=41.5,
    disk_free_bytes=10**9,
    uplink="wlan0",
    uplink_bytes=1_000_000,
    temperature_c=48.3,
    cpu_mhz=1800.0,
    power=Power(under_voltage=False, under_voltage_since_boot=True),
    wifi_signal_dbm=-52,
    resident={"daemon": 40_000_000, "worker": 26_000_000},
)

WIRELESS = """\
Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   58.  -52.  -256        0      0      0      0    134        0
 wlan1: 0000   30   -80   -256        0      0      0      0      0        0
 ralink: 0000   90.  70.  0           0      0      0      0      0        0
  bad0: 0000
"""


def test_a_rounds_summary() -> None:
    after = replace(
        READING, boottime_ns=130 * 10**9, cpu_busy_s=16.0, cpu_total_s=260.0, uplink_bytes=1_500_000
    )
    assert summary(READING, after, own_bytes=80_000) == {
        "cpu_percent": 10.0,
        "cross_traffic_bytes": 420_000,
        "disk_free_bytes": 10**9,
        "uptime_s": 130,
        "resident_bytes": {"daemon": 40_000_000, "worker": 26_000_000},
        "memory_percent": 41.5,
        "temperature_c": 48.3,
        "cpu_mhz": 1800.0,
        "under_voltage": False,
        "under_voltage_since_boot": True,
        "throttled": None,
        "throttled_since_boot": None,
        "wifi_signal_dbm": -52,
    }


@pytest.mark.parametrize(
    "after",
    [
        replace(READING, uplink="eth0"),
        replace(READING, uplink=None, uplink_bytes=None),
        replace(READING, uplink_bytes=None),
        replace(READING, uplink_bytes=10),
    ],
    ids=["another uplink", "no uplink", "no counter", "began anew"],
)
def test_traffic_that_cannot_be_compared_is_not_known(after: Reading) -> None:
    assert summary(READING, after, own_bytes=0)["cross_traffic_bytes"] is None


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 10**12), st.integers(0, 10**12))
@example(6.662287473435872e-12, 0.0, 0, 0)
def test_a_summary_holds_only_sane_numbers(busy_s: float, idle_s: float, carried: int, own: int) -> None:
    after = replace(
        READING,
        cpu_busy_s=READING.cpu_busy_s + busy_s,
        cpu_total_s=READING.cpu_total_s + busy_s + idle_s,
        uplink_bytes=1_000_000 + carried,
    )
    said = summary(READING, after, own_bytes=own)
    cpu, traffic = said["cpu_percent"], said["cross_traffic_bytes"]
    assert cpu is None or (isinstance(cpu, float) and 0 <= cpu <= 100)
    assert isinstance(traffic, int)
    assert 0 <= traffic <= carried


@pytest.mark.parametrize(
    ("interface", "level"), [("wlan0", -52), ("wlan1", -80), ("ralink", None), ("bad0", None), ("eth0", None)]
)
def test_the_signal_of_the_uplink(interface: str, level: int | None) -> None:
    assert wifi_signal_dbm(WIRELESS, interface) == level
    assert wifi_signal_dbm("", interface) is None


@given(st.text(), st.text(max_size=5))
def test_no_table_breaks_the_reading_of_the_signal(table: str, interface: str) -> None:
    level = wifi_signal_dbm("\n\n" + table, interface)
    assert level is None or level < 0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x0, Power(under_voltage=False, under_voltage_since_boot=False, throttled=False, throttled_since_boot=False)),
        (0x50005, Power(under_voltage=True, under_voltage_since_boot=True, throttled=True, throttled_since_boot=True)),
        (0x50000, Power(under_voltage=False, under_voltage_since_boot=True, throttled=False, throttled_since_boot=True)),
        (0x80008, Power(under_voltage=False, under_voltage_since_boot=False, throttled=True, throttled_since_boot=True)),
    ],
)  # fmt: skip
def test_the_firmwares_flags(flags: int, expected: Power) -> None:
    assert power_of(flags) == expected


def _board(root: Path, files: dict[str, str]) -> Reading:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read(boottime_ns=0, data=root, pids={}, root=root)


def test_a_board_that_tells_all(tmp_path: Path) -> None:
    seen = _board(
        tmp_path,
        {
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
            "sys/class/thermal/thermal_zone0/temp": "61242\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        },
    )
    assert seen.power == power_of(0x50005)
    assert seen.temperature_c == 61.242
    assert seen.cpu_mhz == 1500.0


def test_a_board_with_a_voltage_alarm_only(tmp_path: Path) -> None:
    hwmon = "sys/class/hwmon/"
    seen = _board(
        tmp_path,
        {
            f"{hwmon}hwmon0/name": "cpu_thermal\n",
            f"{hwmon}hwmon1/name": "rpi_volt\n",
            f"{hwmon}hwmon1/in0_lcrit_alarm": "1\n",
        },
    )
    assert seen.power == Power(under_voltage=True)


def test_a_board_that_tells_nothing(tmp_path: Path) -> None:
    seen = _board(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "warm\n"})
    assert context(seen) == dict.fromkeys(context(seen)) | {"memory_percent": seen.memory_percent}


def test_this_machine(tmp_path: Path) -> None:
    pids = {"daemon": os.getpid(), "worker": None, "gone": 2**22 - 1}
    before = read(boottime_ns=boottime_ns(), data=tmp_path, pids=pids)
    after = read(boottime_ns=boottime_ns(), data=tmp_path, pids=pids)
    said = summary(before, after, own_bytes=0)
    json.dumps(said, allow_nan=False)
    assert 0 < after.memory_percent < 100
    assert after.disk_free_bytes is not None
    assert list(after.resident) == ["daemon"]
    assert after.resident["daemon"] > 10**6


def test_a_data_directory_that_is_gone(tmp_path: Path) -> None:
    assert read(boottime_ns=0, data=tmp_path / "gone", pids={}).disk_free_bytes is None


def sees_other_traffic() -> list[int | None]:
    far = namespaces.node("far")
    namespaces.wire("eth7", far, near="10.0.0.2/24", far="10.0.0.1/24")
    none = read(boottime_ns=0, data=Path("/"), pids={})
    namespaces.ip("route add default via 10.0.0.1")
    before = read(boottime_ns=0, data=Path("/"), pids={})
    assert os.system("ping -q -c 5 -s 1000 -i 0.01 10.0.0.1 >/dev/null") == 0
    after = read(boottime_ns=1, data=Path("/"), pids={})
    assert none.uplink is None
    assert "eth7" not in json.dumps(summary(before, after, own_bytes=0))
    traffic = summary(before, after, own_bytes=2_000)["cross_traffic_bytes"]
    return [none.uplink_bytes, traffic if isinstance(traffic, int) else None]


@pytest.mark.namespace
def test_traffic_of_others_on_the_uplink() -> None:
    none, traffic = namespaces.call(sees_other_traffic)
    assert none is None
    # Ten packets of 1,042 bytes and some ARP, less 2,000 of our own.
    assert 8_000 < traffic < 12_000
