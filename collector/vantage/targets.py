"""What the vantage measures: the plans there are, those that devices use, and their targets. Pure but for reading plans.

A plan is known by its label (`ir 2026-11-21`), which every record carries. Known are the plans that come along and
those in the operator's directory; for a label with another revision of a known country's plan, that one stands in,
and targets that both have are measured once. For a plan that is not known at all nothing is measured, and that is
said: a device's records hold targets too, but whoever can send records could then have the collector send
packets anywhere. This file must never take a target from a record.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from collector.store.vantage_streaks import Key
from firmware.judgement.observation import AUTHENTICATING_TESTS
from firmware.model.plan import Plan, PlanError, PlannedTarget, PlannedTask
from firmware.model.record import Rung
from firmware.model.task import OptionValue
from firmware.plans.load import countries, load

VANTAGE_TESTS: Final = frozenset({"ping", "tcp", "tls", "http", "web_connectivity", "dns", "ntp"})
"""The tests that have a meaning from elsewhere."""
PAGE_OPTIONS: Final[dict[str, OptionValue]] = {"addresses": 8, "fetch": True, "body_cap": 65_536}
"""A vantage looks at more of a page than a device can afford to."""

_FAR: Final = frozenset({Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS})


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageTarget:
    """One target to measure. `neutral_network` is whose network it stands in where it is neutral, else ""."""

    key: Key
    options: "dict[str, OptionValue]" = field(default_factory=dict)
    neutral_network: str = ""
    in_rounds: bool = True
    """False for what devices measure beside their rounds: those take turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The plans to measure by, and the labels and countries that none is known for."""

    plans: tuple[Plan, ...]
    unknown: tuple[str, ...]


def read_plans(directory: Path | None) -> tuple[tuple[Plan, ...], tuple[str, ...]]:
    """Return the plans that come along, then those (`*.toml`) in `directory`, the newest last; and what is wrong there."""
    plans = [load(country=country) for country in countries()]
    faults: list[str] = []
    own: list[Plan] = []
    for file in sorted(directory.glob("*.toml")) if directory is not None else ():
        try:
            own.append(load(path=file))
        except PlanError as error:
            faults.append(str(error))
    return (*plans, *sorted(own, key=lambda plan: plan.revised)), tuple(faults)


def choose(plans: Sequence[Plan], *, labels: Iterable[str], countries_heard: Iterable[str]) -> Chosen:
    """Return the plans for what devices said: the labels in their records, the countries in their hellos.

    `plans` are those that come along, then the operator's, which go before them. A country counts only while no
    record of it has named a plan.
    """
    told = list(dict.fromkeys(label for label in labels if label))
    covered = {label.partition(" ")[0] for label in told}
    told += [country for country in dict.fromkeys(countries_heard) if country and country not in covered]
    chosen: dict[str, Plan] = {}
    unknown: list[str] = []
    for wanted in told:
        exact = [plan for plan in plans if plan.label == wanted]
        near = [plan for plan in plans if plan.country == wanted.partition(" ")[0]]
        found = (exact or near)[-1:]
        chosen.update((plan.file, plan) for plan in found)
        if not found:
            unknown.append(wanted)
    return Chosen(plans=tuple(chosen.values()), unknown=tuple(unknown))


def targets_of(plans: Iterable[Plan]) -> tuple[VantageTarget, ...]:
    """Return what to measure, each target once however many plans have it."""
    found: dict[Key, VantageTarget] = {}
    for plan in plans:
        rounds = [_target(one) for one in plan.targets if one.rung in _FAR and _is_measured(one)]
        beside = [_target(one) for one in plan.tasks if _is_measured(one)]
        for target in (*rounds, *beside):
            found.setdefault(target.key, target)
    return tuple(found.values())


def asked(targets: Iterable[VantageTarget], names: Collection[str]) -> list[VantageTarget]:
    """Return what a look at `names` measures: these, and the reference targets, without which it would prove nothing.

    Where one is a page, another page beside it: its name shows whether the resolver that they share is well.
    """
    in_rounds = [one for one in targets if one.in_rounds]
    wanted = [one for one in in_rounds if one.key.target_name in names]
    pages = [one for one in in_rounds if one.key.test == "web_connectivity"]
    is_alone = sum(one in wanted for one in pages) == 1
    beside = [one for one in pages if one not in wanted and not one.neutral_network][:1] if is_alone else []
    return [one for one in in_rounds if one.neutral_network or one in wanted or one in beside]


def _is_measured(planned: PlannedTarget | PlannedTask) -> bool:
    local = ("@isp", "@system")
    return (
        planned.test in VANTAGE_TESTS
        and not planned.target.startswith("@")
        and planned.options.get("resolver", "") not in local
    )


def _target(planned: PlannedTarget | PlannedTask) -> VantageTarget:
    options = dict(planned.options)
    if planned.test == "web_connectivity":
        options |= PAGE_OPTIONS
    rung = planned.rung if isinstance(planned, PlannedTarget) else None
    is_neutral = rung is Rung.INTERNATIONAL and planned.test in AUTHENTICATING_TESTS
    return VantageTarget(
        key=Key(test=planned.test, target=planned.target, target_name=planned.name),
        options=options,
        neutral_network=planned.network.owner if is_neutral and planned.network is not None else "",
        in_rounds=rung is not None,
    )
