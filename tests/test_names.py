"""One word for one thing: what keeps the code's names apart."""

import ast
from collections import defaultdict

from tests.needs import ROOT

PACKAGES = ("firmware", "appliance", "collector", "provisioning")


def classes(source: str) -> list[str]:
    """Return the classes that stand at the top of `source`, but for those that are its own."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def test_no_class_stands_twice_under_one_name() -> None:
    found = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in classes(path.read_text(encoding="utf-8")):
                found[name].append(str(path.relative_to(ROOT)))
    assert len(found) > 300
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_a_class_of_one_file_alone_may_have_any_name() -> None:
    assert classes("class A: ...\nclass _B: ...\ndef f():\n    class C: ...\n") == ["A"]
