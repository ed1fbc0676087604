"""Settings: every fault is named with file, line, key, what was found and what is allowed; all of them at once."""

import contextlib
import dataclasses
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.settings.docs import example, reference, write_value
from firmware.settings.load import COMMAND_LINE, SettingsError, declared, load, setting, table, tables
from firmware.settings.toml import find_lines

BROKEN = Path(__file__).parents[2] / "data" / "broken_settings"


class Colour(StrEnum):
    """Words."""

    RED = "red"
    GREEN = "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where the broker listens."""

    host: str = setting("127.0.0.1", doc="The broker's name or address.")
    port: int = setting(1883, doc="Its port.", low=1, high=65535)
    kind: str = setting("own", doc="Which broker | server.", choices=("own", "other"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What this program can be told.

    A second paragraph.
    """

    name: str = setting("gauge", doc="What it is called.")
    data: Path = setting(Path("/var/lib/x"), doc="Where it keeps things.")
    tries: int = setting(3, doc="How often it tries.", low=1)
    interval_s: float = setting(1.5, doc="How long it waits.", unit="s", low=0.1, high=60)
    fast: bool = setting(False, doc="Whether it hurries.")
    colour: Colour = setting(Colour.RED, doc="Its colour.")
    tags: tuple[str, ...] = setting((), doc="Any words.", sample=("a", "b"))
    country: str | None = setting(
        None, doc="Where it is.", pattern="[a-z]{2}", form="two lower-case letters", sample="ir"
    )
    low: int = setting(1, doc="The lower bound.")
    high: int = setting(2, doc="The upper bound.")
    broker: Broker = table(Broker)

    def __post_init__(self) -> None:
        """Refuse bounds that are crossed."""
        if self.low > self.high:
            raise ValueError("low at most as large as high")


EXPECTED = {
    "array_for_text": ":1: name: found the array ['a', 'b']; allowed is text, in quotes",
    "array_of_tables": ":1: broker: found the array [{'port': 1883}]; allowed is a table: [broker] on a line of its own",
    "choice_not_allowed": ':2: [broker].kind: found the text "rabbit"; allowed is one of "own", "other"',
    "date_for_text": ":1: name: found the date 2026-11-21; allowed is text, in quotes",
    "dotted_key": ":5: [broker].port: found the number 0; allowed is a whole number from 1 to 65535",
    "empty_path": ':1: data: found the text ""; allowed is a path without "~", in quotes',
    "excluding_each_other": ": found settings that exclude each other; allowed is low at most as large as high",
    "form_not_kept": ':1: country: found the text "Iran"; allowed is two lower-case letters, in quotes',
    "fraction_for_whole": ":1: tries: found the number 2.0; allowed is a whole number, at least 1",
    "home_in_path": ':1: data: found the text "~/tide"; allowed is a path without "~", in quotes',
    "inline_table": ":1: [broker].port: found the number 0; allowed is a whole number from 1 to 65535",
    "key_of_another_table": ":2: port: found a setting that does not exist; allowed is one of name, data, tries, "
    "interval_s, fast, colour, tags, country, low, high, broker (did you mean [broker].port?)",
    "not_a_finite_number": ":1: interval_s: found the number nan; allowed is a number from 0.1 to 60, in s",
    "not_utf8": ":2: found a byte that is not UTF-8; allowed is TOML: [table], key = value, text in quotes",
    "number_beyond_64_bits": ":1: tries: found a number that is too large; allowed is a whole number, at least 1",
    "number_for_text": ":1: name: found the number 12; allowed is text, in quotes",
    "number_out_of_range": ":3: [broker].port: found the number 70000; allowed is a whole number from 1 to 65535",
    "number_too_small": ":1: tries: found the number 0; allowed is a whole number, at least 1",
    "set_twice": ":2: found text that is not TOML (cannot overwrite a value); "
    "allowed is TOML: [table], key = value, text in quotes",
    "syntax": ":2: found text that is not TOML (expected '=' after a key in a key/value pair); "
    "allowed is TOML: [table], key = value, text in quotes",
    "syntax_at_end": ":1: found text that is not TOML (illegal character '\\n'); "
    "allowed is TOML: [table], key = value, text in quotes",
    "text_for_array": ':1: tags: found the text "one"; allowed is an array, each text, in quotes',
    "text_for_number": ':2: [broker].port: found the text "1883"; allowed is a whole number from 1 to 65535',
    "text_for_truth": ':1: fast: found the text "yes"; allowed is true or false',
    "three_faults": ":1: name: found the number 1; allowed is text, in quotes\n"
    "{file}:2: tries: found the number 0; allowed is a whole number, at least 1\n"
    "{file}:5: [broker].port: found the number 0; allowed is a whole number from 1 to 65535",
    "truth_for_number": ":1: tries: found true; allowed is a whole number, at least 1",
    "unknown_key": ":5: [broker].prot: found a setting that does not exist; "
    "allowed is one of host, port, kind (did you mean port?)",
    "unknown_table": ":1: brokr: found a setting that does not exist; allowed is one of name, data, tries, "
    "interval_s, fast, colour, tags, country, low, high, broker (did you mean broker?)",
    "value_for_table": ":1: broker: found the number 1883; allowed is a table: [broker] on a line of its own",
    "word_not_allowed": ':1: colour: found the text "purple"; allowed is one of "red", "green"',
    "wrong_entry_in_array": ":1: tags: found the number 2 as entry 2; allowed is an array, each text, in quotes",
}


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_each_broken_file_says_what_is_wrong(path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, path)
    assert str(caught.value) == f"{path}{EXPECTED[path.stem]}".replace("{file}", str(path))


def test_every_expectation_has_its_file() -> None:
    assert {path.stem for path in BROKEN.glob("*.toml")} == set(EXPECTED)


def test_no_file_means_defaults() -> None:
    assert load(Settings, None) == Settings()


def test_a_missing_file_and_a_folder_are_faults(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "no such file or directory"), (tmp_path, "is a directory")):
        with pytest.raises(SettingsError) as caught:
            load(Settings, path)
        assert (
            str(caught.value) == f"{path}: found {reason}; allowed is a settings file (TOML) that can be read"
        )


def test_a_file_that_never_ends_is_a_fault() -> None:
    with pytest.raises(SettingsError, match="more than 1 MiB"):
        load(Settings, Path("/dev/zero"))


def test_brackets_without_end_are_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text("name = " + "[" * 100_000 + "]" * 100_000)
    with pytest.raises(SettingsError, match="nested too deeply"):
        load(Settings, path)


def test_a_number_too_long_for_the_parser_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    path.write_text("tries = " + "9" * 5000)
    with pytest.raises(SettingsError, match="a value that cannot be read"):
        load(Settings, path)


def test_a_file_is_read_into_the_types_declared(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(
        'name = "n"\ndata = "here/x"\ninterval_s = 2\nfast = true\ncolour = "green"\ntags = ["a"]\n'
        'country = "ir"\n[broker]\nport = 1\n'
    )
    got = load(Settings, path)
    assert got == Settings(
        name="n",
        data=tmp_path / "here/x",
        interval_s=2.0,
        fast=True,
        colour=Colour.GREEN,
        tags=("a",),
        country="ir",
        broker=Broker(port=1),
    )
    assert type(got.interval_s) is float
    assert type(got.colour) is Colour


def test_an_option_goes_over_the_file_and_none_does_not(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('name = "file"\n[broker]\nport = 1\n')
    got = load(Settings, path, {"broker.port": 2, "name": None, "data": Path("rel"), "colour": "green"})
    assert got == Settings(name="file", data=Path("rel"), colour=Colour.GREEN, broker=Broker(port=2))


def test_a_wrong_option_is_told_beside_the_files_faults(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("tries = 0\n")
    with pytest.raises(SettingsError) as caught:
        load(Settings, path, {"broker.port": 0})
    assert [(fault.file, fault.place) for fault in caught.value.faults] == [
        (str(path), ("tries",)),
        (COMMAND_LINE, ("broker", "port")),
    ]


def test_an_option_nobody_declared_is_the_programs_mistake() -> None:
    with pytest.raises(KeyError):
        load(Settings, None, {"broker.prot": 1})


def bad_declaration(kind: Any, default: object, **said: Any) -> type[Any]:
    return dataclasses.make_dataclass(
        "Bad",
        [("value", kind, setting(default, doc="Said.", **said))],
        frozen=True,
        kw_only=True,
        slots=True,
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (bad_declaration(int, 0, low=1), "value: the number 0 breaks its own rule"),
        (bad_declaration(tuple[int, ...], (1, 0), low=1), "value: the number 0 breaks its own rule"),
        (bad_declaration(str | None, None), "without a default it must be optional and have a sample"),
        (bad_declaration(str, None, sample="x"), "without a default it must be optional and have a sample"),
        (bad_declaration(dict[str, str], {"a": "b"}.__class__), "cannot be of type"),
        (bad_declaration(tuple[int, int], (1, 2)), "cannot be of type"),
        (bad_declaration(bytes, b""), "cannot be of type"),
    ],
)
def test_a_bad_declaration_is_a_mistake_of_the_program(bad: type[Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        declared(bad)


def test_a_field_without_setting_is_a_mistake_of_the_program() -> None:
    bare = dataclasses.make_dataclass("Bare", [("value", int, 1)])
    with pytest.raises(TypeError, match="not declared with setting"):
        declared(bare)


def test_a_setting_needs_a_doc() -> None:
    with pytest.raises(ValueError, match="needs a doc"):
        setting(1, doc=" ")


def test_the_reference_shows_every_setting_and_table() -> None:
    text = reference(Settings)
    for place in declared(Settings):
        assert f"| `{place[-1]}` |" in text
    assert "### `[broker]`\n\nWhere the broker listens.\n" in text
    assert "Which broker \\| server." in text
    assert "| `interval_s` | `1.5` | a number from 0.1 to 60, in s | How long it waits. |" in text


def test_the_reference_refuses_a_class_that_says_nothing() -> None:
    silent = bad_declaration(int, 1)
    with pytest.raises(TypeError, match="needs a docstring"):
        reference(silent)


def uncommented(text: str) -> str:
    """Return the example with its settings, not its comments, in force."""
    return "\n".join(line.removeprefix("#") for line in text.splitlines() if not line.startswith("# "))


def test_the_example_uncommented_holds_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(example(Settings))
    assert load(Settings, path) == Settings()
    path.write_text(uncommented(example(Settings)))
    assert load(Settings, path) == Settings(tags=("a", "b"), country="ir")
    assert set(tables(Settings)) == {(), ("broker",)}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_written_as_toml_reads_it(text: str) -> None:
    assert tomllib.loads(f"x = {write_value(text)}") == {"x": text}


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
VALUES = st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(KEYS, VALUES | st.lists(VALUES).map(tuple)))
def test_every_key_has_its_line(values: dict[str, Any]) -> None:
    text = "".join(f"{write_value(key)} = {write_value(value)}\n" for key, value in values.items())
    assert find_lines(text) == {(key,): line for line, key in enumerate(values, start=1)}


LINE = st.sampled_from(
    [
        "# [comment]\n",
        "\n",
        'm%d = """\n[no]\nx = 1\n\\"""\n"""\n',
        "l%d = '''\n[no]\nx = 1 \"\n'''\n",
        'a%d = [\n  "]", # ]\n  [1,\n 2],\n]\n',
        "[t%d]\n",
        "[t%d.'u v']\n",
        'k%d . "q.r" = {x = 1, y = [ 1,\n2 ]}\n',
        's%d = "a # b = [" # c\n',
    ]
)


@given(st.lists(LINE, max_size=12))
def test_lines_are_found_whatever_stands_between(parts: list[str]) -> None:
    numbered = [part % number if "%d" in part else part for number, part in enumerate(parts)]
    text = "".join(numbered)
    tomllib.loads(text)
    starts = {1 + "".join(numbered[:at]).count("\n"): part for at, part in enumerate(numbered)}
    lines = find_lines(text)
    for place, line in lines.items():
        assert line in starts, f"{place} is said to stand inside a value"
    expected = {line for line, part in starts.items() if part.strip() and not part.startswith("#")}
    assert set(lines.values()) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_a_settings_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.toml"
    path.write_bytes(raw)
    with contextlib.suppress(SettingsError):  # and nothing else
        load(Settings, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """Settings one table of which was called `speakers` before."""

    lights: Broker = table(Broker, was="speakers")


def test_a_table_by_its_old_name_is_told_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("\n[speakers]\nport = 1\n")
    with pytest.raises(SettingsError) as error:
        load(Renamed, path)
    assert str(error.value) == (
        f"{path}:2: speakers: found a table that has another name now; allowed is [lights] instead"
    )
    path.write_text("[lights]\nport = 7\n")
    assert load(Renamed, path).lights.port == 7
