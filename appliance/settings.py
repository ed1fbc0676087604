"""What can be set of a device: the declarations that the file, the options and the reference all follow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.lights.patterns import DEFAULT_PINS, Light
from appliance.storage.quota import CAP_BYTES
from firmware.settings.load import setting, table

_MAX_PIN: Final = 27


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorEndpointSettings:
    """Where the collector is reached.

    A device with an identity (`tidegauge identity`) tries, in this order and all of it encrypted, MQTT over WebSocket, MQTT,
    and HTTPS. One without has plain MQTT only, which is for a broker on the same machine.
    """

    host: str = setting(
        "127.0.0.1", doc="Its name or address.", pattern=r"[A-Za-z0-9.:-]+", form="an address or a host name"
    )
    port: int = setting(1883, doc="The port of plain MQTT, without an identity.", low=1, high=65535)
    websocket_port: int = setting(
        443, doc="The port of MQTT over WebSocket over TLS; 0 leaves this way out.", low=0, high=65535
    )
    tls_port: int = setting(8883, doc="The port of MQTT over TLS; 0 leaves this way out.", low=0, high=65535)
    https_port: int = setting(443, doc="The port of HTTPS; 0 leaves this way out.", low=0, high=65535)
    path: str = setting(
        "",
        doc="What comes before our own paths, where a proxy wants it.",
        pattern=r"(?:/[A-Za-z0-9._~-]+)*",
        form="a path like /t, or empty",
        sample="/t",
    )
    keepalive_s: int = setting(
        60,
        doc="How often the connection is proved alive when nothing else is sent.",
        unit="s",
        low=10,
        high=3600,
    )
    retry_max_s: int = setting(
        300,
        doc="The longest wait between two tries to connect. Each wait is a random part of a bound that doubles "
        "up to this, so that a fleet that lost its broker does not return in one second.",
        unit="s",
        low=1,
        high=86_400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """How often to measure, where it is to be other than the plan's own cadence (0 keeps the plan's)."""

    calm_s: int = setting(0, doc="From round to round when all is calm.", unit="s", low=0, high=86_400)
    transition_s: int = setting(
        0,
        doc="From round to round after the start, after a change of verdict and while all is not well, as far as "
        "the budget bears it. A round takes up to 30 s on a line that fails; a slot that comes while one is still "
        "running is recorded as missed.",
        unit="s",
        low=0,
        high=86_400,
    )
    budget_bytes_per_day: int = setting(
        0, doc="The most that measuring may cost in any 24 hours.", unit="bytes", low=0, high=10**12
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """What is kept of results that no collector has yet. What is given up is the least telling, and it is said."""

    cap_mb: int = setting(
        CAP_BYTES // 1024 // 1024,
        doc="How large it may grow; less where the disk is nearly full. 100 MiB hold about four days of a cut.",
        unit="MiB",
        low=16,
        high=1_000_000,
    )
    max_age_days: int = setting(
        0,
        doc="How long a result is kept, in days that the device was running; 0 is until it is delivered.",
        unit="days",
        low=0,
        high=36_500,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LightSettings:
    """The three lights."""

    factory: str = setting(
        "auto",
        doc="Where the lights are: `lgpio` is the header's pins, `mock` draws them in the terminal, `auto` "
        "takes whichever this machine has.",
        choices=("auto", "lgpio", "mock"),
    )
    network_pin: int = setting(
        DEFAULT_PINS[Light.NETWORK], doc="BCM number of the network light's pin.", low=0, high=_MAX_PIN
    )
    delivery_pin: int = setting(
        DEFAULT_PINS[Light.DELIVERY], doc="BCM number of the delivery light's pin.", low=0, high=_MAX_PIN
    )
    attention_pin: int = setting(
        DEFAULT_PINS[Light.ATTENTION], doc="BCM number of the attention light's pin.", low=0, high=_MAX_PIN
    )
    dark: bool = setting(
        default=False, doc="Keep every light out, for a host who must not be seen to have it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbDriveSettings:
    """A USB drive that results are carried out on by hand."""

    watch: str = setting(
        "/media:/run/media",
        doc="Below which directories a USB drive that appears is written to, if it has a file TIDEGAUGE at its top; several with "
        "colons between them, empty for none. Who mounts it is the system's matter.",
        pattern=r"(?:/[^\x00-\x1f:]*(?::/[^\x00-\x1f:]*)*)?",
        form="whole paths with colons between them, or empty",
        sample="/media",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the device says of its own doings on its error output, which systemd keeps in the journal."""

    level: str = setting(
        "warning",
        doc="The least that is said: `debug` says most, `error` least.",
        choices=("debug", "info", "warning", "error"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """A device: it measures, keeps what it measured, and delivers it."""

    data: Path = setting(
        Path("data/device"),
        doc="The directory for the identity, the results not yet delivered, and the lock.",
    )
    country: str = setting(
        "",
        doc="Which of the plans that come along to measure by; empty is the generic one.",
        pattern=r"(?:[a-z]{2})?",
        form="two small letters (ISO 3166-1), or empty",
    )
    plan: Path | None = setting(
        None, doc="A plan file of your own; `country` must then be empty.", sample="plans/my-country.toml"
    )
    fingerprints: Path | None = setting(
        None,
        doc="A list of answers and pages that censors are known by, in OONI's format, or a directory of such lists "
        "(`*.csv`), beside those that come along. Read at the start; what of it cannot be used is left out and said.",
        sample="fingerprints",
    )
    province: str = setting(
        "",
        doc="Where the device stands, as coarse as you like to say it and never finer than a province; it goes "
        "into its records as typed. Empty says nothing.",
        pattern=r"[^\x00-\x1f]{0,60}",
        form="up to 60 characters on one line",
        sample="Isfahan",
    )
    provider: str = setting(
        "",
        doc="Whose network the device is in, the same word for all devices in it; it goes into its records as "
        "typed, and tells the collector which devices are lost together. Empty says nothing.",
        pattern=r"[^\x00-\x1f]{0,60}",
        form="up to 60 characters on one line",
        sample="AS58224",
    )
    network_kind: str = setting(
        "",
        doc="What kind of network that is, so that a cut of the mobile ones alone can be told; empty says nothing.",
        choices=("", "fixed", "mobile"),
    )
    broker: CollectorEndpointSettings = table(CollectorEndpointSettings)
    schedule: ScheduleSettings = table(ScheduleSettings)
    outbox: OutboxSettings = table(OutboxSettings)
    lights: LightSettings = table(LightSettings)
    usb_drive: UsbDriveSettings = table(UsbDriveSettings, was="stick")
    log: LogSettings = table(LogSettings)

    def __post_init__(self) -> None:
        """Check what one setting alone cannot say."""
        if self.country and self.plan is not None:
            raise ValueError("`country` and `plan` name the same thing twice: set one of them")
