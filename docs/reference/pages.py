"""The reference pages, one function each, made of what the programs themselves use. No file is written here.

A page function returns Markdown. A source without text raises `SourceError`, which says where to write it.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from appliance.lights.patterns import MEANINGS as LIGHTS
from appliance.settings import DeviceSettings
from appliance.views.light_words import rhythm_words, what_to_do
from collector.judgement.scope import SCOPE_RULES, ScopeRule
from collector.measurement_settings import MeasurementServerSettings
from collector.page.app import make_app
from collector.settings import CollectorSettings
from collector.store.queries import Queries
from firmware.commands.main import tidegauge
from firmware.judgement.round.rules import RULES, Rule
from firmware.judgement.site.rules import WEB_RULES, WebRule
from firmware.language.numbers import ENGLISH
from firmware.language.translator import Translator
from firmware.measurements import EVERY_MEASUREMENT
from firmware.model import nonce, server_half
from firmware.model.failures import ADDITIONS, Failure
from firmware.model.plan import Plan
from firmware.model.record import KEYS
from firmware.model.record import SCHEMA as RECORD_SCHEMA
from firmware.model.record_fields import JsonKey
from firmware.model.server_half import KEYS as HALF_KEYS
from firmware.model.server_half import SCHEMA as HALF_SCHEMA
from firmware.model.statement_forms import FORMS
from firmware.model.verdict_words import COLLECTOR_ONLY, VerdictWord
from firmware.plans import load as plans
from firmware.settings.docs import example, reference

_WIDTH: Final = 100
ENGLISH_SENTENCES: Final = Translator(ENGLISH)
_FAMILIES: Final = {
    "evidence": "What a verdict rests on",
    "gap": "Why something was not measured",
    "no-vantage": "Why no view from outside stands beside a verdict",
}


class SourceError(Exception):
    """The code that a page is made of says nothing where a reader needs a sentence."""


def commands() -> str:
    """Return every command with its help as the terminal shows it."""
    parts = ["# Commands\n\nWhat `tidegauge COMMAND --help` says, for every command.\n"]
    for context in walk_commands():
        path = context.command_path
        told(context.command.help, f"the command {path}: a docstring")
        parts.append(f"## `{path}`\n\n```text\n{context.get_help().rstrip()}\n```\n")
    return "\n".join(parts)


def walk_commands(context: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context for `tidegauge` and each command below it, depth first; `command_path` calls it."""
    if context is None:
        context = click.Context(
            tidegauge, info_name="tidegauge", terminal_width=_WIDTH, **tidegauge.context_settings
        )
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is None:
                raise SourceError(f"{context.command_path} lists {name} and cannot load it")
            yield from walk_commands(click.Context(below, parent=context, info_name=name))


def settings() -> str:
    """Return every setting of every program, and an example file of each."""
    intro = (
        "Each program reads one TOML file. Every setting has a default, so no file is needed; an option on the "
        "command line goes over the file. A relative path is taken from the file's own folder."
    )
    parts = [f"# Settings\n\n{intro}\n"]
    programs = (
        ("device", DeviceSettings),
        ("collector", CollectorSettings),
        ("measurement-server", MeasurementServerSettings),
    )
    for name, cls in programs:
        parts.append(f"## `tidegauge {name}`\n\n{reference(cls)}")
        parts.append(f"### Example\n\n```toml\n{example(cls).rstrip()}\n```\n")
    return "\n".join(parts)


def tests() -> str:
    """Return every test: what it measures, its target, options and detail, as its module says."""
    parts = ["# Tests\n\nWhat `tidegauge measure TEST TARGET` can measure. Records carry test and version.\n"]
    rows = [
        (f"[`{name}`](#{name})", one.version, told(one.summary, f"{name}: summary"))
        for name, one in EVERY_MEASUREMENT.items()
    ]
    parts.append(table(("test", "version", "what it does"), rows))
    for name, one in EVERY_MEASUREMENT.items():
        text = told(inspect.getdoc(importlib.import_module(one.__module__)), f"{one.__module__}: a docstring")
        said = told(inspect.getdoc(one), f"{one.__module__}.{one.__name__}: a docstring")
        parts.append(f"## {name}\n\n{text}\n\n{said}\n")
    return "\n".join(parts)


def records() -> str:
    """Return every key of a record, in their order, from its declaration."""
    rows = [("`schema`", "a whole number from 1", "1", "", "The version of the record's form.")]
    for one in KEYS:
        rows.append(_key(one))
        rows += [_key(inner, f"{one.key} → ") for inner in one.kind.inner]
    return (
        f"# Records\n\nA record is a JSON object with these keys, in this order; this software writes schema {RECORD_SCHEMA} and "
        "reads every earlier one. A record of a schema in which a key was not there yet has the key's default. Columns "
        "are what the collector's database keeps beside the record's text.\n\n"
        + table(("key", "what may be there", "since schema", "column", "what it is"), rows)
        + _halves()
    )


def _halves() -> str:
    """Return every key of a server's half, how it ends, and where a record names its nonce."""
    keys = [_key(one)[:2] + _key(one)[4:] for one in HALF_KEYS]
    about = told(inspect.getdoc(server_half), "firmware/model/server_half.py: a docstring")
    about_nonces = told(inspect.getdoc(nonce), "firmware/model/nonce.py: a docstring")
    return f"\n## A server's half\n\n{about}\n\n{about_nonces}\n\n" + table(
        ("key", "what may be there", "what it is"),
        [("`schema`", str(HALF_SCHEMA), "The version of its form."), *keys],
    )


def _key(one: JsonKey, before: str = "") -> tuple[str, str, str, str, str]:
    said = told(one.says, f"firmware/model/record.py: {one.key}")
    return f"{before}`{one.key}`", one.kind.says, str(one.since), "yes" if one.asked else "", said


def failures() -> str:
    """Return every failure word with its meaning."""
    rows = [
        (
            f"`{word}`",
            _said(f"failure.{word}"),
            "ours" if word in ADDITIONS else "OONI",
        )
        for word in Failure
    ]
    return (
        "# Failure words\n\nA record's `failure` is null or one of these: OONI's failure strings (df-007) and a few "
        "in the same style. `unknown_failure: …` with the original message stands for everything else.\n\n"
        + table(("word", "meaning", "whose"), rows)
    )


def verdicts() -> str:
    """Return every verdict word, then every rule in the order in which they are asked."""
    words = [
        (
            f"`{word}`",
            "collector" if word in COLLECTOR_ONLY else "device",
            _said(f"verdict.{word}.meaning"),
        )
        for word in VerdictWord
    ]
    said = {rule.verdict for rule in RULES} | {rule.verdict for rule in WEB_RULES}
    said |= {rule.verdict for rule in SCOPE_RULES}
    unsaid = sorted(set(VerdictWord) - said)
    return (
        "# Verdicts\n\n## Words\n\n"
        + table(("verdict", "who may say it", "meaning"), words)
        + f"\nNo rule says these yet: {', '.join(f'`{word}`' for word in unsaid)}.\n"
        + "\n## Rules about a round\n\nAsked in this order; the first that holds speaks.\n\n"
        + _rules(RULES)
        + "\n## Rules about one page\n\nAsked in this order of one measurement of a page, with what a vantage outside "
        "saw of it; the first that holds speaks. `ok` means that this page is to be had.\n\n"
        + _rules(WEB_RULES)
        + "\n## Rules about many devices\n\nAsked in this order by the collector, of the devices of one country.\n\n"
        + _rules(SCOPE_RULES)
    )


def _rules(rules: Iterable[Rule | WebRule | ScopeRule]) -> str:
    rows = [
        (
            f"`{rule.rule_id}`",
            f"`{rule.verdict}`",
            _said(f"rule.{rule.rule_id}", **({} if isinstance(rule, WebRule) else rule.numbers)),
            _said(f"rule.{rule.rule_id}.overturned_by"),
        )
        for rule in rules
    ]
    return table(("rule", "verdict", "because", "what would overturn it"), rows)


def evidence() -> str:
    """Return every statement that evidence, a gap or a missing view may be, with its parameters and its sentence."""
    parts = [
        (
            "# Evidence\n\nWhat a verdict rests on, why something was not measured, and why no view from outside stands beside "
            "a verdict is kept and sent as `[code, parameters]`. The sentence is made where it is shown: here the English one, "
            "with its parameters' names. A parameter's name ends in its unit.\n"
        )
    ]
    for family, title in _FAMILIES.items():
        rows = [
            (
                f"`{code}`",
                ", ".join(f"`{name}`" for name in form.parameters),
                told(ENGLISH_SENTENCES.pattern(f"{family}.{code}"), f"the catalogue: {family}.{code}"),
            )
            for code, form in FORMS[family].items()
        ]
        parts.append(f"## {title}\n\n{table(('code', 'parameters', 'sentence'), rows)}")
    return "\n".join(parts)


def _said(key: str, **values: float) -> str:
    """Return a sentence of the English catalogue; raise `SourceError` where there is none."""
    try:
        return ENGLISH_SENTENCES.say(key, **values)
    except KeyError as error:
        raise SourceError(f"nothing is said at {key} of the catalogue") from error


def lights() -> str:
    """Return what each light says."""
    rows = [
        (
            str(meaning.light),
            rhythm_words(meaning.pattern, ENGLISH_SENTENCES),
            _said(f"light.{key}"),
            what_to_do(key, ENGLISH_SENTENCES),
        )
        for key, meaning in LIGHTS.items()
    ]
    return "# Lights\n\nThree lights: network, delivery, attention.\n\n" + table(
        ("light", "does", "it says", "what to do"), rows
    )


def plan_files() -> str:
    """Return every plan that is shipped: each target, and why it was chosen."""
    intro = "The plans that are shipped, as `tidegauge plan show` has them. How to write one: [plans](../explanation/plans.md)."
    return "\n".join(
        [f"# Plans\n\n{intro}\n", *(_one_plan(plans.load(country)) for country in plans.countries())]
    )


def _one_plan(plan: Plan) -> str:
    rows = [
        (
            str(one.rung),
            one.name,
            f"{one.test} `{one.target}`",
            str(one.network or "the host's own"),
            one.why,
            one.source,
        )
        for one in plan.targets
    ]
    cadence = plan.cadence
    return (
        f"## {plan.name} (`{plan.country}`)\n\nTargets last looked at on {plan.revised}. A round every "
        f"{cadence.calm_s} s, every {cadence.transition_s} s on a transition, and never more than "
        f"{cadence.budget_bytes_per_day:,} bytes a day.\n\n"
        + table(("rung", "target", "asks", "network", "why", "source"), rows)
    )


def api() -> str:
    """Return the collector's JSON API, from its own OpenAPI description."""
    document = make_app(Queries(Path("none"))).openapi()  # describes itself without opening a store
    said = told(document["info"].get("description"), "the API: a description")
    parts = [f"# API\n\n{said}\n\nThe collector serves this as OpenAPI, with a page to try it.\n"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method.upper()} {path}"
            summary = told(operation.get("summary"), f"{where}: a summary")
            said = told(operation.get("description"), f"{where}: a docstring")
            parts.append(f"## `{where}`\n\n{summary}. {said}\n")
            rows = [
                (f"`{item['name']}`", item["in"], told(item.get("description"), f"{where}: {item['name']}"))
                for item in operation.get("parameters", [])
            ]
            parts += [table(("parameter", "in", "what it does"), rows)] if rows else []
    return "\n".join(parts)


def told(text: str | None, where: str) -> str:
    """Return `text` on its own; raise `SourceError` naming `where` if there is none."""
    if not text or not text.strip():
        raise SourceError(f"nothing is said at {where}")
    return text.strip()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands,
    "settings.md": settings,
    "tests.md": tests,
    "records.md": records,
    "failures.md": failures,
    "verdicts.md": verdicts,
    "evidence.md": evidence,
    "lights.md": lights,
    "plans.md": plan_files,
    "api.md": api,
}
