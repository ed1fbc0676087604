"""One word for one thing: what keeps the code's names apart."""

import ast
import re
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


RETIRED = {
    "stick": "USB drive",
    "sticks": "USB drives",
    "bag": "bundle",
    "bags": "bundles",
    "mailbag": "bundle",
    "ballast": "reserve file",
    "knock": "probe",
    "voice": "message authentication",
    "heal": "recover",
    "healed": "recovered",
    "meddled": "tampered",
    "victims": "candidates",
    "clash": "sequence conflict",
    "clashes": "sequence conflicts",
}
"""Words that are no longer said, and what is said instead."""
STILL_READ = {
    ("appliance/settings.py", "stick"),  # who writes the table's old name is told the new one
    ("appliance/storage/quota.py", "ballast"),  # the name that the reserve file had
    ("collector/receive/bundles/answers.py", "bag"),  # bundles of the version before are still read
    ("collector/receive/bundles/importing.py", "bags"),
    ("appliance/storage/file.py", "healed"),  # on disk, between two steps of an exchange
    ("firmware/wire/messages.py", "clash"),  # the key on the wire
    ("collector/store/incarnations.py", "clash"),  # the column
    ("collector/store/migrations.py", "clash"),
    ("collector/store/covered.py", "clash"),
}


def retired_words(text: str) -> set[str]:
    """Return which of the retired words stand in `text`, by themselves or as a part of a name."""
    return RETIRED.keys() & {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Za-z][a-z]*", text)}


def test_no_retired_word_comes_back() -> None:
    found = {
        (str(path.relative_to(ROOT)), word)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for word in retired_words(path.read_text(encoding="utf-8"))
    }
    assert found == STILL_READ


def test_a_retired_word_is_found_inside_a_name_and_not_inside_a_word() -> None:
    assert retired_words("def take_stick(BAG, healedAt): 'sticky voices'") == {"stick", "bag", "healed"}
