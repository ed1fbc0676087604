"""A form follows from what a dataclass says of its keys: as old as each says it is, and refused where it could not be read."""

from dataclasses import dataclass
from typing import Annotated

import pytest

from firmware.model.jsontypes import JsonObject, Reader, RecordError
from firmware.model.record_fields import Form, json_key
from firmware.model.record_kinds import COUNT, OPTIONAL_TEXT, TEXT, optional_object_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """An object within."""

    word: Annotated[str, json_key(TEXT, "A word.", name="the_word")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """An object with one of every age."""

    number: Annotated[int, json_key(COUNT, "A number.")]
    beside: Annotated[Inner, Form(Inner)]
    within: Annotated[Inner | None, json_key(optional_object_of(Form(Inner)), "An object.")] = None
    later: Annotated[str | None, json_key(OPTIONAL_TEXT, "Came with schema 2.", since=2)] = "then"


FORM = Form(Outer, head={"schema": 2})
VALUE = Outer(number=1, beside=Inner(word="a"), within=Inner(word="b"), later=None)
WRITTEN: JsonObject = {"schema": 2, "number": 1, "the_word": "a", "within": {"the_word": "b"}, "later": None}


def read(value: JsonObject, schema: int) -> Outer:
    return FORM.read(Reader(value, where="it"), schema)


def are_sound(value: JsonObject, newest: int) -> bool:
    return FORM.are_sound(lambda key: [value[key]], newest)


def test_it_is_written_in_the_order_of_its_attributes_and_read_again() -> None:
    assert list(FORM.write(VALUE).items()) == list(WRITTEN.items())
    assert read(WRITTEN, 2) == VALUE


def test_what_is_missing_has_its_default_only_in_an_object_from_before_it() -> None:
    before = {key: value for key, value in WRITTEN.items() if key != "later"}
    assert read(before, 1).later == "then"
    assert are_sound(before, 1)
    with pytest.raises(RecordError, match="it: later is missing"):
        read(before, 2)
    assert not are_sound(before, 2)


def test_what_is_there_is_read_however_old_the_object_says_it_is() -> None:
    assert read({**WRITTEN, "later": "x"}, 1).later == "x"
    with pytest.raises(RecordError, match="later: found 1; allowed is text"):
        read({**WRITTEN, "later": 1}, 1)
    assert not are_sound({**WRITTEN, "later": 1}, 1)


def test_a_key_that_came_later_needs_a_default() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Wrong:
        later: Annotated[str, json_key(TEXT, "Came later.", since=2)]

    with pytest.raises(ValueError, match=r"Wrong\.later came with schema 2: it needs a default"):
        Form(Wrong)


def test_a_key_within_an_object_is_as_old_as_the_object() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Wrong:
        later: Annotated[str, json_key(TEXT, "Came later.", since=2)] = ""

    with pytest.raises(ValueError, match="cannot come later than the object"):
        optional_object_of(Form(Wrong))
