"""What `python -m tests.nation` starts inside fresh namespaces: plays one scenario, or holds it open for a shell.

It must never run in the namespace of its caller: `--outside` names that one, and is compared.
"""

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests import namespaces
from tests.nation.country import leave_after
from tests.nation.hearing import Said
from tests.nation.play import hold, play
from tests.nation.scenario import Scenario, load
from tests.nation.stage import Stage


def main(arguments: list[str]) -> int:
    """Play; the exit status is 0 where the scenario passed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--outside", required=True)
    parser.add_argument("--result", type=Path, help="write how it came out to this file, JSON")
    parser.add_argument(
        "--live", action="store_true", help="also show what the censors do, and the country's state"
    )
    parser.add_argument("--shell", action="store_true", help="a shell in the home instead of a device")
    parser.add_argument(
        "--after", type=float, default=0.0, help="seconds from the shell's begin to the event"
    )
    options = parser.parse_args(arguments)
    namespaces.settle_in(options.outside)
    signal.signal(signal.SIGTERM, _end)
    scenario = load(options.name)
    with tempfile.TemporaryDirectory(prefix="nation-") as made:
        if options.shell:
            return _shell(scenario, Path(made), options.after)
        if options.live:
            print(f"{scenario.title}\n{scenario.general.why}\n", flush=True)
        result = play(scenario, Path(made), tell=_tell, note=_note, live=options.live)
    if options.result is not None:
        options.result.write_text(json.dumps(dataclasses.asdict(result)), encoding="utf-8")
    seconds = "" if result.seconds is None else f" after {result.seconds:.1f} s"
    outcome = "as expected" if result.passed else f"NOT as expected: {result.why}"
    print(
        f"\nexpected {result.expected}, got {result.got} ({result.rule_id}){seconds}: {outcome}", flush=True
    )
    return 0 if result.passed else 1


def _shell(scenario: Scenario, folder: Path, after_s: float) -> int:
    with Stage(scenario, folder, tell=_tell, rehearsal=True) as stage:
        print(hold(stage, after_s), flush=True)
        timer = threading.Timer(after_s, stage.happen, ["event"])
        timer.daemon = True
        timer.start()
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        prompt = f"(home in {scenario.name}) $ "
        return subprocess.run(
            [os.environ.get("SHELL", "/bin/sh")],
            env={**os.environ, **stage.country.trusted, "PATH": path, "PS1": prompt},
            check=False,
        ).returncode


def _tell(said: Said) -> None:
    who = f"collector of {said.about}" if said.about else said.who
    print(f"{said.at_s:7.1f} s  {who}: {said.verdict} ({said.rule_id})", flush=True)
    for line in said.evidence:
        print(f"             {line}", flush=True)


def _note(text: str) -> None:
    print(text, flush=True)


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    leave_after(main)
