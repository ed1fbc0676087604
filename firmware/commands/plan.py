"""`tidegauge plan`: look at a plan, and find every fault in one before a device is sent out with it.

Reads files and prints; it must never measure anything.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from firmware.judgement.observation import AUTHENTICATING_TESTS
from firmware.model.record import Rung
from firmware.plans.checks import day_bytes, estimate_bytes, round_bytes, round_s
from firmware.plans.load import GENERIC, Plan, PlanError, load

_COUNTRY = re.compile(r"[A-Za-z]{2}")


@click.group()
def plan() -> None:
    """Show what a device measures, or check a plan of your own."""


@plan.command()
@click.argument("which", metavar="[COUNTRY|FILE]", default=GENERIC)
def show(which: str) -> None:
    """Print a plan's targets, each with its network and its source.

    COUNTRY is two letters (`ir`); without it the generic plan is shown.
    """
    wanted = _load(which)
    click.echo(f"{wanted.name} ({wanted.country}), revised {wanted.revised}: {wanted.file}\n")
    click.echo(_table(("rung", "name", "test", "target", "bytes", "network", "source"), _target_rows(wanted)))
    if wanted.tasks:
        click.echo("\nBeside the rounds\n")
        click.echo(
            _table(("every", "name", "test", "target", "bytes", "network", "source"), _task_rows(wanted))
        )
    click.echo(f"\n{_summary(wanted)}")


@plan.command()
@click.argument("which", metavar="[COUNTRY|FILE]", default=GENERIC)
def check(which: str) -> None:
    """Check a plan. Prints OK and a summary, or every fault in it and exits with 2.

    What is odd and hinders nothing, such as a category that a list does not have, is said on the standard error.
    """
    wanted = _load(which)
    for warning in wanted.warnings:
        click.echo(f"warning: {wanted.file}: {warning}", err=True)
    click.echo(f"OK  {wanted.file}\n\n{_summary(wanted)}")


def _load(which: str) -> Plan:
    """Load by country when it looks like one and no such file is there, else by path. Exits with 2 on a fault."""
    path = Path(which)
    try:
        return load(country=which) if _COUNTRY.fullmatch(which) and not path.is_file() else load(path=path)
    except PlanError as error:
        click.echo(str(error), err=True)
        count = len(error.faults)
        click.echo(f"{count} fault{'s' if count > 1 else ''}; nothing was started.", err=True)
        sys.exit(2)


def _summary(plan: Plan) -> str:
    lines = []
    for rung in Rung:
        targets = plan.on_rung(rung)
        unrelated = len({target.network.owner for target in targets if target.network is not None})
        proving = len(plan.unrelated_networks(rung, AUTHENTICATING_TESTS))
        spread = f" in {unrelated} unrelated networks, {proving} asked by tls or http" if unrelated else ""
        lines.append(f"{rung:14}{len(targets):3} target{'' if len(targets) == 1 else 's'}{spread}")
    cadence, limits = plan.cadence, plan.round
    lines += [
        (
            f"{'a round':14}about {round_bytes(plan):,} of {limits.max_bytes:,} bytes; "
            f"at most {round_s(plan):.1f} of {limits.deadline_s} s when targets are silent"
        ),
        f"{'rounds':14}every {cadence.calm_s} s, every {cadence.transition_s} s on a transition",
        (
            f"{'a calm day':14}about {day_bytes(plan):,} of {cadence.budget_bytes_per_day:,} bytes, "
            f"{len(plan.tasks)} tasks beside the rounds included"
        ),
    ]
    return "\n".join(lines)


def _target_rows(plan: Plan) -> Iterable[Sequence[str]]:
    for target in plan.targets:
        yield (
            str(target.rung),
            target.name,
            target.test,
            target.target,
            f"{estimate_bytes(target):,}",
            str(target.network or ""),
            target.source,
        )


def _task_rows(plan: Plan) -> Iterable[Sequence[str]]:
    for task in plan.tasks:
        yield (
            f"{task.every_s} s",
            task.name,
            task.test,
            task.target,
            f"{estimate_bytes(task):,}",
            str(task.network or ""),
            task.source,
        )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows in aligned columns; the last column is left as long as it is."""
    whole = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in whole) for column in range(len(head) - 1)] + [0]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in whole
    )
