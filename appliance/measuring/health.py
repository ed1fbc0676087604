"""How the device itself was while it measured: load, memory, disk, heat, power, other traffic, Wi-Fi signal.

A measurement taken on a starved or overheated device, or beside a download, says little of the network, so each
round carries this. What a machine does not have is None, never a guess. It must never read or keep anything
personal: no network name, no hardware address, no host name, no process list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from firmware.model.jsontypes import JsonObject
from firmware.net.host import read_host
from firmware.net.host_view import Host

_HWMON: Final = "sys/class/hwmon"
_THROTTLED: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"
# What the bits mean: Raspberry Pi documentation, vcgencmd get_throttled. The same bits 16 higher: since boot.
_UNDER_VOLTAGE: Final = 0b0001
_SLOWED: Final = 0b1110
"""Frequency capped, throttled, or at the soft temperature limit."""
_SINCE_BOOT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What the board says of its power and heat, now and since boot; None: it does not say."""

    under_voltage: bool | None = None
    under_voltage_since_boot: bool | None = None
    throttled: bool | None = None
    throttled_since_boot: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One look at the machine. Counters are since boot; None: this machine does not tell.

    `uplink` is the interface of the default route and `uplink_bytes` what it carried, both ways; the name is for
    comparing two readings and goes into no record. `resident` is by role, in bytes.
    """

    boottime_ns: int
    cpu_busy_s: float
    cpu_total_s: float
    memory_percent: float
    disk_free_bytes: int | None
    uplink: str | None
    uplink_bytes: int | None
    temperature_c: float | None
    cpu_mhz: float | None
    power: Power
    wifi_signal_dbm: int | None
    resident: Mapping[str, int]


def summary(before: Reading, after: Reading, *, own_bytes: int) -> JsonObject:
    """Return what a round's record says of the device, from a reading at its start and one at its end.

    `cpu_percent` is over the round, of all cores. `cross_traffic_bytes` is what the uplink carried beyond
    `own_bytes`, the round's own measurements on the wire; what was delivered to the collector meanwhile is in it.
    """
    total_s = after.cpu_total_s - before.cpu_total_s
    busy_s = after.cpu_busy_s - before.cpu_busy_s
    return {
        # of two readings a moment apart, the rounding of their sums may say more than all
        "cpu_percent": min(100.0, round(100 * busy_s / total_s, 1)) if total_s > 0 else None,
        "cross_traffic_bytes": _cross_traffic(before, after, own_bytes),
        "disk_free_bytes": after.disk_free_bytes,
        "uptime_s": after.boottime_ns // 1_000_000_000,
        "resident_bytes": {**after.resident},
        **context(after),
    }


def context(reading: Reading) -> JsonObject:
    """Return the part of a reading that goes with every measurement."""
    return {
        "memory_percent": reading.memory_percent,
        "temperature_c": reading.temperature_c,
        "cpu_mhz": reading.cpu_mhz,
        "under_voltage": reading.power.under_voltage,
        "under_voltage_since_boot": reading.power.under_voltage_since_boot,
        "throttled": reading.power.throttled,
        "throttled_since_boot": reading.power.throttled_since_boot,
        "wifi_signal_dbm": reading.wifi_signal_dbm,
    }


def read(*, boottime_ns: int, data: Path, pids: Mapping[str, int | None], root: Path = Path("/")) -> Reading:
    """Look at the machine. `pids` are the processes, by role, whose resident memory is wanted."""
    times = psutil.cpu_times()
    # The last two, guest and guest_nice, are contained in user and nice.
    total_s = sum(times[:8])
    uplink = uplink_of(read_host(str(root).rstrip("/")))
    return Reading(
        boottime_ns=boottime_ns,
        cpu_busy_s=total_s - times.idle - getattr(times, "iowait", 0.0),
        cpu_total_s=total_s,
        memory_percent=psutil.virtual_memory().percent,
        disk_free_bytes=_disk_free(data),
        uplink=uplink,
        uplink_bytes=None if uplink is None else _carried(uplink),
        temperature_c=_scaled(root / "sys/class/thermal/thermal_zone0/temp"),
        cpu_mhz=_scaled(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"),
        power=_power(root),
        wifi_signal_dbm=None
        if uplink is None
        else wifi_signal_dbm(_text(root / "proc/net/wireless"), uplink),
        resident={role: size for role, pid in pids.items() if pid and (size := _resident(pid)) is not None},
    )


def uplink_of(host: Host) -> str | None:
    """Return the interface of the default route, IPv4's first; None without one."""
    route = host.default_route(4) or host.default_route(6)
    return None if route is None else route.interface


def wifi_signal_dbm(table: str, interface: str) -> int | None:
    """Return an interface's signal level in /proc/net/wireless, in dBm; None where it is not there, or not in dBm."""
    for line in table.splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if name.strip() != interface or len(fields) < 3:
            continue
        try:
            level = int(float(fields[2]))
        except (ValueError, OverflowError):
            return None
        return level if level < 0 else None  # a driver's relative figure is from 0 up
    return None


def power_of(flags: int) -> Power:
    """Return what the firmware's `get_throttled` bits say."""
    since_boot = flags >> _SINCE_BOOT
    return Power(
        under_voltage=bool(flags & _UNDER_VOLTAGE),
        under_voltage_since_boot=bool(since_boot & _UNDER_VOLTAGE),
        throttled=bool(flags & _SLOWED),
        throttled_since_boot=bool(since_boot & _SLOWED),
    )


def _cross_traffic(before: Reading, after: Reading, own_bytes: int) -> int | None:
    if before.uplink != after.uplink or before.uplink_bytes is None or after.uplink_bytes is None:
        return None
    carried = after.uplink_bytes - before.uplink_bytes
    return None if carried < 0 else max(0, carried - own_bytes)  # the interface may have begun anew


def _power(root: Path) -> Power:
    """Read the firmware's flags; where the kernel has none, the voltage alarm of its hwmon driver."""
    flags = _number(root / _THROTTLED, base=16)
    if flags is not None:
        return power_of(flags)
    for chip in sorted((root / _HWMON).glob("hwmon*")):
        if _text(chip / "name") == "rpi_volt":
            alarm = _number(chip / "in0_lcrit_alarm")
            return Power(under_voltage=None if alarm is None else bool(alarm))
    return Power()


def _carried(interface: str) -> int | None:
    # nowrap would keep the last counters of every interface there ever was, to mend what 64 bits do not break.
    counters = psutil.net_io_counters(pernic=True, nowrap=False).get(interface)
    return None if counters is None else int(counters.bytes_sent + counters.bytes_recv)


def _disk_free(data: Path) -> int | None:
    try:
        return int(psutil.disk_usage(str(data)).free)
    except OSError:
        return None


def _resident(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def _scaled(path: Path) -> float | None:
    """Return a number that the kernel gives in thousandths."""
    thousandths = _number(path)
    return None if thousandths is None else thousandths / 1000


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(_text(path), base)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""
