"""Plays many cases both ways, several at once, and keeps what each brought in a folder: what is there is not played again."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import namespaces
from tests.calibration import virtual
from tests.calibration.cases import Case
from tests.calibration.compare import Disagreement, disagreements
from tests.calibration.heard import Round, from_rounds_json
from tests.calibration.pace import LIMIT_S
from tests.needs import ROOT, namespace_command

_BESIDE_S: Final = 120.0
"""What a play in namespaces may take beside its device's time: to build, to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One case played both ways."""

    case: Case
    virtual: tuple[Round, ...]
    real: tuple[Round, ...]

    @property
    def disagreements(self) -> list[Disagreement]:
        """Return where the plays differ."""
        return disagreements(self.case, self.virtual, self.real)


def played(cases: Sequence[Case], folder: Path, *, at_once: int) -> Iterator[Played]:
    """Yield each case as it is done: first those that the folder has."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting = []
    for case in cases:
        if _file(folder, case).exists():
            yield _both(case, folder)
        else:
            waiting.append(case)
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = {pool.submit(_play_real, case, folder): case for case in waiting}
        for future in as_completed(futures):
            future.result()
            yield _both(futures[future], folder)


def _both(case: Case, folder: Path) -> Played:
    """Read the one play, and make the other: it takes less than a second, and depends on the code as it is now."""
    real = from_rounds_json(json.loads(_file(folder, case).read_text(encoding="utf-8")))
    return Played(case=case, virtual=tuple(virtual.play(case)), real=tuple(real))


def _play_real(case: Case, folder: Path) -> None:
    made, said = folder / f"{case.seed}.part", folder / f"{case.seed}.out"
    words = [*namespace_command(), sys.executable, "-m", "tests.calibration.real"]
    words += ["--outside", namespaces.present(), "--seed", str(case.seed), "--result", str(made)]
    with said.open("wb") as out:
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            process.wait(LIMIT_S + _BESIDE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if not made.exists():
        raise RuntimeError(
            f"case {case.seed} was not played, status {process.returncode}: {said.read_text(encoding='utf-8')[-2000:]}"
        )
    made.rename(_file(folder, case))


def _file(folder: Path, case: Case) -> Path:
    return folder / f"{case.seed}.json"
