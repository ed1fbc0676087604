"""`tidegauge fingerprints`: check lists of fingerprints, and say what they come to together.

Reads files and prints. This file must never leave something out unsaid: what cannot be used stands with its line.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from firmware.commands.errors import BadInputError
from firmware.judgement.fingerprints.lists import Lists, SharedRow, bring, builtin_lists, shared
from firmware.judgement.fingerprints.load import builtin
from firmware.judgement.fingerprints.table import Fingerprint, FingerprintList, Fingerprints
from firmware.language.translator import Translator

_LEFT_OUT: Final = 1
_NUMBERS: Final = 3
"""So many columns at the end are of numbers."""


@click.command()
@click.argument("paths", nargs=-1, metavar="[FILE|DIRECTORY]...", type=click.Path(path_type=Path))
@click.pass_context
def fingerprints(ctx: click.Context, paths: tuple[Path, ...]) -> None:
    """Check lists of fingerprints, answers and pages that censors are known by, and say what they come to together.

    FILE is in the form of OONI's blocking-fingerprints, DIRECTORY holds such files (*.csv). Without one, the lists
    that come along are shown; which a running device goes by says `tidegauge status`, which a collector
    `tidegauge collector fingerprints`.

    Exits with 0 when every row can be used; with 1 when some were left out, each named on the standard error; with
    2 when a file cannot be read at all.
    """
    lists = bring(paths)
    show(lists)
    if lists.faults:
        raise BadInputError("\n".join(lists.faults))
    if lists.left_out:
        ctx.exit(_LEFT_OUT)


def show(lists: Lists) -> None:
    """Print what lists come to together, and on the standard error each row that was left out of them."""
    click.echo(in_words(lists, Translator.of_environment(os.environ)))
    for one in lists.brought:
        for sentence in one.left_out:
            click.echo(sentence, err=True)


def in_words(lists: Lists, translator: Translator) -> str:
    """Return a table of the lists, one line each, those that come along first; and what two of them share."""
    say = translator.say
    head = [
        *(say("lists.list"), say("lists.day"), say("lists.digest")),
        *(say("lists.rows"), say("lists.strong"), say("lists.left-out")),
    ]
    along = builtin()
    rows = [_row(of, _of_list(along, of), 0, translator) for of in builtin_lists()]
    rows += [_row(one.of, one.fingerprints, len(one.left_out), translator) for one in lists.brought]
    count = len(lists.fingerprints.rows)
    together = translator.count("lists.together", count)
    told = [sentence for one in shared(_each(lists)) for sentence in _shared(one, translator)]
    return "\n".join([*_table([head, *rows]), "", together, *told])


def _each(lists: Lists) -> Iterator[Fingerprints]:
    along = builtin()
    yield from (_of_list(along, of) for of in builtin_lists())
    yield from (one.fingerprints for one in lists.brought)


def _of_list(known: Fingerprints, of: FingerprintList) -> Fingerprints:
    return Fingerprints(tuple(row for row in known.rows if row.of == of))


def _row(of: FingerprintList, known: Fingerprints, left_out: int, translator: Translator) -> list[str]:
    numbers = (len(known.rows), sum(row.is_strong for row in known.rows), left_out)
    return [of.name, of.day, of.digest, *map(translator.number, numbers)]


def _shared(one: SharedRow, translator: Translator) -> Iterator[str]:
    key = "lists.name-twice" if one.is_of_one_list else "lists.same" if one.is_same else "lists.same-name"
    yield translator.say(
        key,
        name=one.first.name,
        first=_list_of(one.first),
        second=_list_of(one.second),
        place=one.first.location,
        other=one.second.location,
    )


def _list_of(row: Fingerprint) -> str:
    return "" if row.of is None else row.of.name


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    first = len(widths) - _NUMBERS
    for row in rows:
        yield "  ".join(
            f"{cell:>{width}}" if column >= first else f"{cell:{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
