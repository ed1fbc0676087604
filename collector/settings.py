"""What can be set of the collector: the declarations that the file, the options and the reference all follow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.measurement_settings import MeasurementSettings
from firmware.net.targets import family_of
from firmware.settings.load import setting, table

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
DEFAULT_PAGE_PORT: Final = 8464
_HOST_PORT: Final = r"(?:auto|mosquitto|amqtt|none|(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """The page and the API under it."""

    host: str = setting(
        "127.0.0.1",
        doc="The address the page is served on. Anybody who reaches it can read every measurement: keep it on "
        "the loopback, behind a web server that asks who is there, unless everybody may.",
        pattern=r"[A-Za-z0-9.:-]+",
        form="an address or a host name",
    )
    port: int = setting(
        DEFAULT_PAGE_PORT, doc="The port of the page; 0 takes any that is free.", low=0, high=65535
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """The MQTT broker between devices and collector."""

    use: str = setting(
        "auto",
        doc="Which broker: `mosquitto` or `amqtt` starts one of the collector's own on the loopback; `auto` takes "
        "mosquitto where it is installed, else amqtt; HOST:PORT uses one that runs already; `none` takes in "
        "nothing and only serves the page.",
        pattern=_HOST_PORT,
        form="auto, mosquitto, amqtt, none or HOST:PORT",
    )
    port: int = setting(
        0, doc="The port of the collector's own broker; 0 takes any that is free.", low=0, high=65535
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Taking in: how much may wait in memory between broker and database."""

    waiting_messages: int = setting(
        2000,
        doc="How many messages may wait. From half of it on, devices are asked to hold back; at all of it, "
        "nothing more is read from the broker.",
        unit="messages",
        low=10,
        high=1_000_000,
    )
    waiting_bytes: int = setting(
        32 * 1024 * 1024,
        doc="How many bytes of messages may wait, with the same effect.",
        unit="bytes",
        low=1024 * 1024,
        high=4 * 1024 * 1024 * 1024,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageSettings:
    """The vantage: the targets of the devices' plans measured from here, which must be outside their country."""

    enabled: bool = setting(
        default=False,
        doc="Measure them, and judge what devices found by it. Only for a collector outside the countries of its "
        "devices, and not on a device's own line: a vantage that is blocked too makes a block look like a service "
        "that is down.",
    )
    every_s: int = setting(600, doc="From sweep to sweep.", unit="s", low=10, high=86_400)
    plans: Path | None = setting(
        None,
        doc="A directory of plan files (`*.toml`) that devices use beside those that come along.",
        sample="plans",
    )
    days_kept: int = setting(
        400, doc="How long the log is kept, for records that arrive late.", unit="days", low=1, high=10_000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondVantageSettings:
    """The second vantage: the same targets at the same times from another address of this machine, a second uplink's or tunnel's.

    It tells a platform that refuses a country from one that is blocked there. Its network must be one that platforms treat
    like the country's, and must not pass the filters that the country's devices pass.
    """

    source_address: str = setting(
        "",
        doc="The address of this machine that it sends from; what leaves from there must take the second way.",
        pattern=r"[0-9A-Fa-f:.]*",
        form="an IPv4 or IPv6 address",
        sample="10.8.0.2",
    )
    country: str = setting(
        "",
        doc="The country whose networks platforms treat it like, as devices and plans name it.",
        pattern=r"(?:[a-z]{2})?",
        form="two small letters",
        sample="ir",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """Who is believed. Without it the collector takes what comes, and must face the loopback only."""

    devices: Path | None = setting(
        None,
        doc="The authority's directory (`tidegauge provision ca`), or a copy without its keys: what is not signed by a "
        "device in it is refused. It is looked at again every few seconds.",
        sample="authority",
    )
    identity: Path | None = setting(
        None,
        doc="What `tidegauge provision collector` wrote: the collector connects to the broker with it, over TLS, and "
        "signs what it says to devices, which believe nothing else.",
        sample="collector-identity",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvesSettings:
    """The measurement servers that are asked for their halves of tests; the one that the collector starts is, without being named."""

    servers: tuple[str, ...] = setting(
        (),
        doc="Where other measurement servers of the fleet are reached.",
        pattern=r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}",
        form="HOST:PORT",
        sample=("measurement.example.org:443",),
    )
    every_s: int = setting(30, doc="How often each is asked.", unit="s", low=1, high=86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """The way in over HTTPS, for devices that MQTT does not reach us from."""

    host: str = setting(
        "127.0.0.1",
        doc="The address it is served on.",
        pattern=r"[A-Za-z0-9.:-]+",
        form="an address or a host name",
    )
    port: int = setting(0, doc="Its port; 0 has none.", low=0, high=65535)
    identity: Path | None = setting(
        None,
        doc="A directory with certificate.pem and key.pem, for TLS here (what `tidegauge provision broker` wrote "
        "will do); without it a proxy before it must end TLS.",
        sample="broker",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """The collector: it takes in what devices measured, and shows it."""

    data: Path = setting(
        Path("data/collector"), doc="The directory for the database, the broker's files and the lock."
    )
    fingerprints: Path | None = setting(
        None,
        doc="A list of answers and pages that censors are known by, in OONI's format, or a directory of such lists "
        "(`*.csv`), beside those that come along. Read at the start; what of it cannot be used is left out and said.",
        sample="fingerprints",
    )
    page: PageSettings = table(PageSettings)
    broker: BrokerSettings = table(BrokerSettings)
    ingest: IngestSettings = table(IngestSettings)
    vantage: VantageSettings = table(VantageSettings, was="control")
    second_vantage: SecondVantageSettings = table(SecondVantageSettings)
    trust: TrustSettings = table(TrustSettings)
    intake: IntakeSettings = table(IntakeSettings)
    measurement: MeasurementSettings = table(MeasurementSettings)
    halves: HalvesSettings = table(HalvesSettings)

    def __post_init__(self) -> None:
        """Check what one setting alone cannot say."""
        address = broker_address(self.broker.use)
        if address is not None and not 1 <= address[1] <= 65535:
            raise ValueError("a broker's port is from 1 to 65535")
        second = self.second_vantage
        if bool(second.source_address) != bool(second.country):
            raise ValueError(
                "[second_vantage] `source_address` and `country` go together: set both or neither"
            )
        if second.source_address and family_of(second.source_address) is None:
            raise ValueError(
                f"[second_vantage] `source_address`: found {second.source_address!r}; allowed is an IPv4 or IPv6 address"
            )
        if second.source_address and not self.vantage.enabled:
            raise ValueError("[second_vantage] stands beside the vantage: set [vantage] `enabled` too")
        if (self.trust.devices is None) != (self.trust.identity is None):
            raise ValueError("[trust] `devices` and `identity` go together: set both or neither")
        if self.trust.devices is None and self.intake.port and self.intake.host not in _LOOPBACK:
            raise ValueError(
                "[intake] is open to anybody without [trust]: serve it on 127.0.0.1, or set [trust]"
            )
        if self.measurement.port and self.measurement.identity is None:
            raise ValueError(
                "[measurement] needs `identity`; make one with: tidegauge provision measurement-server"
            )
        if self.measurement.port and self.trust.devices is None:
            raise ValueError("[measurement] needs [trust]: it serves nobody but its devices")
        if any(not 1 <= server_address(one)[1] <= 65535 for one in self.halves.servers):
            raise ValueError("[halves] a server's port is from 1 to 65535")
        if self.halves.servers and self.trust.devices is None:
            raise ValueError(
                "[halves] needs [trust]: servers give nothing to a collector that they do not know"
            )


def broker_address(use: str) -> tuple[str, int] | None:
    """Return host and port when `use` names a broker that runs already, else None."""
    host, colon, port = use.rpartition(":")
    return (host.strip("[]"), int(port)) if colon else None


def server_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
