"""`python -m tests.nation`: play scenarios of the made country, each in namespaces of its own.

    list                 what there is
    run NAME             one, with a live view of what device, collector and censor say; or a FILE.toml from anywhere
    run all              every one, several at once, and a table
    shell NAME           a shell in the home, the scenario running around it
    false-alarms         a day of an ugly but free network: nobody may be accused
    transitions          how long from a cut to the verdict, and back

Run it as root, or as a user whose kernel allows user namespaces. docs/how-to/rehearse.md says more.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests import namespaces
from tests.nation import drills, table
from tests.nation.scenario import ScenarioError, load, names
from tests.nation.weather import DAY_ROUNDS
from tests.needs import ROOT, namespace_command

AT_ONCE: Final = 6
END_WITH_PARENT: Final = ("setpriv", "--pdeathsig", "TERM", "--") if shutil.which("setpriv") else ()
_USAGE: Final = 2


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; return the exit status: 0 where every scenario passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.nation", description=__doc__.split("\n\n")[0])
    asked = parser.add_subparsers(dest="asked", required=True)
    asked.add_parser("list", help="say which scenarios there are")
    run = asked.add_parser("run", help="play one, several or all")
    run.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="scenarios, parts of their names with *, all, or files that end in .toml",
    )
    run.add_argument("--at-once", type=int, default=AT_ONCE, help="how many side by side (%(default)s)")
    run.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep every scenario's output in this directory"
    )
    shell = asked.add_parser("shell", help="a shell in the home, the scenario running around it")
    shell.add_argument("name", metavar="NAME")
    shell.add_argument("--after", type=float, default=0.0, help="seconds until it happens (%(default)s)")
    alarms = asked.add_parser("false-alarms", help="a day of an ugly but free network")
    alarms.add_argument("--rounds", type=int, default=DAY_ROUNDS, help="of 180 s each (%(default)s: a day)")
    alarms.add_argument("--seed", type=int, default=1, help="which day (%(default)s)")
    alarms.add_argument("--parts", type=int, default=4, help="of the day side by side (%(default)s)")
    alarms.add_argument(
        "--delay",
        type=float,
        nargs=3,
        metavar="MS",
        default=(5.0, 15.0, 70.0),
        help="one way to its provider, to hosts in the country, to hosts abroad; the weather's comes on top (%(default)s)",
    )
    cuts = asked.add_parser("transitions", help="how long from a cut to the verdict, and back")
    cuts.add_argument("--times", type=int, default=5, help="how often (%(default)s)")
    cuts.add_argument("--calm", type=int, default=180, help="the device's calm pace in seconds (%(default)s)")
    cuts.add_argument("--quick", type=int, default=2, help="its pace on a transition (%(default)s)")
    options = parser.parse_args(arguments)
    if options.asked == "false-alarms" and list(options.delay) != sorted(options.delay):
        parser.error("--delay: three numbers in rising order are wanted")
    drill = {"false-alarms": drills.false_alarms, "transitions": drills.transitions}.get(options.asked)
    if drill is not None:
        return drill(options)
    try:
        if options.asked == "list":
            return _list()
        if options.asked == "shell":
            (name,) = table.choose([options.name], names())
            load(name)
            words = command(name, "--shell", "--after", str(options.after))
            return subprocess.run(words, cwd=ROOT, check=False).returncode
        chosen = table.choose(options.names, names())
        for name in chosen:
            load(name)
    except ScenarioError as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE
    if len(chosen) == 1:
        return subprocess.run(command(chosen[0], "--live"), cwd=ROOT, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="nation-") as made:
        results = table.play_all(chosen, options.keep or Path(made), command, at_once=options.at_once)
    return 0 if all(result.passed for result in results) else 1


def command(name: str, *options: str) -> list[str]:
    """Return the words that play a scenario in fresh namespaces."""
    words = [*END_WITH_PARENT, *namespace_command(), sys.executable, "-m", "tests.nation.inside", name]
    return [*words, "--outside", namespaces.present(), *options]


def _list() -> int:
    for name in names():
        scenario = load(name)
        print(f"{name:<32} {scenario.text:<24} {scenario.title}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
