"""`tidegauge measure`: make one measurement now, and print what came of it.

A failure of the network is a result, and the exit code 0; only a name that could not be resolved ends in 3,
since the target was then never reached. This file must never judge: that is the verdict's.
"""

import difflib
import json
import os
from collections.abc import Iterable

import click

from firmware.commands.errors import BadInputError
from firmware.commands.report import report
from firmware.language.translator import Translator
from firmware.measurements import EVERY_MEASUREMENT
from firmware.model.failures import Failure
from firmware.model.record import Outcome
from firmware.model.task import Result, result_to_json
from firmware.net.targets import TargetError
from firmware.worker.single import measure_once

_UNRESOLVED = 3


@click.command()
@click.argument("test", required=False)
@click.argument("target", required=False)
@click.option(
    "-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the test; repeatable."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="When to give up.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON, with a record's keys.")
@click.option("--list", "list_tests", is_flag=True, help="Print the tests and what each does.")
@click.pass_context
def measure(
    ctx: click.Context,
    test: str | None,
    target: str | None,
    options: tuple[str, ...],
    timeout: float,
    *,
    as_json: bool,
    list_tests: bool,
) -> None:
    """Make one measurement now and print what came of it.

    TEST is a test's name (see --list), TARGET what that test takes: a host, HOST:PORT, a URL, a name to ask for.

    Exits with 0 when it measured, even if what it found is a failure of the network; with 2 for a test, target
    or option that cannot be; with 3 when the target's name could not be resolved.
    """
    if list_tests:
        click.echo(_listed())
        return
    if test is None or test not in EVERY_MEASUREMENT:
        raise BadInputError(_which_test(test))
    if target is None:
        raise BadInputError(f"{test}: no target was given ({EVERY_MEASUREMENT[test].summary})")
    try:
        result = measure_once(test, target, _options(options), timeout)
    except TargetError as error:
        told = str(error)
        raise BadInputError(told if told.startswith(f"{test}:") else f"{test}: {told}") from error
    if as_json:
        click.echo(_as_json(test, result))
    else:
        click.echo(report(test, result, Translator.of_environment(os.environ)))
    if _is_unresolved(test, result.outcome):
        click.echo(f"Error: {target} could not be resolved: {result.outcome.failure}", err=True)
        ctx.exit(_UNRESOLVED)


def _is_unresolved(test: str, outcome: Outcome) -> bool:
    """Return whether the name led nowhere; for `dns` an answer that is empty or a lie is still an answer."""
    answered = test == "dns" and outcome.failure in (Failure.DNS_NO_ANSWER, Failure.DNS_BOGON)
    return outcome.failed_operation == "resolve" and not answered


def _listed() -> str:
    width = max(map(len, EVERY_MEASUREMENT))
    return "\n".join(f"{name:{width}}  {test.summary}" for name, test in EVERY_MEASUREMENT.items())


def _which_test(test: str | None) -> str:
    known = f"allowed is one of {', '.join(EVERY_MEASUREMENT)}"
    if test is None:
        return f"no test was given; {known}"
    near = difflib.get_close_matches(test, EVERY_MEASUREMENT, n=1)
    return f"found test {test!r}; " + (f"did you mean {near[0]}? " if near else "") + known


def _options(pairs: Iterable[str]) -> dict[str, str]:
    """Read KEY=VALUE pairs; the test itself judges keys and values. Raises `BadInputError`."""
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise BadInputError(f"found option {pair!r}; allowed is KEY=VALUE")
        if key in options:
            raise BadInputError(f"found option {key!r} twice; allowed is once")
        options[key] = value
    return options


def _as_json(test: str, result: Result) -> str:
    told = result_to_json(result)
    del told["task_id"]
    return json.dumps({"test": test, **told}, ensure_ascii=False, separators=(",", ":"))
