"""What keeps the tests' own modules in order: helpers are in plain modules, and waits are in one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def imported(source: str) -> Iterator[str]:
    """Yield the full name of everything that `source` imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{one.name}" for one in node.names)


def from_test_modules(source: str) -> set[str]:
    """Return what is imported from a module of tests, which is nobody's helper: its own tests may change it freely."""
    return {
        name
        for name in imported(source)
        if name.startswith(("tests.", ".")) and any(part.startswith("test_") for part in name.split("."))
    }


def test_nothing_is_imported_from_a_test_module() -> None:
    modules = sorted(TESTS.rglob("*.py"))
    assert modules
    found = {str(path): from_test_modules(path.read_text(encoding="utf-8")) for path in modules}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from tests.a.test_b import c", {"tests.a.test_b.c"}),
        ("from tests.a import test_b", {"tests.a.test_b"}),
        ("import tests.a.test_b as other", {"tests.a.test_b"}),
        ("def late():\n    from tests.test_b import c", {"tests.test_b.c"}),
        ("from .test_b import c", {".test_b.c"}),
        ("import tests.a.b, json\nfrom tests.a.b import tested\nfrom firmware import test_names", set()),
    ],
)
def test_the_ways_to_import_are_seen(source: str, found: set[str]) -> None:
    assert from_test_modules(source) == found
