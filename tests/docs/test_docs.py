"""The documentation cannot lie about what it can be checked against: links, commands, lights, help, length."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from appliance.lights.patterns import MEANINGS
from appliance.views.light_words import rhythm_words, what_to_do
from docs.reference.pages import PAGES, commands, walk_commands
from tests.english import ENGLISH
from tests.needs import ROOT

README = ROOT / "README.md"
README_LINES = 150
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```", re.DOTALL)
_COMMAND = re.compile(r"^\s*(?:\$ )?((?:\./\S+|\.ci/\S+|(?:\.venv/bin/)?tidegauge)(?: .*)?)$")


def pages() -> list[Path]:
    """Return every Markdown file that git would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the forges make them."""
    headings = re.findall(r"^#+ +(.*)$", _CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists():
            wrong.append(f"{link}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            wrong.append(f"{link}: no such heading")
    assert wrong == []


def commands_named_in(page: Path) -> Iterator[str]:
    """Yield the commands of ours that a page tells a reader to type, in code blocks and in running text."""
    text = page.read_text()
    for block in _CODE.findall(text):
        yield from (found[1] for line in block.splitlines() if (found := _COMMAND.match(line)))
    for code in re.findall(r"`([^`\n]+)`", _CODE.sub("", text)):
        if found := _COMMAND.match(code):
            yield found[1]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_every_command_that_is_named_exists(name: str) -> None:
    known = {tuple(one.command_path.split()): one.command for one in walk_commands()}
    named = list(commands_named_in(ROOT / name))
    assert named, f"{name} names no command at all"
    for line in named:
        words = shlex.split(line, comments=True)
        words[0] = words[0].removeprefix(".venv/bin/")
        if words[0] != "tidegauge":
            assert (ROOT / words[0]).exists(), f"{name} names {line}: no such file"
            continue
        path = tuple(words)
        while path not in known:
            path = path[:-1]
        group = isinstance(known[path], click.Group)
        assert not group or len(path) == len(words) or words[len(path)].startswith("-"), f"no command: {line}"
        options = {option for one in known[path].params for option in (*one.opts, *one.secondary_opts)} | {
            "--help"
        }
        unknown = {word for word in words if word.startswith("--")} - options
        assert not unknown, f"{name} names {line}: no such option"


def test_every_command_and_option_has_help() -> None:
    silent = []
    for context in walk_commands():
        silent += [] if context.command.help else [context.command_path]
        options = [one for one in context.command.params if isinstance(one, click.Option) and not one.hidden]
        silent += [f"{context.command_path} {one.opts[0]}" for one in options if not one.help]
    assert silent == []


def test_every_command_is_on_its_page() -> None:
    page = commands()
    for context in walk_commands():
        assert f"## `{context.command_path}`\n" in page


def test_the_readme_stays_short() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES


def test_the_readme_says_what_each_light_means() -> None:
    rows = [line for line in README.read_text().splitlines() if line.startswith("|")]
    for key, meaning in MEANINGS.items():
        does, says = rhythm_words(meaning.pattern, ENGLISH), ENGLISH.say(f"light.{key}")
        row = f"| {meaning.light} | {does} | {says} | {what_to_do(key, ENGLISH)} |"
        assert row in rows, f"the README's table of lights lacks this row, for {key!r}: {row}"


def test_every_decision_is_listed_and_numbered() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text()
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for name in files:
        text = (folder / name).read_text()
        assert f"]({name})" in listed
        assert all(f"\n## {part}\n" in text for part in ("Context", "Decision", "Consequences")), name
        assert text.startswith(f"# {int(name[:4])}. "), name


def test_the_change_log_has_an_open_section() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text()


def test_every_reference_page_is_linked_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert [name for name in PAGES if f"](reference/{name})" not in index] == []


def test_no_lock_or_constraints_file_carries_an_index_address() -> None:
    assert not re.search(
        r"https?://|--index|--find-links|-i ", (ROOT / "tests" / "constraints.txt").read_text()
    )
