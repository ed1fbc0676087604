"""A translator says things in its own language, whatever others do meanwhile, and loses nothing that it does not know."""

import gettext
import threading
from pathlib import Path

import pytest
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from collector.page.language import LocaleNumbers, numbers_of
from firmware.language.numbers import ENGLISH, EnglishNumbers
from firmware.language.pattern import PatternError
from firmware.language.translator import Translator
from firmware.model.statement import Statement, prose, stated
from tests import catalogues

ARABIC = r"""
msgid ""
msgstr ""
"Language: ar\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 && n%100<=99 ? 4 : 5);\n"

msgid "page.brand"
msgstr "تايدغيج"

msgid "unit.list"
msgstr "{first}، {rest}"

msgid "page.devices"
msgid_plural "page.devices"
msgstr[0] "لا أجهزة"
msgstr[1] "جهاز واحد"
msgstr[2] "جهازان"
msgstr[3] "{n} أجهزة"
msgstr[4] "{n} جهازًا"
msgstr[5] "{n} جهاز"
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return catalogues of which Arabic is one, with few sentences."""
    catalogues.write(tmp_path, "ar", ARABIC)
    return tmp_path


def english() -> Translator:
    return Translator(ENGLISH)


def test_a_statement_becomes_the_sentence_of_its_code() -> None:
    told = stated("rung-networks-best", rung="domestic", reached=3, tried=4, networks=2, best_ns=12_345_678)
    assert english().state("evidence", told) == "domestic: 3 of 4 reached in 2 networks, best 12.3 ms"
    assert english().state("evidence", stated("round-before", age_s=31, verdict="ok", rule_id="r")) == (
        "the round before, 31 s ago: ok (r)"
    )
    assert (
        english().state("evidence", stated("neighbours", share=0.254))
        == "neighbours: 25% lost in the same minutes"
    )


@pytest.mark.parametrize(
    ("n", "words"), [(1, "1 of the targets had been asked for 10 s, and was taken"), (2, "2 of the targets")]
)
def test_a_count_takes_its_plural(n: int, words: str) -> None:
    assert words in english().state("evidence", stated("taken-to-be-silent", targets=n, waited_s=10))


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "لا أجهزة"),
        (1, "جهاز واحد"),
        (2, "جهازان"),
        (5, "5 أجهزة"),
        (11, "11 جهازًا"),
        (1200, "1,200 جهاز"),
    ],
)
def test_a_language_has_as_many_plurals_as_it_has(made: Path, n: int, words: str) -> None:
    assert (
        Translator("ar", catalogues=made, numbers_of=numbers_of).count("page.devices", n).translate(_WESTERN)
        == words
    )


_WESTERN = {0x660 + digit: str(digit) for digit in range(10)} | {0x66C: ","}


def test_what_a_language_lacks_is_said_in_english(made: Path) -> None:
    arabic = Translator("ar", catalogues=made)
    assert arabic.say("page.brand") == "تايدغيج"
    assert arabic.say("page.tagline") == english().say("page.tagline")
    assert arabic.state("evidence", stated("neighbours", share=0.5)).startswith("neighbours")
    assert arabic.listed(["a", "b", "c"]) == "a، b، c"


def test_a_sentence_of_older_software_is_shown_as_it_is() -> None:
    assert english().evidence((prose("domestic: 3 of 3 reached"),)) == ("domestic: 3 of 3 reached",)
    assert english().overturned_by("no-such-rule", "One answer.") == "One answer."
    assert (
        english().overturned_by("link-down", "")
        == "An answer from anything beyond the device in the same round."
    )
    # What was a word already when it was written is said by its sentence.
    assert english().state("gap", prose("budget")) == "the bytes of the day were spent"


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        (stated("sea-monster", teeth=9, name="x"), "sea-monster (teeth 9, name x)"),
        (stated("sea-monster"), "sea-monster"),
        (stated("neighbours", share=0.5, more=1), "neighbours (share 0.5, more 1)"),
        (Statement(code="rung"), "rung"),
        (stated("devices", devices="many", well=1, lost=1, unclear=1, silent=1), "many device: 1 well"),
        (stated("round-before", age_s="soon", verdict="ok", rule_id="r"), "round-before (age_s soon"),
    ],
)
def test_a_statement_that_is_not_known_is_shown_as_it_is(statement: Statement, shown: str) -> None:
    assert shown in english().state("evidence", statement)


def test_words_of_newer_software_stand_for_themselves() -> None:
    assert english().verdict("sea_monster") == "sea monster"
    assert english().failure("sea_monster") == ""
    assert "ENOBUFS: no room" in english().failure("unknown_failure: ENOBUFS: no room")


def test_a_key_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"page\.nothing"):
        english().say("page.nothing")
    with pytest.raises(KeyError, match=r"page\.nothing"):
        english().count("page.nothing", 2)
    with pytest.raises(PatternError, match="takes a number"):
        english().say("evidence.neighbours", share="half")


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "ar_EG.UTF-8"}, "ar"),
        ({"LANG": "ar_EG.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LANGUAGE": "xx:ar"}, "ar"),
        ({"LANG": "xx"}, "en"),
    ],
)
def test_a_command_speaks_as_the_environment_says(made: Path, environ: dict[str, str], language: str) -> None:
    assert Translator.of_environment(environ, catalogues=made).language == language


@pytest.mark.parametrize("tag", ["../../etc", "a/b", "..", "", "\0"])
def test_a_name_that_is_no_language_opens_no_file(tag: str) -> None:
    assert Translator.choose([tag]).language == ENGLISH


def test_threads_each_speak_their_own_language(made: Path) -> None:
    wrong: list[str] = []

    def speak(language: str, words: str) -> None:
        for _ in range(300):
            found = Translator.choose([language], catalogues=made).say("page.brand")
            if found != words:
                wrong.append(found)

    speakers = [
        threading.Thread(target=speak, args=one) for one in [("ar", "تايدغيج"), ("en", "Tidegauge")] * 2
    ]
    for one in speakers:
        one.start()
    for one in speakers:
        one.join()
    assert wrong == []


@given(eighths=st.integers(0, 2**40), places=st.integers(0, 3))
def test_english_numbers_are_those_of_the_cldr(eighths: int, places: int) -> None:
    """Eighths are exact in binary and in decimal: what lies between two decimals goes to the even one in both."""
    value = eighths / 8
    assert EnglishNumbers().decimal(value, places) == LocaleNumbers(ENGLISH).decimal(value, places)


@given(st.integers(-(2**63), 2**63))
def test_whole_english_numbers_are_those_of_the_cldr(value: int) -> None:
    assert EnglishNumbers().decimal(value, 0) == LocaleNumbers(ENGLISH).decimal(value, 0)


def test_other_languages_write_numbers_their_own_way() -> None:
    assert LocaleNumbers("de").decimal(1234.5, 1) == format_decimal(1234.5, locale="de") == "1.234,5"


def test_a_number_that_is_too_large_for_its_sentence_is_shown_as_it_is() -> None:
    """The collector judges what others send: what such a record holds was bound by nothing but its size."""
    said = english().state("evidence", stated("transfer-slow", bytes=10**400, last_ns=10**400))
    assert said.startswith("transfer-slow (bytes 1000")


def test_numbers_are_whole_to_the_last_digit() -> None:
    assert english().number(2**53 + 1) == "9,007,199,254,740,993"


def test_a_sentence_with_plurals_is_found_without_a_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As gettext of Python 3.11.2, Debian 12's, has it: what has plurals is found by `ngettext` alone."""

    def older(self: gettext.GNUTranslations, message: str) -> str:
        found: str = self._catalog.get(message, message)  # type: ignore[attr-defined]
        return found

    monkeypatch.setattr(gettext.GNUTranslations, "gettext", older)
    assert english().has("page.devices")
    assert english().pattern("page.devices") == "{n} devices."
    told = stated("devices", devices="many", well=1, lost=1, unclear=1, silent=1)
    assert "many device" in english().state("evidence", told)
    assert not english().has("page.nothing")
    assert english().pattern("page.nothing") is None
