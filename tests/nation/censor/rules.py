"""Reading a rules file (TOML, `[[rule]]`) into `Rules`, every fault told at once.

`load` reads the one file it is given, `loads` none. It must never guess: a key nobody declared, a wrong type,
a value out of range, two rules of one name are faults with file, line, rule, key, found and allowed.
"""

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from firmware.settings.load import SettingsError
from firmware.settings.toml import syntax_fault
from firmware.settings.values import SettingFault, show
from tests.nation.censor.match import Match
from tests.nation.censor.model import ACTIONS, Rule, Rules
from tests.nation.censor.timetable import Timetable
from tests.nation.reading import Reading, keys, near

__all__ = ["SettingsError", "load", "loads"]

_MAX_BYTES: Final = 1 << 20
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
    reading = Reading(file, text, folder)
    rules = _Reader(reading).read(tree)
    if reading.faults:
        raise SettingsError(tuple(reading.faults))
    return Rules(rules=tuple(rules), files=reading.files)


class _Reader:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def read(self, tree: Mapping[str, object]) -> list[Rule]:
        for key in tree.keys() - {"rule"}:
            self._reading.fault(
                (key,), "a key that does not exist", "rule: tables, each under a line [[rule]]"
            )
        tables = self._reading.tables(tree, "rule")
        found: list[Rule] = []
        names: set[str] = set()
        for number, table in enumerate(tables, start=1):
            self._reading.turn_to("rule", number, len(tables), table.get("name"))
            rule = self._rule(table, number)
            name = table.get("name", f"rule {number}")
            if isinstance(name, str):
                if name in names:
                    self._reading.fault(
                        ("name",), f"{show(name)} a second time", "a name that no other rule has"
                    )
                names.add(name)
            if rule is not None and rule.do == "translate" and any(one.do == "translate" for one in found):
                self._reading.fault(("do",), '"translate" a second time', "one translation on a link")
            if rule is not None:
                found.append(rule)
        return found

    def _rule(self, table: dict[str, Any], number: int) -> Rule | None:
        before = len(self._reading.faults)
        do = table.get("do")
        action_cls = ACTIONS.get(do) if isinstance(do, str) else None
        if action_cls is None:
            words = ", ".join(f'"{word}"' for word in ACTIONS)
            self._reading.fault(
                ("do",), "nothing" if do is None else show(do), f"one of {words}{near(do, tuple(ACTIONS))}"
            )
        name = table.get("name", f"rule {number}")
        if not isinstance(name, str) or not name.strip():
            self._reading.fault(("name",), show(name), "text, not empty")
        raw_match = table.get("match", {})
        matched = None
        if isinstance(raw_match, dict):
            matched = self._reading.make(Match, raw_match, ("match",))
        else:
            self._reading.fault(("match",), show(raw_match), 'a table: { sni = "x.com" }')
        when, acts = keys(Timetable), {} if action_cls is None else keys(action_cls)
        rest = {key: value for key, value in table.items() if key not in _COMMON}
        timetable = self._reading.make(Timetable, {k: v for k, v in rest.items() if k in when})
        if action_cls is None:
            return None
        options = {key: value for key, value in rest.items() if key not in when}
        known = {**dict.fromkeys(_COMMON), **acts, **when}
        action = self._reading.make(action_cls, options, known=tuple(known))
        if matched is not None and action is not None:
            self._together(matched, action, do)
        if len(self._reading.faults) > before or matched is None:
            return None
        return Rule(name=name, match=matched, action=action, timetable=timetable)

    def _together(self, match: Match, action: Any, do: object) -> None:
        """Note where a match does not fit its action."""
        if do == "answer" and not (match.qname or match.qtype):
            self._reading.fault(
                ("match",), "neither qname nor qtype", "a DNS match: answer forges DNS answers"
            )
        if do in ("page", "redirect") and set(match.proto) - {"tcp"}:
            self._reading.fault(("match", "proto"), show(list(match.proto)), f'"tcp": {do} is for HTTP')
        if do == "accept" and set(match.proto) - {"tcp"}:
            self._reading.fault(
                ("match", "proto"), show(list(match.proto)), '"tcp": accept is for connections'
            )
        if do == "echo" and (set(match.proto) - {"icmp"} or match.port):
            self._reading.fault(
                ("match",), "a port, or another protocol", "addresses: echo answers pings alone"
            )
        if do == "time" and set(match.proto) - {"udp"}:
            self._reading.fault(("match", "proto"), show(list(match.proto)), '"udp": time answers NTP')
        if do == "translate" and match != Match():
            self._reading.fault(
                ("match",), "a match", "none: translate is for all that comes from the inside"
            )
        if do == "translate" and not _is_four(action.address):
            found = show(action.address) if action.address else "nothing"
            self._reading.fault(("address",), found, 'the IPv4 address that it leaves from: "203.0.113.9"')
        if match.smaller_than and match.smaller_than <= match.larger_than + 1:
            self._reading.fault(
                ("match",), "sizes that no packet has", "smaller_than above larger_than + 1, or 0"
            )
        if do == "redirect" and not action.location:
            self._reading.fault(("location",), "nothing", "where to redirect to")
        if do == "protocol_filter" and (match.sni or match.host or match.qname or match.payload):
            self._reading.fault(
                ("match",), "a content", "addresses, ports, proto: protocol_filter looks at contents itself"
            )
        if match.port and set(match.proto) == {"icmp"}:
            self._reading.fault(("match", "port"), show(list(match.port)), "no port: ICMP has none")


def _is_four(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
