"""Many scenarios side by side, each a process in namespaces of its own, and the table of how they came out."""

import contextlib
import fnmatch
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from tests.nation.play import Result
from tests.nation.scenario import ScenarioError, load
from tests.needs import ROOT

_BESIDE_LIMIT_S: Final = 120.0
"""What a scenario may take beside the time in which its verdict must come: to build, to begin, to end."""

_OF_PACE_S: Final = {"quick": 0.0, "shipped": 480.0}
"""What waiting for rounds before the event may take, by cadence."""


def choose(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return what `wanted` means: names, patterns of known names with `*`, `all`, files anywhere. Raises `ScenarioError`."""
    if "all" in wanted:
        return list(known)
    found: list[str] = []
    for one in wanted:
        is_file = one.endswith(".toml")
        matching = [str(Path(one).absolute())] if is_file else fnmatch.filter(known, one)
        if not matching:
            raise ScenarioError(
                f"scenario {one}: no such one; `python -m tests.nation list` shows what there is"
            )
        found += [name for name in matching if name not in found]
    return found


def play_all(
    names: Sequence[str], folder: Path, command: Callable[..., list[str]], *, at_once: int
) -> list[Result]:
    """Play them, say each result as it comes, and print the table at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    results: dict[str, Result] = {}
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        # The longest first, so that none is left to wait for alone.
        longest = sorted(names, key=lambda name: -load(name).limit_s)
        futures = {pool.submit(_play, name, folder.absolute(), command): name for name in longest}
        for number, future in enumerate(as_completed(futures), start=1):
            result = future.result()
            results[futures[future]] = result
            passed_s = time.monotonic() - began_s
            print(f"[{number}/{len(names)}, {passed_s:.0f} s] {line(result)}", flush=True)
    ordered = [results[name] for name in names]
    print("\n" + as_text(ordered))
    failed = sum(not result.passed for result in ordered)
    print(f"\n{len(ordered)} scenarios, {len(ordered) - failed} as expected, {failed} not, "
          f"{time.monotonic() - began_s:.0f} s")  # fmt: skip
    return ordered


def as_text(results: Sequence[Result]) -> str:
    """Return the table: scenario × expected × got × rule × seconds to verdict."""
    head = f"{'scenario':<34} {'expected':<24} {'got':<22} {'rule':<34} {'seconds':>7}  "
    return "\n".join([head, *(line(result) for result in results)])


def line(result: Result) -> str:
    """Return a result's line of the table."""
    seconds = "-" if result.seconds is None else f"{result.seconds:.1f}"
    outcome = "" if result.passed else f"NOT AS EXPECTED: {result.why}"
    return (
        f"{result.name:<34} {result.expected[:24]:<24} {result.got:<22} {result.rule_id:<34} {seconds:>7}  {outcome}"
    ).rstrip()


def _play(name: str, folder: Path, command: Callable[..., list[str]]) -> Result:
    scenario = load(name)
    out, result = folder / f"{scenario.name}.out", folder / f"{scenario.name}.json"
    with contextlib.suppress(FileNotFoundError):
        result.unlink()
    with out.open("wb") as said:
        process = subprocess.Popen(
            command(name, "--result", str(result)),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            process.wait(scenario.limit_s + _BESIDE_LIMIT_S + _OF_PACE_S[scenario.general.cadence])
        except subprocess.TimeoutExpired:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()
    if result.exists():
        return Result(**json.loads(result.read_text(encoding="utf-8")))
    last = (out.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"])[-1]
    return Result(
        name=scenario.name,
        expected=scenario.text,
        got="nothing",
        rule_id="",
        seconds=None,
        passed=False,
        why=f"status {process.returncode}: {last}",
    )
