"""What may stand at a key of a JSON form: each kind's reader, its writer, and its check of a column of values. Pure.

A check must never take what the reader refuses (a number that is true or false, a whole one past 64 bits, half an object);
it may raise `KeyError` for an object that lacks a key.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

from firmware.model.jsontypes import JsonObject, Reader
from firmware.model.record_fields import Column, Form, JsonKey, Kind

_NONE: Final = type(None)
_LOW: Final = -(2**63)
_HIGH: Final = 2**63 - 1


def texts(column: Column) -> bool:
    """Return whether all of a column is text."""
    return set(map(type, column)) == {str}


def objects(column: Column) -> bool:
    """Return whether all of a column is an object."""
    return set(map(type, column)) == {dict}


def optional_texts(column: Column) -> bool:
    """Return whether all of a column is text or null."""
    return set(map(type, column)) <= {str, _NONE}


def whole(column: Column, low: int = _LOW) -> bool:
    """Return whether all of a column is whole numbers of 64 bits from `low` on (a truth value is none)."""
    return set(map(type, column)) == {int} and min(column) >= low and max(column) <= _HIGH


def _optional_whole(column: Column) -> bool:
    numbers = [one for one in column if one is not None]
    return not numbers or whole(numbers)


def words(allowed: Iterable[str]) -> Callable[[Column], bool]:
    """Return a check of whether all of a column is one of `allowed`."""
    known = frozenset(map(str, allowed))
    return lambda column: texts(column) and known.issuperset(column)


def _listed(allowed: Iterable[str]) -> str:
    return ", ".join(f"`{one}`" for one in allowed)


TEXT: Final = Kind(says="text", holds=str, read=Reader.text, are_sound=texts)
OPTIONAL_TEXT: Final = Kind(
    says="text or null", holds=str, read=Reader.optional_text, are_sound=optional_texts
)
COUNT: Final = Kind(
    says="a whole number from 0",
    holds=int,
    read=lambda reader, key: reader.integer(key, low=0),
    are_sound=lambda column: whole(column, 0),
)
WHOLE: Final = Kind(says="a whole number", holds=int, read=Reader.integer, are_sound=whole)
OPTIONAL_WHOLE: Final = Kind(
    says="a whole number or null",
    holds=int,
    read=lambda reader, key: reader.optional_integer(key),
    are_sound=_optional_whole,
)
OBJECT: Final = Kind(says="an object", holds=dict, read=Reader.object, are_sound=objects, write=dict)


def word_of(allowed: type[StrEnum]) -> Kind:
    """Return the kind of a word of a closed list."""
    members = tuple(allowed)
    return Kind(
        says=f"one of {_listed(members)}",
        holds=str,
        read=lambda reader, key: allowed(reader.word(key, members)),
        are_sound=words(members),
        write=str,
    )


def optional_word_of(allowed: type[StrEnum]) -> Kind:
    """Return the kind of a word of a closed list, or null."""
    members = tuple(allowed)
    known = frozenset((*map(str, members), None))

    def read(reader: Reader, key: str) -> StrEnum | None:
        word = reader.optional_word(key, members)
        return None if word is None else allowed(word)

    return Kind(
        says=f"one of {_listed(members)}, or null",
        holds=str,
        read=read,
        are_sound=lambda column: optional_texts(column) and known.issuperset(column),
        write=lambda word: None if word is None else str(word),
    )


def optional_object_of(form: Form[Any]) -> Kind:
    """Return the kind of an object of `form`, or null."""

    def are_sound(column: Column) -> bool:
        given = [one for one in column if one is not None]
        return not given or _are_of(form, given)

    return Kind(
        says="an object or null",
        holds=dict,
        read=lambda reader, key: None if reader.raw(key) is None else form.read(reader.child(key), 1),
        are_sound=are_sound,
        write=lambda value: None if value is None else form.write(value),
        inner=_whole_form(form),
    )


def objects_by_name_of(form: Form[Any]) -> Kind:
    """Return the kind of an object whose keys are names, each of an object of `form`, which nothing is asked for in."""
    if any(one.asked for one in form.keys):
        raise ValueError("a key that stands there once a name cannot be asked for")

    def read(reader: Reader, key: str) -> dict[str, Any]:
        names = reader.object(key)
        return {name: form.read(reader.child(key).child(name), 1) for name in names}

    def are_sound(column: Column) -> bool:
        if not objects(column):
            return False
        given = [one for named in column for one in named.values()]
        return not given or _are_of(form, given)

    write = form.write
    return Kind(
        says="an object: a name → an object each",
        holds=dict,
        read=read,
        are_sound=are_sound,
        write=lambda named: {name: write(one) for name, one in named.items()},
        inner=_whole_form(form),
    )


def _are_of(form: Form[Any], given: list[JsonObject]) -> bool:
    return objects(given) and form.are_sound(lambda key: [one[key] for one in given], 1)


def _whole_form(form: Form[Any]) -> tuple[JsonKey, ...]:
    """Return the keys of `form`, which must be as old as the object itself: it does not say of which schema it is."""
    if any(one.since > 1 for one in form.keys):
        raise ValueError("a key within an object cannot come later than the object")
    return form.keys
