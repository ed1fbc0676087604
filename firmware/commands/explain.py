"""`tidegauge explain`: read measurements from files, OONI's or ours, and say what each comes to.

Says where a file is damaged and reads on. This file must never measure, and never take a file's word for a verdict.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Final

import click

from firmware.commands.errors import BadInputError
from firmware.commands.report import aligned
from firmware.judgement.fingerprints.lists import bring
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.language.translator import Translator
from firmware.model.jsontypes import RecordError
from firmware.ooni.explain import Explained, to_json
from firmware.ooni.explain import explain as explain_document
from firmware.ooni.keys import OoniError
from firmware.ooni.measurement import Pair
from firmware.ooni.read import Damage, documents

_DAMAGED: Final = 1
_FORMS: Final = {
    b"SQLite format 3": "a database: `tidegauge export` or `tidegauge collector export` writes what is in it",
    b"\x04\x22\x4d\x18": "text packed by lz4: unpack it first",
    b"\x28\xb5\x2f\xfd": "text packed by zstd: unpack it first",
    b"\xfd7zXZ": "text packed by xz: unpack it first",
    b"PK\x03\x04": "a zip archive: unpack it first",
}
"""First bytes of files that are often given instead, and what to do."""
_STDIN: Final = "-"
_WIDTH: Final = 14


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each measurement.")
@click.option(
    "--fingerprints",
    "lists",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A list of fingerprints, or a directory of them, to go by as well; repeatable.",
)
@click.pass_context
def explain(ctx: click.Context, files: tuple[str, ...], *, as_json: bool, lists: tuple[Path, ...]) -> None:
    """Say what measurements come to: verdict, rule, evidence, what would overturn it, and OONI's conclusion.

    FILE holds OONI measurements (one, or JSON Lines, from any probe) or records of ours (`tidegauge export`,
    `tidegauge measure --json`), gzip or not; - is the standard input.

    Exits with 0 when all was read; with 1 when some of it is damaged, which is said on the standard error with the
    line and the key while the rest is read; with 2 for a file that cannot be opened.
    """
    damaged = 0
    first = True
    translator = Translator.of_environment(os.environ)
    known = bring(lists)
    for sentence in known.left_out:
        click.echo(f"left out: {sentence}", err=True)
    for file in files:
        with _opened(file) as stream:
            _refuse_other_forms(file, stream)
            for found in _explained(stream, known.fingerprints):
                if isinstance(found, Damage):
                    damaged += 1
                    click.echo(f"{_name(file)}: line {found.line}: {found.what}", err=True)
                    continue
                if as_json:
                    click.echo(json.dumps(to_json(found, translator), separators=(",", ":")))
                else:
                    click.echo(("" if first else "\n") + in_words(found, translator))
                first = False
    if damaged:
        ctx.exit(_DAMAGED)


def in_words(explained: Explained, translator: Translator) -> str:
    """Return one measurement's page: aligned lines, printable characters only."""
    say, verdict, around = translator.say, explained.verdict, explained.around
    begun = explained.start or say("explained.no-time")
    rows = [
        (
            say("explained.label-measurement"),
            say("explained.measurement", line=str(explained.line), test=explained.test, start=begun),
        ),
        (say("explained.label-input"), explained.input or say("explained.none")),
        (
            say("explained.label-verdict"),
            say("explained.verdict", verdict=verdict.verdict, confidence=explained.confidence),
        ),
        (say("explained.label-rule"), verdict.rule_id),
        *(
            (say("explained.label-evidence") if first else "", text)
            for first, text in _firsts(translator.evidence(verdict.evidence))
        ),
        (
            say("explained.label-overturned-by"),
            translator.overturned_by(verdict.rule_id, verdict.overturned_by) or say("explained.nothing"),
        ),
        (say("explained.label-pair"), _pair(explained.pair, translator)),
    ]
    if explained.ooni_said is not None:
        told = _pair(explained.ooni_said, translator)
        is_same = explained.ooni_said == explained.pair
        rows.append((say("explained.label-file"), say("explained.same", pair=told) if is_same else told))
    if around is not None and around.verdict:
        rows.append((say("explained.label-round"), _by(around.verdict, around.rule_id, translator)))
    if around is not None and around.country_verdict:
        word = _by(around.country_verdict, around.country_rule_id, translator)
        rows.append((say("explained.label-country"), word))
    if explained.recorded is not None:
        word = _by(explained.recorded.verdict, explained.recorded.rule_id, translator)
        rows.append((say("explained.label-recorded"), word))
    return aligned([(label, _printable(text)) for label, text in rows], _WIDTH)


def _firsts(texts: tuple[str, ...]) -> Iterator[tuple[bool, str]]:
    return ((index == 0, text) for index, text in enumerate(texts))


def _by(verdict: str, rule_id: str, translator: Translator) -> str:
    return translator.say("explained.by", verdict=verdict, rule_id=rule_id)


def _pair(pair: Pair, translator: Translator) -> str:
    return translator.say(
        "explained.pair", blocking=json.dumps(pair.blocking), accessible=json.dumps(pair.accessible)
    )


def _printable(text: str) -> str:
    """Return text that can harm no terminal: what a server or a file said is in it."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _name(file: str) -> str:
    return "standard input" if file == _STDIN else file


@contextmanager
def _opened(file: str) -> Iterator[BufferedReader]:
    if file == _STDIN:
        given = sys.stdin.buffer
        yield given if isinstance(given, BufferedReader) else BufferedReader(given)  # type: ignore[arg-type]
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115  # what fails later, such as a pipe that closes, is not its fault
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read ({error.strerror or error})") from error
    with stream:
        yield stream


def _refuse_other_forms(file: str, stream: BufferedReader) -> None:
    head = stream.peek(max(map(len, _FORMS)))
    told = next((told for start, told in _FORMS.items() if head.startswith(start)), None)
    if told is not None:
        raise BadInputError(f"{_name(file)}: found {told}")


def _explained(stream: IO[bytes], fingerprints: Fingerprints) -> Iterator[Explained | Damage]:
    for document in documents(stream):
        if isinstance(document, Damage):
            yield document
            continue
        try:
            yield explain_document(document, fingerprints)
        except (OoniError, RecordError) as error:
            yield Damage(line=document.line, what=str(error))
