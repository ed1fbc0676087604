"""Plans: finding and loading what a device in a country measures.

`load` is the one way to a `Plan`: it reads the file and refuses it unless every part of it can be used. The
plans of this package stand in `firmware/plans/`, one a country; any other file is given by its path.
"""

from importlib import resources
from pathlib import Path
from typing import Final

from firmware.model.plan import (
    GENERIC,
    Cadence,
    Network,
    Plan,
    PlanError,
    PlanFault,
    PlannedTarget,
    PlannedTask,
    RoundLimits,
)

__all__ = [
    "GENERIC",
    "Cadence",
    "Network",
    "Plan",
    "PlanError",
    "PlanFault",
    "PlannedTarget",
    "PlannedTask",
    "RoundLimits",
    "countries",
    "load",
]

_GENERIC_FILE: Final = "generic"
_MOST_BYTES: Final = 2**20
"""A file that is larger is no plan, but a device or a mistake."""


def load(country: str | None = None, path: Path | None = None) -> Plan:
    """Return the plan at `path`, else that of `country` (ISO 3166-1 alpha-2, any case), else the generic one.

    Raises `PlanError` with everything that is wrong: no such country, a file that cannot be read, a fault in
    the plan.
    """
    # Here and not above: a program that handles plans' types need not load every measurement.
    from firmware.plans.reader import read  # noqa: PLC0415

    if path is not None:
        return read(_content(path), file=path)
    name = (country or GENERIC).lower()
    if name not in countries():
        raise PlanError("plans", [PlanFault(place="country", found=repr(country), allowed=_choice())])
    stem = _GENERIC_FILE if name == GENERIC else name
    with resources.as_file(resources.files("firmware") / "plans" / f"{stem}.toml") as found:
        return read(_content(found), file=found)


def countries() -> tuple[str, ...]:
    """Return the countries there are plans for, in order; `zz` is the generic plan."""
    stems = [
        entry.name.removesuffix(".toml")
        for entry in (resources.files("firmware") / "plans").iterdir()
        if entry.name.endswith(".toml")
    ]
    return tuple(sorted(GENERIC if stem == _GENERIC_FILE else stem for stem in stems))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        fault = PlanFault(
            place="", found=(error.strerror or str(error)).lower(), allowed="a plan (TOML) that can be read"
        )
        raise PlanError(path, [fault]) from error
    if len(raw) > _MOST_BYTES:
        fault = PlanFault(place="", found="more than 1 MiB", allowed="a plan (TOML) of at most that")
        raise PlanError(path, [fault])
    return raw


def _choice() -> str:
    listed = ", ".join(f"{GENERIC} (generic)" if name == GENERIC else name for name in countries())
    return f"one of {listed}; or the path of a plan file"
