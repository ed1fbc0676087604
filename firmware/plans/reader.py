"""A plan file's TOML, read strictly into a `Plan`, or every fault in it at once.

Reads no file but the lists that a plan names. What each key means: docs/explanation/plans.md. What makes a
plan of well-formed parts unusable as a whole is for `firmware.plans.checks`.
"""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from firmware.measurements import MEASUREMENTS
from firmware.model.plan import (
    CADENCE_MIN_S,
    GENERIC,
    ROUND_MAX_BYTES,
    ROUND_MAX_S,
    SCHEMA,
    Cadence,
    Network,
    Plan,
    PlanError,
    PlanFault,
    PlannedTarget,
    PlannedTask,
    RoundLimits,
)
from firmware.model.record import Rung, Zone
from firmware.model.task import OptionValue
from firmware.net.targets import TargetError
from firmware.plans import citizenlab
from firmware.plans.checks import check
from firmware.plans.table import PlanTable
from firmware.settings.toml import find_lines, syntax_fault
from firmware.settings.values import show

_DAY_S: Final = 86_400
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
_NAME_FORM: Final = "1 to 40 of a-z, 0-9, dot and hyphen"
_COUNTRY: Final = re.compile(r"[a-z]{2}")
_LAST_ASN: Final = 2**32 - 2
_GB: Final = 10**9


def read(raw: bytes, *, file: Path) -> Plan:
    """Return the plan in `raw`, the content of `file`; lists are looked for beside it.

    Raises `PlanError` with every fault.
    """
    try:
        document = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        line, found = syntax_fault(error, raw)
        fault = PlanFault(place="", found=found, allowed="TOML: key = value, [[target]]", line=line or 0)
        raise PlanError(file, [fault]) from error
    reader = _Reader(document, raw.decode(), file)
    plan = reader.plan()
    if plan is None or reader.faults:
        raise PlanError(file, reader.faults)  # counting what is left would only add false faults
    faults = check(plan)
    if faults:
        raise PlanError(file, faults)
    return plan


class _Reader:
    """One reading of one file: the faults so far, and where each table begins."""

    def __init__(self, document: dict[str, object], text: str, file: Path) -> None:
        self.faults: list[PlanFault] = []
        self.warnings: list[PlanFault] = []
        self._file = file
        self._text = text
        self._lines = find_lines(text)
        self._top = PlanTable(
            document, place="", faults=self.faults, line_of=lambda key: self._lines.get((key,), 0)
        )

    def plan(self) -> Plan | None:
        """Return the plan; None when a part that every plan needs could not be read."""
        top = self._top
        if isinstance(document_schema := top.raw("schema"), int) and document_schema > SCHEMA:
            found = f"schema {document_schema}, of newer software"
            top.fault(
                "schema", found, f"up to {SCHEMA}: upgrade, or take the plan that came with this version"
            )
            return None
        top.integer("schema", SCHEMA, SCHEMA)
        country, name, revised = self._country(), top.text("name"), top.date("revised")
        cadence, limits = self._cadence(), self._round()
        targets = [self._target(table) for table in self._tables("target")]
        tasks = [self._task(table) for table in self._tables("task")]
        listed = [task for table in self._tables("list") for task in self._list(table)]
        top.finish()
        if country is None or name is None or revised is None or cadence is None or limits is None:
            return None
        return Plan(
            file=str(self._file),
            country=country,
            name=name,
            revised=revised,
            cadence=cadence,
            round=limits,
            targets=tuple(target for target in targets if target is not None),
            tasks=(*(task for task in tasks if task is not None), *listed),
            warnings=tuple(self.warnings),
        )

    def _country(self) -> str | None:
        country = self._top.text("country")
        if country is None or _COUNTRY.fullmatch(country):
            return country
        allowed = f"two letters a-z (ISO 3166-1 alpha-2), or {GENERIC} for none in particular"
        self._top.fault("country", show(country), allowed)
        return None

    def _cadence(self) -> Cadence | None:
        table = self._top.table("cadence")
        if table is None:
            return None
        calm = table.integer("calm_s", CADENCE_MIN_S, _DAY_S)
        transition = table.integer("transition_s", CADENCE_MIN_S, _DAY_S)
        budget = table.integer("budget_bytes_per_day", 1, 100 * _GB)
        table.finish()
        if calm is None or transition is None or budget is None:
            return None
        return Cadence(calm_s=calm, transition_s=transition, budget_bytes_per_day=budget)

    def _round(self) -> RoundLimits | None:
        if not self._top.has("round"):
            return RoundLimits()
        table = self._top.table("round")
        if table is None:
            return None
        usual = RoundLimits()
        stagger = table.integer("stagger_ms", 1, 1000, usual.stagger_ms)
        deadline = table.integer("deadline_s", 1, ROUND_MAX_S - 1, usual.deadline_s)
        most = table.integer("max_bytes", 1, ROUND_MAX_BYTES, usual.max_bytes)
        table.finish()
        if stagger is None or deadline is None or most is None:
            return None
        return RoundLimits(stagger_ms=stagger, deadline_s=deadline, max_bytes=most)

    def _tables(self, key: str) -> list[PlanTable]:
        """Return the tables under `[[key]]`, each placed by its number (from 1), its name and its line."""
        header = re.compile(rf"^[ \t]*\[\[[ \t]*{key}[ \t]*\]\]", re.MULTILINE)
        lines = [self._text.count("\n", 0, found.start()) + 1 for found in header.finditer(self._text)]
        found = self._top.tables(key)
        tables = []
        for index, values in enumerate(found):
            line = lines[index] if len(lines) == len(found) else self._lines.get((key,), 0)
            place = f"{key}[{index + 1}]"
            if not isinstance(values, dict):
                self.faults.append(PlanFault(place=place, found=show(values), allowed="a table", line=line))
                continue
            name = values.get("name")
            place += f' "{name}"' if isinstance(name, str) else ""
            tables.append(PlanTable(values, place=place, faults=self.faults, line_of=_always(line)))
        return tables

    def _target(self, table: PlanTable) -> PlannedTarget | None:
        rung = table.word("rung", tuple(Rung))
        name, zone, test, target, options, network = self._measured(table)
        source, why = table.text("source"), table.text("why")
        table.finish()
        if rung is None or name is None or zone is None or test is None or target is None or options is None:
            return None
        return PlannedTarget(
            name=name,
            rung=Rung(rung),
            zone=zone,
            test=test,
            target=target,
            options=options,
            network=network,
            source=source or "",
            why=why or "",
        )

    def _task(self, table: PlanTable) -> PlannedTask | None:
        every_s = table.integer("every_s", 1, 366 * _DAY_S)
        name, zone, test, target, options, network = self._measured(table)
        source, why = table.text("source"), table.text("why")
        table.finish()
        if every_s is None or name is None or zone is None or test is None or target is None:
            return None
        return PlannedTask(
            name=name,
            zone=zone,
            test=test,
            target=target,
            options=options or {},
            network=network,
            source=source or "",
            why=why or "",
            every_s=every_s,
        )

    def _measured(
        self, table: PlanTable
    ) -> tuple[
        str | None, Zone | None, str | None, str | None, dict[str, OptionValue] | None, Network | None
    ]:
        """Read what a target and a task have in common, and let the test itself judge its target."""
        name = table.text("name")
        if name is not None and not _NAME.fullmatch(name):
            table.fault("name", show(name), _NAME_FORM)
        zone, test = table.word("zone", tuple(Zone)), table.word("test", tuple(MEASUREMENTS))
        target, options = table.text("target"), table.options("options")
        network = self._network(table)
        if test is not None and target is not None and options is not None:
            try:
                MEASUREMENTS[test].parse(target, options)
            except TargetError as error:
                table.fault("target", str(error))
        return name, None if zone is None else Zone(zone), test, target, options, network

    def _network(self, table: PlanTable) -> Network | None:
        if not table.has("network"):
            return None
        network = table.table("network")
        if network is None:
            return None
        asn, name = network.integer("asn", 1, _LAST_ASN), network.text("name")
        operator = network.optional_text("operator")
        network.finish()
        return None if asn is None or name is None else Network(asn=asn, name=name, operator=operator)

    def _list(self, table: PlanTable) -> list[PlannedTask]:
        """Read a Citizen Lab list into one `http` task a URL, each every `every_s`, spread by the schedule."""
        name, file = table.text("name"), table.text("file")
        every_s = table.integer("every_s", 60, 366 * _DAY_S)
        zone, options, categories = (
            table.word("zone", tuple(Zone)),
            table.options("options"),
            table.texts("categories"),
        )
        table.finish()
        if name is None or file is None or every_s is None or zone is None or options is None:
            return []
        entries = self._entries(table, file)
        wanted = [entry for entry in entries if not categories or entry.category in categories]
        there = {entry.category for entry in entries}
        # Lists change while plans stay: what a list no longer has is no reason to measure nothing.
        for category in categories or ():
            if entries and category not in there:
                listed = ", ".join(sorted(there))
                self._warn(
                    table, "categories", f"the text {category!r}", f"one of those in the list: {listed}"
                )
        for odd in citizenlab.warnings(wanted):
            self._warn(table, f"file line {odd.line}", odd.found, odd.allowed)
        tasks = []
        for entry in wanted:
            try:
                MEASUREMENTS["http"].parse(entry.url, options)
            except TargetError as error:
                table.fault(f"file line {entry.line}", str(error))
            tasks.append(
                PlannedTask(
                    name=f"{name}/{entry.line}",
                    zone=Zone(zone),
                    test="http",
                    target=entry.url,
                    options=options,
                    source=f"{file}, line {entry.line}",
                    why=entry.notes or entry.category,
                    every_s=every_s,
                )
            )
        return tasks

    def _warn(self, table: PlanTable, key: str, found: str, allowed: str) -> None:
        self.warnings.append(PlanFault(place=table.place(key), found=found, allowed=allowed))

    def _entries(self, table: PlanTable, file: str) -> tuple[citizenlab.ListEntry, ...]:
        path = self._file.parent / file
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror or "").lower() if isinstance(error, OSError) else "not UTF-8"
            table.fault("file", f"{file} ({reason})", "a Citizen Lab CSV list, by its path from the plan")
            return ()
        entries, faults = citizenlab.read(text)
        for fault in faults:
            table.fault(f"file line {fault.line}", fault.found, fault.allowed)
        return entries


def _always(line: int) -> Callable[[str], int]:
    return lambda _key: line
