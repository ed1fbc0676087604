"""Where things stand in a TOML file: the line of each key, and what a syntax error says. Pure.

The parser keeps no line numbers, so they are found by reading the text again, line by line. This file must
never decide what a value means: a line it cannot place is left out, and the message goes without.
"""

import re
import tomllib
from typing import Final

_KEY_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY: Final = rf"{_KEY_PART}(?:[ \t]*\.[ \t]*{_KEY_PART})*"
_HEADER: Final = re.compile(rf"[ \t]*\[{{1,2}}[ \t]*({_KEY})[ \t]*\]")
_ASSIGNMENT: Final = re.compile(rf"[ \t]*({_KEY})[ \t]*=(.*)", re.DOTALL)
_AT_LINE: Final = re.compile(r"^(.*?) \(at line (\d+), column \d+\)", re.DOTALL)
# What may stand between two tokens of a value, so that brackets and quotes are counted as the parser does.
_VALUE_TOKEN: Final = re.compile(
    r"'''.*?(?:'''|\Z)|\"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\Z)|'[^'\n]*'|\"(?:\\.|[^\"\\\n])*\"|\#[^\n]*|[\[\]{}]|\n|.",
    re.DOTALL,
)


def find_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line (1 is the first) where each table and key of valid TOML `text` is first written."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    at, number = 0, 1
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        line = text[at:end]
        header = _HEADER.match(line)
        assignment = None if header else _ASSIGNMENT.match(line)
        if header:
            table = _parts(header[1])
            lines.setdefault(table, number)
        elif assignment:
            key = (*table, *_parts(assignment[1]))
            for depth in range(len(table) + 1, len(key) + 1):
                lines.setdefault(key[:depth], number)
            end = _value_end(text, at + assignment.start(2))
        number += text.count("\n", at, end)
        at = end
    return lines


def syntax_fault(error: ValueError | RecursionError, raw: bytes) -> tuple[int | None, str]:
    """Return the line of a TOML error (None: not known) and what was found there, in words."""
    if isinstance(error, RecursionError):
        return None, "arrays or tables nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return raw.count(b"\n", 0, error.start) + 1, "a byte that is not UTF-8"
    if not isinstance(error, tomllib.TOMLDecodeError):
        return None, f"a value that cannot be read ({error})"
    placed = _AT_LINE.match(str(error))
    if placed is None:  # "(at end of document)"
        last = raw.rstrip().count(b"\n") + 1
        return last, _broken(str(error).removesuffix(" (at end of document)") + ", at the end of the file")
    return int(placed[2]), _broken(placed[1])


def _broken(message: str) -> str:
    return f"text that is not TOML ({message[:1].lower()}{message[1:]})"


def _parts(key: str) -> tuple[str, ...]:
    """Split a dotted key, quotes taken off, as the parser does it."""
    found: list[str] = []
    node: object = tomllib.loads(f"{key} = 0")
    while isinstance(node, dict):
        ((name, node),) = node.items()
        found.append(name)
    return tuple(found)


def _value_end(text: str, start: int) -> int:
    """Return where the line after the value that begins at `start` begins: a value may span lines."""
    depth = 0
    for token in _VALUE_TOKEN.finditer(text, start):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        elif token[0] == "\n" and depth <= 0:
            return token.end()
    return len(text)
