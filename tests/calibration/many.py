"""Plays many cases both ways, several at once, and keeps what each brought in a folder: what is there is not played again.

What was played of another product is: a play in virtual time is always of the product as it is.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.files.durable import write_durably
from tests import namespaces
from tests.calibration import virtual
from tests.calibration.cases import Case
from tests.calibration.compare import Disagreement, disagreements
from tests.calibration.heard import Round, from_rounds_json
from tests.calibration.pace import LIMIT_S, START_S
from tests.needs import ROOT, namespace_command

_DEVICE: Final = ("firmware", "appliance")
_BESIDE_S: Final = 120.0 + START_S
"""What a play in namespaces may take beside its device's time: to build, to begin, to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplayed:
    """One case that was not played in namespaces, and why: the next run tries again."""

    case: Case
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One case played both ways."""

    case: Case
    virtual: tuple[Round, ...]
    real: tuple[Round, ...]
    load: float
    """How many programs waited for a processor, for each there is, while it was played in namespaces."""

    @property
    def disagreements(self) -> list[Disagreement]:
        """Return where the plays differ."""
        return disagreements(self.case, self.virtual, self.real)


def played(cases: Sequence[Case], folder: Path, *, at_once: int) -> Iterator[Played | Unplayed]:
    """Yield each case as it is done, or could not be: first those that the folder has."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting, of = [], product()
    for case in cases:
        if _is_kept(folder, case, of):
            yield _both(case, folder)
        else:
            waiting.append(case)
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = {pool.submit(_play_real, case, folder, of): case for case in waiting}
        for future in as_completed(futures):
            case, why = futures[future], future.result()
            yield Unplayed(case=case, why=why) if why else _both(case, folder)


def _both(case: Case, folder: Path) -> Played:
    """Read the one play, and make the other: it takes less than a second, and depends on the code as it is now."""
    kept = json.loads(_file(folder, case).read_text(encoding="utf-8"))
    real = from_rounds_json(kept["rounds"])
    return Played(case=case, virtual=tuple(virtual.play(case)), real=tuple(real), load=kept["load"])


def product() -> str:
    """Return what names the device's own source as it is: two of one name measure and judge alike."""
    digest = hashlib.sha256()
    for path in sorted(path for room in _DEVICE for path in (ROOT / room).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _is_kept(folder: Path, case: Case, of: str) -> bool:
    path = _file(folder, case)
    return path.exists() and json.loads(path.read_text(encoding="utf-8"))["product"] == of


def _play_real(case: Case, folder: Path, of: str) -> str:
    """Play a case in namespaces and keep what it brought; return why not, where it could not be."""
    made, said = folder / f"{case.seed}.part", folder / f"{case.seed}.out"
    words = [*namespace_command(), sys.executable, "-m", "tests.calibration.real"]
    words += ["--outside", namespaces.present(), "--seed", str(case.seed), "--result", str(made)]
    loads = [_load()]
    with said.open("wb") as out:
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            process.wait(LIMIT_S + _BESIDE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if not made.exists():
        told = said.read_text(encoding="utf-8").strip().splitlines()
        return f"status {process.returncode}: {told[-1] if told else 'nothing said'}"
    loads.append(_load())
    rounds = json.loads(made.read_text(encoding="utf-8"))
    kept = {"product": of, "load": round(sum(loads) / len(loads), 1), "rounds": rounds}
    write_durably(_file(folder, case), json.dumps(kept).encode())
    made.unlink()
    return ""


def _load() -> float:
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def _file(folder: Path, case: Case) -> Path:
    return folder / f"{case.seed}.json"
