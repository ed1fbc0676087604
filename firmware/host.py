"""The host's own view of its network: interfaces, addresses, default routes, resolvers. Reads, never changes.

Thin hands and pure parsers. What is read is asked of the kernel through sockets and /proc/net, which follow
the network namespace; /sys does not, so it only says what kind an interface is. A host's own addresses
identify a person: they are here to decide by, and must never enter a record. `Host.label` is how an address
gets into one.
"""

import array
import fcntl
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SIOCGIFCONF: Final = 0x8912
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFHWADDR: Final = 0x8927
_IFF_UP: Final = 0x1
_IFF_LOOPBACK: Final = 0x8
_IFF_RUNNING: Final = 0x40
_IFREQ_BYTES: Final = 16 + (24 if struct.calcsize("P") == 8 else 16)
_ARPHRD_ETHER: Final = 1
_ARPHRD_RAWIP: Final = 519

_RTF_UP: Final = 0x1
_RTF_GATEWAY: Final = 0x2
_RTF_REJECT: Final = 0x200
_IFA_F_TENTATIVE: Final = 0x40
_IFA_F_DADFAILED: Final = 0x08

_SYSTEMD_STUBS: Final = frozenset({"127.0.0.53", "127.0.0.54"})
_MAX_RESOLVERS: Final = 3
"""As many as the C library asks (resolv.conf(5), MAXNS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface. `kind` is `loopback`, `ethernet`, `wifi`, `mobile` or `other`."""

    name: str
    kind: str
    up: bool
    carrier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One of this host's own addresses; `scope` is `loopback`, `link_local`, `private`, `cgnat` or `global`."""

    interface: str
    family: int
    address: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRoute:
    """One default route; `gateway` is None on a point-to-point link, which needs none."""

    interface: str
    family: int
    gateway: str | None
    metric: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolvers:
    """The configured resolvers, in order.

    `stub` says a local stub stood before them and was passed by; `loopback` that the only ones known are on
    this machine itself, so that asking them says less.
    """

    addresses: tuple[str, ...] = ()
    stub: bool = False
    loopback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the host's network looked like at one moment."""

    interfaces: tuple[Interface, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[DefaultRoute, ...] = ()
    resolver_config: Resolvers = Resolvers()

    @property
    def resolvers(self) -> tuple[str, ...]:
        """The configured resolvers' addresses, in order; empty when there is none."""
        return self.resolver_config.addresses

    def default_route(self, family: int) -> DefaultRoute | None:
        """Return the default route of family 4 or 6 with the lowest metric, or None."""
        routes = [route for route in self.routes if route.family == family]
        return min(routes, key=lambda route: route.metric, default=None)

    def gateways(self) -> tuple[str, ...]:
        """Return the default routes' next hops, IPv4 first; a link-local one with its `%interface`."""
        routes = (self.default_route(4), self.default_route(6))
        return tuple(
            f"{route.gateway}%{route.interface}" if is_link_local(route.gateway) else route.gateway
            for route in routes
            if route is not None and route.gateway is not None
        )

    def interface(self, name: str) -> Interface | None:
        """Return the interface called `name`, or None."""
        return next((interface for interface in self.interfaces if interface.name == name), None)

    def uplink(self) -> str:
        """Return the kind of the default route's interface (IPv4 first), "" without a default route."""
        route = self.default_route(4) or self.default_route(6)
        return "" if route is None else self._kind(route.interface)

    def uplink_towards(self, address: str) -> str:
        """Return the kind of interface the kernel routes `address` over, "" where it has no route to it."""
        source = _source_towards(address)
        name = next((own.interface for own in self.addresses if own.address == source), None)
        return "" if name is None else self._kind(name)

    def label(self, address: str) -> str:
        """Return `address` as a record may hold it: `@gateway` and `@self` for what is the host's own."""
        bare = address.partition("%")[0]
        if bare in {own.address for own in self.addresses if own.scope != "loopback"}:
            return "@self"
        return "@gateway" if bare in {gateway.partition("%")[0] for gateway in self.gateways()} else address

    def _kind(self, name: str) -> str:
        interface = self.interface(name)
        return "other" if interface is None or interface.kind == "loopback" else interface.kind


def read_host(root: Path = Path("/")) -> Host:
    """Read the host's network as it is now. What cannot be read is left out: it is evidence too."""
    names = [name for _, name in socket.if_nameindex()]
    return Host(
        interfaces=tuple(_read_interface(name, root) for name in names),
        addresses=(
            *parse_ifconf(_read_ifconf()),
            *parse_if_inet6(_read_text(root / "proc/net/if_inet6")),
        ),
        routes=(
            *parse_route(_read_text(root / "proc/net/route")),
            *parse_ipv6_route(_read_text(root / "proc/net/ipv6_route")),
        ),
        resolver_config=choose_resolvers(
            parse_resolv_conf(_read_text(root / "etc/resolv.conf")),
            parse_resolv_conf(_read_text(root / "run/systemd/resolve/resolv.conf")),
        ),
    )


def parse_route(text: str) -> tuple[DefaultRoute, ...]:
    """Read the default routes of /proc/net/route (proc_net(5): addresses in hexadecimal, host byte order)."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[1] != "00000000" or fields[7] != "00000000":
            continue
        flags = int(fields[3], 16)
        if not flags & _RTF_UP or flags & _RTF_REJECT:
            continue
        gateway = socket.inet_ntop(socket.AF_INET, struct.pack("=I", int(fields[2], 16)))
        routes.append(
            DefaultRoute(
                interface=fields[0],
                family=4,
                gateway=gateway if flags & _RTF_GATEWAY else None,
                metric=int(fields[6]),
            )
        )
    return tuple(routes)


def parse_ipv6_route(text: str) -> tuple[DefaultRoute, ...]:
    """Read the default routes of /proc/net/ipv6_route (net/ipv6/route.c: hexadecimal, network byte order)."""
    routes = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 10 or int(fields[0], 16) or fields[1] != "00":
            continue
        flags = int(fields[8], 16)
        if not flags & _RTF_UP or flags & _RTF_REJECT or fields[9] == "lo":
            continue
        gateway = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[4]))
        routes.append(
            DefaultRoute(
                interface=fields[9],
                family=6,
                gateway=gateway if flags & _RTF_GATEWAY else None,
                metric=int(fields[5], 16),
            )
        )
    return tuple(routes)


def parse_if_inet6(text: str) -> tuple[Address, ...]:
    """Read /proc/net/if_inet6; addresses still being checked for duplicates, or found to be, are left out."""
    addresses = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 6 or int(fields[4], 16) & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
            continue
        text_form = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0]))
        addresses.append(Address(interface=fields[5], family=6, address=text_form, scope=scope_of(text_form)))
    return tuple(addresses)


def parse_ifconf(raw: bytes) -> tuple[Address, ...]:
    """Read what SIOCGIFCONF fills in (netdevice(7)): IPv4 addresses with their interface; labels are cut off."""
    addresses = []
    for start in range(0, len(raw) - _IFREQ_BYTES + 1, _IFREQ_BYTES):
        name = raw[start : start + 16].split(b"\0", 1)[0].decode("ascii", "replace").partition(":")[0]
        text_form = socket.inet_ntop(socket.AF_INET, raw[start + 20 : start + 24])
        addresses.append(Address(interface=name, family=4, address=text_form, scope=scope_of(text_form)))
    return tuple(addresses)


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """Read the `nameserver` lines of resolv.conf(5); what is no address is left out."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and _scope_known(words[1]):
            found.append(words[1])
    return tuple(found[:_MAX_RESOLVERS])


def choose_resolvers(configured: Sequence[str], behind_stub: Sequence[str]) -> Resolvers:
    """Pass by systemd's stub to the resolvers behind it; keep any other resolver on loopback, and say so."""
    stub = any(address in _SYSTEMD_STUBS for address in configured)
    addresses = tuple(behind_stub if stub and behind_stub else configured)
    loopback = bool(addresses) and all(scope_of(address) == "loopback" for address in addresses)
    return Resolvers(addresses=addresses, stub=stub and bool(behind_stub), loopback=loopback)


def is_link_local(address: str) -> bool:
    """Say whether an address is an IPv6 link-local one, which is nothing without its interface."""
    return ":" in address and scope_of(address) == "link_local"


def scope_of(address: str) -> str:
    """Return `loopback`, `link_local`, `private`, `cgnat` or `global` (RFC 1918, 3927, 4193, 4291, 6598)."""
    if ":" in address:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
        if packed == b"\0" * 15 + b"\1":
            return "loopback"
        if packed[0] == 0xFE and packed[1] & 0xC0 == 0x80:
            return "link_local"
        return "private" if packed[0] & 0xFE == 0xFC else "global"
    first, second = socket.inet_pton(socket.AF_INET, address)[:2]
    if first == 127:
        return "loopback"
    if (first, second) == (169, 254):
        return "link_local"
    if first == 10 or (first, second) == (192, 168) or (first == 172 and 16 <= second < 32):
        return "private"
    return "cgnat" if first == 100 and 64 <= second < 128 else "global"


def interface_kind(name: str, *, hardware_type: int, wireless: bool, device_type: str) -> str:
    """Name the kind of an interface from ARPHRD_*, /sys's `wireless` folder and uevent's DEVTYPE."""
    if wireless or device_type == "wlan":
        return "wifi"
    if device_type == "wwan" or name.startswith("wwan") or hardware_type == _ARPHRD_RAWIP:
        return "mobile"
    return "ethernet" if hardware_type == _ARPHRD_ETHER else "other"


def _scope_known(address: str) -> bool:
    try:
        scope_of(address)
    except (OSError, ValueError):
        return False
    return True


def _read_interface(name: str, root: Path) -> Interface:
    flags, hardware_type = _read_flags(name)
    folder = root / "sys/class/net" / name
    device_type = ""
    for line in _read_text(folder / "uevent").splitlines():
        key, _, value = line.partition("=")
        device_type = value if key == "DEVTYPE" else device_type
    wireless = (folder / "wireless").is_dir() or (folder / "phy80211").exists()
    kind = interface_kind(name, hardware_type=hardware_type, wireless=wireless, device_type=device_type)
    return Interface(
        name=name,
        kind="loopback" if flags & _IFF_LOOPBACK else kind,
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_RUNNING),
    )


def _read_flags(name: str) -> tuple[int, int]:
    """Return the interface's flags and hardware type (netdevice(7)); zeros when it has just gone."""
    request = struct.pack(f"={_IFREQ_BYTES}s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            flags = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
            hardware = fcntl.ioctl(sock, _SIOCGIFHWADDR, request)
        except OSError:
            return 0, 0
    return struct.unpack_from("=H", flags, 16)[0], struct.unpack_from("=H", hardware, 16)[0]


def _read_ifconf() -> bytes:
    """Ask the kernel for every IPv4 address of this host, growing the room until all fit."""
    room = 32 * _IFREQ_BYTES
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


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
