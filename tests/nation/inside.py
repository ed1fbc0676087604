"""What `python -m tests.nation` starts inside fresh namespaces: plays one scenario and writes its result.

It must never run in the namespace of its caller: `--outside` names that one, and is compared.
"""

import argparse
import dataclasses
import json
import signal
import sys
import tempfile
from pathlib import Path

from tests import namespaces
from tests.nation.play import play
from tests.nation.scenario import load
from tests.nation.stage import Said


def main(arguments: list[str]) -> int:
    """Play; the exit status is 0 where the scenario passed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--outside", required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(arguments)
    namespaces.settle_in(options.outside)
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="nation-") as made:
        folder = options.folder or Path(made)
        result = play(
            load(options.name), folder, tell=_tell, note=lambda text: print(f"-- {text}", flush=True)
        )
    options.result.write_text(json.dumps(dataclasses.asdict(result)), encoding="utf-8")
    return 0 if result.passed else 1


def _tell(said: Said) -> None:
    print(f"{said.at_s:7.1f} s  {said.who}: {said.verdict} ({said.rule_id})", flush=True)
    for line in said.evidence:
        print(f"             {line}", flush=True)


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
