"""`python -m tests.nation.censor`: the censor as a process of its own. Says READY once it forwards.

It must never start on a rules file with a fault: all of them are told, and the status is 2.
"""

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from tests.nation.censor import control, rules, wire
from tests.nation.censor.bump import Bump
from tests.nation.censor.engine import Engine

_USAGE: Final = 2


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    options = _options(arguments)
    try:
        found = rules.load(options.rules)
    except rules.SettingsError as error:
        return _refused([str(fault) for fault in error.faults])
    if options.check:
        print(f"{options.rules}: {len(found.rules)} rules, no fault")
        return 0
    if options.between is None:
        return _change(options.rules, options.control)
    stops: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stops.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with contextlib.ExitStack() as stack:
        try:
            inside, outside = (stack.enter_context(wire.open_end(name)) for name in options.between)
            log = (
                None if options.log is None else stack.enter_context(options.log.open("a", encoding="utf-8"))
            )
            listening = (
                None if options.control is None else stack.enter_context(control.listener(options.control))
            )
        except OSError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        wire.hurry()
        now_ns = time.monotonic_ns()
        engine = Engine(found, now_ns=now_ns, wall_ahead_ns=time.time_ns() - now_ns)
        bump = Bump(inside, outside, engine, log=log, control=listening, folder=options.rules.parent)
        print("READY", flush=True)
        bump.run(lambda: bool(stops))
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.nation.censor",
        description="A bump in the wire that censors by rules: docs/how-to/censor.md. Only in a network namespace.",
    )
    parser.add_argument(
        "--between",
        nargs=2,
        metavar=("INSIDE", "OUTSIDE"),
        help="the two interfaces; without it, send the rules to the censor that listens at --control",
    )
    parser.add_argument("--rules", type=Path, required=True, help="the rules file (TOML)")
    parser.add_argument("--log", type=Path, help="append what is done to packets to this file, JSON lines")
    parser.add_argument("--control", type=Path, help="listen for new rules on this Unix socket")
    parser.add_argument("--check", action="store_true", help="only say whether the rules file has faults")
    options = parser.parse_args(arguments)
    if options.between is None and options.control is None and not options.check:
        parser.error("--between, --control or --check is needed")
    return options


def _change(path: Path, where: Path) -> int:
    answer = control.change(where, path.read_bytes())
    faults = answer.get("faults")
    if isinstance(faults, list):
        return _refused([str(fault) for fault in faults])
    print(f"{answer['rules']} rules in force")
    return 0


def _refused(faults: Sequence[str]) -> int:
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    sys.stderr.write(
        f"{len(faults)} fault{'s' if len(faults) > 1 else ''}; nothing was changed or started.\n"
    )
    return _USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
