"""What can be set of the measurement server: the same table in the collector's settings file and in its own."""

from dataclasses import dataclass
from pathlib import Path

from firmware.settings.load import setting, table

_MIB = 1024 * 1024
_MOST = 2**50


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSettings:
    """The measurement server: the far end of a device's transfers, over TLS on one port for any name.

    It serves devices of the fleet, and nobody else but what `ndt7` and `throughput1` open. Limits hold for one device and for all together; a transfer that would pass
    one is refused before it begins.
    """

    host: str = setting(
        "127.0.0.1",
        doc="The address it is served on; `0.0.0.0` or `::` is every one of this machine.",
        pattern=r"[A-Za-z0-9.:-]+",
        form="an address or a host name",
    )
    port: int = setting(0, doc="Its port, best 443; 0 has none.", low=0, high=65535)
    identity: Path | None = setting(
        None,
        doc="What `tidegauge provision measurement-server` wrote: the certificate that devices know it by, whatever name they "
        "ask for.",
        sample="measurement-identity",
    )
    udp: bool = setting(default=True, doc="Serve UDP on the same port: echo, and flows both ways.")
    ndt7: str = setting(
        "off",
        doc="Whom M-Lab's ndt7 is served to: nobody, the fleet, or anybody, who then counts as one device for each address.",
        choices=("off", "fleet", "anybody"),
    )
    throughput1: str = setting(
        "off",
        doc="Whom the test throughput1 of M-Lab's msak is served to.",
        choices=("off", "fleet", "anybody"),
    )
    transfer_bytes: int = setting(
        64 * _MIB, doc="How much one transfer may take.", unit="bytes", low=1024, high=_MOST
    )
    transfer_s: int = setting(
        60, doc="How long one transfer may take; then it is cut off.", unit="s", low=1, high=3600
    )
    transfers_per_device: int = setting(
        4, doc="How many transfers of one device may be under way at once.", low=1, high=1000
    )
    transfers: int = setting(
        64, doc="How many transfers may be under way at once in all.", low=1, high=100_000
    )
    bytes_per_device_per_day: int = setting(
        1024 * _MIB, doc="How much one device may transfer in 24 hours.", unit="bytes", low=1024, high=_MOST
    )
    bytes_per_day: int = setting(
        100 * 1024 * _MIB,
        doc="How much all may transfer in 24 hours: what the machine's own line allows.",
        unit="bytes",
        low=1024,
        high=_MOST,
    )
    connections: int = setting(
        512,
        doc="How many connections may be open at once in all, also of those who have said nothing yet; a further one "
        "is closed.",
        low=1,
        high=100_000,
    )
    connections_per_address: int = setting(
        64,
        doc="How many of them from one IPv4 address or one IPv6 /64. Many devices may stand behind one address.",
        low=1,
        high=100_000,
    )
    halves_bytes: int = setting(
        64 * _MIB,
        doc="How much of its halves of tests it holds until a collector has asked for them; past it the oldest are given up, of "
        "the device that has the most. A half has some 2 kB.",
        unit="bytes",
        low=_MIB,
        high=_MOST,
    )
    capture: bool = setting(
        default=True,
        doc="Look at the headers of its own packets while it sends a download, where it has CAP_NET_RAW: it tells a policer from a shaper. Without "
        "that capability it goes by what the kernel counts.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementServerSettings:
    """A measurement server by itself, on a machine without a collector."""

    data: Path = setting(
        Path("data/measurement-server"),
        doc="The directory for what it says of itself when it is ready, and for its halves of tests.",
    )
    devices: Path | None = setting(
        None,
        doc="The authority's directory without its keys: a device's token counts by its certificate in it. It is looked at again "
        "every few seconds.",
        sample="authority",
    )
    measurement: MeasurementSettings = table(MeasurementSettings)
