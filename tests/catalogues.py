"""What stands in the catalogues, and what the programs say out of them: which sentences nobody says, and which are lacking.

A catalogue is read from its source with Babel. Keys stand as text in the programs and in the page's templates; those that
are made of a closed list's words are made of the same lists here.
"""

import ast
import gettext
import io
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from appliance.lights.patterns import MEANINGS, Rhythm
from collector.judgement.scope import SCOPE_RULES
from firmware.judgement.round.rules import RULES
from firmware.judgement.site.rules import WEB_RULES
from firmware.language.translator import CATALOGUES, DOMAIN
from firmware.model.failures import Failure
from firmware.model.record import Rung
from firmware.model.statement_forms import FORMS
from firmware.model.verdict_words import VerdictWord
from firmware.ooni.explain import NOT_JUDGED
from tests.needs import ROOT

PACKAGES = ("firmware", "appliance", "collector", "provisioning")
LITERAL = re.compile(
    r"(?:page|completeness|scope|allowed|device|status|lists|light|rhythm|failure|unit|measured|explained)(?:\.[a-z_0-9]+(?:-[a-z]+)*)+(?<!_)"
)
_NO_KEYS = {"device.html", "device.json", "page.css", "page.host", "page.port", "status.json"}
"""Text of the same form: files, and names of settings."""
CELLS = ("reached", "partly", "failed", "unknown", "pending")


def read(language: str, catalogues: Path = CATALOGUES) -> Catalog:
    """Return a language's catalogue as its source has it."""
    path = catalogues / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    with path.open("rb") as stream:
        return read_po(stream, locale=language)


def sentences(catalogue: Catalog) -> "dict[str, tuple[str, ...]]":
    """Return every message's sentences by its key: one, or one for each plural; an empty one is not translated."""
    found: dict[str, tuple[str, ...]] = {}
    for message in catalogue:
        if message.id:
            key = message.id if isinstance(message.id, str) else message.id[0]
            texts = message.string
            found[key] = tuple(texts) if isinstance(texts, tuple | list) else (texts or "",)
    return found


def compiled(catalogue: Catalog) -> bytes:
    """Return a catalogue as gettext reads it."""
    stream = io.BytesIO()
    write_mo(stream, catalogue)
    return stream.getvalue()


def messages(compiled_catalogue: bytes) -> "dict[object, str]":
    """Return what gettext reads in a compiled catalogue, without its head, which has a date in it."""
    found: dict[object, str] = dict(gettext.GNUTranslations(io.BytesIO(compiled_catalogue))._catalog)  # type: ignore[attr-defined]
    return {key: sentence for key, sentence in found.items() if key}


def write(catalogues: Path, language: str, source: str) -> None:
    """Write a catalogue of `language`, its source and compiled, under `catalogues`."""
    folder = catalogues / language / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / f"{DOMAIN}.po").write_text(source, encoding="utf-8")
    (folder / f"{DOMAIN}.mo").write_bytes(compiled(read(language, catalogues)))


def said() -> set[str]:
    """Return every key that the programs may say."""
    return {*_literal(), *_of_lists()} - _NO_KEYS


def unused(keys: set[str]) -> set[str]:
    """Return which of a catalogue's keys no program says."""
    return keys - said()


def untranslated(catalogue: Catalog) -> set[str]:
    """Return which of the keys that are said `catalogue` lacks, in whole or in one plural."""
    have = {key for key, forms in sentences(catalogue).items() if all(forms)}
    return said() - have


def _literal() -> Iterator[str]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            yield from (text for text in texts if isinstance(text, str) and LITERAL.fullmatch(text))
            yield from (f"unit.{word}" for word in _units(path.read_text(encoding="utf-8")))
    for path in (ROOT / "collector" / "page" / "templates").glob("*.html"):
        yield from re.findall(rf'"({LITERAL.pattern})"', path.read_text(encoding="utf-8"))


def _units(source: str) -> Iterator[str]:
    yield from re.findall(r'\.unit\(\s*"([a-z]+)"', source)
    yield from re.findall(r'^    "_[a-z]+": "([a-z]+)",$', source, re.MULTILINE)


def _of_lists() -> Iterator[str]:
    named = [rule.rule_id for rule in RULES] + [rule.rule_id for rule in WEB_RULES]
    for rule_id in (*named, *(rule.rule_id for rule in SCOPE_RULES), NOT_JUDGED):
        yield from (f"rule.{rule_id}", f"rule.{rule_id}.overturned_by")
    for word in VerdictWord:
        yield from (f"verdict.{word}", f"verdict.{word}.meaning")
    for rung in Rung:
        yield from (f"rung.{rung}", f"rung.{rung}.meaning")
    yield from (f"failure.{word}" for word in Failure)
    yield from (f"rhythm.{rhythm}" for rhythm in Rhythm)
    english = sentences(read("en"))
    for key in MEANINGS:
        yield from (f"light.{key}", *({f"light.{key}.do"} & english.keys()))
    yield from (f"{place}.label-{label}" for place, label in _labels())
    for family, forms in FORMS.items():
        yield from (f"{family}.{code}" for code in forms)
    yield from (f"scope.{rule.verdict}" for rule in SCOPE_RULES if rule.verdict != VerdictWord.INCONCLUSIVE)
    yield from (f"page.{kind}_{state}" for kind in ("cell", "legend", "about_cell") for state in CELLS)
    yield from ("page.legend_gap", "page.about_cell_gap", "country.ir")
    yield from (f"allowed.{name}" for name in _parameters())


def _labels() -> Iterator[tuple[str, str]]:
    """Yield what stands at the beginning of the lines of a device's views."""
    views = ROOT / "appliance" / "views"
    for label in re.findall(
        r'self\._label\("([a-z]+)"\)', (views / "terminal.py").read_text(encoding="utf-8")
    ):
        yield "device", label
    for label in re.findall(r'\(\s*"([a-z-]+)",', (views / "status.py").read_text(encoding="utf-8")):
        yield "status", label


def _parameters() -> Iterator[str]:
    from collector.page.half_api import HalvesQuery, WithoutHalfQuery
    from collector.page.models import RecordsQuery, RejectsQuery, RoundsQuery
    from collector.page.scope_api import HistoryQuery

    for query in (RecordsQuery, RejectsQuery, RoundsQuery, HistoryQuery, HalvesQuery, WithoutHalfQuery):
        yield from query.model_fields
