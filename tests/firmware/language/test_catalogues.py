"""Every sentence stands in the catalogue and is said by somebody, in every language there is, with the same values."""

from pathlib import Path

import pytest

from firmware.language.numbers import ENGLISH
from firmware.language.pattern import PatternError, parts_of
from firmware.language.translator import CATALOGUES, DOMAIN, Translator, languages
from firmware.model.statement_forms import FORMS
from tests import catalogues

LANGUAGES = sorted(languages())


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_is_said_is_untranslated(language: str) -> None:
    assert sorted(catalogues.untranslated(catalogues.read(language))) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_stands_there_that_nobody_says(language: str) -> None:
    assert sorted(catalogues.unused(set(catalogues.sentences(catalogues.read(language))))) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_read_is_what_was_compiled_of_the_source(language: str) -> None:
    path = CATALOGUES / language / "LC_MESSAGES" / f"{DOMAIN}.mo"
    mend = f"pybabel compile -D {DOMAIN} -d firmware/language/catalogues"
    made = catalogues.compiled(catalogues.read(language))
    assert catalogues.messages(path.read_bytes()) == catalogues.messages(made), f"this mends it: {mend}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_takes_the_values_of_the_english_one(language: str) -> None:
    english = catalogues.sentences(catalogues.read(ENGLISH))
    for key, forms in catalogues.sentences(catalogues.read(language)).items():
        wanted = {name for _, name, _ in parts_of(english[key][-1]) if name}
        for pattern in forms:
            found = {name for _, name, _ in parts_of(pattern) if name}
            # A plural may say its number in words.
            assert found == wanted or (len(forms) > 1 and found < wanted), (key, pattern)


def test_every_statement_has_a_sentence_of_its_own_parameters() -> None:
    english = catalogues.sentences(catalogues.read(ENGLISH))
    for family, forms in FORMS.items():
        for code, form in forms.items():
            patterns = english[f"{family}.{code}"]
            assert len(patterns) == (2 if form.counts else 1), code
            assert not form.counts or form.counts in form.parameters, code
            for pattern in patterns:
                assert {name for _, name, _ in parts_of(pattern) if name} == set(form.parameters), code


def test_every_kind_in_a_sentence_is_one_that_can_be_shown() -> None:
    """A kind is tried with a number; the words of a family with a word."""
    english = Translator(ENGLISH)
    for key, forms in catalogues.sentences(catalogues.read(ENGLISH)).items():
        for pattern in forms:
            values = {name: 3 if kind else "x" for _, name, kind in parts_of(pattern) if name}
            if len(forms) > 1:
                english.count(key, 3, **values)
            else:
                english.say(key, **values)


def test_sentences_of_failures_are_short_and_each_its_own() -> None:
    found = catalogues.sentences(catalogues.read(ENGLISH))
    failures = {key: forms[0] for key, forms in found.items() if key.startswith("failure.")}
    assert len(set(failures.values())) == len(failures)
    for sentence in failures.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert len(sentence) <= 110


def test_rules_speak_in_whole_sentences() -> None:
    for key, forms in catalogues.sentences(catalogues.read(ENGLISH)).items():
        if key.startswith("rule.") or key.endswith(".meaning"):
            assert forms[0][0].isupper(), key
            assert forms[0].endswith("."), key


HALF = r"""
msgid ""
msgstr ""
"Language: fa\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\n"

msgid "page.brand"
msgstr "تایدگیج"

msgid "page.tagline"
msgstr ""

msgid "page.nobody"
msgstr "هیچ‌کس"
"""


def test_a_fault_put_in_is_found(tmp_path: Path) -> None:
    """A catalogue that lacks nearly everything, has one message empty, and one that nobody says."""
    catalogues.write(tmp_path, "fa", HALF)
    half = catalogues.read("fa", tmp_path)
    lacking = catalogues.untranslated(half)
    assert "page.tagline" in lacking
    assert "evidence.rung" in lacking
    assert "page.brand" not in lacking
    assert catalogues.unused(set(catalogues.sentences(half))) == {"page.nobody"}


def test_what_is_no_pattern_is_refused() -> None:
    with pytest.raises(PatternError, match="no pattern"):
        parts_of("{open")
