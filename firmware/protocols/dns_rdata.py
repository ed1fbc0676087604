r"""What DNS records hold, as text: bytes to the presentation form of each type that a measurement asks for. Pure.

Types without a reader here (HTTPS, SVCB and whatever else comes) are `\# LENGTH HEX`, the form that RFC 3597 has
for any: nothing is lost, and nothing is guessed. This file must never read past the record's own bytes, except
where a name's compression pointer leads back.
"""

import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from firmware.protocols.dns_names import DnsFormatError, escaped, read_name

_SOA_TIMES: Final = struct.Struct("!5I")
_SRV: Final = struct.Struct("!3H")
_DS: Final = struct.Struct("!HBB")
_DNSKEY: Final = struct.Struct("!HBB")
_QUOTED: Final = frozenset(b'"\\')
_NEVER: Final[frozenset[int]] = frozenset()
_Read: TypeAlias = "Callable[[bytes, int, int], str]"


def to_text(record_type: int, wire: bytes, start: int, end: int) -> str:
    """Return the data of a record of class IN, which stands in `wire[start:end]`. Raises `DnsFormatError`."""
    read = _READERS.get(record_type)
    return opaque(wire[start:end]) if read is None else read(wire, start, end)


def opaque(data: bytes) -> str:
    """Return any record's data in RFC 3597's form."""
    return rf"\# {len(data)} {data.hex()}".rstrip()


def _ipv4(wire: bytes, start: int, end: int) -> str:
    return socket.inet_ntop(socket.AF_INET, _exactly(4, wire, start, end))


def _ipv6(wire: bytes, start: int, end: int) -> str:
    return socket.inet_ntop(socket.AF_INET6, _exactly(16, wire, start, end))


def _name(wire: bytes, start: int, end: int) -> str:
    name, after = read_name(wire, start, end)
    _ended(after, end)
    return name


def _soa(wire: bytes, start: int, end: int) -> str:
    primary, after = read_name(wire, start, end)
    contact, after = read_name(wire, after, end)
    numbers = _SOA_TIMES.unpack(_exactly(_SOA_TIMES.size, wire, after, end))
    return " ".join([primary, contact, *map(str, numbers)])


def _mx(wire: bytes, start: int, end: int) -> str:
    preference = int.from_bytes(_head(2, wire, start, end), "big")
    return f"{preference} {_name(wire, start + 2, end)}"


def _srv(wire: bytes, start: int, end: int) -> str:
    numbers = _SRV.unpack(_head(_SRV.size, wire, start, end))
    return " ".join([*map(str, numbers), _name(wire, start + _SRV.size, end)])


def _txt(wire: bytes, start: int, end: int) -> str:
    strings: list[str] = []
    while start < end or not strings:
        length = _head(1, wire, start, end)[0]
        strings.append(_quoted(_head(length, wire, start + 1, end)))
        start += 1 + length
    return " ".join(strings)


def _ds(wire: bytes, start: int, end: int) -> str:
    tag, algorithm, digest_type = _DS.unpack(_head(_DS.size, wire, start, end))
    return f"{tag} {algorithm} {digest_type} {wire[start + _DS.size : end].hex()}"


def _dnskey(wire: bytes, start: int, end: int) -> str:
    import binascii  # noqa: PLC0415  # for this one type, which few ever ask for

    flags, protocol, algorithm = _DNSKEY.unpack(_head(_DNSKEY.size, wire, start, end))
    key = binascii.b2a_base64(wire[start + _DNSKEY.size : end], newline=False).decode("ascii")
    return f"{flags} {protocol} {algorithm} {key}"


def _caa(wire: bytes, start: int, end: int) -> str:
    flags, length = _head(2, wire, start, end)
    tag = escaped(_head(length, wire, start + 2, end), also=_NEVER)
    return f"{flags} {tag} {_quoted(wire[start + 2 + length : end])}"


def _quoted(octets: bytes) -> str:
    return f'"{escaped(octets, also=_QUOTED, spaces=True)}"'


def _head(size: int, wire: bytes, start: int, end: int) -> bytes:
    if start + size > end:
        raise DnsFormatError(f"{max(0, end - start)} bytes where {size} belong")
    return wire[start : start + size]


def _exactly(size: int, wire: bytes, start: int, end: int) -> bytes:
    _ended(start + size, end)
    return wire[start:end]


def _ended(after: int, end: int) -> None:
    if after != end:
        raise DnsFormatError(
            f"a record's data ends {abs(end - after)} bytes too {'early' if after > end else 'late'}"
        )


_READERS: Final[Mapping[int, _Read]] = {
    1: _ipv4,
    2: _name,  # NS
    5: _name,  # CNAME
    6: _soa,
    12: _name,  # PTR
    15: _mx,
    16: _txt,
    28: _ipv6,
    33: _srv,
    39: _name,  # DNAME
    43: _ds,
    48: _dnskey,
    257: _caa,
}
"""Record type number (IANA DNS parameters) → what reads it."""
