"""How the device itself was while it measured: load, memory, disk, heat, power, other traffic, Wi-Fi signal.

A measurement taken on a starved or overheated device, or beside a download, says little of the network, so each
round carries this. What a machine does not have is None, never a guess. It must never read or keep anything
personal: no network name, no hardware address, no host name, no process list.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from firmware.jsontypes import JsonObject

_UNDER_VOLTAGE_ALARM: Final = "sys/class/hwmon"
_THROTTLED: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"
_UNDER_VOLTAGE_BITS: Final = 0x0001_0001
"""Bit 0: under-voltage now; bit 16: since boot (Raspberry Pi firmware, vcgencmd get_throttled)."""
_THROTTLED_BITS: Final = 0x0000_000E
"""Bits 1–3: frequency capped, throttled, or at the soft temperature limit now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One look at the machine. Counters are since boot; None: this machine does not tell.

    `uplink_bytes` is what the interfaces but the loopback carried, both ways; `resident` is by role, in bytes.
    """

    boottime_ns: int
    cpu_busy_s: float
    cpu_total_s: float
    memory_percent: float
    disk_free_bytes: int
    uplink_bytes: int
    uptime_s: float
    temperature_c: float | None
    cpu_mhz: float | None
    under_voltage: bool | None
    throttled: bool | None
    wifi_signal_dbm: int | None
    resident: dict[str, int]


def summary(before: Reading, after: Reading, *, own_bytes: int) -> JsonObject:
    """Return what a round's record says of the device, from a reading at its start and one at its end.

    `own_bytes` is what the round's own measurements carried (payload; headers and retransmissions make the
    rest of `cross_traffic_bytes` a little large). CPU load is over the round, in percent of all cores.
    """
    total_s = after.cpu_total_s - before.cpu_total_s
    busy_s = after.cpu_busy_s - before.cpu_busy_s
    resident: JsonObject = {**after.resident}
    return {
        "cpu_percent": round(100 * busy_s / total_s, 1) if total_s > 0 else None,
        "memory_percent": after.memory_percent,
        "disk_free_bytes": after.disk_free_bytes,
        "uptime_s": round(after.uptime_s),
        "temperature_c": after.temperature_c,
        "cpu_mhz": after.cpu_mhz,
        "under_voltage": after.under_voltage,
        "throttled": after.throttled,
        "cross_traffic_bytes": max(0, after.uplink_bytes - before.uplink_bytes - own_bytes),
        "wifi_signal_dbm": after.wifi_signal_dbm,
        "resident_bytes": resident,
    }


def context(reading: Reading) -> JsonObject:
    """Return the part of a reading that goes with every measurement."""
    return {
        "memory_percent": reading.memory_percent,
        "temperature_c": reading.temperature_c,
        "under_voltage": reading.under_voltage,
        "throttled": reading.throttled,
        "wifi_signal_dbm": reading.wifi_signal_dbm,
    }


def read(*, boottime_ns: int, data: Path, pids: dict[str, int | None], root: Path = Path("/")) -> Reading:
    """Look at the machine. `pids` are the processes, by role, whose resident memory is wanted.

    Raises `OSError` when the data directory is gone; everything else that cannot be read is None.
    """
    times = psutil.cpu_times()
    total_s = sum(times[:8])
    throttled = _throttled_flags(root)
    return Reading(
        boottime_ns=boottime_ns,
        cpu_busy_s=total_s - times.idle - getattr(times, "iowait", 0.0),
        cpu_total_s=total_s,
        memory_percent=psutil.virtual_memory().percent,
        disk_free_bytes=psutil.disk_usage(str(data)).free,
        uplink_bytes=_uplink_bytes(),
        uptime_s=boottime_ns / 1e9,
        temperature_c=_temperature(root),
        cpu_mhz=_cpu_mhz(root),
        under_voltage=_under_voltage(root, throttled),
        throttled=None if throttled is None else bool(throttled & _THROTTLED_BITS),
        wifi_signal_dbm=wifi_signal_dbm(_text(root / "proc/net/wireless") or ""),
        resident={role: size for role, pid in pids.items() if pid and (size := _resident(pid)) is not None},
    )


def wifi_signal_dbm(table: str) -> int | None:
    """Return the best signal level of /proc/net/wireless in dBm, None without a wireless interface."""
    levels = []
    for line in table.splitlines()[2:]:
        fields = line.split()
        if len(fields) > 3 and fields[0].endswith(":"):
            try:
                levels.append(int(float(fields[3])))
            except ValueError:
                continue
    # A level of 0 or more is a driver's relative figure, not dBm.
    return max((level for level in levels if level < 0), default=None)


def _uplink_bytes() -> int:
    counters = psutil.net_io_counters(pernic=True)
    return sum(nic.bytes_sent + nic.bytes_recv for name, nic in counters.items() if name != "lo")


def _resident(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _number(path: Path, base: int = 10) -> int | None:
    text = _text(path)
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None


def _temperature(root: Path) -> float | None:
    millis = _number(root / "sys/class/thermal/thermal_zone0/temp")
    return None if millis is None else millis / 1000


def _cpu_mhz(root: Path) -> float | None:
    khz = _number(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    return None if khz is None else khz / 1000


def _throttled_flags(root: Path) -> int | None:
    return _number(root / _THROTTLED, base=16)


def _under_voltage(root: Path, throttled: int | None) -> bool | None:
    if throttled is not None:
        return bool(throttled & _UNDER_VOLTAGE_BITS)
    for chip in sorted((root / _UNDER_VOLTAGE_ALARM).glob("hwmon*")):
        if _text(chip / "name") == "rpi_volt":
            alarm = _number(chip / "in0_lcrit_alarm")
            return None if alarm is None else bool(alarm)
    return None
