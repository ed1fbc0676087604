"""The host's own view of its network, read as it is now. Thin hands on pure parsers; changes nothing.

What is read is asked of the kernel through sockets and /proc/net, which follow the network namespace; /sys
does not, so it only says what kind an interface is. This file must never send a packet.
"""

import array
import fcntl
import os
import socket
import struct
from typing import Final

from firmware.net.files import read_text
from firmware.net.host_parsers import (
    IFREQ_BYTES,
    choose_resolvers,
    interface_kind,
    parse_if_inet6,
    parse_ifconf,
    parse_ipv6_route,
    parse_resolv_conf,
    parse_route,
)
from firmware.net.host_view import Host, Interface

__all__ = ["Host", "read_host", "uplink_towards"]

_SIOCGIFCONF: Final = 0x8912
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFHWADDR: Final = 0x8927
_IFF_UP: Final = 0x1
_IFF_LOOPBACK: Final = 0x8
_IFF_RUNNING: Final = 0x40


def read_host(root: str = "") -> Host:
    """Read the host's network as it is now. What cannot be read is left out: it is evidence too."""
    names = [name for _, name in socket.if_nameindex()]
    return Host(
        interfaces=tuple(_read_interface(name, root) for name in names),
        addresses=(
            *parse_ifconf(_read_ifconf()),
            *parse_if_inet6(read_text(f"{root}/proc/net/if_inet6")),
        ),
        routes=(
            *parse_route(read_text(f"{root}/proc/net/route")),
            *parse_ipv6_route(read_text(f"{root}/proc/net/ipv6_route")),
        ),
        resolver_config=choose_resolvers(
            parse_resolv_conf(read_text(f"{root}/etc/resolv.conf")),
            parse_resolv_conf(read_text(f"{root}/run/systemd/resolve/resolv.conf")),
        ),
    )


def uplink_towards(host: Host, address: str) -> str:
    """Return the kind of interface the kernel routes `address` over, "" where it has no route to it."""
    return host.uplink_from(_source_towards(address))


def _read_interface(name: str, root: str) -> Interface:
    flags, hardware_type = _read_flags(name)
    folder = f"{root}/sys/class/net/{name}"
    device_type = ""
    for line in read_text(f"{folder}/uevent").splitlines():
        key, _, value = line.partition("=")
        device_type = value if key == "DEVTYPE" else device_type
    wireless = any(os.path.exists(f"{folder}/{mark}") for mark in ("wireless", "phy80211"))  # noqa: PTH110  # see files.py
    kind = interface_kind(name, hardware_type=hardware_type, wireless=wireless, device_type=device_type)
    return Interface(
        name=name,
        kind="loopback" if flags & _IFF_LOOPBACK else kind,
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_RUNNING),
    )


def _read_flags(name: str) -> tuple[int, int]:
    """Return the interface's flags and hardware type (netdevice(7)); zeros when it has just gone."""
    request = struct.pack(f"={IFREQ_BYTES}s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            flags = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
            hardware = fcntl.ioctl(sock, _SIOCGIFHWADDR, request)
        except OSError:
            return 0, 0
    return struct.unpack_from("=H", flags, 16)[0], struct.unpack_from("=H", hardware, 16)[0]


def _read_ifconf() -> bytes:
    """Ask the kernel for every IPv4 address of this host, growing the room until all fit."""
    room = 32 * IFREQ_BYTES
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        while True:
            buffer = array.array("B", bytes(room))
            request = struct.pack("iP", room, buffer.buffer_info()[0])
            used = int(struct.unpack_from("i", fcntl.ioctl(sock, _SIOCGIFCONF, request))[0])
            if used < room:
                return bytes(buffer[:used])
            room *= 2


def _source_towards(address: str) -> str:
    """Return the address the kernel would send from; a connected UDP socket sends nothing to say so."""
    bare, _, zone = address.partition("%")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            scope = socket.if_nametoindex(zone) if zone else 0
            sock.connect((bare, 9, 0, scope) if family == socket.AF_INET6 else (bare, 9))
            return str(sock.getsockname()[0]).partition("%")[0]
    except OSError:
        return ""
