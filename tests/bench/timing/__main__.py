"""`python -m tests.bench.timing`: how true our times are, against packet capture, beside four other probers.

Builds network namespaces with a delay line, runs everything in them, prints the figures and which goals they
meet, and leaves nothing behind. docs/explanation/timing.md says how to read it. Takes some thirteen minutes.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.timing import (
    accuracy,
    clock_change,
    connect_parts,
    disturbance,
    footprint,
    lab,
    lateness,
    loads,
    probers,
    report,
    stamps,
)
from tests.bench.timing.goals import Findings
from tests.bench.timing.worker_client import WorkerClient

PARTS: Final = ("memory", "stamps", "accuracy", "connect", "lateness", "company", "cpu", "clock")
"""What a run is made of, in order; `--only` leaves the rest out."""
_OTHER_PACKAGES: Final = {"stress-ng": "stress-ng", "cyclictest": "rt-tests"}
_ROOM_S: Final = 300
_NAIVE: Final = 40
_CONTROL_TRIES: Final = 3
_CONTROL_PAUSE_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how much. `seconds` is for each condition's accuracy, a third of it for its lateness."""

    seconds: float
    conditions: tuple[str, ...]
    blocks: int
    held: int
    cpu_probes: int
    connects: int
    clock_probes: int
    delay_us: int
    parts: frozenset[str]

    @property
    def limit_s(self) -> float:
        """No run takes longer than this."""
        each = 3 * self.seconds + 0.2 * self.connects + 30
        return _ROOM_S + len(self.conditions) * each + 15 * self.blocks + 0.2 * self.held


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.timing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40, help="for each condition (default 40)")
    parser.add_argument(
        "--quick", action="store_true", help="a look in about a minute; its figures mean little"
    )
    parser.add_argument("--loads", default="", help=f"only these, by comma: {', '.join(loads.conditions())}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--memory", action="store_true", help="the same as --only memory")
    parser.add_argument("--only", default="", metavar="PARTS", help=f"by comma, of: {', '.join(PARTS)}")
    parser.add_argument("--no-clock", action="store_true", help="leave the machine's clock alone")
    parser.add_argument(
        "--delay-us",
        type=int,
        default=4500,
        help="each way (default 4500: a round trip below 10 ms, where fping and ping print one digit more)",
    )
    return parser.parse_args()


def plan_of(given: argparse.Namespace) -> Plan:
    """Make a plan of the command line's words."""
    chosen = tuple(given.loads.split(",")) if given.loads else tuple(loads.conditions())
    unknown = set(chosen) - set(loads.conditions())
    if unknown:
        sys.exit(f"--loads: found {', '.join(sorted(unknown))}; here are {', '.join(loads.conditions())}")
    only = "memory" if given.memory else given.only
    parts = frozenset(only.split(",") if only else PARTS)
    if parts - set(PARTS):
        sys.exit(f"--only: found {', '.join(sorted(parts - set(PARTS)))}; allowed are {', '.join(PARTS)}")
    quick = given.quick
    if quick and not given.loads:
        chosen = tuple(one for one in (loads.IDLE, loads.ALL) if one in loads.conditions())
    return Plan(
        seconds=min(given.seconds, 4) if quick else given.seconds,
        conditions=chosen,
        blocks=2 if quick else 10,
        held=20 if quick else 200,
        cpu_probes=20 if quick else 200,
        connects=10 if quick else 200,
        clock_probes=0 if given.no_clock else 5 if quick else 20,
        delay_us=given.delay_us,
        parts=parts,
    )


def tell(text: str) -> None:
    """Show what is being done, on the standard error. What begins with "…" is for a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
    elif text and not text.startswith("…"):
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def run(plan: Plan) -> Findings:
    """Do all of it."""
    found = Findings()
    others, missing = probers.peers()
    missing += [package for name, package in _OTHER_PACKAGES.items() if lab.program(name) is None]
    if missing:
        found.notes.append(
            f"without {', '.join(missing)}. To have them too: "
            f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
        )
    with lab.build(plan.delay_us) as built:
        if not built.privileged:
            found.notes.append("not root: no real-time priority, for the worker nor for cyclictest FIFO")
        refused = connect_parts.prepare() if "connect" in plan.parts else ""
        if refused:
            found.notes.append(f"where a connect's microseconds lie is not measured: {refused}")
        if "memory" in plan.parts:
            tell("memory")
            found.memory = footprint.memory(built)
        if "stamps" in plan.parts:
            _controls(found, plan)
        if plan.parts - {"memory"}:
            with contextlib.ExitStack() as stack:
                _with_workers(found, others, stack=stack, plan=plan, built=built)
    return found


def _with_workers(
    found: Findings,
    others: list[probers.Prober],
    *,
    stack: contextlib.ExitStack,
    plan: Plan,
    built: lab.Lab,
) -> None:
    """Do what needs a worker that runs."""
    client = stack.enter_context(WorkerClient(built.authority))
    exporter_pid = stack.enter_context(exporting(built, others))
    chosen: list[probers.Prober] = [probers.OurWorker(client), probers.OurCall(), *others]
    if "stamps" in plan.parts:
        _stamps_without_capture(found, client, plan, built)
    workers = [client]
    granted = stack.enter_context(WorkerClient(built.authority, rtprio=lateness.GRANTED_PRIORITY))
    if granted.scheduling == "fifo":
        workers.append(granted)
    if granted.stood_in and granted.scheduling == "fifo":
        found.notes.append(
            f"RLIMIT_RTPRIO cannot be raised here ({granted.stood_in}): what it says was stood in for; the worker "
            "itself took the priority, as it does where the limit grants one"
        )
    for condition in plan.conditions:
        _one_condition(found, workers, chosen, condition=condition, plan=plan, built=built)
    if "company" in plan.parts:
        found.company = disturbance.measure(client, built.folder, blocks=plan.blocks, tell=tell)
    if "cpu" in plan.parts:
        tell("processor time")
        found.cpu_us = footprint.cpu_us(client, exporter_pid, plan.cpu_probes)
    if "clock" in plan.parts:
        _clock(found, client, plan)


def _controls(found: Findings, plan: Plan) -> None:
    """Show that false and missing stamps can be found, before anything of ours keeps stamping on."""
    for attempt in range(_CONTROL_TRIES):
        tell("stamps of sockets without a keeper, as a control")
        for name, address in (("over the wire", "10.77.2.1"), ("loopback", "127.0.0.1")):
            counts = stamps.control(min(_NAIVE, plan.held), address)
            found.stamps[f"{stamps.CONTROL}: a socket a probe, {name}"] = dict(counts)
        if stamps.control_found(found.stamps):
            return
        time.sleep(_CONTROL_PAUSE_S if attempt + 1 < _CONTROL_TRIES else 0)
    found.notes.append(
        "something else on this machine kept receive stamping on: what was found without a capture shows nothing"
    )


def _one_condition(
    found: Findings,
    workers: list[WorkerClient],
    chosen: list[probers.Prober],
    *,
    condition: str,
    plan: Plan,
    built: lab.Lab,
) -> None:
    if not plan.parts & {"accuracy", "connect", "lateness"}:
        return
    folder = built.folder
    with loads.load(condition, folder):
        if "accuracy" in plan.parts:
            tell(f"{condition}: {plan.seconds:g} s, all probers in turn")
            one = accuracy.measure(chosen, condition, folder, seconds=plan.seconds, tell=tell)
            found.samples += one.samples
            for name, count in one.unmatched.items():
                found.unmatched[f"{condition}: {name}"] = count
            if one.dropped:
                found.notes.append(f"{condition}: the capture lost {one.dropped} frames")
        for worker in workers if "connect" in plan.parts else ():
            tell(f"{condition}: the parts of a connect")
            found.connects.append(connect_parts.measure(worker, condition, folder, plan.connects))
        for worker in workers if "lateness" in plan.parts else ():
            tell(f"{condition}: send lateness")
            found.lateness.append(
                lateness.measure(worker, condition, folder, seconds=max(2.0, plan.seconds / 3))
            )


def _stamps_without_capture(found: Findings, client: WorkerClient, plan: Plan, built: lab.Lab) -> None:
    for condition in dict.fromkeys((plan.conditions[0], plan.conditions[-1])):
        tell(f"stamps without a capture: {condition}")
        with loads.load(condition, built.folder):
            found.stamps[f"worker, {condition}"] = dict(stamps.worker(client, plan.held, tell))


def _clock(found: Findings, client: WorkerClient, plan: Plan) -> None:
    if not plan.clock_probes:
        found.notes.append("the clock was left alone, as asked")
    elif not clock_change.allowed():
        found.notes.append("not root: the clock could not be moved, so steps and slews were not tried")
    else:
        tell("clock steps and slews")
        found.clock = clock_change.measure(client, plan.clock_probes, tell)


@contextlib.contextmanager
def exporting(built: lab.Lab, others: list[probers.Prober]) -> Iterator[int | None]:
    """Run the exporter, where it is installed; give its process id."""
    path = lab.program("prometheus-blackbox-exporter")
    if path is None or not any(other.name == "blackbox" for other in others):
        yield None
        return
    words = [path, f"--config.file={probers.exporter_settings(built)}"]
    words += [f"--web.listen-address=127.0.0.1:{probers.EXPORTER_PORT}"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process, lab.stopping(process):
        probers.await_exporter()
        yield process.pid


def main() -> int:
    """Run in namespaces; print and write what was found."""
    given = arguments()
    plan = plan_of(given)
    if not lab.is_inside():
        return lab.enter(sys.argv[1:], limit_s=plan.limit_s)
    described, began = report.machine(), time.monotonic()
    found = run(plan)
    tell("")
    print(report.as_text(found, described))
    print(f"\n{time.monotonic() - began:.0f} s: python -m tests.bench.timing {' '.join(sys.argv[1:])}")
    if given.json is not None:
        given.json.write_text(json.dumps(report.as_json(found, described), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
