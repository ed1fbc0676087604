"""What a measurement is pointed at: targets and options, read from text. Pure.

Every mistake is a `TargetError` that says what was found and what is allowed. This file must never resolve a
name or look at the network: whether a target exists is for the measurement to find out.
"""

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from firmware.model.task import OptionValue

_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_NAME: Final = 253
_NUMERIC_LAST_LABEL: Final = re.compile(r"(0[xX][0-9A-Fa-f]*|[0-9]+)")

GATEWAY: Final = "@gateway"
"""The target that stands for the default route's next hop."""


class TargetError(ValueError):
    """A target or an option that no measurement can use. The message says what was found and what is allowed."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host (name or address, no brackets) and its port; None where the text gave none and none is needed."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.port is not None else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def known_port(self) -> int:
        """The port, where `parse_host_port` was given a default and so there is one."""
        if self.port is None:
            raise TargetError(f"{self.host}: found no port; allowed is HOST:PORT")
        return self.port


def family_of(address: str) -> int | None:
    """Return 4 or 6 for a literal address (an IPv6 one may have a `%zone`), None for anything else."""
    try:
        socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        pass
    else:
        return 4
    bare, percent, zone = address.partition("%")
    try:
        socket.inet_pton(socket.AF_INET6, bare)
    except (OSError, ValueError):
        return None
    return 6 if bool(percent) == bool(zone) else None


def parse_host(text: str) -> str:
    """Return a host name (in ASCII: IDNA for others) or a literal address, brackets taken off.

    Raises `TargetError`.
    """
    bracketed = text.startswith("[") and text.endswith("]")
    host = text[1:-1] if bracketed else text
    family = family_of(host)
    if family == 6 or (family == 4 and not bracketed):
        return host
    if bracketed:
        raise TargetError(f"found {text!r}; allowed in brackets is an IPv6 address")
    return _name(host)


def parse_host_port(text: str, *, default_port: int | None = None, port_required: bool = False) -> HostPort:
    """Read `HOST`, `HOST:PORT`, `ADDRESS`, `ADDRESS:PORT` or `[IPV6]:PORT`.

    A port that is not given is `default_port`. With `port_required` and no default it must be given.
    Raises `TargetError`.
    """
    if "://" in text:
        raise TargetError(f"found {text!r}, which is a URL; allowed is HOST or HOST:PORT")
    if family_of(text) == 6:
        host, port_text = text, ""
    elif text.startswith("["):
        bracket, _, rest = text.partition("]")
        host, port_text = bracket + "]", rest.removeprefix(":")
        if "]" not in text or (rest and not rest.startswith(":")):
            raise TargetError(f"found {text!r}; allowed is [IPV6-ADDRESS] or [IPV6-ADDRESS]:PORT")
    else:
        host, colon, port_text = text.rpartition(":") if ":" in text else (text, "", "")
        if colon and not port_text:
            raise TargetError(f"found {text!r}, with nothing after the colon; allowed is HOST:PORT")
        if ":" in host:
            raise TargetError(f"found {text!r}; an IPv6 address with a port is written [ADDRESS]:PORT")
    port = parse_port(port_text) if port_text else default_port
    if port is None and port_required:
        raise TargetError(f"found {text!r}, which has no port; allowed is HOST:PORT, [IPV6-ADDRESS]:PORT")
    return HostPort(parse_host(host), port)


def parse_port(text: str) -> int:
    """Read a port. Raises `TargetError`."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535 and len(text) <= 5):
        raise TargetError(f"found port {text!r}; allowed is a whole number from 1 to 65535")
    return int(text)


def _name(host: str) -> str:
    ascii_name = host
    if not host.isascii():
        try:
            ascii_name = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise TargetError(f"found {host!r}, which IDNA cannot write in ASCII ({error})") from error
    name = ascii_name.removesuffix(".")
    labels = name.split(".")
    if not name or len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetError(
            f"found {host!r}; allowed is a host name (letters, digits, hyphens, dots; at most 63 characters a "
            "label, 253 in all), an IPv4 or an IPv6 address"
        )
    if _NUMERIC_LAST_LABEL.fullmatch(labels[-1]):  # RFC 1123 2.1: a top-level name is not all digits
        raise TargetError(f"found {host!r}, which looks like an IPv4 address but is none; allowed is A.B.C.D")
    return name


def only_target(test: str, target: str, allowed: str, options: Mapping[str, OptionValue]) -> None:
    """Take the one target of a test that looks at this host, and no options. Raises `TargetError`."""
    if target != allowed:
        raise TargetError(f"{test}: found target {target!r}; allowed is {allowed}")
    Options(test, options).finish()


class Options:
    """Reads a measurement's options, each with its default; `finish` refuses those nobody asked for.

    Every method raises `TargetError`.
    """

    __slots__ = ("_known", "_options", "_test")

    def __init__(self, test: str, options: Mapping[str, OptionValue]) -> None:
        self._test = test
        self._options = options
        self._known: list[str] = []

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`; a number written as text is taken too."""
        value = self._take(key, default)
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, value, f"a whole number from {low} to {high}")
        return value

    def text(self, key: str, default: str) -> str:
        """Return text."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "text")
        return value

    def word(self, key: str, default: str, allowed: Sequence[str]) -> str:
        """Return one of `allowed`; a number that is written like one of them is taken too."""
        value = self._take(key, default)
        word = str(value)
        if isinstance(value, bool) or word not in allowed:
            raise self._wrong(key, value, "one of " + ", ".join(allowed))
        return word

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false; the words `true` and `false` are taken too."""
        value = self._take(key, default)
        if isinstance(value, str) and value in ("true", "false"):
            return value == "true"
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def families(self) -> tuple[int, ...]:
        """Return the address families to use: option `family`, `4`, `6` or `any` (the default: both)."""
        word = self.word("family", "any", ("any", "4", "6"))
        return (4, 6) if word == "any" else (int(word),)

    def methods(self, known: tuple[str, ...]) -> tuple[str, ...]:
        """Return the methods to try, in order: option `method`, one of `known`, or `any` (the default: all)."""
        word = self.word("method", "any", ("any", *known))
        return known if word == "any" else (word,)

    def finish(self) -> None:
        """Refuse every option that was given and not asked for."""
        for key in self._options:
            if key not in self._known:
                known = ", ".join(sorted(self._known)) or "none"
                raise TargetError(
                    f"{self._test}: found option {key!r}; the options of {self._test} are: {known}"
                )

    def _take(self, key: str, default: OptionValue) -> OptionValue:
        self._known.append(key)
        return self._options.get(key, default)

    def _wrong(self, key: str, value: OptionValue, allowed: str) -> TargetError:
        return TargetError(f"{self._test}: option {key}: found {value!r}; allowed is {allowed}")
