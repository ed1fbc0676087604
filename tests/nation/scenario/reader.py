"""Reads a scenario's file (TOML) into a `Scenario`, every fault told at once: file, line, place, found, allowed.

It reads the file it is given and what that names, and is otherwise pure. It must never guess.
"""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from firmware.settings.toml import syntax_fault
from firmware.settings.values import SettingFault, SettingsError, show
from tests.nation.censor import rules
from tests.nation.changes import CHANGES
from tests.nation.reading import Reading, keys, near
from tests.nation.scenario.model import (
    LINKS,
    MOMENTS,
    CensorAt,
    Change,
    Delay,
    DeviceAt,
    Expected,
    General,
    HomeAt,
    NatAt,
    Page,
    Scenario,
    SecondVantageAt,
    Table,
    Timing,
)
from tests.nation.toml_text import rules_text

SCENARIOS: Final = Path(__file__).parents[1] / "scenarios"
_TABLES: Final = ("home", "delay", "page", "second_vantage", "device", "nat", "censor", "change", "expected")


class ScenarioError(ValueError):
    """A scenario cannot be used: a line for each fault, with where, what was found, what is allowed."""


def names() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def path_of(name: str) -> Path:
    """Return the file of `name`: a scenario's name, or a path to any file that ends in .toml."""
    return Path(name) if name.endswith(".toml") else SCENARIOS / f"{name}.toml"


def load(name: str) -> Scenario:
    """Return the scenario `name`: one of `names`, or a file anywhere. Raises `ScenarioError`."""
    path = path_of(name)
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise ScenarioError(
            f"{path if name.endswith('.toml') else f'scenario {name}'}: found no such file; allowed is a file that ends in "
            f".toml, or one of the names that `python -m tests.nation list` shows{near(name, names())}"
        ) from error
    except OSError as error:
        raise ScenarioError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    try:
        text = raw.decode()
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        line, found = syntax_fault(error, raw)
        fault = SettingFault(
            file=str(path), line=line, found=found, allowed="TOML: key = value, [table], [[table]]"
        )
        raise ScenarioError(str(fault)) from error
    return read(path.stem, tree, file=str(path), text=text, folder=path.parent)


def read(
    name: str, tree: Table, *, file: str | None = None, text: str = "", folder: Path | None = None
) -> Scenario:
    """Return the scenario written as `tree`; `file` is what faults call it. Raises `ScenarioError` with every fault."""
    reading = Reading(file or name, text, folder)
    made = _Reader(reading, folder).scenario(name, tree)
    if reading.faults or made is None:
        raise ScenarioError("\n".join(str(fault) for fault in reading.faults))
    return made


class _Reader:
    def __init__(self, reading: Reading, folder: Path | None) -> None:
        self._reading = reading
        self._folder = folder

    def scenario(self, name: str, tree: Table) -> Scenario | None:
        rest = {key: value for key, value in tree.items() if key not in _TABLES}
        general = self._reading.make(General, rest, known=(*keys(General), *_TABLES))
        for key in ("title", "why"):
            if key not in tree:
                self._reading.fault((key,), "nothing", "a line that says it")
        home = self._table(HomeAt, tree, "home")
        delay = self._table(Delay, tree, "delay")
        page = self._page(tree)
        second = self._table(SecondVantageAt, tree, "second_vantage") if "second_vantage" in tree else None
        expected = self._expected(tree)
        given = tree.get("expected", ())  # as many as there are, with a fault or without
        moments = MOMENTS[: 1 + (1 if isinstance(given, dict) else len(given))]
        devices = self._many(DeviceAt, tree, "device")
        nats = self._many(NatAt, tree, "nat")
        censors = self._censors(tree, moments)
        changes = self._changes(tree, moments)
        self._reading.turn_to_top()
        self._links(1 + len(devices), [*censors, *nats])
        if self._reading.faults or None in (general, home, delay):
            return None
        return Scenario(
            name=name,
            general=general,
            home=home,
            devices=tuple(devices),
            delay=delay,
            nats=tuple(nats),
            censors=tuple(censors),
            changes=tuple(changes),
            page=page,
            second_vantage=second,
            expected=tuple(expected),
        )

    def _table(self, cls: Any, tree: Table, word: str) -> Any:
        given = tree.get(word, {})
        if isinstance(given, dict):
            return self._reading.make(cls, given, (word,))
        self._reading.fault((word,), show(given), f"a table, under a line [{word}]")
        return None

    def _many(self, cls: Any, tree: Table, word: str) -> list[Any]:
        found = []
        tables = self._reading.tables(tree, word)
        for number, given in enumerate(tables, start=1):
            self._reading.turn_to(word, number, len(tables))
            found.append(self._reading.make(cls, given))
        return [one for one in found if one is not None]

    def _expected(self, tree: Table) -> list[Expected]:
        given = tree.get("expected")
        if isinstance(given, dict):
            found = [self._table(Expected, tree, "expected")]
        else:
            found = self._many(Expected, tree, "expected")
        self._reading.turn_to_top()
        for one in found:
            if one is not None and not one.verdict:
                self._reading.fault(
                    ("expected", "verdict"), "nothing", "a verdict's word, or several that are right"
                )
        if given is None or given == []:
            self._reading.fault(
                ("expected",), "nothing", "a table [expected], or [[expected]] for each moment"
            )
        if len(found) >= len(MOMENTS):
            allowed = f"at most {len(MOMENTS) - 1}: one for each of {', '.join(MOMENTS[1:])}"
            self._reading.fault(("expected",), f"{len(found)} tables", allowed)
        return [one for one in found if one is not None]

    def _page(self, tree: Table) -> Page | None:
        given = tree.get("page")
        if given is None:
            return None
        reading = self._reading
        if not isinstance(given, dict):
            reading.fault(("page",), show(given), "a table, under a line [page]")
            return None
        for key in given.keys() - {"url", "options", "instead_of"}:
            reading.fault(("page", key), "a key that does not exist", "one of url, options, instead_of")
        url, options, instead = given.get("url"), given.get("options", {}), given.get("instead_of", [])
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            found = "nothing" if url is None else show(url)
            reading.fault(("page", "url"), found, 'a URL: "https://www.page.out/"')
        if not isinstance(options, dict):
            reading.fault(("page", "options"), show(options), "a table of the measurement's options")
        if not isinstance(instead, list) or not all(isinstance(one, str) for one in instead):
            reading.fault(
                ("page", "instead_of"), show(instead), "an array of targets of tests/nation/plan.toml"
            )
        return None if reading.faults else Page(url=str(url), options=options, instead_of=tuple(instead))

    def _censors(self, tree: Table, moments: Collection[str]) -> list[CensorAt]:
        found, taken = [], set[tuple[str, str]]()
        tables = self._reading.tables(tree, "censor")
        for number, given in enumerate(tables, start=1):
            self._reading.turn_to("censor", number, len(tables))
            timing = self._timing(given, ("on", "rule", *keys(Timing)), moments, beside=("on", "rule"))
            on, ruled = given.get("on"), given.get("rule", [])
            if on not in LINKS:
                allowed = f"one of {', '.join(LINKS)}{near(on, LINKS)}"
                self._reading.fault(("on",), "nothing" if on is None else show(on), allowed)
            if not isinstance(ruled, list) or not ruled or not all(isinstance(one, dict) for one in ruled):
                self._reading.fault(
                    ("rule",), show(ruled), 'an array of rules: [{ match = {}, do = "drop" }]'
                )
                continue
            self._rules(ruled)
            for rule in ruled:
                name = str(rule.get("name", ""))
                if name and (str(on), name) in taken:
                    self._reading.fault(("rule",), f'"{name}" a second time on {on}', "a name that no other rule on the link has")  # fmt: skip
                taken.add((str(on), name))
            if timing is not None:
                found.append(CensorAt(on=str(on), timing=timing, rules=tuple(ruled)))
        return found

    def _rules(self, ruled: list[Table]) -> None:
        """Note what the censor itself would refuse of its rules."""
        try:
            read_rules = rules.loads(rules_text(ruled), folder=self._folder).rules
        except SettingsError as error:
            for fault in error.faults:
                self._reading.fault(("rule", *fault.place), fault.found, fault.allowed)
            return
        for rule in read_rules:
            if rule.do == "translate":
                self._reading.fault(
                    ("rule", rule.name), '"translate"', "a table [[nat]]: it finds the address"
                )

    def _changes(self, tree: Table, moments: Collection[str]) -> list[Change]:
        found = []
        tables = self._reading.tables(tree, "change")
        for number, given in enumerate(tables, start=1):
            do = given.get("do")
            self._reading.turn_to("change", number, len(tables), do)
            if not isinstance(do, str) or do not in CHANGES:
                words = tuple(CHANGES)
                allowed = f"one of {', '.join(words)}{near(do, words)}"
                self._reading.fault(("do",), "nothing" if do is None else show(do), allowed)
                continue
            kind = CHANGES[do]
            known = ("do", *keys(kind.form), *keys(Timing))
            timing = self._timing(given, known, moments, beside=("do", *keys(kind.form)))
            own = {key: value for key, value in given.items() if key in keys(kind.form)}
            made = self._reading.make(kind.form, own)
            if timing is not None and (timing.until or timing.for_s) and kind.undo is None:
                able = ", ".join(word for word, one in CHANGES.items() if one.undo is not None)
                self._reading.fault(("until" if timing.until else "for_s",), f"an end of {do}, which nothing undoes", f"that of one of {able}")  # fmt: skip
            if timing is not None and made is not None:
                found.append(Change(do=do, timing=timing, given=made))
        return found

    def _timing(
        self, given: Table, known: Collection[str], moments: Collection[str], *, beside: Collection[str]
    ) -> Timing | None:
        own = {key: value for key, value in given.items() if key not in beside}
        made: Timing | None = self._reading.make(Timing, own, known=tuple(known))
        for key in ("when", "until"):
            moment = "" if made is None else getattr(made, key)
            if moment and moment not in moments:
                allowed = (
                    f"one of {', '.join(moments)}: each moment from the event on needs a table [[expected]]"
                )
                self._reading.fault((key,), show(moment), allowed)
        return made

    def _links(self, homes: int, placed: list[CensorAt | NatAt]) -> None:
        """Note links of homes that are not there."""
        for one in placed:
            number = one.on.removeprefix("home")
            if one.on.startswith("home") and number.isdigit() and int(number) > homes:
                word = "nat" if isinstance(one, NatAt) else "censor"
                self._reading.fault((word, "on"), f'"{one.on}"', f"a home that is there: there are {homes}")
