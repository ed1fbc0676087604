"""How a dataclass says its JSON form: beside each attribute stands its key, what may be there, and what it is. Pure.

    test_version: Annotated[str, json_key(TEXT, "The test's version.")]

From such lines follow the writer, the reader that names what is wrong, and the check of many at once, a column at a time
(`Form`); for records also the store's columns and the reference page. The check of columns must never take what the reader
refuses. This file must never know what a record is: that is `firmware.model.record`.
"""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from typing import Any, Final, Generic, TypeVar

from firmware.model.jsontypes import JsonObject, JsonValue, Reader

Column = Sequence[Any]
"""What stands at one key in many objects."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What may stand at a key: `says` it in words, `holds` is its JSON type.

    `read` returns the value at a reader's key and raises `RecordError`; `write` makes it JSON again (None: it is JSON);
    `are_sound` returns whether `read` would take every value of a column. `inner` are an object's own keys.
    """

    says: str
    holds: type[str | int | list[Any] | dict[str, Any]]
    read: Callable[[Reader, str], Any]
    are_sound: Callable[[Column], bool]
    write: Callable[[Any], JsonValue] | None = None
    inner: "tuple[JsonKey, ...]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonKey:
    """One key of a JSON form: where its value stands in the dataclass, and what may stand there.

    `since` is the schema from which on it is written: an object of an earlier one may lack it, and has `default` then. `asked`
    says that the collector's store keeps it in a column of its own, so that it can be asked for.
    """

    key: str
    attribute: str = ""
    kind: Kind
    says: str
    since: int = 1
    asked: bool = False
    default: Callable[[], Any] | None = None

    def read(self, reader: Reader, schema: int) -> Any:
        """Return the value that an object of `schema` has. Raises `RecordError`."""
        if schema < self.since and self.default is not None and not reader.has(self.key):
            return self.default()
        return self.kind.read(reader, self.key)

    def default_json(self) -> JsonValue:
        """Return what stands for the key, as JSON, where an object of an earlier schema lacks it."""
        value: JsonValue = None if self.default is None else self.default()
        return value if self.kind.write is None else self.kind.write(value)


def json_key(kind: Kind, says: str, *, name: str = "", since: int = 1, asked: bool = False) -> JsonKey:
    """Return what an attribute's annotation says of its key: `name`, or the attribute's own. The rest is as in `JsonKey`."""
    return JsonKey(key=name, kind=kind, says=says, since=since, asked=asked)


class Form(Generic[T]):
    """The JSON form of a dataclass, each of whose attributes is annotated with its `json_key`; `keys` are all, in their order.

    One that is annotated with a form has no key: the keys of that form stand in its place. `write` returns an object of
    `head` and then the keys. A key that came later needs a default: `ValueError` where it has none.
    """

    __slots__ = ("_make", "_members", "keys", "write")

    def __init__(self, of: type[T], *, head: "JsonObject | None" = None) -> None:
        members: list[tuple[str, JsonKey | Form[Any]]] = []
        keys: list[JsonKey] = []
        for one in fields(of):  # type: ignore[arg-type]  # whoever calls this gives a dataclass
            (told,) = one.type.__metadata__  # type: ignore[union-attr]  # an `Annotated`
            if isinstance(told, Form):
                keys += (replace(part, attribute=f"{one.name}.{part.attribute}") for part in told.keys)
            else:
                told = replace(told, key=told.key or one.name, attribute=one.name, default=_default_of(one))
                if told.since > 1 and told.default is None:
                    raise ValueError(
                        f"{of.__name__}.{one.name} came with schema {told.since}: it needs a default"
                    )
                keys.append(told)
            members.append((one.name, told))
        self.keys: Final[tuple[JsonKey, ...]] = tuple(keys)
        self.write: Final[Callable[[T], JsonObject]] = _writer(head or {}, keys)
        self._make: Callable[..., T] = of
        self._members: Final = tuple(members)

    def read(self, reader: Reader, schema: int) -> T:
        """Return what an object of `schema` holds. Raises `RecordError`, naming the first key that is wrong."""
        return self._make(**{name: member.read(reader, schema) for name, member in self._members})

    def are_sound(self, column_of: Callable[[str], Column], newest: int) -> bool:
        """Return whether `read` would take every object of some, the newest of them of the schema `newest`.

        `column_of` returns what they have at a key, and raises `KeyError` where one has no such key, as this may.
        """
        for one in self.keys:
            try:
                column = column_of(one.key)
            except KeyError:
                if newest < one.since:
                    continue
                return False
            if not one.kind.are_sound(column):
                return False
        return True


def _default_of(one: Field[Any]) -> Callable[[], Any] | None:
    if one.default is not MISSING:
        return lambda: one.default
    return None if one.default_factory is MISSING else one.default_factory


def _writer(head: JsonObject, keys: Sequence[JsonKey]) -> Callable[[Any], JsonObject]:
    """Return what one would write by hand: `lambda it: {"schema": 1, "uplink": it.uplink, "zone": write_7(it.zone), …}`.

    It is compiled, as `dataclasses` does with `__init__`: a loop over the keys takes twice as long, for every record that is made.
    """
    writes = {f"write_{at}": one.kind.write for at, one in enumerate(keys) if one.kind.write is not None}
    parts = [f"{key!r}: {value!r}" for key, value in head.items()]
    for at, one in enumerate(keys):
        value = f"it.{one.attribute}"
        parts.append(f"{one.key!r}: " + (f"write_{at}({value})" if f"write_{at}" in writes else value))
    written: Callable[[Any], JsonObject] = eval(f"lambda it: {{{', '.join(parts)}}}", writes)  # noqa: S307 - our own names
    return written
