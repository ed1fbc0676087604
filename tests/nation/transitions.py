"""The transition drill: how many seconds from a cut to the device's verdict, and from its end to `ok`, N times over.

The device keeps its own pace, calm when the cut comes. Real sockets, real time-outs, nothing compressed but the pace
that `--calm` says. It prints what it measures; whether that is within the goal is said, and is the exit status.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Final

from appliance.measuring.pace import QUICK_ROUNDS
from firmware.model.verdict_words import VerdictWord
from tests import namespaces
from tests.nation.country import leave_after
from tests.nation.scenario import load
from tests.nation.stage import Stage

GOAL_S: Final = 30.0
_LIMIT_S: Final = 240.0
CALM_ROUNDS: Final = QUICK_ROUNDS + 1
"""So many rounds of `ok` before each cut: the quick rounds after a change are over then, and the device is calm."""
_SPREAD_S: Final = 10.0
"""Each cut comes at another point of the time between two looks of the device's sentinel."""


def run(times: int, calm_s: int, quick_s: int, folder: Path) -> list[tuple[float, float]]:
    """Return the seconds from each cut to the verdict, and from its end to `ok`."""
    found: list[tuple[float, float]] = []
    scenario = load("international-cut")
    everything = scenario.censors[0].rules
    with Stage(scenario, folder, tell=lambda _said: None, calm_s=calm_s, quick_s=quick_s) as stage:
        for number in range(1, times + 1):
            _await(stage, VerdictWord.OK, rounds=CALM_ROUNDS)
            time.sleep(_SPREAD_S * number / times)
            stage.impose("border", everything)
            cut_s = _await(stage, VerdictWord.INTERNATIONAL_CUT)
            stage.impose("border", [])
            back_s = _await(stage, VerdictWord.OK)
            found.append((cut_s, back_s))
            print(f"{number} of {times}: cut to verdict {cut_s:.1f} s, and back {back_s:.1f} s", flush=True)
    return found


def _await(stage: Stage, verdict: str, *, rounds: int = 1) -> float:
    """Return after how many seconds `verdict` was said, the last of `rounds` in a row."""
    stage.hear()
    begun, began_s = len(stage.told.said), stage.now_s()
    while stage.now_s() - began_s < _LIMIT_S * rounds:
        stage.hear()
        said = [one.verdict for one in stage.told.said[begun:] if one.who == "device"]
        if len(said) >= rounds and set(said[-rounds:]) == {verdict}:
            return stage.told.said[-1].at_s - began_s
        time.sleep(0.1)
    raise AssertionError(f"{verdict} was not said within {_LIMIT_S * rounds:.0f} s")


def main(arguments: list[str]) -> int:
    """Run inside fresh namespaces, as `tests.nation.drills` starts it; write the figures; 0 within the goal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--outside", required=True)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("--calm", type=int, required=True)
    parser.add_argument("--quick", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args(arguments)
    namespaces.settle_in(options.outside)
    with tempfile.TemporaryDirectory(prefix="nation-") as made:
        found = run(options.times, options.calm, options.quick, Path(made))
    options.result.write_text(json.dumps(found), encoding="utf-8")
    return 0 if all(cut_s <= GOAL_S for cut_s, _ in found) else 1


if __name__ == "__main__":
    leave_after(main)
