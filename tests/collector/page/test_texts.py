"""Every sentence is in one table, each is used, and every word a device may use has one."""

import re
import string
from pathlib import Path

import collector.page
from collector.page import texts
from firmware.judgement.ladder import RungProgress
from firmware.model.failures import Failure
from firmware.model.record import Rung
from firmware.model.verdict_words import VerdictWord

_HERE = Path(collector.page.__file__).parent
_ASKED = re.compile(r'(?:say|plain|count)\(\s*"([a-z_0-9]+)"')
_QUOTED = re.compile(r'"([a-z_0-9]+)"')


def _sources() -> str:
    files = [*_HERE.glob("*.py"), *(_HERE / "templates").glob("*.html")]
    return "\n".join(path.read_text() for path in files if path.name != "texts.py")


def test_every_sentence_asked_for_is_in_the_table() -> None:
    whole = {key for key in _ASKED.findall(_sources()) if not key.endswith("_")}
    for key in whole:
        assert key in texts.ENGLISH or f"{key}_one" in texts.ENGLISH, key


def test_every_sentence_in_the_table_is_asked_for() -> None:
    quoted = set(_QUOTED.findall(_sources()))
    built = re.compile(r"(legend|about_cell|cell)_(reached|partly|failed|unknown|pending|gap)")
    for key in texts.ENGLISH:
        base = re.sub(r"_(one|many)$", "", key)
        assert key in quoted or base in quoted or built.fullmatch(key), f"nobody says {key}"


def test_both_numbers_of_a_counted_sentence_take_the_same_values() -> None:
    for key, sentence in texts.ENGLISH.items():
        if key.endswith("_one"):
            other = texts.ENGLISH[key.removesuffix("_one") + "_many"]
            assert _fields(sentence) == _fields(other), key


def _fields(sentence: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_there_is_a_sentence_for_every_word_a_device_may_use() -> None:
    assert set(texts.VERDICTS) == set(VerdictWord)
    assert set(texts.RUNGS) == set(Rung)
    assert all(
        f"cell_{state}" in texts.ENGLISH and f"legend_{state}" in texts.ENGLISH for state in RungProgress
    )
    assert all(texts.failure_meaning(word) for word in Failure)


def test_values_are_escaped_in_markup_and_left_alone_in_plain_text() -> None:
    assert "&lt;b&gt;" in texts.say("device", id="<b>")
    assert "<b>" in texts.plain("device", id="<b>")


def test_words_from_newer_software_stand_for_themselves() -> None:
    assert texts.verdict_sentence("sea_monster") == "sea monster"
    assert texts.failure_meaning("sea_monster") == ""
    assert "no word" in texts.failure_meaning("unknown_failure: ESEA")
