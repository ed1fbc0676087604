"""A country calls the product: it carries no copy of what it should call, and a rule that changes changes what it says."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.needs import ROOT

PACKAGES: Final = ("firmware", "appliance", "collector", "provisioning")
LEAST: Final = 30
"""A body of fewer nodes than this is like another by chance."""


class _Renamed(ast.NodeTransformer):
    """Gives every name the number of its first appearance, so that a copy with other names is a copy."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        number = self._numbers.setdefault(node.id, len(self._numbers))
        return ast.Name(id=f"n{number}", ctx=node.ctx)


def bodies(source: str) -> Iterator[tuple[str, str]]:
    """Yield each function's name, and its body in a form that names, comments and docstrings do not change."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if sum(1 for one in body for _ in ast.walk(one)) >= LEAST:
            renamed = _Renamed()
            yield node.name, " ".join(ast.dump(renamed.visit(one)) for one in body)


def functions(*folders: Path) -> Iterator[tuple[str, str, str]]:
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            for name, body in bodies(path.read_text(encoding="utf-8")):
                yield str(path.relative_to(ROOT)), name, body


def test_no_function_of_a_country_has_the_body_of_one_of_the_products() -> None:
    product = {body: f"{path}: {name}" for path, name, body in functions(*(ROOT / one for one in PACKAGES))}
    assert len(product) > 1_000
    country = list(functions(ROOT / "tests" / "country"))
    assert len(country) > 60
    assert [f"{path}: {name} is {product[body]}" for path, name, body in country if body in product] == []


def test_a_copy_is_found_whatever_its_names_are() -> None:
    original = (ROOT / "appliance" / "measuring" / "rounds.py").read_text(encoding="utf-8")
    renamed = original.replace("history", "past_ones").replace("def ", "def our_").replace("now_ns", "t")
    assert {body for _, body in bodies(original)} == {body for _, body in bodies(renamed)}
    assert len(set(bodies(original))) > 5
