"""Prints what a run found, for people and as JSON. It must never leave out a goal that was missed."""

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.timing.connect_parts import ConnectParts
from tests.bench.timing.figures import KINDS, Sample, Spread, errors
from tests.bench.timing.goals import OURS, Findings, Goal, coverage, judge, select
from tests.bench.timing.loads import IDLE


def machine() -> str:
    """Describe the machine in a line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    clock = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip()
    virtual = ", virtual" if " hypervisor" in Path("/proc/cpuinfo").read_text() else ""
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    return (
        f"{os.cpu_count()} × {model}{virtual}; Linux {platform.release()}, clock source {clock}; "
        f"Python {platform.python_version()}; load before the run {load}"
    )


def as_text(findings: Findings, described: str) -> str:
    """Return the whole report."""
    parts = [
        f"machine: {described}",
        *(f"note: {note}" for note in findings.notes),
        *_accuracy(findings.samples),
        *(
            f"not matched to the capture, and left out: {name}: {count}"
            for name, count in findings.unmatched.items()
        ),
        *_connects(findings.connects),
        *_lateness(findings),
        *_stamps(findings),
        *_others(findings),
        *_goals(judge(findings)),
    ]
    return "\n".join(parts)


def as_json(findings: Findings, described: str) -> dict[str, Any]:
    """Return the same as an object: every table's figures, times in ns."""
    conditions = list(dict.fromkeys(sample.condition for sample in findings.samples))
    return {
        "machine": described,
        "notes": findings.notes,
        "errors": [
            {"condition": condition, **dataclasses.asdict(row)}
            for condition in conditions
            for row in _rows([one for one in findings.samples if one.condition == condition])
        ],
        "unmatched": findings.unmatched,
        "connects": [dataclasses.asdict(one) for one in findings.connects],
        "lateness": [dataclasses.asdict(one) for one in findings.lateness],
        "company": [dataclasses.asdict(one) for one in findings.company],
        "memory": None if findings.memory is None else dataclasses.asdict(findings.memory),
        "cpu_us": findings.cpu_us,
        "stamps": findings.stamps,
        "coverage": {kind: coverage(findings.samples, kind) for kind in KINDS},
        "clock": None if findings.clock is None else dataclasses.asdict(findings.clock),
        "goals": [{**dataclasses.asdict(goal), "met": goal.met} for goal in judge(findings)],
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One prober's probes of one kind: how many were sent, how many it lost, and the errors of the others."""

    kind: str
    prober: str
    probes: int
    lost: int
    errors: Spread | None


def _rows(samples: Sequence[Sample]) -> list[Row]:
    """Return a row for everyone who tried that kind, ours first."""
    found = []
    for kind in (*KINDS, "tcp_whole"):
        tried = {one.prober for one in samples if one.kind == kind}
        for prober in sorted(tried, key=lambda who: (who != OURS, who)):
            chosen = select(samples, prober, kind)
            lost = sum(one.reported_ns is None for one in chosen)
            found.append(Row(kind=kind, prober=prober, probes=len(chosen), lost=lost, errors=errors(chosen)))
    return found


def _accuracy(samples: Sequence[Sample]) -> list[str]:
    """Return the error tables: idle, each load, and all loads taken together."""
    lines = []
    conditions = list(dict.fromkeys(sample.condition for sample in samples))
    groups = {one: [sample for sample in samples if sample.condition == one] for one in conditions}
    if len(conditions) > 2:
        groups["every load together"] = [sample for sample in samples if sample.condition != IDLE]
    for name, chosen in groups.items():
        lines += ["", f"error against the capture, µs: {name}"]
        lines.append(
            f"  {'kind':14}{'prober':10}{'probes':>7}{'lost':>5}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}  p99/ours"
        )
        rows = _rows(chosen)
        ours = {row.kind: row.errors for row in rows if row.prober == OURS}
        lines += [f"  {_row(row)}{_ratio(row, ours)}" for row in rows]
    return lines


def _row(row: Row) -> str:
    return f"{row.kind:14}{row.prober:10}{row.probes:7}{row.lost:5}{_numbers(row.errors)}"


def _ratio(row: Row, ours: Mapping[str, Spread | None]) -> str:
    """Return how many times our p99 a row's is, where there are both."""
    mine = ours.get("tcp" if row.kind == "tcp_whole" else row.kind)
    if row.prober == OURS or row.errors is None or mine is None or not mine.p99:
        return ""
    return f"  {row.errors.p99 / mine.p99:8.1f}×"


def _numbers(spread: Spread | None) -> str:
    if spread is None:
        return f"{'—':>10}" * 4
    return "".join(f"{value / 1000:10.1f}" for value in (spread.p50, spread.p90, spread.p99, spread.max))


def _connects(connects: Sequence[ConnectParts]) -> list[str]:
    lines = []
    for one in connects:
        lines += [
            "",
            f"a TCP connect's error and where it lies, µs: {one.condition}, worker {_PRIORITY[one.priority]}",
            f"  {'':34}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}",
        ]
        lines += [
            f"  {label:34}{_numbers(spread)}"
            for label, spread in (
                ("TCP_INFO less the capture's time", one.error),
                ("of it from TCP's clock to the wire", one.down),
                ("of it from the wire to TCP's clock", one.up),
            )
        ]
    return lines


_PRIORITY = {"fifo": "at real-time priority", "other": "as usual"}


def _lateness(findings: Findings) -> list[str]:
    lines = []
    for one in findings.lateness:
        name = _PRIORITY[one.priority]
        lines += [
            "",
            f"late, µs: {one.condition}, worker {name}",
            f"  {'':34}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}",
        ]
        lines += [
            f"  {label:34}{_numbers(spread)}"
            for label, spread in (
                ("first packet after its slot", one.first),
                ("a train's later packets", one.train),
                ("cyclictest FIFO", one.cyclictest.get("fifo")),
                ("cyclictest OTHER", one.cyclictest.get("other")),
            )
        ]
        lines.append(f"  packets before their time: {one.early}, by {one.earliest / 1000:.1f} at most")
    return lines


def _stamps(findings: Findings) -> list[str]:
    lines = ["", "stamp classes of the worker's answered probes"]
    for kind in KINDS:
        chosen = [one for one in select(findings.samples, OURS, kind) if one.reported_ns is not None]
        classes = sorted({one.stamp for one in chosen})
        counts = ", ".join(f"{name or 'none'} {sum(one.stamp == name for one in chosen)}" for name in classes)
        lines.append(f"  {kind:14} {counts or 'none'}")
        joined = [one for one in chosen if one.joined]
        if joined:
            lines.append(
                f"  {'':14} errors in µs (p50, p90, p99, max), by whether segments had come together:"
            )
            for label, some in (("joined", joined), ("apart", [one for one in chosen if not one.joined])):
                lines.append(f"  {'':14} {len(some):5} {label:8}{_numbers(errors(some))}")
    lines += ["", "stamps without a capture, the reader kept from reading"]
    lines += [f"  {name:44} {counts}" for name, counts in findings.stamps.items()]
    return lines


def _others(findings: Findings) -> list[str]:
    lines = []
    if findings.company:
        lines += ["", "in company: median error, µs; how far it moved; probes"]
        lines += [
            f"  {one.variant:12}{one.median_error_ns / 1000:8.2f}{one.moved_ns / 1000:8.2f}{one.probes:6}"
            for one in findings.company
        ]
    if findings.cpu_us:
        lines += ["", "processor time a probe, µs"]
        lines += [f"  {name:28}{value:8.0f}" for name, value in findings.cpu_us.items()]
    if findings.memory is not None:
        found = findings.memory
        lines += [
            "",
            "memory, MB (10⁶ bytes): resident, its fair part of what is shared, what is its own alone",
        ]
        lines += [
            f"  {name:38}{sizes['rss'] / 1e6:8.1f}{sizes['pss'] / 1e6:8.1f}{sizes['anonymous'] / 1e6:8.1f}"
            for name, sizes in (
                ("an interpreter that imports nothing", found.bare),
                ("the worker, ready", found.ready),
                ("after the tests that need no library", found.without_libraries),
                ("after every test", found.every_test),
            )
        ]
        lines.append(f"  every test: {', '.join(found.tests)}")
    if findings.clock is not None:
        lines += [
            "",
            "clock moved during a probe: probes, flagged, kernel-stamped, furthest from the usual in µs",
        ]
        lines += [
            f"  {one.name:44}{one.probes:5}{one.flagged:5}{one.kernel:5}{one.worst_ns / 1000:10.1f}"
            for one in findings.clock.cases
        ]
        lines.append(f"  put back; against CLOCK_MONOTONIC_RAW {findings.clock.left_ns} ns are left")
    return lines


def _goals(goals: Sequence[Goal]) -> list[str]:
    words = {True: "met", False: "MISSED", None: "not measured"}
    lines = ["", "goals"]
    for goal in goals:
        found = "—" if goal.found is None else f"{goal.found:.1f}"
        sign = "≥" if goal.at_least else "≤"
        lines.append(f"  {words[goal.met]:13}{goal.text:62}{found:>9} {sign} {goal.limit:g} {goal.unit}")
    return lines
