"""The OpenAPI document laid out for reading, without scripts: operations, parameters, objects. Pure.

Everything shown is in the document; nothing is said here that a program reading it would not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

Schema: TypeAlias = Mapping[str, Any]

_REF: Final = "#/components/schemas/"
_NO_BOUND: Final = 2**63
"""What a 64-bit whole number is below anyway."""
_BOUNDS: Final = (
    ("minimum", "from {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "to {}"),
    ("exclusiveMaximum", "below {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("pattern", "of the form {}"),
)
_TYPES: Final = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "object",
    "null": "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRow:
    """A parameter or a field. `model` is the object its type names, with the words before and after it."""

    name: str
    type: str
    about: str
    required: bool
    example: str
    model: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleReply:
    """One status an operation may answer with, and what is in it."""

    status: str
    about: str
    model: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One path that can be asked. `example` is an address that works, but for the device in it."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[ReferenceRow, ...]
    answers: tuple[ExampleReply, ...]
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One object of the answers."""

    name: str
    about: str
    fields: tuple[ReferenceRow, ...]


def operations(document: Schema) -> tuple[Operation, ...]:
    """Return every operation of the document, in its order."""
    return tuple(
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )


def models(document: Schema) -> tuple[Model, ...]:
    """Return every object of the document that has fields, by name."""
    schemas: Mapping[str, Schema] = document["components"]["schemas"]
    return tuple(
        Model(
            name=name,
            about=str(schema.get("description", "")),
            fields=tuple(
                _row(field, part, required=field in schema.get("required", ()))
                for field, part in schema.get("properties", {}).items()
            )
            or _words(schema),
        )
        for name, schema in sorted(schemas.items())
    )


def _operation(path: str, method: str, operation: Schema) -> Operation:
    parameters = tuple(
        _row(
            part["name"],
            {
                "description": part.get("description", ""),
                **_without_null(part["schema"]),
                **_example_of(part),
            },
            required=part.get("required", False),
        )
        for part in operation.get("parameters", ())
    )
    return Operation(
        id=str(operation["operationId"]),
        method=method.upper(),
        path=path,
        summary=str(operation.get("summary", "")),
        description=str(operation.get("description", "")),
        parameters=parameters,
        answers=tuple(_reply(status, reply) for status, reply in operation["responses"].items()),
        example=_address(path, parameters),
    )


def _without_null(schema: Schema) -> Schema:
    """Return a parameter's schema as a reader takes it: one that may be left out is never given as null."""
    kinds = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    return {**schema, **kinds[0], "anyOf": ()} if len(kinds) == 1 else schema


def _address(path: str, parameters: Sequence[ReferenceRow]) -> str:
    query = {}
    for parameter in parameters:
        if f"{{{parameter.name}}}" in path:
            path = path.replace(f"{{{parameter.name}}}", parameter.example)
        elif parameter.example:
            query[parameter.name] = parameter.example
    return f"{path}?{urlencode(query, safe=':')}" if query else path


def _reply(status: str, reply: Schema) -> ExampleReply:
    content: Mapping[str, Schema] = reply.get("content", {})
    model = next(
        (_name(part["schema"]) for part in content.values() if _name(part.get("schema", {}))),
        "",
    )
    return ExampleReply(
        status=status, about=str(reply.get("description", "")), model=model, kinds=tuple(content)
    )


def _row(name: str, schema: Schema, *, required: bool) -> ReferenceRow:
    before, model, after = _linked(schema)
    return ReferenceRow(
        name=name,
        type=_type(schema),
        about=str(schema.get("description", "")),
        required=required,
        example=_shown(_example_of(schema).get("example", "")),
        model=model,
        before=before,
        after=after,
    )


def _words(schema: Schema) -> tuple[ReferenceRow, ...]:
    """Return the words of an enumeration as rows."""
    return tuple(
        ReferenceRow(name=str(word), type="text", about="", required=False, example="")
        for word in schema.get("enum", ())
    )


def _example_of(schema: Schema) -> dict[str, Any]:
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return {"example": examples[0]}
    return {"example": schema["example"]} if "example" in schema else {}


def _shown(value: object) -> str:
    return value if isinstance(value, str) else repr(value).replace("(", "[").replace(")", "]")


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).removeprefix(_REF) if "$ref" in schema else ""


def _linked(schema: Schema) -> tuple[str, str, str]:
    """Return the object a type names, with what stands before and after its name; empty for none."""
    if "$ref" in schema:
        return "", _name(schema), ""
    if schema.get("type") == "array" and "$ref" in schema.get("items", {}):
        return "list of ", _name(schema["items"]), ""
    named = [part for part in schema.get("anyOf", ()) if "$ref" in part]
    return ("", _name(named[0]), " or null") if named else ("", "", "")


def _type(schema: Schema) -> str:
    if schema.get("anyOf"):
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "$ref" in schema:
        return _name(schema)
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(str(word) for word in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(_type(part) for part in schema["prefixItems"]) + "]"
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("format") == "date-time":
        return "time, ISO 8601 with its zone"
    word = _TYPES.get(str(schema.get("type")), "any")
    bounds = [form.format(schema[key]) for key, form in _BOUNDS if key in schema and schema[key] != _NO_BOUND]
    return ", ".join([word, *bounds])
