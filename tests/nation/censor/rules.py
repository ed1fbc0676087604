"""Reading a rules file (TOML, `[[rule]]`) into `Rules`, every fault told at once.

`load` reads the one file it is given, `loads` none. It must never guess: a key nobody declared, a wrong type,
a value out of range, two rules of one name are faults with file, line, rule, key, found and allowed.
"""

import dataclasses
import difflib
import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from firmware.settings.load import SettingsError, declared
from firmware.settings.toml import find_lines, syntax_fault
from firmware.settings.values import Setting, SettingFault, allowed_text, convert, show
from tests.nation.censor.match import Match
from tests.nation.censor.model import ACTIONS, Rule, Rules
from tests.nation.censor.timetable import Timetable

__all__ = ["SettingsError", "keys", "load", "loads"]

_MAX_BYTES: Final = 1 << 20
_HEADER: Final = re.compile(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", re.MULTILINE)
_WRITTEN: Final = {"sender": "from"}
"""Fields whose name in a file is a reserved word of Python."""
_COMMON: Final = ("name", "match", "do")
"""Keys that every rule may have, beside its timetable."""


def load(path: Path) -> Rules:
    """Return the rules in the file at `path`. Raises `SettingsError` with every fault."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fault = SettingFault(file=str(path), found=reason, allowed="a rules file (TOML) that can be read")
        raise SettingsError((fault,)) from error
    return loads(raw, file=str(path), folder=path.parent)


def loads(raw: bytes | str, *, file: str = "rules", folder: Path | None = None) -> Rules:
    """Return the rules in `raw`; `file` is what faults call it, `folder` where its paths start."""
    data = raw.encode() if isinstance(raw, str) else raw
    if len(data) > _MAX_BYTES:
        fault = SettingFault(file=file, found="more than 1 MiB", allowed="a rules file of at most 1 MiB")
        raise SettingsError((fault,))
    try:
        text = data.decode()
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        line, found = syntax_fault(error, data)
        allowed = "TOML: [[rule]], key = value, text in quotes"
        raise SettingsError((SettingFault(file=file, line=line, found=found, allowed=allowed),)) from error
    reader = _Reader(file, text, folder)
    rules = reader.read(tree)
    if reader.faults:
        raise SettingsError(tuple(reader.faults))
    return Rules(rules=tuple(rules), files=reader.files)


def keys(cls: Any) -> dict[str, Setting]:
    """Return what `cls` (a match, an action, the timetable) declares, by its name in a file."""
    return {_WRITTEN.get(place[-1], place[-1]): said for place, said in declared(cls).items()}


class _Reader:
    def __init__(self, file: str, text: str, folder: Path | None) -> None:
        self.faults: list[SettingFault] = []
        self.files: dict[Path, bytes] = {}
        self._file = file
        self._folder = folder
        self._text = text
        self._top_lines = find_lines(text)
        self._at: tuple[str, ...] = ()
        self._lines: Mapping[tuple[str, ...], int] = {}

    def read(self, tree: Mapping[str, object]) -> list[Rule]:
        for key in tree.keys() - {"rule"}:
            self._lines = self._top_lines
            self._fault((key,), "a key that does not exist", "rule: tables, each under a line [[rule]]")
        tables = tree.get("rule", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._lines = self._top_lines
            self._fault(("rule",), show(tables), "tables, each under a line [[rule]]")
            return []
        found: list[Rule] = []
        names: set[str] = set()
        for number, table in enumerate(tables, start=1):
            self._turn_to(number, len(tables), table.get("name"))
            rule = self._rule(table, number)
            name = table.get("name", f"rule {number}")
            if isinstance(name, str):
                if name in names:
                    self._fault(("name",), f"{show(name)} a second time", "a name that no other rule has")
                names.add(name)
            if rule is not None and rule.do == "translate" and any(one.do == "translate" for one in found):
                self._fault(("do",), '"translate" a second time', "one translation on a link")
            if rule is not None:
                found.append(rule)
        return found

    def _turn_to(self, number: int, count: int, name: object) -> None:
        """Place the next faults in rule `number`."""
        title = f'rule {number} "{name}"' if isinstance(name, str) else f"rule {number}"
        self._at = (title,)
        starts = [match.start() for match in _HEADER.finditer(self._text)]
        if len(starts) != count:  # written as an inline array: only its first line is known
            line = self._top_lines.get(("rule",), 1)
            self._lines = {("rule",): line}
            return
        chunk = self._text[starts[number - 1] : (*starts, len(self._text))[number]]
        before = self._text.count("\n", 0, starts[number - 1])
        self._lines = {place: line + before for place, line in find_lines(chunk).items()}

    def _rule(self, table: dict[str, Any], number: int) -> Rule | None:
        before = len(self.faults)
        do = table.get("do")
        action_cls = ACTIONS.get(do) if isinstance(do, str) else None
        if action_cls is None:
            words = ", ".join(f'"{word}"' for word in ACTIONS)
            near = difflib.get_close_matches(str(do), ACTIONS, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            self._fault(("do",), "nothing" if do is None else show(do), f"one of {words}{hint}")
        name = table.get("name", f"rule {number}")
        if not isinstance(name, str) or not name.strip():
            self._fault(("name",), show(name), "text, not empty")
        raw_match = table.get("match", {})
        matched = None
        if isinstance(raw_match, dict):
            matched = self._make(Match, raw_match, ("match",), keys(Match))
        else:
            self._fault(("match",), show(raw_match), 'a table: { sni = "x.com" }')
        when, acts = keys(Timetable), {} if action_cls is None else keys(action_cls)
        rest = {key: value for key, value in table.items() if key not in _COMMON}
        timetable = self._make(Timetable, {k: v for k, v in rest.items() if k in when}, (), when)
        if action_cls is None:
            return None
        options = {key: value for key, value in rest.items() if key not in when}
        known = {**dict.fromkeys(_COMMON), **acts, **when}
        action = self._make(action_cls, options, (), acts, known=tuple(known))
        if matched is not None and action is not None:
            self._together(matched, action, do)
        if len(self.faults) > before or matched is None:
            return None
        return Rule(name=name, match=matched, action=action, timetable=timetable)

    def _make(
        self,
        cls: Any,
        given: Mapping[str, object],
        place: tuple[str, ...],
        said: Mapping[str, Setting],
        known: Sequence[str] = (),
    ) -> Any:
        """Return a `cls` of what was given; None where that has a fault."""
        before = len(self.faults)
        values: dict[str, object] = {}
        for key, value in given.items():
            if key not in said:
                names = known or tuple(said)
                near = difflib.get_close_matches(key, names, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                self._fault((*place, key), "a key that does not exist", f"one of {', '.join(names)}{hint}")
                continue
            values[said[key].place[-1]] = self._value(said[key], value, (*place, key))
        if len(self.faults) > before:
            return None
        try:
            return cls(**values)
        except ValueError as error:
            self._fault(place, "settings that exclude each other", str(error))
            return None

    def _value(self, one: Setting, value: object, place: tuple[str, ...]) -> object:
        check, form = _FORMS.get(one.place[-1], (None, ""))
        if not one.many:
            return self._part(one, value, place, check, form)
        parts = value if isinstance(value, list) else [value]
        if not parts:
            self._fault(place, "an empty array", form or allowed_text(one))
        return tuple(self._part(one, part, place, check, form) for part in parts)

    def _part(
        self,
        one: Setting,
        value: object,
        place: tuple[str, ...],
        check: Callable[[str], object] | None,
        form: str,
    ) -> object:
        made = convert(one, value, self._folder)
        if made is None or made == "":
            self._fault(place, show(value), form or allowed_text(dataclasses.replace(one, many=False)))
        elif check is not None:
            try:
                check(str(made))
            except ValueError:
                self._fault(place, show(value), form)
        if isinstance(made, Path):
            self._content(made, value, place)
        return made

    def _content(self, path: Path, value: object, place: tuple[str, ...]) -> None:
        try:
            self.files[path] = path.read_bytes()
        except OSError as error:
            found = f"{show(value)} ({(error.strerror or str(error)).lower()})"
            self._fault(place, found, "a file that can be read, by its path from the rules file")

    def _together(self, match: Match, action: Any, do: object) -> None:
        """Note where a match does not fit its action."""
        if do == "answer" and not (match.qname or match.qtype):
            self._fault(("match",), "neither qname nor qtype", "a DNS match: answer forges DNS answers")
        if do in ("page", "redirect") and set(match.proto) - {"tcp"}:
            self._fault(("match", "proto"), show(list(match.proto)), f'"tcp": {do} is for HTTP')
        if do == "accept" and set(match.proto) - {"tcp"}:
            self._fault(("match", "proto"), show(list(match.proto)), '"tcp": accept is for connections')
        if do == "echo" and (set(match.proto) - {"icmp"} or match.port):
            self._fault(("match",), "a port, or another protocol", "addresses: echo answers pings alone")
        if do == "time" and set(match.proto) - {"udp"}:
            self._fault(("match", "proto"), show(list(match.proto)), '"udp": time answers NTP')
        if do == "translate" and match != Match():
            self._fault(("match",), "a match", "none: translate is for all that comes from the inside")
        if do == "translate" and not _is_four(action.address):
            found = show(action.address) if action.address else "nothing"
            self._fault(("address",), found, 'the IPv4 address that it leaves from: "203.0.113.9"')
        if match.smaller_than and match.smaller_than <= match.larger_than + 1:
            self._fault(("match",), "sizes that no packet has", "smaller_than above larger_than + 1, or 0")
        if do == "redirect" and not action.location:
            self._fault(("location",), "nothing", "where to redirect to")
        if do == "protocol_filter" and (match.sni or match.host or match.qname or match.payload):
            self._fault(
                ("match",), "a content", "addresses, ports, proto: protocol_filter looks at contents itself"
            )
        if match.port and set(match.proto) == {"icmp"}:
            self._fault(("match", "port"), show(list(match.port)), "no port: ICMP has none")

    def _fault(self, place: tuple[str, ...], found: str, allowed: str) -> None:
        lines = self._lines
        at = ("rule", *place) if self._at else place
        line = next((lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in lines), None)
        self.faults.append(
            SettingFault(file=self._file, place=(*self._at, *place), line=line, found=found, allowed=allowed)
        )


def _network(text: str) -> object:
    return ipaddress.ip_network(text, strict=True)


def _is_four(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


_PREFIX: Final = (
    _network,
    'an address or a prefix without host bits: "10.0.0.1", "203.0.113.0/24", "2001:db8::/32"',
)
_ADDRESS: Final = (ipaddress.ip_address, 'an address: "10.10.34.34", "d0::11"')
_FORMS: Final[dict[str, tuple[Callable[[str], object], str]]] = {
    "sender": _PREFIX,
    "address": _PREFIX,
    "to": _PREFIX,
    "addresses": _ADDRESS,
    "router": _ADDRESS,
}
