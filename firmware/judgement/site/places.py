"""Names and addresses of hosts in their one form, and which of them are alike. Pure."""

import ipaddress
from typing import Final
from urllib.parse import urljoin, urlsplit

from firmware.judgement.fingerprints.table import canonical

_ALIKE_BITS: Final = {4: 24, 6: 48}
"""Two addresses that share so many bits are taken to be of one network."""


def host_of(url: str) -> str:
    """Return the host of a URL or a `HOST:PORT`, in small ASCII letters."""
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""
    return _ascii(host)


def port_of(url: str) -> int | None:
    """Return the port that a URL leads to; None where it says none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return port or {"http": 80, "https": 443}.get(parts.scheme)


def joined(url: str, location: str) -> str:
    """Return where a redirect leads; empty where it leads nowhere."""
    try:
        target = urljoin(url, location)
    except ValueError:
        return ""
    return target if host_of(target) and target.startswith(("http://", "https://")) else ""


def related(one: str, other: str) -> bool:
    """Return whether two hosts are one site's: the same but for `www.`, or one below the other."""
    one, other = one.removeprefix("www."), other.removeprefix("www.")
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def near(one: str, other: str) -> bool:
    """Return whether two addresses share a network's prefix."""
    if not (is_address(one) and is_address(other)):
        return False
    first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    if first.version != second.version:
        return False
    shift = first.max_prefixlen - _ALIKE_BITS[first.version]
    return int(first) >> shift == int(second) >> shift


def same_host(one: str, other: str) -> bool:
    """Return whether two names are one, whatever their script or case."""
    return _ascii(one) == _ascii(other)


def _ascii(name: str) -> str:
    name = name.lower().removesuffix(".")
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name


def is_address(text: str) -> bool:
    """Return whether it is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Return whether a public server can have this address."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def bare(address: str) -> str:
    """Return an address without a port, in its one form."""
    return place(address)[0]


def family_at(address: str) -> int:
    """Return the family (4 or 6) of an address, which may have a port."""
    return 6 if ":" in bare(address) else 4


def place(text: str) -> tuple[str, int]:
    """Return address and port of `ADDRESS:PORT`; port 0 where there is none."""
    if is_address(text):
        return canonical(text), 0
    host, _, port = text.rpartition(":")
    return (
        (canonical(host.strip("[]")), int(port))
        if port.isascii() and port.isdigit()
        else (canonical(text), 0)
    )
