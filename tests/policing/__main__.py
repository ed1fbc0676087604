"""Real TCP through real policers and shapers, and what the sender's packets and its kernel's counts say of them, side by side.

    python -m tests.policing [--lines N] [--seed S] [--kind KIND ...] [--keep DIR] [--fault NAME]

Each line is drawn from a seed (`tests/policing/lines.py`) and played in network namespaces of its own, some six seconds each. With `--keep` what was seen is kept,
and what is kept is judged again without being played again. Ends with 1 where the packets were said to show a policer or a shaper that was not built.
"""

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import namespaces
from tests.policing.faults import FAULTS, policing_fault
from tests.policing.judging import PolicingTally, report
from tests.policing.lines import KINDS, PolicingLine, draw_line
from tests.policing.road import told


def main(arguments: Sequence[str]) -> int:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.policing", description=__doc__)
    parser.add_argument("--lines", type=int, default=8, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--kind", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--fault", choices=list(FAULTS), help="what to put into the judgement of packets")
    options = parser.parse_args(arguments)
    tally = PolicingTally()
    for seed in range(options.seed, options.seed + options.lines):
        for kind in options.kind:
            told_of = _played(draw_line(kind, seed), options.keep)
            with policing_fault(options.fault):
                tally.add(told_of)
        print(f"{seed + 1 - options.seed} of {options.lines}: {len(tally.wrong)} wrong", flush=True)
    print("\n".join(report(tally)))
    return 1 if any(one.startswith("packets") for one in tally.wrong) else 0


def _played(line: PolicingLine, keep: Path | None) -> dict[str, Any]:
    path = None if keep is None else keep / f"{line.kind}-{line.seed}.json"
    if path is not None and path.exists():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    with contextlib.redirect_stdout(io.StringIO()):  # where the result comes by
        found = namespaces.call(told, line.to_json())
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found), encoding="utf-8")
    return dict(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
