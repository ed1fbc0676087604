"""Mosquitto's configuration and access list for a broker that faces the network, as text. Pure.

A device proves itself by its certificate (TLS 1.3, both sides), is named after it whatever it says of itself (its
client id too, or it could push another off), and may write its own branch and read its own answers. The access list
names each device: one that is revoked is missing from it, which takes effect on connections that stand already; the
revocation list keeps it from connecting anew. Nothing is kept on disk: a record leaves a device only on the
collector's own ack. This file must never open an unencrypted or anonymous way in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.wire.messages import DEVICE_PATTERN, ROOT

MQTT_PORT: Final = 8883
WEBSOCKET_PORT: Final = 443
MAX_PACKET_BYTES: Final = 64 * 1024
"""A sender of more is cut off: a batch is 16 KiB at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFiles:
    """Where the broker finds what it reads. `trust` holds root and issuing certificate, `revoked` the CRL."""

    trust: Path
    certificate: Path
    key: Path
    revoked: Path
    access: Path


def configuration(
    files: BrokerFiles,
    *,
    port: int = MQTT_PORT,
    websocket_port: int = WEBSOCKET_PORT,
    address: str = "",
    user: str = "",
) -> str:
    """Return mosquitto.conf: MQTT over TLS on `port`, over WebSocket over TLS on `websocket_port` (0: without)."""
    where = f" {address}" if address else ""
    listeners = [_listener(files, f"listener {port}{where}", protocol="mqtt")]
    if websocket_port:
        listeners.append(_listener(files, f"listener {websocket_port}{where}", protocol="websockets"))
    general = [
        "# Made by `tidegauge provision broker`: make it anew rather than edit it.",
        *([f"user {user}"] if user else []),
        "per_listener_settings false",
        "allow_anonymous false",
        f"acl_file {files.access}",
        "persistence false",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "max_queued_messages 10000",
        f"max_queued_bytes {64 * 1024 * 1024}",
        "max_inflight_messages 20",
        "set_tcp_nodelay true",
        # What is logged of a connection is its address, and that is nobody's business.
        "connection_messages false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
    ]
    return "\n".join([*general, "", *listeners])


def access_list(devices: Iterable[str], collectors: Iterable[str]) -> str:
    """Return the access list: each device its own branch, each collector all of ours, nobody anything else."""
    lines = ["# Made by `tidegauge provision broker`: make it anew rather than edit it."]
    for collector in sorted(set(collectors)):
        lines += [
            "",
            f"user {collector}",
            f"topic read {ROOT}/up/#",
            f"topic read {ROOT}/st/#",
            f"topic write {ROOT}/dn/#",
        ]
    for device in sorted(set(devices)):
        if not DEVICE_PATTERN.fullmatch(device):
            raise ValueError(f"a device's id is {DEVICE_PATTERN.pattern}, not {device!r}")
        lines += [
            "",
            f"user {device}",
            f"topic write {ROOT}/up/{device}/#",
            f"topic write {ROOT}/st/{device}",
            f"topic read {ROOT}/dn/{device}/#",
        ]
    return "\n".join(lines) + "\n"


def _listener(files: BrokerFiles, first: str, *, protocol: str) -> str:
    return "\n".join(
        [
            first,
            f"protocol {protocol}",
            f"cafile {files.trust}",
            f"certfile {files.certificate}",
            f"keyfile {files.key}",
            f"crlfile {files.revoked}",
            "tls_version tlsv1.3",
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",
            "",
        ]
    )
