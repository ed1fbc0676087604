"""`python -m tests.nation false-alarms` and `… transitions`: starts the drills in namespaces, and adds their figures up."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import namespaces
from tests.needs import ROOT, namespace_command


def false_alarms(options: argparse.Namespace) -> int:
    """Live through a day in `options.parts` parts side by side; print counts by verdict; 0 without an alarm."""
    zones = zip(("local_ms", "domestic_ms", "international_ms"), options.delay, strict=True)
    delay = dict(zones)
    share, rest = divmod(options.rounds, options.parts)
    with tempfile.TemporaryDirectory(prefix="nation-") as made:
        jobs, first = [], 0
        for number in range(options.parts):
            rounds = share + (number < rest)
            result = Path(made, f"part{number}.json")
            words = ["--seed", str(options.seed), "--rounds", str(rounds), "--first", str(first)]
            words += ["--delay", json.dumps(delay)]
            jobs.append((_command("false_alarms", *words, "--result", str(result)), result))
            first += rounds
        with ThreadPoolExecutor(max_workers=options.parts) as pool:
            statuses = list(
                pool.map(lambda job: subprocess.run(job[0], cwd=ROOT, check=False).returncode, jobs)
            )
        tallies = [json.loads(result.read_text(encoding="utf-8")) for _, result in jobs if result.exists()]
    device: Counter[str] = Counter()
    targets: Counter[str] = Counter()
    alarms: list[str] = []
    for tally in tallies:
        device.update(tally["device"])
        targets.update(tally["targets"])
        alarms += tally["alarms"]
    print(
        f"\nseed {options.seed}: {sum(device.values())} rounds, each for 180 s of the day; delays per zone {delay}"
    )
    print(f"the device said:    {_counts(device)}")
    print(f"of single targets:  {_counts(targets)}  (the collector, with its vantage)")
    for alarm in alarms:
        print(f"FALSE ALARM: {alarm}")
    whole = len(tallies) == options.parts
    print(f"{len(alarms)} false alarms" + ("" if whole else f"; and parts ended early: {statuses}"))
    return 0 if whole and not alarms else 1


def transitions(options: argparse.Namespace) -> int:
    """Cut and restore `options.times` times; print the seconds; 0 where each verdict came within the goal."""
    with tempfile.TemporaryDirectory(prefix="nation-") as made:
        result = Path(made, "found.json")
        words = ["--times", str(options.times), "--calm", str(options.calm), "--quick", str(options.quick)]
        status = subprocess.run(
            _command("transitions", *words, "--result", str(result)), cwd=ROOT, check=False
        ).returncode
        found = json.loads(result.read_text(encoding="utf-8")) if result.exists() else []
    if found:
        cuts, backs = [cut for cut, _ in found], [back for _, back in found]
        print(
            f"\n{len(found)} cuts: to the verdict {min(cuts):.1f} to {max(cuts):.1f} s, "
            f"back to ok {min(backs):.1f} to {max(backs):.1f} s; the goal is 30 s"
        )
    return status


def _command(module: str, *words: str) -> list[str]:
    begin = [*namespace_command(), sys.executable, "-m", f"tests.nation.{module}"]
    return [*begin, "--outside", namespaces.present(), *words]


def _counts(counted: "Counter[str]") -> str:
    return ", ".join(f"{word} {count}" for word, count in counted.most_common()) or "nothing"
